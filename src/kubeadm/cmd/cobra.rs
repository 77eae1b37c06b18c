//! A command line as cobra and pflag read it: which command, which flags, which words of complaint.

use std::collections::BTreeMap;

use super::super::failure::{Failure, FailureKind, Result};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing; `--flag=false` is possible.
    Bool,
    /// A text.
    Text,
    /// Comma-separated texts, possibly several times.
    List,
    /// A number.
    Number,
    /// A length of time.
    Duration,
}

/// A flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub name: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
}

/// What a command does about arguments that are no sub-commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arguments {
    /// They are ignored.
    Ignored,
    /// They are refused.
    Refused,
}

/// A command.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub name: String,
    pub aliases: &'static [&'static str],
    pub flags: Vec<Flag>,
    pub children: Vec<Command>,
    /// Whether it does something itself.
    pub runnable: bool,
    /// Whether kubeadm has it and this engine does not run it.
    pub foreign: bool,
    pub arguments: Arguments,
}

impl Command {
    /// A command that only groups others.
    pub fn group(name: &str, children: Vec<Command>) -> Self {
        Self {
            name: name.to_owned(),
            aliases: &[],
            flags: Vec::new(),
            children,
            runnable: false,
            foreign: false,
            arguments: Arguments::Ignored,
        }
    }

    /// A command that does something.
    pub fn leaf(name: &str, flags: Vec<Flag>, arguments: Arguments) -> Self {
        Self {
            flags,
            runnable: true,
            arguments,
            ..Self::group(name, Vec::new())
        }
    }

    /// A command that this engine does not run.
    pub fn foreign(name: &str) -> Self {
        Self {
            runnable: true,
            foreign: true,
            ..Self::group(name, Vec::new())
        }
    }

    /// A sub-command by its name or another name of it.
    pub fn child(&self, name: &str) -> Option<&Command> {
        self.children
            .iter()
            .find(|child| child.name == name || child.aliases.contains(&name))
    }
}

/// A command line that was understood.
#[derive(Debug)]
pub(super) struct Invocation<'a> {
    /// The commands from the root.
    pub path: Vec<&'a Command>,
    /// Arguments that are no flags.
    pub arguments: Vec<String>,
    values: BTreeMap<&'static str, Vec<String>>,
}

impl<'a> Invocation<'a> {
    /// The command to run.
    pub fn command(&self) -> &'a Command {
        self.path[self.path.len() - 1]
    }

    /// The command as it is called, from `kubeadm` on.
    pub fn full_name(&self) -> String {
        let names: Vec<&str> = self
            .path
            .iter()
            .map(|command| command.name.as_str())
            .collect();
        names.join(" ")
    }

    /// Names of the commands below the root.
    pub fn names(&self) -> Vec<&'a str> {
        self.path
            .iter()
            .skip(1)
            .map(|command| command.name.as_str())
            .collect()
    }

    /// The last value of a flag, if it was given.
    pub fn text(&self, flag: &str) -> Option<&str> {
        self.values.get(flag)?.last().map(String::as_str)
    }

    /// Whether a flag is on.
    pub fn is_set(&self, flag: &str) -> bool {
        self.text(flag) == Some("true")
    }

    /// Flags that say what a configuration file says too cannot stand beside `--config`.
    ///
    /// # Errors
    /// When some do.
    pub fn check_mixed_arguments(&self) -> Result<()> {
        if self.text("config").is_none() {
            return Ok(());
        }
        let mixed: Vec<&str> = self
            .values
            .keys()
            .filter(|name| {
                !matches!(
                    **name,
                    "config"
                        | "dry-run"
                        | "kubeconfig"
                        | "node-name"
                        | "kubeconfig-dir"
                        | "rootfs"
                        | "v"
                        | "log-file"
                ) && !name.starts_with("skip-")
            })
            .copied()
            .collect();
        if mixed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "can not mix '--config' with arguments [{}]",
            mixed.join(" ")
        )))
    }

    /// All values of a list flag.
    pub fn list(&self, flag: &str) -> Option<Vec<String>> {
        let values = self.values.get(flag)?;
        Some(
            values
                .iter()
                .flat_map(|value| value.split(','))
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }
}

/// Finds the command and reads its flags. `global` are flags that every command has.
///
/// # Errors
/// With pflag's and cobra's words.
pub(super) fn parse<'a>(
    root: &'a Command,
    global: &[Flag],
    args: &[String],
) -> Result<Invocation<'a>> {
    let mut path = vec![root];
    let mut rest: Vec<String> = args.to_vec();
    loop {
        let here = path[path.len() - 1];
        let Some(at) = first_argument(&rest, here, global) else {
            break;
        };
        let Some(child) = here.child(&rest[at]) else {
            break;
        };
        rest.remove(at);
        path.push(child);
    }
    let mut invocation = Invocation {
        path,
        arguments: Vec::new(),
        values: BTreeMap::new(),
    };
    if invocation.path.len() == 1
        && let Some(at) = first_argument(&rest, root, global)
    {
        return Err(complaint(
            &invocation,
            format!("unknown command {:?} for {:?}", rest[at], root.name),
        ));
    }
    if invocation.command().foreign {
        // Its flags are not known here; all that can be answered is a call for help.
        let asks = rest.iter().any(|word| word == "-h" || word == "--help");
        if asks {
            invocation.values.insert("help", vec!["true".to_owned()]);
        }
        invocation.arguments = rest;
        return Ok(invocation);
    }
    read_flags(&mut invocation, global, rest)?;
    Ok(invocation)
}

