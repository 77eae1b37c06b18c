//! A scenario that shows a row of the documentation fails where the row's mechanism is missing.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads the library and may stop at what it did not expect"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use certdrill::cluster::Mechanism;
use certdrill::run::{PlayOptions, play_without, trace::Verdict};
use certdrill::scenario::{self, Backend, ROWS, Scenario};

/// Scenario variants of the library that the simulation can play, by file.
fn library() -> BTreeMap<String, Vec<Scenario>> {
    let mut found = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for path in files(&root) {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let variants: Vec<_> = scenario::load(&name, &text)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
            .into_iter()
            .filter(|variant| variant.backends.contains(&Backend::Sim))
            .collect();
        if !variants.is_empty() {
            found.insert(name, variants);
        }
    }
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|kind| kind == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn turns_red(variants: &[Scenario], mechanism: Mechanism) -> bool {
    variants.iter().any(|variant| {
        play_without(variant, &PlayOptions { seed: 0 }, mechanism).verdict != Verdict::Passed
    })
}

#[test]
fn a_row_whose_mechanism_is_missing_turns_its_scenarios_red() {
    let library = library();
    let mut idle = Vec::new();
    for &mechanism in Mechanism::ALL {
        for &row in mechanism.rows() {
            let shown = library
                .values()
                .filter(|variants| variants[0].tags.iter().any(|tag| tag == row))
                .any(|variants| turns_red(variants, mechanism));
            if !shown {
                idle.push(format!(
                    "{row}: no scenario notices that {} is off",
                    mechanism.word()
                ));
            }
        }
    }
    assert!(idle.is_empty(), "{idle:#?}");
}

#[test]
fn a_scenario_that_claims_a_row_notices_one_of_its_mechanisms() {
    let library = library();
    let mut idle = Vec::new();
    for (name, variants) in &library {
        for tag in &variants[0].tags {
            let mut rest = Mechanism::ALL
                .iter()
                .filter(|mechanism| mechanism.rows().contains(&tag.as_str()))
                .peekable();
            if rest.peek().is_some() && !rest.any(|&mechanism| turns_red(variants, mechanism)) {
                idle.push(format!(
                    "{name} claims {tag} and stays green without its mechanism"
                ));
            }
        }
    }
    assert!(idle.is_empty(), "{idle:#?}");
}

#[test]
fn every_row_and_every_incident_has_a_scenario() {
    let library = library();
    let missing: Vec<&str> = ROWS
        .iter()
        .map(|row| row.id)
        .filter(|id| {
            !library
                .values()
                .any(|variants| variants[0].tags.iter().any(|tag| tag == id))
        })
        .collect();
    assert!(missing.is_empty(), "no scenario shows {missing:?}");
}

#[test]
fn every_row_of_the_documentation_rests_on_a_mechanism() {
    for row in 1..=23 {
        let row = format!("D{row}");
        let rests = Mechanism::ALL
            .iter()
            .any(|mechanism| mechanism.rows().contains(&row.as_str()));
        assert!(rests, "no mechanism can be switched off for {row}");
    }
}
