//! The work done by the station that runs on this machine.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cli::client::{Client, detail};
use crate::cli::{Failure, ask};
use crate::cloud::{LastBatching, LastPass, Report};

/// Between looks at a job.
const LOOK: Duration = Duration::from_millis(50);
/// A job that is still at it then is left to the station: an upload of weeks over a slow line takes hours.
const LIMIT: Duration = Duration::from_secs(3600);

/// A station that answers.
pub(super) struct Service {
    client: Client,
}

impl Service {
    pub(super) fn new(client: Client) -> Self {
        Service { client }
    }

    pub(super) fn register(&mut self, pin: &str) -> Result<(), Failure> {
        self.job(&format!("PART:UPL:REG {}", quoted(pin)))?.result()
    }

    pub(super) fn batch(&mut self) -> Result<LastBatching, Failure> {
        let ended = self.job("PART:BATC")?;
        let last = self.report()?.commanded_batch;
        let last = last.filter(|last| last.job == Some(ended.job));
        ended.report(last, |last| last.error.is_some())
    }

    pub(super) fn upload(&mut self) -> Result<LastPass, Failure> {
        let ended = self.job("PART:UPL")?;
        let last = self.report()?.commanded_pass;
        let last = last.filter(|last| last.job == Some(ended.job));
        let tells = |last: &LastPass| {
            last.error.is_some() || last.batches.iter().any(|batch| batch.error.is_some())
        };
        ended.report(last, tells)
    }

    pub(super) fn requeue(&mut self, reference: &str) -> Result<(), Failure> {
        self.job(&format!("PART:UPL:REQ {}", quoted(reference)))?
            .result()
    }

    pub(super) fn report(&mut self) -> Result<Report, Failure> {
        ask::json(&mut self.client, "PART:UPL:STAT?")
    }

    /// Starts an operation and waits for its end. The error: it did not start, or the station was lost.
    fn job(&mut self, command: &str) -> Result<Ended, Failure> {
        ask::line(&mut self.client, command)?;
        let id = ask::line(&mut self.client, "SYST:JOB:LAST?")?;
        let job = id
            .parse()
            .map_err(|_| Failure::Failed(format!("the station named no job but \"{id}\"")))?;
        let ended = |failure| Ok(Ended { job, failure });
        let (mut errors, limit) = (Vec::new(), Instant::now() + LIMIT);
        loop {
            let exchange = self
                .client
                .exchange(&format!("SYST:JOB:STAT? {id}"), &mut Vec::new());
            let exchange = exchange.map_err(|error| Failure::Failed(error.to_string()))?;
            errors.extend(exchange.errors);
            let line = exchange.line.unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            // The name, which comes before, may hold anything.
            let state = line.rsplit(',').nth(2).unwrap_or_default();
            match state {
                "QUE" | "RUN" if Instant::now() < limit => sleep(LOOK),
                "QUE" | "RUN" => {
                    let minutes = LIMIT.as_secs() / 60;
                    let text = format!(
                        "job {id} is still at it after {minutes} minutes and goes on: see outpost cloud status"
                    );
                    return Err(Failure::Failed(text));
                }
                "DONE" => return ended(None),
                _ => {
                    let error = errors.first().map(|error| detail(error));
                    let error = error.unwrap_or_else(|| "it was ended before it was done".into());
                    return ended(Some(error));
                }
            }
        }
    }
}

/// An operation that is over.
struct Ended {
    job: u32,
    failure: Option<String>,
}

impl Ended {
    fn result(self) -> Result<(), Failure> {
        match self.failure {
            Some(failure) => Err(Failure::Failed(failure)),
            None => Ok(()),
        }
    }

    /// Its report where that tells of the failure, or of success; else the failure alone.
    fn report<T>(self, report: Option<T>, tells: impl Fn(&T) -> bool) -> Result<T, Failure> {
        match report {
            Some(report) if self.failure.is_none() || tells(&report) => Ok(report),
            _ => {
                self.result()?;
                let text = "it was done, but another client's command has replaced its report: see outpost cloud status";
                Err(Failure::Failed(text.into()))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
