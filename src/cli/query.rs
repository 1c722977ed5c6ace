//! `outpost query`: SCPI messages out, replies and errors in.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::arguments::{Command, usage};
use super::client::{Client, ClientError, Exchange};
use super::{Arguments, Failure, complain, target};

/// Longest block that is shown on a terminal, in bytes.
const LONGEST_SHOWN: usize = 64 << 10;

/// Keeps the beginning of what is written to it.
#[derive(Default)]
struct Beginning(Vec<u8>);

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let messages = &arguments.words;
    if messages.is_empty() {
        let text = "query needs a SCPI message, such as '*IDN?'";
        return Err(usage(text.into(), Some(Command::Query)));
    }
    if messages
        .iter()
        .any(|message| message.trim_end().contains('\n'))
    {
        let text = "a message ends at its line end: give several messages as several arguments";
        return Err(usage(text.into(), Some(Command::Query)));
    }
    let mut client = target::connect(arguments)?;
    let mut good = true;
    for message in messages {
        let exchange = ask(&mut client, message.trim_end())?;
        for error in &exchange.errors {
            complain(&format!("{}: error {error}", message.trim_end()));
        }
        good &= exchange.errors.is_empty();
    }
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Asks and prints the reply.
fn ask(client: &mut Client, message: &str) -> Result<Exchange, Failure> {
    let mut out = io::stdout().lock();
    let exchange = if out.is_terminal() {
        let mut beginning = Beginning::default();
        let exchange = client.exchange(message, &mut beginning).map_err(failure)?;
        if let Some(length) = exchange.block {
            writeln!(out, "{}", for_people(&beginning.0, length))?;
        }
        if let Some(line) = &exchange.line {
            writeln!(out, "{}", printable(line))?;
        }
        exchange
    } else {
        let exchange = client.exchange(message, &mut out).map_err(failure)?;
        if let Some(line) = &exchange.line {
            out.write_all(line)?;
            out.write_all(b"\n")?;
        }
        exchange
    };
    out.flush()?;
    Ok(exchange)
}

fn failure(error: ClientError) -> Failure {
    match error {
        ClientError::Output(error) => Failure::Output(error),
        error => Failure::Failed(error.to_string()),
    }
}

/// A block as text if it is some, else its size.
fn for_people(beginning: &[u8], length: u64) -> String {
    let text = std::str::from_utf8(beginning).ok();
    let is_text = |text: &&str| {
        !text
            .chars()
            .any(|char| char.is_control() && !char.is_ascii_whitespace())
    };
    match text
        .filter(|_| beginning.len() as u64 == length)
        .filter(is_text)
    {
        Some(text) => text.trim_end().to_owned(),
        None => format!("<{length} bytes of data: send the output to a file to keep them>"),
    }
}

/// A reply without anything that could steer a terminal.
fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .map(|char| match char.is_control() && char != '\t' {
            true => char::REPLACEMENT_CHARACTER,
            false => char,
        })
        .collect()
}

impl Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST_SHOWN.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
