//! The counter asked by the station that runs on this machine.

use super::{NamedRow, Visit};
use crate::cli::client::Client;
use crate::cli::{Failure, ask};

pub(super) fn visit(mut client: Client) -> Result<Visit, Failure> {
    let line = ask::line(&mut client, "PART:HIST? COUN")?;
    let counts = line.split(',').map(|count| count.trim().parse());
    let counts = counts
        .collect::<Result<_, _>>()
        .map_err(|_| Failure::Failed(format!("the station's histogram cannot be read: {line}")))?;
    let info = ask::json(&mut client, "PART:INFO?")?;
    Ok(Visit { info, counts })
}

pub(super) fn recent(mut client: Client, rows: u32) -> Result<Vec<NamedRow>, Failure> {
    ask::json(&mut client, &format!("PART:LOG:REC? {rows}"))
}