/// A failure that old versions show with the usage of the command.
pub(super) fn complaint(invocation: &Invocation<'_>, text: String) -> Failure {
    Failure {
        kind: FailureKind::Usage(
            invocation
                .path
                .iter()
                .map(|command| command.name.clone())
                .collect(),
        ),
        ..Failure::new(text)
    }
}

const HELP: Flag = Flag {
    name: "help",
    short: Some('h'),
    kind: Kind::Bool,
};

fn find_long(command: &Command, global: &[Flag], name: &str) -> Option<Flag> {
    command
        .flags
        .iter()
        .chain(global)
        .chain([&HELP])
        .find(|flag| flag.name == name)
        .copied()
}

fn find_short(command: &Command, global: &[Flag], short: char) -> Option<Flag> {
    command
        .flags
        .iter()
        .chain(global)
        .chain([&HELP])
        .find(|flag| flag.short == Some(short))
        .copied()
}

/// Place of the first argument that is neither a flag nor a flag's value. A flag that the command
/// does not know is taken to have a value.
fn first_argument(args: &[String], command: &Command, global: &[Flag]) -> Option<usize> {
    let takes_none = |flag: Option<Flag>| flag.is_some_and(|flag| flag.kind == Kind::Bool);
    let mut at = 0;
    while at < args.len() {
        let arg = &args[at];
        if arg == "--" {
            return None;
        }
        if let Some(name) = arg.strip_prefix("--") {
            if !name.contains('=') && !takes_none(find_long(command, global, name)) {
                at += 1;
            }
        } else if arg.starts_with('-') && arg.len() > 1 {
            let letter = arg.chars().nth(1).unwrap_or('-');
            if !arg.contains('=')
                && arg.len() == 2
                && !takes_none(find_short(command, global, letter))
            {
                at += 1;
            }
        } else if !arg.is_empty() {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn read_flags(invocation: &mut Invocation<'_>, global: &[Flag], args: Vec<String>) -> Result<()> {
    let command = invocation.command();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            invocation.arguments.extend(args);
            return Ok(());
        }
        if let Some(body) = arg.strip_prefix("--") {
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            if name.is_empty() || name.starts_with('-') || name.starts_with('=') {
                return Err(complaint(invocation, format!("bad flag syntax: {arg}")));
            }
            let flag = find_long(command, global, name)
                .ok_or_else(|| complaint(invocation, format!("unknown flag: --{name}")))?;
            let value = match (value, flag.kind) {
                (Some(value), _) => value,
                (None, Kind::Bool) => "true".to_owned(),
                (None, _) => args.next().ok_or_else(|| {
                    complaint(invocation, format!("flag needs an argument: --{name}"))
                })?,
            };
            set(invocation, &flag, value, &format!("--{name}"))?;
        } else if arg.starts_with('-') && arg.len() > 1 {
            read_shorthands(invocation, global, &arg, &mut args)?;
        } else {
            invocation.arguments.push(arg);
        }
    }
    Ok(())
}

fn read_shorthands(
    invocation: &mut Invocation<'_>,
    global: &[Flag],
    arg: &str,
    args: &mut impl Iterator<Item = String>,
) -> Result<()> {
    let letters = &arg[1..];
    for (at, letter) in letters.char_indices() {
        let flag = find_short(invocation.command(), global, letter).ok_or_else(|| {
            complaint(
                invocation,
                format!("unknown shorthand flag: {letter:?} in -{}", &letters[at..]),
            )
        })?;
        let tail = &letters[at + letter.len_utf8()..];
        let shown = format!("-{letter}, --{}", flag.name);
        if let Some(value) = tail.strip_prefix('=') {
            return set(invocation, &flag, value.to_owned(), &shown);
        }
        if flag.kind == Kind::Bool {
            set(invocation, &flag, "true".to_owned(), &shown)?;
            continue;
        }
        if !tail.is_empty() {
            return set(invocation, &flag, tail.to_owned(), &shown);
        }
        let value = args.next().ok_or_else(|| {
            complaint(
                invocation,
                format!("flag needs an argument: {letter:?} in -{}", &letters[at..]),
            )
        })?;
        return set(invocation, &flag, value, &shown);
    }
    Ok(())
}

fn set(invocation: &mut Invocation<'_>, flag: &Flag, value: String, shown: &str) -> Result<()> {
    let invalid = |why: String| format!("invalid argument {value:?} for {shown:?} flag: {why}");
    let problem = match flag.kind {
        Kind::Bool => match value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE"
            | "False" => None,
            _ => Some(invalid(format!(
                "strconv.ParseBool: parsing {value:?}: invalid syntax"
            ))),
        },
        Kind::Number => value.parse::<i64>().is_err().then(|| {
            invalid(format!(
                "strconv.ParseInt: parsing {value:?}: invalid syntax"
            ))
        }),
        Kind::Duration => super::super::config::parse_duration(&value)
            .err()
            .map(|failure| invalid(failure.text)),
        Kind::Text | Kind::List => None,
    };
    if let Some(problem) = problem {
        return Err(complaint(invocation, problem));
    }
    let value = match flag.kind {
        Kind::Bool => {
            matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True").to_string()
        }
        _ => value,
    };
    invocation.values.entry(flag.name).or_default().push(value);
    Ok(())
}
