//! Puts into the binary: the library of scenarios (`certdrill init --from`), and in a release the commit.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads and writes files"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let scenarios = root.join("scenarios");
    fs::write(out.join("library.rs"), library(&scenarios, "yaml", false)?)?;
    fs::write(out.join("scripts.rs"), library(&scenarios, "sh", true)?)?;
    println!("cargo::rerun-if-changed=scenarios");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CERTDRILL_COMMIT");
    println!("cargo::rustc-env=CERTDRILL_LONG_VERSION={}", version(&root));
    Ok(())
}

/// Every file with an ending as a pair of name (`incidents/kubeadm-1753`, with its ending or without) and text.
fn library(folder: &Path, ending: &str, shown: bool) -> io::Result<String> {
    let mut files = Vec::new();
    find(folder, ending, &mut files)?;
    files.sort();
    let mut text = "&[\n".to_owned();
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(&file);
        let name = name.with_extension(if shown { ending } else { "" });
        let name = name.to_string_lossy().replace('\\', "/");
        // A debug format of a path is a string literal of Rust.
        let _ = writeln!(
            text,
            "    ({name:?}, include_str!({:?})),",
            file.display().to_string()
        );
    }
    text.push_str("]\n");
    Ok(text)
}

fn find(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, ending, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            files.push(path);
        }
    }
    Ok(())
}

/// `0.1.0 (commit 3059f6a, 2026-11-24)`. Only a release asks git: a development build would otherwise be made anew
/// after every commit. Without git, and from a package, the version stands alone.
fn version(root: &Path) -> String {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let given = env::var("CERTDRILL_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty());
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let found = given.or_else(|| release.then(|| commit(root)).flatten());
    found.map_or_else(
        || version.clone(),
        |commit| format!("{version} (commit {commit})"),
    )
}

fn commit(root: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(args)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // A package that was unpacked inside of another repository is not of that commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(root).ok()? {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"])
        .is_some_and(|text| !text.is_empty());
    let line = git(&["log", "-1", "--format=%h, %cs"])?;
    Some(if dirty {
        format!("{line}, with changes")
    } else {
        line
    })
}
