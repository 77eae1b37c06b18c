//! `certdrill warp`: any command at another time.

use std::error::Error as _;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, Subcommand};

use super::Exit;
use super::output::{Output, complain};
use crate::real::warp::calm;
use crate::real::warp::clock_file::{ClockFile, Locked};
use crate::real::warp::node::{Far, Move, Moved, move_node};
use crate::real::warp::runc;
use crate::real::warp::{self, Ending, Findings, Offsets, Trace, WarpError};
use crate::time::{SignedDuration, Timestamp, shift, span};

/// What env(1) exits with when a command was found but cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// What env(1) exits with when there is no such command.
const NOT_FOUND: u8 = 127;

/// Arguments of `certdrill warp`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
The exit code is the command's own; a signal that kills it kills certdrill, too. Otherwise 2, 104 \
(clocks cannot be shifted, or --check failed), 126 (cannot be executed) or 127 (not found).

Only the command itself is warped, and what it forks; use --follow for programs that it executes. \
Offsets count from the machine's time. Times of files and timers of the kernel stay the machine's."
)]
pub(super) struct WarpArgs {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    when: When,

    /// Warp programs that the command executes, too: for shell scripts
    #[arg(long, env = "CERTDRILL_FOLLOW")]
    follow: bool,

    /// Tell whether the command, and what it starts, read shifted clocks; 104 if any reading went round (slow)
    #[arg(long, env = "CERTDRILL_CHECK")]
    check: bool,

    /// The command to run
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[group(skip)]
struct When {
    /// Take the time from a file that says how far the wall clock is ahead ("wall +370d"), at each program that
    /// begins: `warp move` moves the file and what was started by it
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["at", "offset", "timers", "freeze"],
        env = "CERTDRILL_CLOCK"
    )]
    clock: Option<PathBuf>,

    /// The time it is when it starts: 2027-11-24T12:00:00Z, or 2027-11-24 for midnight UTC
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_time,
        required_unless_present_any = ["offset", "clock"],
        conflicts_with = "offset",
        env = "CERTDRILL_AT"
    )]
    at: Option<Timestamp>,

    /// How far from the machine's time: +370d, -3h, +1d12h
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = span::parse,
        allow_hyphen_values = true,
        env = "CERTDRILL_OFFSET"
    )]
    offset: Option<SignedDuration>,

    /// Move the clock that timers run on by as much, as if the time had passed
    #[arg(long, env = "CERTDRILL_TIMERS", conflicts_with = "freeze")]
    timers: bool,

    /// The wall clock stands still at that time
    #[arg(long, env = "CERTDRILL_FREEZE")]
    freeze: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Move running processes; those that were not warped become so
    Set {
        #[command(flatten)]
        pids: Pids,
        #[command(flatten)]
        when: When,
    },
    /// Move everything that was started by a clock file, and the file: a whole node, in a container
    Move {
        /// The clock file.
        #[arg(long, value_name = "FILE", env = "CERTDRILL_CLOCK")]
        clock: PathBuf,
        /// How far: +10d, -3h.
        #[arg(
            long,
            value_name = "SPAN",
            value_parser = span::parse,
            allow_hyphen_values = true,
            required_unless_present = "to",
            env = "CERTDRILL_BY"
        )]
        by: Option<SignedDuration>,
        /// The time it is then: 2027-11-24T12:00:00Z, or 2027-11-24 for midnight UTC.
        #[arg(
            long,
            value_name = "TIME",
            value_parser = parse_time,
            conflicts_with = "by",
            env = "CERTDRILL_TO"
        )]
        to: Option<Timestamp>,
        /// Move the clock that timers run on by as much, as if the time had passed.
        #[arg(long, env = "CERTDRILL_TIMERS")]
        timers: bool,
        /// Names of processes whose timers stay, as `ps -o comm` shows them.
        #[arg(
            long,
            value_name = "NAME",
            value_delimiter = ',',
            env = "CERTDRILL_WALL_ONLY_FOR"
        )]
        wall_only_for: Vec<String>,
        /// Names of processes to be moved although nothing started them warped.
        #[arg(
            long,
            value_name = "NAME",
            value_delimiter = ',',
            env = "CERTDRILL_ALSO"
        )]
        also: Vec<String>,
        /// Then wait until the processes of this control group work little again, at most so long: what came due is done.
        #[arg(
            long,
            value_name = "SPAN",
            value_parser = span::parse,
            env = "CERTDRILL_SETTLE"
        )]
        settle: Option<SignedDuration>,
    },
    /// Tell how far the clocks of running processes are shifted
    Show {
        #[command(flatten)]
        pids: Pids,
    },
}

