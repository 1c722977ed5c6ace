//! `outpost cloud`: batches and uploads, through the running station or, where none answers, directly.

mod direct;
mod import;
mod service;

use std::fmt::Write;
use std::io::{self, BufRead, IsTerminal, Write as _};
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;

use super::arguments::{Command, usage};
use super::boards::widest;
use super::{Arguments, Failure, complain, plain, print, target};
use crate::cloud::{LastBatching, LastPass, Report};
use crate::config::{Config, Loaded};

use direct::Direct;
use service::Service;

const ACTIONS: &str = "register, batch, upload, status, requeue, mark-sent, import";

/// Who does it.
enum Worker<'a> {
    Service(Service),
    Direct(Direct<'a>),
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let known = matches!(
        words[..],
        ["register"]
            | ["register", _]
            | ["batch" | "upload" | "status" | "mark-sent"]
            | ["requeue" | "import", _]
    );
    if !known {
        return Err(usage(mistake(&words), Some(Command::Cloud)));
    }
    if let ["import", file] = words[..] {
        print(&import::import(file.as_ref())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = Config::load(&arguments.sources())?;
    let mut worker = match target::running(&loaded) {
        Some(client) => Worker::Service(Service::new(client)),
        None => Worker::Direct(Direct(&loaded)),
    };
    match words[..] {
        ["register"] => register(&mut worker, &loaded, &ask_pin()?),
        ["register", pin] => register(&mut worker, &loaded, pin),
        ["batch"] => batch(&mut worker),
        ["upload"] => upload(&mut worker),
        ["requeue", reference] => requeue(&mut worker, reference),
        ["mark-sent"] => mark_sent(&mut worker),
        _ => status(&mut worker),
    }
}

fn mistake(words: &[&str]) -> String {
    match words {
        [] => format!("cloud needs to know what: {ACTIONS}"),
        ["requeue"] => {
            "requeue needs the name of a rejected batch: see outpost cloud status".into()
        }
        ["import"] => "import needs the settings.yaml of batonopc".into(),
        [word, .., last] if ACTIONS.split(", ").any(|action| action == *word) => {
            format!("there is nothing to do with \"{}\"", last.escape_debug())
        }
        [word, ..] => format!("cloud cannot \"{}\": it can {ACTIONS}", word.escape_debug()),
    }
}

fn register(worker: &mut Worker<'_>, loaded: &Loaded, pin: &str) -> Result<ExitCode, Failure> {
    let pin = pin.trim();
    if pin.is_empty() {
        let text = "register needs the pin that the cloud's web page shows";
        return Err(usage(text.into(), Some(Command::Cloud)));
    }
    if loaded.config.tinycloud.api.is_empty() {
        let text = "tinycloud.api is not set in the settings: there is no server to register with";
        return Err(Failure::Failed(text.into()));
    }
    match worker {
        Worker::Service(service) => service.register(pin)?,
        Worker::Direct(direct) => direct.register(pin)?,
    }
    let place = key_place(&loaded.config.tinycloud.gateway_key_file);
    print(&format!(
        "registered: the server's key is kept in {place}\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn key_place(path: &Path) -> String {
    path.display().to_string()
}

/// Asks on the terminal; from a pipe it only reads.
fn ask_pin() -> Result<String, Failure> {
    let input = io::stdin().lock();
    if input.is_terminal() {
        let mut out = io::stderr().lock();
        write!(out, "Pin: ")?;
        out.flush()?;
    }
    let mut pin = String::new();
    // No pin is longer, and a device that never ends is none.
    io::Read::take(input, 200).read_line(&mut pin)?;
    Ok(pin)
}

fn batch(worker: &mut Worker<'_>) -> Result<ExitCode, Failure> {
    let batching = match worker {
        Worker::Service(service) => service.batch()?,
        Worker::Direct(direct) => direct.batch()?,
    };
    print(&made(&batching))?;
    Ok(verdict(batching.error.as_deref()))
}

fn made(batching: &LastBatching) -> String {
    let mut text = String::new();
    for batch in &batching.made {
        let gadget = batch.gadget_id.as_deref().unwrap_or("no gadget");
        let _ = writeln!(text, "{}  {} readings of {gadget}", batch.path, batch.rows);
    }
    if batching.made.is_empty() && batching.error.is_none() {
        text.push_str("nothing to do\n");
    }
    plain(&text)
}

fn upload(worker: &mut Worker<'_>) -> Result<ExitCode, Failure> {
    let pass = match worker {
        Worker::Service(service) => service.upload()?,
        Worker::Direct(direct) => direct.upload()?,
    };
    print(&passed(&pass))?;
    let failed = pass.batches.iter().any(|batch| batch.error.is_some());
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => verdict(pass.error.as_deref()),
    })
}

fn passed(pass: &LastPass) -> String {
    let mut text = String::new();
    for batch in &pass.batches {
        let (name, rows, state) = (&batch.source_ref, batch.rows, &batch.state);
        let error = batch.error.as_deref().map(|error| format!(": {error}"));
        let error = error.unwrap_or_default();
        let _ = writeln!(text, "{name}  {rows} readings  {state}{error}");
    }
    if pass.batches.is_empty() && pass.error.is_none() {
        text.push_str("nothing to do\n");
    }
    plain(&text)
}

fn requeue(worker: &mut Worker<'_>, reference: &str) -> Result<ExitCode, Failure> {
    match worker {
        Worker::Service(service) => service.requeue(reference)?,
        Worker::Direct(direct) => direct.requeue(reference)?,
    }
    print(&format!(
        "{reference} is uploaded again with the next pass\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Only where no station runs, which may have batches of these readings in hand.
fn mark_sent(worker: &mut Worker<'_>) -> Result<ExitCode, Failure> {
    let Worker::Direct(direct) = worker else {
        let text = "the station is running: stop it before its readings are marked as sent";
        return Err(Failure::Failed(text.into()));
    };
    let rows = direct.mark_sent()?;
    print(&format!("{rows} readings count as sent\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn verdict(error: Option<&str>) -> ExitCode {
    match error {
        Some(error) => {
            complain(&format!("outpost: {}", plain(error)));
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn status(worker: &mut Worker<'_>) -> Result<ExitCode, Failure> {
    let (report, runs) = match worker {
        Worker::Service(service) => (service.report()?, true),
        Worker::Direct(direct) => (direct.report()?, false),
    };
    print(&plain(&table(&report, runs)))?;
    Ok(ExitCode::SUCCESS)
}

fn table(report: &Report, runs: bool) -> String {
    let key = match report.registered {
        true => "there",
        false => "missing: outpost cloud register",
    };
    let server = match report.api.as_str() {
        "" => "none (tinycloud.api is not set)",
        api => api,
    };
    let schedule = match (report.enabled, runs) {
        (false, _) => "disabled (tinycloud.enabled)".to_owned(),
        (true, false) => "no station is running".to_owned(),
        (true, true) => format!(
            "{}; next batches {}, next upload {}",
            report.activity,
            time(report.next_batch),
            time(report.next_upload)
        ),
    };
    let mut text = format!(
        "server     {server}\nkey        {key}\nschedule   {schedule}\nuploaded   {} batches\n\
         rejected   {} batches\nwaiting    {} batches\n",
        report.uploaded,
        report.rejected,
        report.open.len()
    );
    if let Some(error) = report
        .last_pass
        .as_ref()
        .and_then(|pass| pass.error.as_ref())
    {
        let _ = writeln!(text, "last pass  failed: {error}");
    }
    if !report.rejected_batches.is_empty() {
        let names = report.rejected_batches.join(", ");
        let _ = writeln!(text, "rejected:  {names}");
    }
    if !report.open.is_empty() {
        text.push('\n');
        text.push_str(&open_batches(report));
    }
    text
}

fn open_batches(report: &Report) -> String {
    let head = [
        "batch",
        "gadget",
        "readings",
        "state",
        "tries",
        "not before",
        "last error",
    ];
    let rows = report.open.iter().map(|batch| {
        vec![
            batch.source_ref.clone(),
            batch.gadget_id.clone().unwrap_or_default(),
            batch.rows.to_string(),
            batch.state.clone(),
            batch.attempts.to_string(),
            batch.next_try.map_or("-".into(), |next| time(Some(next))),
            batch.last_error.clone().unwrap_or_default(),
        ]
    });
    let rows: Vec<Vec<String>> = std::iter::once(head.map(String::from).to_vec())
        .chain(rows)
        .collect();
    let width = |column: usize| widest(rows.iter().filter_map(|row| row.get(column)));
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    text
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or("-".into(), |at| format!("{at:.0}"))
}
