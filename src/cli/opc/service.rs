//! The counter asked by the station that runs on this machine.

use serde_json::Value;

use super::{NamedRow, Visit};
use crate::cli::Failure;
use crate::cli::client::{Client, detail};

pub(super) fn visit(mut client: Client) -> Result<Visit, Failure> {
    let (line, _) = ask(&mut client, "PART:HIST? COUN")?;
    let counts = line.split(',').map(|count| count.trim().parse());
    let counts = counts
        .collect::<Result<_, _>>()
        .map_err(|_| Failure::Failed(format!("the station's histogram cannot be read: {line}")))?;
    let (_, info) = ask(&mut client, "PART:INFO?")?;
    let info: Value = read(&info)?;
    Ok(Visit { info, counts })
}

pub(super) fn recent(mut client: Client, rows: u32) -> Result<Vec<NamedRow>, Failure> {
    let (_, json) = ask(&mut client, &format!("PART:LOG:REC? {rows}"))?;
    read(&json)
}

/// Asks; an error in the queue is a failure. The line of the answer, and its block.
fn ask(client: &mut Client, message: &str) -> Result<(String, Vec<u8>), Failure> {
    let mut block = Vec::new();
    let exchange = client
        .exchange(message, &mut block)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    match exchange.errors.first() {
        Some(error) => Err(Failure::Failed(detail(error))),
        None => {
            let line = exchange.line.unwrap_or_default();
            Ok((String::from_utf8_lossy(&line).into_owned(), block))
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json)
        .map_err(|error| Failure::Failed(format!("the station's answer cannot be read: {error}")))
}
