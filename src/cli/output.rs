//! Standard output, standard error, the terminal, and report files.

#![expect(
    clippy::disallowed_methods,
    reason = "report files are written here and nowhere else"
)]

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anstream::ColorChoice;

use super::Exit;
use crate::report::Style;

/// Columns where there is no terminal: what a CI log shows without wrapping.
const COLUMNS_DEFAULT: usize = 100;
/// Wider lines are hard to follow.
const COLUMNS_MAX: usize = 220;

/// Standard output. Writing never fails at once: a reader that went away (`| head`) is no error, and a
/// disk that is full is told at the end.
#[derive(Debug)]
pub(super) struct Output {
    style: Style,
    width: usize,
    failure: Option<io::Error>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            style: style(&io::stdout()),
            width: width(),
            failure: None,
        }
    }

    /// Colours or none, as `NO_COLOR`, `CLICOLOR_FORCE` and the terminal say.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Columns.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A line that fits the terminal; elsewhere all of it.
    pub(super) fn fit(&self, line: &str) -> String {
        let line = line.trim_end();
        if !io::stdout().is_terminal() || line.chars().count() <= self.width {
            return line.to_owned();
        }
        let kept: String = line.chars().take(self.width - 1).collect();
        format!("{}…", kept.trim_end())
    }

    /// Prints a text as it is.
    pub(super) fn text(&mut self, text: &str) {
        self.write(|out| out.write_all(text.as_bytes()));
    }

    /// Lets something write, unless writing failed before.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.failure.is_none() {
            let mut out = io::BufWriter::new(io::stdout().lock());
            self.failure = write(&mut out).and_then(|()| out.flush()).err();
        }
    }

    /// The exit code, given how everything else went.
    pub(super) fn finish(self, exit: Exit) -> Exit {
        match self.failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                complain(&format!("error: cannot write to standard output: {error}"));
                Exit::ReportNotWritten
            }
            _ => exit,
        }
    }
}

/// Colours or none for a stream.
fn style(stream: &impl anstream::stream::RawStream) -> Style {
    match anstream::AutoStream::choice(stream) {
        ColorChoice::Never => Style::Plain,
        _ => Style::Coloured,
    }
}

/// Colours or none on standard error.
pub(super) fn stderr_style() -> Style {
    style(&io::stderr())
}

/// Columns of the terminal.
pub(super) fn width() -> usize {
    let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let wished = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    columns
        .or(wished)
        .unwrap_or(COLUMNS_DEFAULT)
        .clamp(40, COLUMNS_MAX)
}

/// Whether somebody watches standard error.
pub(super) fn watched() -> bool {
    io::stderr().is_terminal()
}

/// Prints to standard error; where nobody reads it, there is nobody to tell.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Lets a script be run as it is.
///
/// # Errors
/// When its mode cannot be set.
pub(super) fn executable(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if file.extension().is_some_and(|ending| ending == "sh") {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Writes a file whole or not at all: a reader never sees half a report.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_file(path: &Path, content: &str) -> io::Result<()> {
    // A pipe or a device cannot be replaced.
    if path.exists() && !path.is_file() {
        return std::fs::write(path, content);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".certdrill-")
        .permissions(permissions())
        .tempfile_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Appends to a file that others write to as well.
///
/// # Errors
/// When it cannot be written.
pub(super) fn append_file(path: &Path, content: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(content.as_bytes())
}

/// What a newly created file has; the umask takes its part.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
