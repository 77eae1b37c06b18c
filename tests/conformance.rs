//! The engine against recorded runs of the real kubeadm: exit status, standard output, every file
//! of the tree afterwards, standard error. There is no list of cases that may differ.
//!
//! `CONFORMANCE_SHOW=10` prints the first differences; `CONFORMANCE_ONLY=text` runs the cases whose
//! version, family or id contains the text.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads recorded runs and may stop at what it did not expect"
)]

#[path = "conformance/corpus.rs"]
mod corpus;
#[path = "conformance/facts.rs"]
mod facts;
#[path = "conformance/texts.rs"]
mod texts;

use std::collections::BTreeMap;

use certdrill::kubeadm::{Machine, Version, run};
use certdrill::pki::{KeyAlgorithm, KeySource, OsKeys, PoolKeys, PrivateKey, pool_key, pool_size};
use certdrill::time::{SignedDuration, Timestamp};
use corpus::{Case, Corpus};

/// Keys of the pool one after the other, so that no two of a run are the same.
struct Distinct {
    next: usize,
    serials: PoolKeys,
}

impl KeySource for Distinct {
    fn key(&mut self, _stream: &str, algorithm: KeyAlgorithm) -> PrivateKey {
        self.next += 1;
        pool_key(algorithm, self.next % pool_size(algorithm).max(1))
            .unwrap_or_else(|| PrivateKey::generate(algorithm))
    }

    fn serial(&mut self, stream: &str) -> u64 {
        self.serials.serial(stream)
    }
}

#[derive(Debug, Default, Clone)]
struct Tally {
    cases: usize,
    exit_code: usize,
    stdout: usize,
    files: usize,
    stderr: usize,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.cases += other.cases;
        self.exit_code += other.exit_code;
        self.stdout += other.stdout;
        self.files += other.files;
        self.stderr += other.stderr;
    }
}

/// Runs one case; the tally counts what differs.
fn replay(corpus: &Corpus, case: &Case, keys: &mut dyn KeySource) -> (Tally, Vec<String>) {
    let before = corpus.tree(case);
    let mut tree = before.clone();
    let at: Timestamp = case.at.parse().unwrap();
    let output = run(
        corpus.version.parse::<Version>().unwrap(),
        &case.args,
        &mut Machine {
            tree: &mut tree,
            now: at + SignedDuration::from_millis(500),
            hostname: case.node_name.clone(),
            host_address: "10.0.0.10".parse().unwrap(),
            keys,
            cluster: None,
        },
    );
    let mut tally = Tally {
        cases: 1,
        ..Tally::default()
    };
    let mut notes = Vec::new();
    if output.exit_code != case.rc {
        tally.exit_code = 1;
        notes.push(format!("exit {} not {}", output.exit_code, case.rc));
    }
    if !texts::stdout_agrees(case, &output.stdout) {
        tally.stdout = 1;
        notes.push(format!(
            "stdout:\n{}\n-- not:\n{}",
            output.stdout, case.stdout
        ));
    }
    let chance = case.has_tag("random-order") && case.rc != 0;
    let files = if chance {
        Vec::new()
    } else {
        facts::differences(&before, &tree, &case.after, at.as_second())
    };
    if !files.is_empty() {
        tally.files = 1;
        notes.push(format!("files: {}", files.join("; ")));
    }
    if !texts::stderr_agrees(case, &output.stderr) {
        tally.stderr = 1;
        notes.push(format!(
            "stderr:\n{}\n-- not:\n{}",
            output.stderr, case.stderr
        ));
    }
    (tally, notes)
}

fn wanted(corpus: &Corpus, case: &Case) -> bool {
    std::env::var("CONFORMANCE_ONLY").map_or(true, |only| {
        format!("{} {} {}", corpus.version, case.family, case.id).contains(&only)
    })
}

type VersionResult = (String, BTreeMap<String, Tally>, Vec<String>);

fn replay_version(path: &std::path::Path) -> VersionResult {
    let corpus = Corpus::read(path);
    let mut families: BTreeMap<String, Tally> = BTreeMap::new();
    let mut found = Vec::new();
    for case in corpus.cases.iter().filter(|case| wanted(&corpus, case)) {
        let mut keys = Distinct {
            next: 0,
            serials: PoolKeys::new(1),
        };
        let (tally, notes) = replay(&corpus, case, &mut keys);
        families.entry(case.family.clone()).or_default().add(&tally);
        if !notes.is_empty() {
            found.push(format!(
                "## {} {} {}\n{}",
                corpus.version,
                case.id,
                case.args.join(" "),
                notes.join("\n")
            ));
        }
    }
    (corpus.version, families, found)
}

#[test]
fn the_engine_does_what_kubeadm_does() {
    let show: usize = std::env::var("CONFORMANCE_SHOW")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let results: Vec<_> = std::thread::scope(|scope| {
        let versions: Vec<_> = corpus::files()
            .into_iter()
            .map(|path| scope.spawn(move || replay_version(&path)))
            .collect();
        versions
            .into_iter()
            .map(|version| version.join().expect("no version makes the engine panic"))
            .collect()
    });
    let mut families: BTreeMap<String, Tally> = BTreeMap::new();
    let mut notes = Vec::new();
    for (version, tallies, found) in results {
        let mut total = Tally::default();
        for (family, tally) in tallies {
            total.add(&tally);
            families.entry(family).or_default().add(&tally);
        }
        println!("{version}: {total:?}");
        notes.extend(found);
    }
    for (family, tally) in &families {
        println!("{family:>16}: {tally:?}");
    }
    for note in notes.iter().take(show) {
        println!("{note}\n");
    }
    let mut all = Tally::default();
    families.values().for_each(|tally| all.add(tally));
    println!("all: {all:?}");
    assert_eq!(
        (all.exit_code, all.stdout, all.files, all.stderr),
        (0, 0, 0, 0),
        "exit status, standard output, files and standard error agree in all cases"
    );
}

/// Fifty cases with keys as they are outside of tests.
#[test]
fn fresh_keys_change_nothing() {
    let files = corpus::files();
    let corpus = Corpus::read(&files[files.len() - 1]);
    let writing: Vec<&Case> = corpus
        .cases
        .iter()
        .filter(|case| case.rc == 0 && !case.after.is_empty())
        .collect();
    let mut draw = PoolKeys::new(20_260_917);
    for _ in 0..50 {
        let case = writing[(draw.serial("case") % writing.len() as u64) as usize];
        let (tally, notes) = replay(&corpus, case, &mut OsKeys::new());
        assert_eq!(tally.files, 0, "{}: {notes:?}", case.id);
    }
}
