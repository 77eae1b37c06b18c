//! The step `edit`: what a person changes in a file.

use super::player::Player;
use crate::fs::{FsError, MemoryTree, Tree};
use crate::kubeadm::manifests;
use crate::pki::Kubeconfig;
use crate::scenario::{Change, Edit, Embed, Expectation};

/// Mode of a file that an edit makes.
const NEW_FILE: u32 = 0o600;

impl Player<'_> {
    /// Changes a file on each of the nodes.
    ///
    /// # Errors
    /// With a sentence when a file cannot be read or written.
    pub(super) fn edit(&mut self, edit: &Edit, own: &Expectation) -> Result<(), String> {
        for node in self.nodes(&edit.nodes)? {
            let tree = &mut self.world.nodes[node].tree;
            let done = apply(tree, edit).map_err(|error| self.refused(node, &error))?;
            if let Err(missing) = done {
                let expected = format!("{} has {missing}", edit.path);
                self.require(own, &edit.path, expected, "it has none".to_owned(), false);
            }
            self.changed(node, &edit.path, "edited");
        }
        Ok(())
    }
}

/// Makes the change. The inner error names what the file was expected to have.
fn apply(tree: &mut MemoryTree, edit: &Edit) -> Result<Result<(), String>, FsError> {
    let path = &edit.path;
    let mut done = Ok(());
    let text = |tree: &MemoryTree| -> Result<String, FsError> {
        Ok(String::from_utf8_lossy(&tree.read(path)?).into_owned())
    };
    match &edit.change {
        Change::Content(content) => write(tree, path, content.as_bytes())?,
        Change::Mode(mode) => tree.set_mode(path, *mode)?,
        Change::SetLines(lines) => {
            let (changed, missing) = set_lines(&text(tree)?, lines);
            tree.write(path, changed.as_bytes(), NEW_FILE)?;
            if let Some(key) = missing {
                done = Err(format!("a line {key:?}"));
            }
        }
        Change::Replace(texts) => {
            let mode = tree.metadata(path)?.mode;
            let mut text = text(tree)?;
            for (old, new) in texts {
                if !text.contains(old.as_str()) {
                    done = Err(format!("the text {old:?}"));
                }
                text = text.replace(old.as_str(), new);
            }
            tree.write(path, text.as_bytes(), mode)?;
        }
        Change::Append(text) => {
            let mut bytes = tree.read(path)?;
            let mode = tree.metadata(path)?.mode;
            append(&mut bytes, text);
            tree.write(path, &bytes, mode)?;
        }
        Change::SetFlags(flags) => {
            let mut manifest = text(tree)?;
            for (name, value) in flags {
                match manifests::with_flag(&manifest, name, value) {
                    Some(changed) => manifest = changed,
                    None => done = Err("a command with flags".to_owned()),
                }
            }
            tree.write(path, manifest.as_bytes(), NEW_FILE)?;
        }
        Change::Concatenate(files) => {
            let mut content = Vec::new();
            for file in files {
                content.extend(tree.read(file)?);
            }
            write(tree, path, &content)?;
        }
        Change::Embed(embed) => {
            let content = tree.read(path)?;
            match embedded(tree, &content, embed)? {
                Some(changed) => tree.write(path, changed.as_bytes(), NEW_FILE)?,
                None => done = Err("a current context with a cluster and a user".to_owned()),
            }
        }
    }
    Ok(done)
}

fn write(tree: &mut MemoryTree, path: &str, content: &[u8]) -> Result<(), FsError> {
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    if !dir.is_empty() {
        tree.create_dir_all(dir, 0o755)?;
    }
    tree.write(path, content, NEW_FILE)
}

/// A kubeconfig with data from files; what was a file reference becomes data. `None` where it is none.
fn embedded(tree: &MemoryTree, content: &[u8], embed: &Embed) -> Result<Option<String>, FsError> {
    let Ok(mut config) = Kubeconfig::parse(content) else {
        return Ok(None);
    };
    let files = [
        ("certificate-authority", &embed.certificate_authority),
        ("client-certificate", &embed.client_certificate),
        ("client-key", &embed.client_key),
    ];
    for (field, file) in files {
        let Some(file) = file else { continue };
        let data = tree.read(file)?;
        let entry = if field == "certificate-authority" {
            config.cluster_mut()
        } else {
            config.user_mut()
        };
        let Some(entry) = entry else {
            return Ok(None);
        };
        entry.set_text(field, "");
        entry.set_data(&format!("{field}-data"), &data);
    }
    Ok(Some(config.to_yaml(true)))
}