#[derive(Debug, Args)]
#[group(skip)]
struct Pids {
    /// The processes
    #[arg(
        long = "pid",
        value_name = "PID",
        required = true,
        num_args = 1..,
        value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)),
        env = "CERTDRILL_PID"
    )]
    pids: Vec<u32>,
}

/// A time with zone, or a date, which is its midnight in UTC.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let date = format!("{text}T00:00:00Z");
    text.parse()
        .or_else(
            |error: jiff::Error| match text.parse::<jiff::civil::Date>() {
                // A date's parser also takes what has a time of day behind it.
                Ok(_) if text.len() == "2027-11-24".len() => date.parse(),
                _ => Err(error),
            },
        )
        .map_err(|_| "write it as 2027-11-24T12:00:00Z or 2027-11-24".to_owned())
}

impl When {
    /// Which time a command gets.
    fn begin(&self) -> warp::When {
        if let Some(clock) = &self.clock {
            return warp::When::By(ClockFile::new(clock));
        }
        let wall = self.wall();
        warp::When::At(if self.freeze {
            Offsets::still_at(shift(warp::machine_time(), wall))
        } else if self.timers {
            Offsets::all(wall)
        } else {
            Offsets::wall(wall)
        })
    }

    fn wall(&self) -> SignedDuration {
        self.offset.unwrap_or_else(|| {
            self.at
                .unwrap_or_else(warp::machine_time)
                .duration_since(warp::machine_time())
        })
    }
}

/// Runs the command or the action.
pub(super) fn run(args: &WarpArgs, mut output: Output) -> ExitCode {
    let result = match &args.action {
        None => match start(args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Some(Action::Set { pids, when }) => set(&pids.pids, when),
        Some(Action::Show { pids }) => show(&pids.pids, &mut output),
        Some(Action::Move {
            clock,
            by,
            to,
            timers,
            wall_only_for,
            also,
            settle,
        }) => {
            let how = Move {
                how_far: to.map_or(Far::By(by.unwrap_or_default()), Far::To),
                timers: *timers,
                wall_only: wall_only_for.clone(),
                also: also.clone(),
            };
            let moved = move_node(&ClockFile::new(clock), &how);
            if let (Ok(_), Some(limit)) = (&moved, settle) {
                calm::settle((*limit).try_into().unwrap_or_default());
            }
            moved.map(|moved| tell_moved(&moved, &mut output))
        }
    };
    match result {
        Ok(()) => output.finish(Exit::Success).into(),
        Err(error) => refuse(&error),
    }
}

/// Does runc's work where certdrill was started under that name.
pub(super) fn in_the_place_of_runc() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let name = args.next()?;
    if std::path::Path::new(&name).file_name()? != "runc" {
        return None;
    }
    let args: Vec<OsString> = args.collect();
    Some(match runc::instead(&args) {
        Ok(status) => {
            use std::os::unix::process::ExitStatusExt as _;
            match status.signal() {
                Some(signal) => warp::die_by(signal),
                None => ExitCode::from(status.code().map_or(1, |code| code as u8)),
            }
        }
        Err(error) => {
            refuse(&error);
            ExitCode::FAILURE
        }
    })
}

fn start(args: &WarpArgs) -> Result<ExitCode, WarpError> {
    let when = args.when.begin();
    let trace = match (args.follow, args.check) {
        (false, false) => Trace::Nothing,
        (true, false) => Trace::Follow,
        (false, true) => Trace::Check,
        (true, true) => Trace::FollowAndCheck,
    };
    // The parser asks for at least one word.
    let mut words = args.command.iter();
    let mut command = Command::new(words.next().map_or_else(OsString::new, OsString::clone));
    command.args(words);
    let (ending, findings) = warp::run(&mut command, &when, trace)?;
    let trusted = tell(&findings, trace);
    match ending {
        _ if !trusted => Ok(Exit::Infrastructure.into()),
        Ending::Exited(code) => Ok(code.into()),
        Ending::Killed(signal) => warp::die_by(signal),
    }
}

