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

#[path = "beside/cluster.rs"]
mod cluster;
#[path = "beside/engine.rs"]
mod engine;

/// What the book's real kubeadms must be.
const KUBEADMS: [&str; 3] = ["v1.35.4", "v1.36.3", "v1.37.2"];
/// The shell examples that no test can run, as page and reason. Nothing else is passed over.
const NOT_RUN: [(&str, &str); 5] = [
    (
        "README.md",
        "the first line is for a node; docs/before-an-upgrade.md has the same, run by a test",
    ),
    (
        "before-an-upgrade.md",
        "on a node, over ssh, and with a kind cluster",
    ),
    ("first-ten-minutes.md", "it builds from the sources"),
    ("real-clusters.md", "it makes a real cluster"),
    ("real-clusters.md", "it makes a real cluster"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn docs() -> std::path::PathBuf {
    root().join("docs")
}

/// A fenced block of a page.
struct Block {
    language: String,
    lines: Vec<String>,
    /// What the comment before it says: `<!-- file: paste.txt -->`.
    marker: Option<(String, String)>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    let mut before = "";
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(language) if !open => {
                open = true;
                let marker = before
                    .strip_prefix("<!-- ")
                    .and_then(|rest| rest.strip_suffix(" -->")?.split_once(": "))
                    .map(|(key, value)| (key.to_owned(), value.to_owned()));
                blocks.push(Block {
                    language: language.to_owned(),
                    lines: Vec::new(),
                    marker,
                });
            }
            Some(_) => open = false,
            None if open => blocks.last_mut().unwrap().lines.push(line.to_owned()),
            None => {}
        }
        before = line;
    }
    assert!(!open, "a block is not closed");
    blocks
}

impl Block {
    fn marked(&self, wanted: &str) -> Option<&str> {
        let (key, value) = self.marker.as_ref()?;
        (key == wanted).then_some(value.as_str())
    }

    /// The commands of a shell example, continued lines joined.
    fn commands(&self) -> Vec<String> {
        self.lines
            .join("\n")
            .replace("\\\n", " ")
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }
}

/// Runs a line as a shell would, with this certdrill, and looks whether it exits as the page says: with 0 unless a comment
/// at its end says `exits with N`. Directories below `/mnt` are those of the folder.
fn run(folder: &Path, line: &str) -> String {
    let wanted: i32 = line.split("# exits with ").nth(1).map_or(0, |rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    });
    let binary = Path::new(env!("CARGO_BIN_EXE_certdrill"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CERTDRILL_") && name != "CERTDRILL_ENGINES" {
            command.env_remove(name);
        }
    }
    if line.contains("certdrill capture") {
        // The disks are of this day; a capture of today would rot.
        command.env("CERTDRILL_AT", "2026-01-02T00:00:00Z");
    }
    let output = command
        .current_dir(folder)
        .args(["-c", &line.replace("/mnt/", "mnt/")])
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(wanted), "{line}: {said}");
    said
}

/// What the examples of a page read and no example writes.
fn inputs(page: &str, folder: &Path) {
    if page != "before-an-upgrade.md" {
        return;
    }
    let disks = folder.join("mnt");
    fs::create_dir(&disks).unwrap();
    cluster::disks(&disks, "v1.36.3", 2, 1);
    for line in [
        "tar -C mnt/w1 -czf w1.tar.gz etc/kubernetes var/lib/kubelet",
        "for node in cp1 cp2 w1; do certdrill capture --node $node=mnt/$node -o $node.yaml || exit 1; done",
    ] {
        run(folder, line);
    }
}

/// The pages of the book, those in folders too.
fn pages() -> Vec<std::path::PathBuf> {
    let mut pages: Vec<_> = [docs(), docs().join("rules")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|page| page.extension().is_some_and(|one| one == "md"))
        .collect();
    pages.sort();
    pages
}

/// Whether every real kubeadm that a command needs is here.
fn has_kubeadms() -> bool {
    let lacking = KUBEADMS
        .iter()
        .find(|version| engine::engine(version).is_none());
    if let Some(version) = lacking {
        engine::missing(
            "kubeadm",
            &format!("no kubeadm {version}, which the book's examples need"),
        );
    }
    lacking.is_none()
}

