//! The command line: one file a subcommand.

mod arguments;
mod ask;
mod boards;
mod check;
mod client;
mod cloud;
mod help;
mod opc;
mod query;
mod serve;
mod setup;
mod sim;
mod status;
mod support;
mod target;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Arguments, Command, Request};

use crate::config::ConfigErrors;

/// Why a subcommand did not end well.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The command line itself is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The command could not do its work: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Standard output is closed or broken: exit code 1, and nobody left to tell.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The configuration or the board profile is wrong: exit code 1.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// Runs the program with the given arguments (the first is the program's name).
///
/// Exit codes: 0 good, 1 failed, 2 usage.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let failure = match arguments::parse(arguments).and_then(run) {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    match &failure {
        Failure::Usage(text) => {
            complain(&format!("outpost: {text}"));
            return ExitCode::from(2);
        }
        // Every line of it begins with its own place, as a compiler's does, so that editors find it.
        Failure::Config(errors) => complain(&errors.to_string()),
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Failure::Output(_) | Failure::Failed(_) => complain(&format!("outpost: {failure}")),
    }
    ExitCode::FAILURE
}

/// What others said must not steer the terminal.
fn plain(text: &str) -> String {
    let plain = |c: char| match c.is_control() && c != '\n' {
        true => ' ',
        false => c,
    };
    text.chars().map(plain).collect()
}

fn run(request: Request) -> Result<ExitCode, Failure> {
    let Request { command, arguments } = request;
    if arguments.help {
        return print(help::of(command)).map(|()| ExitCode::SUCCESS);
    }
    if arguments.version {
        let version = concat!("outpost ", env!("CARGO_PKG_VERSION"), "\n");
        return print(version).map(|()| ExitCode::SUCCESS);
    }
    match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&arguments),
        Command::Check => check::run(&arguments),
        Command::Boards => boards::run(&arguments),
        Command::Query => query::run(&arguments),
        Command::Status => status::run(&arguments),
        Command::Support => support::run(&arguments),
        Command::Setup => setup::run(&arguments),
        Command::Sim => sim::run(&arguments),
        Command::Help => print(help::of(arguments.help_about)).map(|()| ExitCode::SUCCESS),
        Command::Cloud => cloud::run(&arguments),
        Command::Opc => opc::run(&arguments),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A line on standard error; a closed one is no reason to fail.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
