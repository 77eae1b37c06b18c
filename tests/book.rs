//! The examples of the book do what the book says, and its generated page is current.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "pages are read and commands are run, and a test may stop at what it did not expect"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// Fenced blocks of a page: the language and the lines.
fn blocks(page: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(language) if !open => {
                open = true;
                blocks.push((language.to_owned(), Vec::new()));
            }
            Some(_) => open = false,
            None if open => blocks.last_mut().unwrap().1.push(line.to_owned()),
            None => {}
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// Runs a line as a shell would, with this certdrill.
fn run(folder: &Path, line: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_certdrill"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CERTDRILL_") {
            command.env_remove(name);
        }
    }
    let output = command
        .current_dir(folder)
        .args(["-c", line])
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    assert!(
        code != 127 && code != 1,
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn what_the_pages_show_is_what_happens() {
    let mut commands = 0;
    let mut pages: Vec<_> = fs::read_dir(docs())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    for page in pages
        .iter()
        .filter(|page| page.extension().is_some_and(|one| one == "md"))
    {
        let folder = TempDir::new().unwrap();
        for (language, lines) in blocks(&fs::read_to_string(page).unwrap()) {
            if language == "yaml" {
                let name = lines[0].strip_prefix("# file: ").unwrap_or_else(|| {
                    panic!("{}: a YAML block without `# file:`", page.display())
                });
                fs::write(folder.path().join(name), lines.join("\n") + "\n").unwrap();
            }
            if language != "console" {
                continue;
            }
            let mut said = String::new();
            for line in lines {
                if let Some(command) = line.strip_prefix("$ ") {
                    said = run(folder.path(), command);
                    commands += 1;
                } else if line != "..." {
                    let found = said
                        .lines()
                        .any(|one| one.trim_end().starts_with(line.trim_end()));
                    assert!(found, "{}: `{line}` is not in:\n{said}", page.display());
                }
            }
        }
    }
    assert!(commands >= 18, "only {commands} commands were run");
}

#[test]
fn the_page_of_every_field_is_current() {
    let published = fs::read_to_string(docs().join("reference.md")).unwrap();
    assert!(
        published == certdrill::scenario::reference(),
        "docs/reference.md is not current: run `cargo run -- schema --markdown > docs/reference.md`"
    );
    // A step or form without a word about it would be an empty section.
    for heading in [
        "### `walk`",
        "### `renew`",
        "### `moveManifests`",
        "### `edge`",
        "### `certificate`",
    ] {
        let section = published
            .split(heading)
            .nth(1)
            .unwrap_or_else(|| panic!("{heading}"));
        let text = section.split("\n#").next().unwrap();
        assert!(text.trim().len() > 20, "{heading}: {text}");
    }
}

#[test]
fn the_book_links_to_pages_that_are_there() {
    let mut links = 0;
    for entry in fs::read_dir(docs()).unwrap() {
        let page = entry.unwrap().path();
        if page.extension().is_none_or(|one| one != "md") {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap().split('#').next().unwrap();
            if target.starts_with("https://") || target.is_empty() {
                continue;
            }
            assert!(docs().join(target).exists(), "{}: {target}", page.display());
            links += 1;
        }
    }
    assert!(links >= 10, "{links}");
}

#[test]
fn the_commands_of_the_ci_examples_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/examples");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // What stands in YAML over several lines is one command.
        let text = text
            .replace("${{ matrix.share }}", "1")
            .replace("\n          --", " --");
        let here = TempDir::new().unwrap();
        run(
            here.path(),
            "certdrill init scenarios.yaml && mkdir scenarios && mv scenarios.yaml scenarios/",
        );
        for line in text.lines() {
            if let Some(at) = line.find("certdrill run ") {
                let said = run(here.path(), &line[at..]);
                assert!(
                    !said.contains("unexpected argument"),
                    "{}: {said}",
                    path.display()
                );
                assert!(
                    said.contains("1 run in") || said.contains("2 runs in"),
                    "{}: {said}",
                    path.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 2, "{seen}");
}
