//! The report files of `run`: what is written, and what happens when one cannot be.

use std::path::{Path, PathBuf};

use super::output;
use crate::report::html::{self, Item};
use crate::report::{Case, junit, sarif, summary, tap};

/// Where reports are written.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Reports")]
pub(super) struct ReportArgs {
    /// Write a JUnit XML report.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_JUNIT")]
    report_junit: Option<PathBuf>,
    /// Write a JSON document with the outcome of each run (`certdrill schema report`).
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_JSON")]
    report_json: Option<PathBuf>,
    /// Write a SARIF 2.1.0 log.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_SARIF")]
    report_sarif: Option<PathBuf>,
    /// Write a TAP stream, version 14.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_TAP")]
    report_tap: Option<PathBuf>,
    /// Write a page with timelines: one file that needs no network.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_HTML")]
    report_html: Option<PathBuf>,
}

impl ReportArgs {
    /// Writes every report that is asked for. Says whether all could be.
    pub(super) fn write(&self, cases: &[Case<'_>]) -> bool {
        let mut all = true;
        if let Some(path) = &self.report_junit {
            let xml = junit::report(cases).map_err(|error| error.to_string());
            all &= write(path, xml);
        }
        if let Some(path) = &self.report_json {
            all &= write(path, Ok(summary::report(cases)));
        }
        if let Some(path) = &self.report_sarif {
            all &= write(path, Ok(sarif::report(cases)));
        }
        if let Some(path) = &self.report_tap {
            all &= write(path, Ok(tap::report(cases)));
        }
        if let Some(path) = &self.report_html {
            let items: Vec<Item<'_>> = cases.iter().map(|&case| Item::Run(case)).collect();
            all &= write(path, Ok(html::page(&items)));
        }
        all
    }
}

/// Appends every finding to the summary of a GitHub step (`GITHUB_STEP_SUMMARY`). Says whether it could be; where
/// there is no such file, there is nothing to do.
pub(super) fn append_step_summary(summary: &str) -> bool {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return true;
    };
    let path = PathBuf::from(path);
    match output::append_file(&path, summary) {
        Ok(()) => true,
        Err(error) => {
            output::complain(&format!("error: cannot write {}: {error}", path.display()));
            false
        }
    }
}

/// Writes one report, or says why not.
pub(super) fn write(path: &Path, content: Result<String, String>) -> bool {
    let written =
        content.and_then(|text| output::write_file(path, &text).map_err(|error| error.to_string()));
    match written {
        Ok(()) => true,
        Err(reason) => {
            // Which temporary file it was does not matter to anybody.
            let reason = reason.split(" at path ").next().unwrap_or(&reason);
            output::complain(&format!("error: cannot write {}: {reason}", path.display()));
            false
        }
    }
}
