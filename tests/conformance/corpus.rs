//! Reading the recorded runs of the real kubeadm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use certdrill::fs::{MemoryTree, Tree as _};
use serde::Deserialize;
use serde_json::Value;

/// Recorded runs of one version.
#[derive(Deserialize)]
pub struct Corpus {
    pub version: String,
    pub cases: Vec<Case>,
    trees: BTreeMap<String, Vec<Entry>>,
    blobs: Vec<Blob>,
}

/// One run.
#[derive(Deserialize)]
pub struct Case {
    pub id: String,
    pub family: String,
    pub at: String,
    pub args: Vec<String>,
    #[serde(rename = "nodeName")]
    pub node_name: String,
    pub tags: Vec<String>,
    pub before: Before,
    pub rc: i32,
    pub stdout: String,
    pub stderr: String,
    pub after: BTreeMap<String, Value>,
}

#[derive(Deserialize, Default)]
pub struct Before {
    base: Option<String>,
    remove: Vec<String>,
    overlay: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    mode: u32,
    #[serde(rename = "type")]
    kind: String,
    to: Option<String>,
    blob: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Blob {
    Text(String),
    Hex { hex: String },
}

impl Blob {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Blob::Text(text) => text.clone().into_bytes(),
            Blob::Hex { hex } => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
        }
    }
}

impl Case {
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|found| found == tag)
    }
}

/// The packed files, one per version.
pub fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xz"))
        .collect();
    files.sort();
    files
}

impl Corpus {
    pub fn read(path: &Path) -> Self {
        let packed = std::fs::read(path).unwrap();
        let mut text = Vec::new();
        lzma_rs::xz_decompress(&mut packed.as_slice(), &mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The tree a case starts from.
    pub fn tree(&self, case: &Case) -> MemoryTree {
        let mut tree = MemoryTree::new();
        if let Some(base) = &case.before.base {
            self.extract(&mut tree, base);
        }
        for path in &case.before.remove {
            tree.remove_all(&format!("/{path}")).unwrap();
        }
        if let Some(overlay) = &case.before.overlay {
            self.extract(&mut tree, overlay);
        }
        tree
    }

    fn extract(&self, tree: &mut MemoryTree, name: &str) {
        for entry in &self.trees[name] {
            let path = format!("/{}", entry.path);
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if !parent.is_empty() && !tree.exists(parent) {
                tree.create_dir_all(parent, 0o755).unwrap();
            }
            let is_dir = tree
                .symlink_metadata(&path)
                .is_ok_and(|found| found.is_dir());
            if entry.kind == "dir" {
                if !is_dir {
                    let _ = tree.remove(&path);
                    tree.create_dir_all(&path, entry.mode).unwrap();
                }
                tree.set_mode(&path, entry.mode).unwrap();
                continue;
            }
            // Extraction replaces what is there, it does not write through links.
            tree.remove_all(&path).unwrap();
            let target = entry.to.clone().unwrap_or_default();
            match entry.kind.as_str() {
                "symlink" => tree.symlink(&target, &path).unwrap(),
                "hardlink" => tree.hard_link(&format!("/{target}"), &path).unwrap(),
                _ => {
                    let content = self.blobs[entry.blob.unwrap()].bytes();
                    tree.write(&path, &content, entry.mode).unwrap();
                }
            }
        }
    }
}
