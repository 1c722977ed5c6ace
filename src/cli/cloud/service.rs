//! The work done by the station that runs on this machine.

use std::thread::sleep;
use std::time::Duration;

use crate::cli::Failure;
use crate::cli::client::{Client, detail};
use crate::cloud::{LastBatching, LastPass, Report};

/// Between looks at a job.
const LOOK: Duration = Duration::from_millis(50);

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
        let mut json = Vec::new();
        let exchange = self.client.exchange("PART:UPL:STAT?", &mut json);
        let exchange = exchange.map_err(|error| Failure::Failed(error.to_string()))?;
        if let Some(error) = exchange.errors.first() {
            return Err(Failure::Failed(detail(error)));
        }
        serde_json::from_slice(&json).map_err(|error| {
            Failure::Failed(format!("the station's report cannot be read: {error}"))
        })
    }

    /// Starts an operation and waits for its end. The error: it did not start, or the station was lost.
    fn job(&mut self, command: &str) -> Result<Ended, Failure> {
        self.ask(command)?;
        let id = self.ask("SYST:JOB:LAST?")?;
        let job = id
            .parse()
            .map_err(|_| Failure::Failed(format!("the station named no job but \"{id}\"")))?;
        let ended = |failure| Ok(Ended { job, failure });
        let mut errors = Vec::new();
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
                "QUE" | "RUN" => sleep(LOOK),
                "DONE" => return ended(None),
                _ => {
                    let error = errors.first().map(|error| detail(error));
                    let error = error.unwrap_or_else(|| "it was ended before it was done".into());
                    return ended(Some(error));
                }
            }
        }
    }

    /// Asks; an error in the queue is a failure.
    fn ask(&mut self, message: &str) -> Result<String, Failure> {
        let exchange = self.client.exchange(message, &mut Vec::new());
        let exchange = exchange.map_err(|error| Failure::Failed(error.to_string()))?;
        match exchange.errors.first() {
            Some(error) => Err(Failure::Failed(detail(error))),
            None => {
                let line = exchange.line.unwrap_or_default();
                Ok(String::from_utf8_lossy(&line).into_owned())
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
