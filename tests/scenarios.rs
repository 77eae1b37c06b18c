//! The scenario library plays, and every file of it passes.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads the library and may stop at what it did not expect"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use certdrill::run::{PlayOptions, play, trace::Entry, trace::Verdict};
use certdrill::scenario::{self, Backend, Scenario};

#[test]
fn every_scenario_of_the_library_passes() {
    let mut runs = Vec::new();
    for path in files(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("scenarios")
            .as_path(),
    ) {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let variants =
            scenario::load(&name, &text).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        // ci/library.sh plays those that only real binaries can, and all of them with more seeds.
        let simulated = variants
            .into_iter()
            .filter(|variant| variant.backends.contains(&Backend::Sim));
        runs.extend(simulated.map(|variant| (name.clone(), variant)));
    }
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, variant)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    passes(name, variant);
                }
            });
        }
    });
    let played = runs.len();
    assert!(played >= 60, "only {played} runs were played");
}

fn passes(name: &str, variant: &Scenario) {
    let run = play(variant, &PlayOptions { seed: 0 });
    let failures: Vec<_> = run
        .records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Expectation(judged) if !judged.passed => Some(format!(
                "line {} at {}: expected {}, seen {}",
                judged.line, record.at, judged.expected, judged.seen
            )),
            _ => None,
        })
        .collect();
    assert_eq!(
        run.verdict,
        Verdict::Passed,
        "{name} {:?}: {failures:#?}",
        variant.variant
    );
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
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
