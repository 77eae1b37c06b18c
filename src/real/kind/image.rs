//! Images that a scenario brings into the nodes, as `kind load` does.

use super::Containers;
use super::node::Container;
use crate::cluster::EngineError;
use crate::scenario::ImageSource;

/// Loads an image into the containerd of nodes. The inner error says why there is no such image.
pub(super) fn load(
    engine: &Containers,
    containers: &[&Container],
    image: &ImageSource,
) -> Result<Result<(), String>, EngineError> {
    let archive = match image {
        ImageSource::Engine(name) => {
            let output = engine.output(&["save", name], None)?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Ok(Err(format!(
                    "{} has no image {name}: {said}",
                    engine.program()
                )));
            }
            output.stdout
        }
        ImageSource::Archive(path) => match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(format!("{path} cannot be read: {error}"))),
        },
    };
    for container in containers {
        let name = &container.name;
        let args = [
            "exec",
            "-i",
            name,
            "ctr",
            "--namespace",
            "k8s.io",
            "images",
            "import",
            "-",
        ];
        let output = engine.output(&args, Some(&archive))?;
        if !output.status.success() {
            return Ok(Err(format!(
                "containerd of {name} does not take the image: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
    }
    Ok(Ok(()))
}