/// Adds lines at the end of a text.
pub(super) fn append(bytes: &mut Vec<u8>, text: &str) {
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(text.trim_end().as_bytes());
    bytes.push(b'\n');
}

/// Replaces lines by their key, keeping their indentation. Says which key was not there.
pub(super) fn set_lines(text: &str, lines: &[(String, String)]) -> (String, Option<String>) {
    let mut missing = None;
    let mut current: Vec<String> = text.lines().map(str::to_owned).collect();
    for (key, replacement) in lines {
        let mut found = false;
        for line in &mut current {
            let body = line.trim_start();
            if body
                .strip_prefix(key.as_str())
                .is_some_and(|rest| rest.starts_with(':'))
            {
                let indent = &line[..line.len() - body.len()];
                *line = format!("{indent}{replacement}");
                found = true;
            }
        }
        if !found && missing.is_none() {
            missing = Some(key.clone());
        }
    }
    let mut out = current.join("\n");
    out.push('\n');
    (out, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_data_and_a_bundle_keeps_its_order() {
        let mut tree = MemoryTree::new();
        for (path, text) in [("/a", "A\n"), ("/b", "B\n")] {
            tree.write(path, text.as_bytes(), 0o600).unwrap();
        }
        let edit = |path: &str, change| Edit {
            nodes: crate::scenario::Nodes("cp1".to_owned()),
            path: path.to_owned(),
            change,
        };
        let files = vec!["/b".to_owned(), "/a".to_owned()];
        let bundle = edit("/new/ca.crt", Change::Concatenate(files));
        assert_eq!(apply(&mut tree, &bundle).unwrap(), Ok(()));
        assert_eq!(tree.read("/new/ca.crt").unwrap(), b"B\nA\n");
        let config = "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: { server: 'https://x' }\ncontexts:\n- name: k\n  context: { cluster: c, user: u }\ncurrent-context: k\nusers:\n- name: u\n  user: { client-certificate: /old.pem, client-key: /old.pem }\n";
        tree.write("/conf", config.as_bytes(), 0o600).unwrap();
        let embed = Embed {
            certificate_authority: Some("/new/ca.crt".to_owned()),
            client_certificate: Some("/a".to_owned()),
            client_key: None,
        };
        assert_eq!(
            apply(&mut tree, &edit("/conf", Change::Embed(embed.clone()))).unwrap(),
            Ok(())
        );
        let after = Kubeconfig::parse(&tree.read("/conf").unwrap()).unwrap();
        assert_eq!(
            after.certificate_authority(),
            crate::pki::Source::Data(b"B\nA\n".to_vec())
        );
        assert_eq!(
            after.client_certificate(),
            crate::pki::Source::Data(b"A\n".to_vec())
        );
        assert_eq!(
            after.client_key(),
            crate::pki::Source::File("/old.pem".to_owned())
        );
        // What is no kubeconfig is said to be none, and stays as it is.
        assert!(
            apply(&mut tree, &edit("/a", Change::Embed(embed)))
                .unwrap()
                .is_err()
        );
        assert_eq!(tree.read("/a").unwrap(), b"A\n");
    }

    #[test]
    fn lines_are_replaced_by_key_and_keep_their_indentation() {
        let text = "users:\n- user:\n    client-key-data: AAA\n    client-key-data-old: BBB\n";
        let lines = [(
            "client-key-data".to_owned(),
            "client-key: /x.pem".to_owned(),
        )];
        let (changed, missing) = set_lines(text, &lines);
        assert_eq!(
            changed,
            "users:\n- user:\n    client-key: /x.pem\n    client-key-data-old: BBB\n"
        );
        assert_eq!(missing, None);
        assert_eq!(
            set_lines(text, &[("nope".to_owned(), "x".to_owned())]).1,
            Some("nope".to_owned())
        );
    }
}
