//! `certdrill import`: a scenario from what was pasted into an issue.

#![expect(clippy::disallowed_methods, reason = "the pasted text is read here")]

use std::io::Read as _;
use std::path::PathBuf;

use super::{Exit, Output, files, output};
use crate::forecast::import::{BYTES_MAX, Hints, import};
use crate::kubeadm::Version;
use crate::time::Timestamp;

const HELP: &str = "\
Understood are, also among prompts and logs:
  kubeadm certs check-expiration
    the tables of any version, one or both; -o json, -o yaml
  openssl x509 -text, -dates, -enddate
    with -subject, or with the file's name before it
  kubectl get csr
    its table, of any version, with -o wide or without

Example:
  pbpaste | certdrill import -o incident.yaml && certdrill run incident.yaml";

/// Arguments of `certdrill import`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// File with the pasted text; standard input unless said otherwise.
    #[arg(value_name = "FILE", env = "CERTDRILL_PASTE")]
    file: Option<PathBuf>,
    /// File to write; standard output unless said otherwise.
    #[arg(short, long, value_name = "FILE", env = "CERTDRILL_OUTPUT")]
    output: Option<PathBuf>,
    /// Overwrite a file that is there.
    #[arg(long, env = "CERTDRILL_FORCE")]
    force: bool,
    /// Version of the kubeadm that printed it.
    #[arg(long, value_name = "VERSION", env = "CERTDRILL_KUBERNETES_VERSION")]
    kubernetes_version: Option<Version>,
    /// When it was printed.
    #[arg(long, value_name = "TIME", value_parser = super::warp::parse_time, env = "CERTDRILL_AT")]
    at: Option<Timestamp>,
    /// The scenario's name.
    #[arg(long, value_name = "NAME", value_parser = name, env = "CERTDRILL_NAME")]
    name: Option<String>,
}

fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.len() <= 80 && !text.starts_with('-') && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("small letters, digits and dashes".to_owned())
    }
}

/// Imports.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    if let Some(path) = args.output.as_ref().filter(|path| path.is_file())
        && !args.force
    {
        output::complain(&format!(
            "error: {} exists\n  help: name another file, or overwrite it with --force",
            path.display()
        ));
        return Exit::Usage;
    }
    if let Err(exit) = files::named(&args.file) {
        return exit;
    }
    let mut bytes = Vec::new();
    let limit = BYTES_MAX as u64 + 1;
    let (read, shown) = match &args.file {
        Some(path) if path.as_os_str() != "-" => (
            std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
            path.display().to_string(),
        ),
        _ => (
            std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
            "standard input".to_owned(),
        ),
    };
    if let Err(error) = read {
        output::complain(&format!("error: {shown}: {error}"));
        return Exit::Invalid;
    }
    if let Some(version) = args
        .kubernetes_version
        .filter(|&version| version < Version::OLDEST)
    {
        output::complain(&format!(
            "error: {version} is older than {}: of such versions certdrill does not know enough for an import\n  \
             help: {}",
            Version::OLDEST,
            crate::kubeadm::profile::historic::HELP
        ));
        return Exit::Usage;
    }
    let hints = Hints {
        version: args.kubernetes_version,
        at: args.at,
        name: args.name.clone(),
    };
    let yaml = match import(&String::from_utf8_lossy(&bytes), &hints) {
        Ok(yaml) => yaml,
        Err(error) => {
            output::complain(&format!(
                "error: {shown}: {error}\n  help: certdrill import --help lists what is understood"
            ));
            return Exit::Invalid;
        }
    };
    let Some(path) = &args.output else {
        output.text(&yaml);
        return Exit::Success;
    };
    if let Err(error) = output::write_file(path, &yaml) {
        output::complain(&format!("error: cannot write {}: {error}", path.display()));
        return Exit::ReportNotWritten;
    }
    output.text(&format!(
        "{}: read the comments at its beginning, then: certdrill run {}\n",
        path.display(),
        path.display()
    ));
    Exit::Success
}