#[test]
fn what_the_pages_show_is_what_happens() {
    let (mut commands, mut shell, mut shown) = (0, 0, 0);
    let kubeadms = has_kubeadms();
    let mut not_run: Vec<(String, String)> = Vec::new();
    for page in pages() {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        let folder = TempDir::new().unwrap();
        let blocks = blocks(&fs::read_to_string(&page).unwrap());
        for block in &blocks {
            if let Some(file) = block.marked("file") {
                fs::write(folder.path().join(file), block.lines.join("\n") + "\n").unwrap();
            }
        }
        inputs(&name, folder.path());
        for block in &blocks {
            match block.language.as_str() {
                "yaml" => shown += usize::from(!yaml(&name, block, folder.path())),
                "console" => commands += console(&name, block, folder.path()),
                "sh" => match block.marked("not run") {
                    Some(why) => not_run.push((name.clone(), why.to_owned())),
                    None => {
                        for line in block.commands() {
                            let real =
                                line.contains("--backend kubeadm") || line.contains(",kubeadm");
                            if real && !kubeadms {
                                continue;
                            }
                            run(folder.path(), &line);
                            shell += 1;
                        }
                    }
                },
                "text" => {}
                other => panic!("{name}: a block of `{other}` is run by no test"),
            }
        }
    }
    for block in blocks(&fs::read_to_string(root().join("README.md")).unwrap()) {
        if block.language == "sh" {
            let why = block
                .marked("not run")
                .expect("README.md: a shell example that is run by no test");
            not_run.push(("README.md".to_owned(), why.to_owned()));
        }
    }
    not_run.sort();
    let not_run: Vec<(&str, &str)> = not_run
        .iter()
        .map(|(page, why)| (page.as_str(), why.as_str()))
        .collect();
    assert_eq!(not_run, NOT_RUN);
    assert!(commands >= 18, "only {commands} commands were run");
    let wanted = if kubeadms { 13 } else { 10 };
    assert!(shell >= wanted, "only {shell} shell examples were run");
    assert_eq!(shown, 2, "files that examples write");
}

/// A file that is to be there, or one that an example has written: then each of its lines is in it, in this order. Says whether
/// it was written.
fn yaml(page: &str, block: &Block, folder: &Path) -> bool {
    let first = &block.lines[0];
    if let Some(name) = first.strip_prefix("# file: ") {
        fs::write(folder.join(name), block.lines.join("\n") + "\n").unwrap();
        return true;
    }
    let name = first
        .strip_prefix("# in: ")
        .unwrap_or_else(|| panic!("{page}: a YAML block without `# file:` and `# in:`"));
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let mut rest = text.lines();
    for line in &block.lines[1..] {
        assert!(
            rest.any(|one| one == line),
            "{page}: `{line}` is not in {name}, or not there:\n{text}"
        );
    }
    false
}

/// A session: commands, and lines of what they say. Returns the number of commands.
fn console(page: &str, block: &Block, folder: &Path) -> usize {
    let mut said = String::new();
    let mut commands = 0;
    for line in &block.lines {
        if let Some(command) = line.strip_prefix("$ ") {
            said = run(folder, command);
            commands += 1;
        } else if line != "..." {
            let found = said
                .lines()
                .any(|one| one.trim_end().starts_with(line.trim_end()));
            assert!(found, "{page}: `{line}` is not in:\n{said}");
        }
    }
    commands
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
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap().split('#').next().unwrap();
            if target.starts_with("https://") || target.is_empty() {
                continue;
            }
            let from = page.parent().unwrap();
            assert!(from.join(target).exists(), "{}: {target}", page.display());
            links += 1;
        }
    }
    assert!(links >= 10, "{links}");
}

/// The documents of a file of `ci/examples`.
fn documents(name: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(root().join("ci/examples").join(name)).unwrap();
    text.split("\n---\n")
        .map(|one| serde_saphyr::from_str(one).unwrap())
        .collect()
}

/// A folder with scenarios that make two runs, and one for reports.
fn with_scenarios() -> TempDir {
    let here = TempDir::new().unwrap();
    run(
        here.path(),
        "mkdir scenarios reports && certdrill init scenarios/mine.yaml",
    );
    here
}

fn texts(value: &serde_json::Value) -> Vec<&str> {
    let list = value.as_array().unwrap();
    list.iter().map(|one| one.as_str().unwrap()).collect()
}

/// Plays what a job would, and looks that it writes each report that the job keeps.
fn job(here: &Path, command: &str, kept: &[&str]) -> String {
    let said = run(here, command);
    for file in kept {
        assert!(here.join(file).is_file(), "{file}: {command}: {said}");
    }
    said
}

