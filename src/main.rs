//! The `outpost` program: hands the command line to [`outpost::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    outpost::cli::main(std::env::args_os())
}
