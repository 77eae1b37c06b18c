//! How long simulated time takes. Prints; asserts nothing.
//!
//! `cargo bench --bench simulation`

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the library, takes the time and prints it"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certdrill::run::{PlayOptions, Run, play, trace::Entry};
use certdrill::scenario::{self, Scenario};

fn main() {
    println!("one core; minimum and median of the runs");
    year(
        "1 year, 3 control planes, ECDSA-P256",
        Some("ECDSA-P256"),
        365,
    );
    year(
        "1 year, 3 control planes, RSA-2048 from the pool",
        None,
        365,
    );
    let one = year("1 year idle, 1 control plane", Some("ECDSA-P256"), 360);
    let ten = year("10 years idle, 1 control plane", Some("ECDSA-P256"), 3_600);
    println!(
        "per event: {:.1} us in one year, {:.1} us in ten years (set-up of the cluster included)",
        one.0.as_secs_f64() * 1e6 / one.1 as f64,
        ten.0.as_secs_f64() * 1e6 / ten.1 as f64,
    );
    library();
    println!("peak memory of all of this: {}", peak_memory());
}

/// Plays a year on three control planes (one where it is idle); gives the median and the events of a run.
fn year(name: &str, algorithm: Option<&str>, days: u32) -> (Duration, u64) {
    let nodes = if name.contains("idle") { 1 } else { 3 };
    let key = algorithm.map_or(String::new(), |algorithm| {
        format!(", keyAlgorithm: {algorithm}")
    });
    let text = format!(
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: {{ name: bench, title: Bench }}\nspec:\n  cluster: {{ version: v1.36.3, start: 2026-01-01T00:00:00Z, nodes: {{ controlPlane: {nodes}, worker: 0 }}{key} }}\n  steps:\n    - walk: {days}d\n"
    );
    let scenario = scenario::load("bench.yaml", &text)
        .expect("the text above is valid")
        .remove(0);
    let mut times = Vec::new();
    let mut events = 0;
    for seed in 0..15 {
        let start = Instant::now();
        let run = play(&scenario, &PlayOptions { seed });
        times.push(start.elapsed());
        events = events_of(&run);
    }
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "{name}: {:.1} ms, {:.1} ms ({events} events)",
        ms(times[0]),
        ms(median)
    );
    (median, events)
}

/// Plays every scenario of the library once.
fn library() {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")) {
        let text = std::fs::read_to_string(&path).expect("a file of the library");
        scenarios
            .extend(scenario::load(&path.to_string_lossy(), &text).expect("the library is valid"));
    }
    let start = Instant::now();
    let mut days = 0.0;
    for scenario in &scenarios {
        let run = play(scenario, &PlayOptions { seed: 0 });
        if let Some(Entry::Verdict(end)) = run.records.last().map(|record| &record.entry) {
            days += end.virtual_seconds as f64 / 86_400.0;
        }
    }
    println!(
        "the library: {} runs, {:.0} virtual years, {:.0} ms",
        scenarios.len(),
        days / 365.0,
        ms(start.elapsed())
    );
}

fn events_of(run: &Run) -> u64 {
    run.records
        .iter()
        .find_map(|record| match &record.entry {
            Entry::Verdict(end) => Some(end.events),
            _ => None,
        })
        .unwrap_or(0)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)
        .expect("the library is there")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .map_or_else(|| "unknown here".to_owned(), |kb| kb.trim().to_owned())
}
