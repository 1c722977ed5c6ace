//! Words and flags of the command line. Flags may stand before or after the subcommand, as `--flag value` or `--flag=value`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg;

use super::Failure;
use crate::config::{Sources, nearest};

/// A subcommand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Serve,
    Check,
    Boards,
    Query,
    Status,
    Sim,
    Opc,
    Cloud,
    Setup,
    Support,
    Help,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Request {
    /// `None` where no subcommand was named: then it is [`Command::Serve`].
    pub(super) command: Option<Command>,
    pub(super) arguments: Arguments,
}

/// Flags and words, whichever the subcommand takes.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) config: Option<PathBuf>,
    pub(super) board: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    /// Where `setup` finds the machine's files.
    pub(super) root: Option<PathBuf>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) timeout: Option<Duration>,
    /// The SCPI messages of `query`, the words of `opc` and `cloud`, the file of `support`.
    pub(super) words: Vec<String>,
    pub(super) help: bool,
    pub(super) version: bool,
    /// What follows `sim`, for it to read.
    pub(super) rest: Vec<OsString>,
    /// The subject of `outpost help`.
    pub(super) help_about: Option<Command>,
}

const COMMANDS: [(&str, Command); 11] = [
    ("serve", Command::Serve),
    ("check", Command::Check),
    ("boards", Command::Boards),
    ("query", Command::Query),
    ("status", Command::Status),
    ("sim", Command::Sim),
    ("opc", Command::Opc),
    ("cloud", Command::Cloud),
    ("setup", Command::Setup),
    ("support", Command::Support),
    ("help", Command::Help),
];

impl Command {
    pub(super) fn name(self) -> &'static str {
        COMMANDS
            .iter()
            .find(|(_, command)| *command == self)
            .map_or("", |(name, _)| name)
    }

    /// The flags with a value that it takes; `--help` and `--version` it always does.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Command::Serve | Command::Check | Command::Opc | Command::Cloud => {
                &["config", "board", "state-dir"]
            }
            Command::Query => &["host", "port", "timeout", "config", "board", "state-dir"],
            Command::Status => &["host", "port", "timeout", "config", "board", "state-dir"],
            Command::Setup => &["root"],
            Command::Support => &["host", "port", "timeout", "config", "board", "state-dir"],
            _ => &[],
        }
    }

    /// Whether it reads its own arguments.
    fn reads_the_rest(self) -> bool {
        matches!(self, Command::Sim)
    }

    fn named(word: &str) -> Result<Self, Failure> {
        let found = COMMANDS.iter().find(|(name, _)| *name == word);
        found.map(|(_, command)| *command).ok_or_else(|| {
            let names: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
            let near = suggestion(nearest(word, &names));
            usage(
                format!("there is no command \"{}\"{near}", word.escape_debug()),
                None,
            )
        })
    }
}

impl Arguments {
    /// The sources of the configuration that the flags name.
    pub(super) fn sources(&self) -> Sources {
        Sources {
            config: self.config.clone(),
            board: self.board.clone(),
            state_dir: self.state_dir.clone(),
            ..Sources::from_environment()
        }
    }
}

/// Reads the command line.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, Failure> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut command = None;
    let mut given: Vec<String> = Vec::new();
    let mut arguments = Arguments::default();
    while let Some(argument) = parser
        .next()
        .map_err(|error| usage(error.to_string(), command))?
    {
        match argument {
            Arg::Short('h') | Arg::Long("help") => arguments.help = true,
            Arg::Short('V') | Arg::Long("version") => arguments.version = true,
            Arg::Long(name) => {
                let name = name.to_owned();
                check_known(&name, command)?;
                let value = parser
                    .value()
                    .map_err(|_| usage(format!("--{name} needs a value"), command))?;
                arguments
                    .set(&name, value)
                    .map_err(|text| usage(text, command))?;
                given.push(name);
            }
            Arg::Short(letter) => {
                return Err(usage(format!("there is no flag -{letter}"), command));
            }
            Arg::Value(word) => {
                let word = text(word).map_err(|text| usage(text, command))?;
                arguments.take_word(word, &mut command)?;
                if let Some(owner) = command.filter(|command| command.reads_the_rest()) {
                    let rest: Vec<OsString> = parser.raw_args().into_iter().flatten().collect();
                    // The help of `sim INSTRUMENT` is the instrument's own.
                    let own = match owner {
                        Command::Sim => &rest[..rest.len().min(1)],
                        _ => &rest[..],
                    };
                    arguments.help |= own.iter().any(|word| word == "--help" || word == "-h");
                    arguments.rest = rest;
                    break;
                }
            }
        }
    }
    check_flags(&given, command)?;
    Ok(Request { command, arguments })
}