/// Reports what tracing found; whether the command can be trusted to have seen the shifted time.
fn tell(findings: &Findings, trace: Trace) -> bool {
    for program in &findings.outside {
        complain(&format!("warning: on the machine's own clock: {program}"));
    }
    if findings.left > 0 && trace.follows() {
        complain(
            "warning: processes that the command started still run; what they execute from now on has the machine's own clock",
        );
    }
    if !trace.checks() {
        return true;
    }
    let Findings {
        honoured, around, ..
    } = findings;
    if *around > 0 {
        complain(&format!(
            "error: {around} readings of the clock went round the vDSO: this program does not honour the shifted clock\n  help: it makes system calls itself; {honoured} other readings gave the shifted time"
        ));
    } else if !findings.outside.is_empty() {
        let help = if trace.follows() {
            "use 64-bit programs"
        } else {
            "add --follow"
        };
        complain(&format!(
            "error: {} of the programs it executed ran on the machine's own clock\n  help: {help}",
            findings.outside.len()
        ));
    } else if *honoured == 0 {
        complain("check: it did not read a shifted clock at all");
    } else {
        complain(&format!(
            "check: all {honoured} readings of shifted clocks gave the shifted time"
        ));
    }
    *around == 0 && findings.outside.is_empty()
}

fn tell_moved(moved: &Moved, output: &mut Output) {
    output.text(&format!("moved {} processes\n", moved.processes));
    if !moved.traced.is_empty() {
        let pids: Vec<String> = moved.traced.iter().map(u32::to_string).collect();
        complain(&format!(
            "warning: not moved, because something traces them (certdrill warp --follow, strace): {}",
            pids.join(", ")
        ));
    }
}

fn set(pids: &[u32], when: &When) -> Result<(), WarpError> {
    // Held until they are moved, so that no move of the node comes between.
    let lock = match &when.clock {
        Some(clock) => Some(ClockFile::new(clock).shared()?),
        None => None,
    };
    let wall = lock.as_ref().map_or_else(|| when.wall(), Locked::wall);
    warp::set_all(pids, |before| {
        if when.freeze {
            return Offsets {
                timers: before.timers,
                ..Offsets::still_at(shift(warp::machine_time(), wall))
            };
        }
        let moved = wall.saturating_sub(if before.still {
            SignedDuration::ZERO
        } else {
            before.wall
        });
        Offsets {
            still: false,
            wall,
            timers: if when.timers {
                before.timers.saturating_add(moved)
            } else {
                before.timers
            },
        }
    })
}

fn show(pids: &[u32], output: &mut Output) -> Result<(), WarpError> {
    let sign = |span: SignedDuration| if span.is_positive() { "+" } else { "" };
    for pid in pids {
        let text = match warp::show(*pid)? {
            None => "not warped".to_owned(),
            Some(Offsets {
                wall,
                timers,
                still: true,
            }) => format!(
                "wall clock stands still at {:.0}, timers {}{}",
                shift(Timestamp::UNIX_EPOCH, wall),
                sign(timers),
                span::display(timers)
            ),
            Some(Offsets { wall, timers, .. }) => {
                let now = shift(warp::machine_time(), wall);
                format!(
                    "wall {}{} ({now:.0}), timers {}{}",
                    sign(wall),
                    span::display(wall),
                    sign(timers),
                    span::display(timers)
                )
            }
        };
        output.text(&format!("{pid}: {text}\n"));
    }
    Ok(())
}

fn refuse(error: &WarpError) -> ExitCode {
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    complain(&format!("{text}\n  help: {}", error.help()));
    match error {
        WarpError::Command { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            NOT_FOUND.into()
        }
        WarpError::Command { .. } => NOT_EXECUTABLE.into(),
        WarpError::TooFar { .. } | WarpError::Backwards { .. } => Exit::Usage.into(),
        _ => Exit::Infrastructure.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_instant_or_a_date() {
        let midnight = "2027-11-24T00:00:00Z".parse().unwrap();
        assert_eq!(parse_time("2027-11-24"), Ok(midnight));
        assert_eq!(parse_time("2027-11-24T02:00:00+02:00"), Ok(midnight));
        for text in [
            "",
            "tomorrow",
            "2027-11",
            "2027-13-01",
            "2027-11-24T00:00:00",
            "20271124",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
