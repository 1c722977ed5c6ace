//! The command line: one file a subcommand.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with the given arguments (the first is the program's name).
pub fn main(_arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::SUCCESS
}