impl Arguments {
    fn set(&mut self, name: &str, value: OsString) -> Result<(), String> {
        match name {
            "config" => self.config = Some(value.into()),
            "root" => self.root = Some(value.into()),
            "state-dir" => self.state_dir = Some(value.into()),
            "board" => self.board = Some(text(value)?),
            "host" => self.host = Some(text(value)?),
            "port" => self.port = Some(port(&text(value)?)?),
            "timeout" => self.timeout = Some(seconds(&text(value)?)?),
            _ => {}
        }
        Ok(())
    }

    fn take_word(&mut self, word: String, command: &mut Option<Command>) -> Result<(), Failure> {
        match *command {
            None => *command = Some(Command::named(&word)?),
            Some(Command::Query | Command::Opc | Command::Cloud) => self.words.push(word),
            Some(Command::Support) if self.words.is_empty() => self.words.push(word),
            Some(Command::Help) if self.help_about.is_none() => {
                self.help_about = Some(Command::named(&word)?);
            }
            Some(_) => {
                let text = format!("there is nothing to do with \"{}\"", word.escape_debug());
                return Err(usage(text, *command));
            }
        }
        Ok(())
    }
}

/// Refuses a flag that no subcommand has, before its value is looked for.
fn check_known(name: &str, command: Option<Command>) -> Result<(), Failure> {
    let mut known: Vec<&str> = COMMANDS
        .iter()
        .filter(|(_, other)| command.is_none_or(|command| command == *other))
        .flat_map(|(_, command)| command.flags().iter().copied())
        .chain(["help", "version"])
        .collect();
    known.sort_unstable();
    known.dedup();
    if known.contains(&name) {
        return Ok(());
    }
    let near = nearest(name, &known).map(|near| format!("--{near}"));
    let near = suggestion(near.as_deref());
    let text = format!("there is no flag --{}{near}", name.escape_debug());
    Err(usage(text, command))
}

/// Flags before the subcommand are only known to be its own once it is named.
fn check_flags(given: &[String], command: Option<Command>) -> Result<(), Failure> {
    let owner = command.unwrap_or(Command::Serve);
    let stray = given
        .iter()
        .find(|name| !owner.flags().contains(&name.as_str()));
    stray.map_or(Ok(()), |name| {
        let text = format!("--{name} is no flag of {}", owner.name());
        Err(usage(text, command))
    })
}

fn suggestion(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean {near}?"))
        .unwrap_or_default()
}

/// A mistake of the command line, with the way to the right help text.
pub(super) fn usage(text: String, command: Option<Command>) -> Failure {
    let subject = command.map(|command| format!("{} ", command.name()));
    Failure::Usage(format!(
        "{text}\nTry 'outpost {}--help'.",
        subject.unwrap_or_default()
    ))
}

fn text(value: OsString) -> Result<String, String> {
    value
        .into_string()
        .map_err(|value| format!("\"{}\" is not UTF-8 text", value.display()))
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        format!(
            "--port takes a number in 1..65535, not \"{}\"",
            text.escape_debug()
        )
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| (0.001..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            let shown = text.escape_debug();
            format!("--timeout takes seconds in 0.001..86400, not \"{shown}\"")
        })
}
