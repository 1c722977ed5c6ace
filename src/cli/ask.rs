//! Questions to a running station for commands that go on with the answer: an error in its queue is a failure.

use serde::de::DeserializeOwned;

use super::Failure;
use super::client::{Client, Exchange, detail};

/// The line of the answer, empty where a command has none.
pub(super) fn line(client: &mut Client, message: &str) -> Result<String, Failure> {
    let exchange = ask(client, message, &mut Vec::new())?;
    let line = exchange.line.unwrap_or_default();
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The JSON in the answer's block.
pub(super) fn json<T: DeserializeOwned>(client: &mut Client, message: &str) -> Result<T, Failure> {
    let mut block = Vec::new();
    ask(client, message, &mut block)?;
    serde_json::from_slice(&block)
        .map_err(|error| Failure::Failed(format!("the station's answer cannot be read: {error}")))
}

fn ask(client: &mut Client, message: &str, block: &mut Vec<u8>) -> Result<Exchange, Failure> {
    let exchange = client
        .exchange(message, block)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    match exchange.errors.first() {
        Some(error) => Err(Failure::Failed(detail(error))),
        None => Ok(exchange),
    }
}
