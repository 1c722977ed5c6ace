//! `outpost status`: the health of a running station, one line an instrument.

use std::fmt::Write;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Arguments, Failure, complain, print, target};

/// Longest health report that is read, in bytes.
const LONGEST_REPORT: usize = 1 << 20;

/// One entry of `SYST:HEAL?`.
#[derive(Debug, Deserialize)]
struct Health {
    instrument: String,
    state: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    counters: Map<String, Value>,
    #[serde(default)]
    values: Map<String, Value>,
    #[serde(default)]
    errors: Vec<Value>,
}

/// A buffer that refuses to grow beyond [`LONGEST_REPORT`].
#[derive(Default)]
pub(super) struct Report(pub(super) Vec<u8>);

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut client = target::connect(arguments)?;
    let mut report = Report::default();
    let exchange = client
        .exchange("SYST:HEAL?", &mut report)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    for error in &exchange.errors {
        complain(&format!("SYST:HEAL?: error {error}"));
    }
    if exchange.block.is_none() {
        let text = "the station does not report its health (SYST:HEAL? gave no block)";
        return Err(Failure::Failed(text.into()));
    }
    let entries: Vec<Health> = serde_json::from_slice(&report.0)
        .map_err(|error| Failure::Failed(format!("the health report cannot be read: {error}")))?;
    print(&lines(&entries))?;
    let failed = entries.iter().any(|entry| entry.state == "failed");
    Ok(match failed || !exchange.errors.is_empty() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn lines(entries: &[Health]) -> String {
    let width = |text: fn(&Health) -> &String| {
        let widths = entries.iter().map(|entry| text(entry).chars().count());
        widths.max().unwrap_or(0)
    };
    let name_width = width(|entry| &entry.instrument);
    let state_width = width(|entry| &entry.state);
    let mut text = String::new();
    for entry in entries {
        let Health {
            instrument, state, ..
        } = entry;
        let line = format!(
            "{instrument:name_width$}  {state:state_width$}  {}",
            details(entry)
        );
        // A station's words must not steer the terminal.
        let line: String = line
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if entries.is_empty() {
        text.push_str("the station has no instruments\n");
    }
    text
}

/// The reason, the values, the counters, and the last error where it says more than the reason.
fn details(entry: &Health) -> String {
    let mut parts = Vec::new();
    let reason = entry.reason.as_deref().unwrap_or_default();
    if !reason.is_empty() {
        parts.push(reason.to_owned());
    }
    let counters = entry
        .values
        .iter()
        .chain(&entry.counters)
        .map(|(name, value)| format!("{name} {}", plain(value)));
    let counters: Vec<String> = counters.collect();
    if !counters.is_empty() {
        parts.push(counters.join(", "));
    }
    if let Some(last) = entry.errors.last().map(plain)
        && last != reason
    {
        parts.push(format!("last error: {last}"));
    }
    parts.join("; ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

impl std::io::Write for Report {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_REPORT {
            return Err(std::io::Error::other("the health report is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
