//! `outpost opc`: the particle counter, through the running station or, where none answers, directly.

mod direct;
mod service;

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Map, Value};

use super::arguments::{Command, usage};
use super::{Arguments, Failure, plain, print, target};
use crate::config::{Config, Loaded};
use crate::store::readings::LEGACY_COLUMNS;

/// Rows that `recent` shows when not told how many.
const ROWS: u32 = 10;
/// As many as a running station gives at once.
const MOST_ROWS: u32 = 500;

/// A row of the database by its columns' names.
type NamedRow = Map<String, Value>;

/// What the counter said of itself, and one reading.
struct Visit {
    /// As `PARTicle:INFO?` gives it, the reading within.
    info: Value,
    /// Of the 24 bins.
    counts: Vec<u64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let rows = match words[..] {
        ["test" | "read" | "recent"] => ROWS,
        ["recent", rows] => row_count(rows)?,
        _ => return Err(usage(mistake(&words), Some(Command::Opc))),
    };
    let loaded = Config::load(&arguments.sources())?;
    let text = match words[0] {
        "recent" => recent(&loaded, rows)?,
        "read" => reading_line(&visit(&loaded)?.0),
        _ => {
            let (visit, way) = visit(&loaded)?;
            test_report(&visit, way)
        }
    };
    print(&plain(&text)).map(|()| ExitCode::SUCCESS)
}

fn mistake(words: &[&str]) -> String {
    match words {
        [] => "opc needs to know what: test, read or recent".into(),
        ["test" | "read" | "recent", .., last] => {
            format!("there is nothing to do with \"{}\"", last.escape_debug())
        }
        [word, ..] => format!(
            "opc cannot \"{}\": it can test, read and recent",
            word.escape_debug()
        ),
    }
}

fn row_count(word: &str) -> Result<u32, Failure> {
    let count = word.parse().ok().filter(|n| (1..=MOST_ROWS).contains(n));
    count.ok_or_else(|| {
        let shown = word.escape_debug();
        let text = format!("recent takes a number of rows from 1 to {MOST_ROWS}, not \"{shown}\"");
        usage(text, Some(Command::Opc))
    })
}

fn visit(loaded: &Loaded) -> Result<(Visit, &'static str), Failure> {
    match target::running(loaded) {
        Some(client) => Ok((service::visit(client)?, "the running station")),
        None => Ok((
            direct::visit(loaded)?,
            "this command, as no station is running",
        )),
    }
}

/// The line that batonopc's read_once printed.
fn reading_line(visit: &Visit) -> String {
    let reading = &visit.info["reading"];
    let pm = [0, 1, 2].map(|index| one_decimal(&reading["pm_ug_m3"][index]));
    format!(
        "logging {} t:{}, rh: {}, pms: {}\n",
        word(&visit.info["gadget_id"]),
        one_decimal(&reading["temperature_celsius"]),
        one_decimal(&reading["humidity_percent"]),
        pm.join(", ")
    )
}

fn one_decimal(value: &Value) -> String {
    match value.as_f64() {
        Some(value) => format!("{value:.1}"),
        None => "nan".into(),
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

/// What batonopc's opc_test printed, and who was asked.
fn test_report(visit: &Visit, way: &str) -> String {
    let Visit { info, counts } = visit;
    let mut text = format!("Asked by: {way}\n");
    for (name, key) in [
        ("Link", "link"),
        ("Bridge", "bridge"),
        ("Counter", "information"),
        ("Serial", "serial"),
        ("Firmware", "firmware"),
    ] {
        let _ = writeln!(text, "{name}: {}", word(&info[key]));
    }
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "Key: {key} Value: {value}");
    };
    for (bin, count) in counts.iter().enumerate() {
        line(&format!("Bin {bin}"), count.to_string());
    }
    let reading = &info["reading"];
    let measured = |value: &Value, unit: &str| match value.as_f64() {
        Some(value) => format!("{value:.2} {unit}"),
        None => "no number".into(),
    };
    for (name, value, unit) in [
        ("Temperature", &reading["temperature_celsius"], "C"),
        ("Relative humidity", &reading["humidity_percent"], "%"),
        ("PM1", &reading["pm_ug_m3"][0], "ug/m3"),
        ("PM2.5", &reading["pm_ug_m3"][1], "ug/m3"),
        ("PM10", &reading["pm_ug_m3"][2], "ug/m3"),
        ("Sampling period", &reading["period_s"], "s"),
        ("Sample flow rate", &reading["flow_ml_s"], "ml/s"),
    ] {
        line(name, measured(value, unit));
    }
    let laser = reading["laser_status"].as_u64().unwrap_or(0);
    let judgement = match laser {
        550..=650 => "healthy",
        _ => "550 to 650 when healthy",
    };
    line("Laser status", format!("{laser} ({judgement})"));
    if reading["suspect"] == true {
        text.push_str("Some value of this reading is not plausible.\n");
    }
    text
}

fn recent(loaded: &Loaded, rows: u32) -> Result<String, Failure> {
    let rows = match target::running(loaded) {
        Some(client) => service::recent(client, rows)?,
        None => direct::recent(loaded, rows)?,
    };
    let mut text: String = rows.iter().map(dictionary).collect();
    if text.is_empty() {
        text.push_str("no readings yet\n");
    }
    Ok(text)
}

/// The row as one line of JSON, columns in the order of the database.
fn dictionary(row: &NamedRow) -> String {
    let names = LEGACY_COLUMNS.iter().map(|(name, _)| *name);
    let pairs = names.chain(["flags"]).filter_map(|name| {
        let value = row.get(name)?;
        Some(format!("\"{name}\": {value}"))
    });
    format!("{{{}}}\n", pairs.collect::<Vec<_>>().join(", "))
}
