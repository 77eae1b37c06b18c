//! Steps that bring something to a real cluster: objects and container images.

use std::path::{Path, PathBuf};

use super::player::Player;
use crate::scenario::{Expectation, ImageSource, Nodes, Objects};

impl Player<'_> {
    /// `apply:`
    pub(super) fn apply(
        &mut self,
        nodes: &Nodes,
        objects: &Objects,
        exit_code: i32,
        own: &Expectation,
    ) -> Result<(), String> {
        let (label, text) = self.objects(objects)?;
        for node in self.nodes(nodes)? {
            self.world.apply(node, &label, &text)?;
            self.expect_exit(own, node, exit_code);
        }
        Ok(())
    }

    /// `image:`
    pub(super) fn load_image(&mut self, nodes: &Nodes, source: &ImageSource) -> Result<(), String> {
        let nodes = self.nodes(nodes)?;
        match source {
            ImageSource::Archive(file) => {
                let file = self.beside(file).display().to_string();
                self.world.load_image(&nodes, &ImageSource::Archive(file))
            }
            ImageSource::Engine(_) => self.world.load_image(&nodes, source),
        }
    }

    /// Where a file lies that a scenario names: relative to its own.
    fn beside(&self, file: &str) -> PathBuf {
        Path::new(&self.scenario.file)
            .parent()
            .unwrap_or(Path::new(""))
            .join(file)
    }

    /// What objects are called and their YAML.
    #[expect(
        clippy::disallowed_methods,
        reason = "a file beside the scenario is read when the step is taken"
    )]
    fn objects(&self, objects: &Objects) -> Result<(String, Vec<u8>), String> {
        match objects {
            Objects::Manifest(text) => Ok(("-".to_owned(), text.clone().into_bytes())),
            Objects::File(file) => {
                let path = self.beside(file);
                match std::fs::read(&path) {
                    Ok(bytes) => Ok((file.clone(), bytes)),
                    Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
                }
            }
        }
    }
}