/// What installs certdrill takes it from somewhere: it is on no registry.
fn installs_from_sources(commands: &[&str]) {
    let mut installs = commands
        .iter()
        .filter(|one| one.contains("cargo install"))
        .peekable();
    assert!(installs.peek().is_some(), "{commands:?}");
    for one in installs {
        assert!(one.contains(" --git ") || one.contains(" --path "), "{one}");
    }
}

#[test]
fn the_example_for_github_plays() {
    let [workflow] = &documents("github-actions.yaml")[..] else {
        panic!("one document")
    };
    let rehearse = &workflow["jobs"]["rehearse"];
    let steps = rehearse["steps"].as_array().unwrap();
    let commands: Vec<&str> = steps.iter().filter_map(|one| one["run"].as_str()).collect();
    installs_from_sources(&commands);
    let command = commands
        .iter()
        .find(|one| one.starts_with("certdrill "))
        .unwrap();
    let shares = rehearse["strategy"]["matrix"]["share"].as_array().unwrap();
    for share in shares {
        let here = with_scenarios();
        let command = command.replace("${{ matrix.share }}", &share.to_string());
        let kept = ["certdrill.sarif", "certdrill.html", "junit.xml"];
        let said = job(here.path(), &command, &kept);
        assert!(said.contains("1 run in"), "{said}");
    }
    assert_eq!(shares.len(), 2);
}

#[test]
fn the_example_for_gitlab_plays() {
    let [file] = &documents("gitlab-ci.yaml")[..] else {
        panic!("one document")
    };
    let job_ = &file["certdrill"];
    installs_from_sources(&texts(&job_["before_script"]));
    let variables: String = ["CERTDRILL_SHARD", "CERTDRILL_FAILURES_ONLY"]
        .iter()
        .map(|name| format!("{name}={} ", job_["variables"][name].as_str().unwrap()))
        .collect();
    let artifacts = &job_["artifacts"];
    let kept = [
        texts(&artifacts["paths"]),
        vec![artifacts["reports"]["junit"].as_str().unwrap()],
    ]
    .concat();
    let script = texts(&job_["script"]);
    for command in &script {
        let here = with_scenarios();
        let command = format!("CI_NODE_INDEX=2 {variables}{command}");
        let said = job(here.path(), &command, &kept);
        assert!(said.contains("1 run in"), "{said}");
    }
    assert_eq!(script.len(), 1);
}

#[test]
fn the_example_for_kubernetes_plays_and_its_reports_survive() {
    let documents = documents("indexed-job.yaml");
    let find = |kind: &str| documents.iter().find(|one| one["kind"] == kind).unwrap();
    let spec = &find("Job")["spec"];
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    let completions = spec["completions"].as_u64().unwrap();
    assert_eq!(
        container["env"][0]["value"],
        format!("auto/{completions}"),
        "every index has a share"
    );
    let play = |index: u64| {
        let here = with_scenarios();
        // As the kubelet puts it together: paths are those of the folder.
        let args: Vec<String> = texts(&container["args"])
            .iter()
            .map(|arg| {
                arg.replace("$(JOB_COMPLETION_INDEX)", &index.to_string())
                    .replace("=/reports/", "=reports/")
                    .replace("/scenarios", "scenarios")
            })
            .collect();
        let command = format!(
            "JOB_COMPLETION_INDEX={index} CERTDRILL_SHARD=auto/{completions} certdrill {}",
            args.join(" ")
        );
        // Two runs in eight shares: the others have none, which is never green.
        let (comment, kept) = if index < 2 {
            let kept = vec![
                format!("reports/{index}.html"),
                format!("reports/{index}.xml"),
            ];
            ("", kept)
        } else {
            (" # exits with 4", Vec::new())
        };
        let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
        job(here.path(), &(command + comment), &kept)
    };
    assert!(play(0).contains("renew=yes") && play(1).contains("renew=no"));
    play(completions - 1);
    // What is written outlives the Pod, and another Pod shows it.
    let claim = &find("PersistentVolumeClaim")["metadata"]["name"];
    for pod in [pod, &find("Pod")["spec"]] {
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let mount = mounts
            .iter()
            .find(|one| one["mountPath"] == "/reports")
            .unwrap();
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes
            .iter()
            .find(|one| one["name"] == mount["name"])
            .unwrap();
        assert_eq!(&volume["persistentVolumeClaim"]["claimName"], claim);
    }
    let written = texts(&container["args"]);
    let written: Vec<_> = written
        .iter()
        .filter(|arg| arg.contains("report"))
        .collect();
    assert!(written.iter().all(|arg| arg.contains("=/reports/")) && written.len() == 2);
}
