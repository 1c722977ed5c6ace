//! The supervised loop: waits for a time or a command, has the uploader do its piece, tells what came of it.

use std::rc::Weak;
use std::time::{Duration, Instant};

use futures_lite::future;
use jiff::Timestamp;
use smol::channel::{self, Receiver};

use super::report::{LastBatching, LastPass, Survey, failure};
use super::{Options, Order, Shared, Station, Work};
use crate::base::conditions::Condition;
use crate::base::error::{Failure, Kind};
use crate::base::health::State;
use crate::base::jobs::{Job, Progress};
use crate::base::pool::BlockingPool;
use crate::base::trace::Direction;
use crate::store::batch::{self, Batch, BatchState};
use crate::store::readings::ClockState;
use crate::store::upload::{
    self, Api, Exchange, Pass, Scope, UploadError, UploadSettings, Uploader, Watch,
};

/// After a failure of the whole, doubling to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Between passes at least: a time in the past is no reason to run without rest.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// What is cut short at the end of the station gets this long to notice.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Exchanges kept for the trace while the main thread is busy.
const EXCHANGES: usize = 64;

/// When something is due that comes back at an interval, sooner after a failure.
struct Timetable {
    interval: Duration,
    tick: Instant,
    /// An earlier time that something called for.
    early: Option<Instant>,
    failures: u32,
}

impl Timetable {
    fn new(interval: Duration, first: Instant) -> Self {
        Timetable {
            interval,
            tick: first,
            early: None,
            failures: 0,
        }
    }

    fn due(&self) -> Instant {
        self.early.map_or(self.tick, |early| early.min(self.tick))
    }

    /// It was done: well, when `good`.
    fn done(&mut self, now: Instant, good: bool) {
        self.early = None;
        if self.tick <= now {
            self.tick = now + self.interval;
        }
        self.failures = match good {
            true => 0,
            false => self.failures.saturating_add(1),
        };
        if !good {
            let wait = FIRST_WAIT * 2_u32.pow((self.failures - 1).min(9));
            self.early = Some(now + wait.min(LONGEST_WAIT));
        }
    }

    fn call_for(&mut self, due: Instant) {
        self.early = Some(self.early.map_or(due, |early| early.min(due)));
    }
}

/// What a piece of work gave.
enum Done {
    Batches(Result<Vec<Batch>, UploadError>),
    Pass(Result<Pass, UploadError>),
    Other(Result<(), UploadError>),
}

pub(super) struct Actor {
    options: Options,
    station: Station,
    inbox: Receiver<Order>,
    shared: Weak<Shared>,
    pool: BlockingPool,
    /// `None` while it works, or after a bug in it.
    uploader: Option<Uploader>,
    batches: Timetable,
    uploads: Timetable,
    /// What is wrong, as far as it is not in the database.
    troubles: [Option<String>; 2],
    survey: Survey,
}

impl Actor {
    pub(super) fn new(
        options: Options,
        station: Station,
        inbox: Receiver<Order>,
        shared: Weak<Shared>,
    ) -> Self {
        let pool = BlockingPool::new(1, 1, station.health.clone(), "overflows");
        for counter in [
            "batches_made",
            "failures",
            "evicted_files",
            "queue_overflows",
        ] {
            station.health.add(counter, 0);
        }
        let now = station.clock.now();
        Actor {
            pool,
            uploader: None,
            batches: Timetable::new(options.batch_interval, now + options.batch_interval),
            // At once: what an earlier run left is taken up first.
            uploads: Timetable::new(options.upload_interval, now),
            troubles: [None, None],
            survey: Survey::default(),
            options,
            station,
            inbox,
            shared,
        }
    }

    pub(super) async fn run(mut self) {
        let shutdown = self.station.shutdown.clone();
        if self.options.enabled {
            self.station.health.set(State::Ready);
            shutdown.guard(self.find_first_batch()).await;
        }
        shutdown.guard(self.look()).await;
        while let Some(event) = shutdown.guard(self.next()).await {
            match event {
                None => break,
                Some((work, job)) => self.work(work, job).await,
            }
        }
        self.inbox.close();
        while let Ok(order) = self.inbox.try_recv() {
            order.job.finish(Err(stopping()));
        }
    }

    /// The next batches are due an interval after the newest, also where the station was restarted since.
    async fn find_first_batch(&mut self) {
        let Ok(newest) = self.station.store.call(batch::newest).await else {
            return;
        };
        let age_ms = newest.map_or(i64::MAX, |created| {
            let now = self.station.clock.utc().as_millisecond();
            now.saturating_sub(created).max(0)
        });
        let age = Duration::from_millis(age_ms.unsigned_abs());
        let left = self.options.batch_interval.saturating_sub(age);
        self.batches.tick = self.station.clock.now() + left;
    }

    /// A command, or what is due; `None` when nobody can command any more.
    async fn next(&mut self) -> Option<(Work, Option<Order>)> {
        self.show_times();
        let (clock, enabled) = (self.station.clock.clone(), self.options.enabled);
        let (batch, upload) = (self.batches.due(), self.uploads.due());
        let command = async {
            let order = self.inbox.recv().await.ok()?;
            Some((order.work.clone(), Some(order)))
        };
        let schedule = async {
            if !enabled {
                return future::pending().await;
            }
            clock.sleep_until(batch.min(upload)).await;
            // What is new goes with the pass.
            match batch <= upload || batch <= clock.now() {
                true => Some((Work::Batch, None)),
                false => Some((Work::UploadDue, None)),
            }
        };
        future::or(command, schedule).await
    }

    async fn work(&mut self, work: Work, order: Option<Order>) {
        let job = order.as_ref().map(|order| order.job.clone());
        if let Some(job) = &job {
            if job.is_aborted() {
                return job.finish(Err(Failure::new(Kind::Aborted, "ended by the user")));
            }
            job.begin();
        }
        self.show_activity(Some(match work {
            Work::Batch => "batching",
            Work::Upload | Work::UploadDue => "uploading",
            Work::Requeue(_) => "queueing",
            Work::Register(_) => "registering",
        }));
        let uploading = matches!(work, Work::UploadDue)
            .then(|| self.station.conditions.raise(Condition::Uploading));
        let result = self.perform(work, job.as_ref()).await;
        drop(uploading);
        self.show_activity(None);
        let result = match result {
            Ok(done) => self.take_in(done, job.as_ref().map(Job::id)),
            Err(failure) => Err(failure),
        };
        let shutdown = self.station.shutdown.clone();
        shutdown.guard(self.look()).await;
        self.show_times();
        drop(order);
        if let Some(job) = job {
            job.finish(result);
        }
    }

    /// Has the uploader do it, on its thread, and passes on what it says meanwhile.
    async fn perform(&mut self, work: Work, job: Option<&Job>) -> Result<Done, Failure> {
        let mut uploader = self.uploader.take().unwrap_or_else(|| {
            let (settings, store) = (self.options.upload.clone(), self.station.store.clone());
            Uploader::new(settings, store, self.station.clock.clone())
        });
        let progress = job.map_or_else(Progress::default, Job::progress);
        let (exchanges, heard) = channel::bounded(EXCHANGES);
        uploader.watch(Watch {
            progress: progress.clone(),
            exchanges: Some(exchanges),
        });
        let (settings, clock) = (self.options.upload.clone(), (self.options.clock_state)());
        let device_id = self.options.device_id.clone();
        let running = self.pool.run_in_turn(move || {
            let done = perform(&mut uploader, work, &settings, &device_id, &clock);
            uploader.watch(Watch::default());
            (uploader, done)
        });
        let noting = async {
            while let Ok(exchange) = heard.recv().await {
                self.note(exchange);
            }
            future::pending().await
        };
        let ending = async {
            self.station.shutdown.wait().await;
            progress.abort();
            self.station.clock.sleep(END_LIMIT).await;
            tracing::info!("an upload is cut short; it is resumed at the next start");
            Err(stopping())
        };
        let ended = future::or(running, future::or(noting, ending)).await;
        while let Ok(exchange) = heard.try_recv() {
            self.note(exchange);
        }
        let (uploader, done) = ended?;
        self.uploader = Some(uploader);
        Ok(done)
    }

    fn note(&self, exchange: Exchange) {
        let (direction, text) = match exchange {
            Exchange::Asked(text) => (Direction::Sent, text),
            Exchange::Heard(text) => (Direction::Received, text),
        };
        self.station.trace.note(direction, || text);
    }

    /// Keeps what came of it, and says it in a job's terms.
    fn take_in(&mut self, done: Done, job: Option<u32>) -> Result<(), Failure> {
        let (now, utc) = (self.station.clock.now(), self.station.clock.utc());
        match done {
            Done::Batches(result) => {
                self.batches.done(now, result.is_ok());
                let made = result.as_ref().map_or(0, Vec::len);
                self.station.health.add("batches_made", made as u64);
                let mut last = LastBatching::new(utc, &self.options.upload, &result);
                last.job = job;
                self.tell(|state| {
                    if job.is_some() {
                        state.commanded_batch = Some(last.clone());
                    }
                    state.last_batch = Some(last);
                });
                self.troubled(0, result.map(drop))
            }
            Done::Pass(result) => {
                self.uploads.done(now, result.is_ok());
                let mut last = LastPass::new(utc, &result);
                last.job = job;
                self.tell(|state| {
                    if job.is_some() {
                        state.commanded_pass = Some(last.clone());
                    }
                    state.last_pass = Some(last);
                });
                match result {
                    Ok(pass) => self.take_in_pass(&pass, now, utc),
                    Err(error) => self.troubled(1, Err(error)),
                }
            }
            Done::Other(result) => {
                // A key, or a batch, that makes a pass worth while.
                self.uploads.call_for(now);
                result.map_err(|error| failure(&error))
            }
        }
    }

    fn take_in_pass(&mut self, pass: &Pass, now: Instant, utc: Timestamp) -> Result<(), Failure> {
        let health = &self.station.health;
        health.add("evicted_files", pass.evicted);
        if let Some(next) = pass.next {
            let wait = Duration::try_from(next.duration_since(utc)).unwrap_or_default();
            self.uploads.call_for(now + wait.max(SHORTEST_WAIT));
        }
        let mut failed = None;
        for outcome in &pass.outcomes {
            let reference = &outcome.batch.source_ref;
            let failure = match &outcome.error {
                Some(error) => failure(error),
                None if outcome.batch.state == BatchState::Rejected => {
                    Failure::new(Kind::Hardware, "rejected by the server")
                }
                None => continue,
            };
            let failure = Failure::new(failure.kind, format!("{reference}: {}", failure.message));
            health.count("failures");
            health.record(failure.message.clone());
            failed.get_or_insert(failure);
        }
        self.troubles[1] = failed.as_ref().map(|failure| failure.message.clone());
        match failed {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn troubled(&mut self, at: usize, result: Result<(), UploadError>) -> Result<(), Failure> {
        let result = result.map_err(|error| failure(&error));
        let ended = |failure: &&Failure| failure.kind != Kind::Aborted;
        self.troubles[at] = None;
        if let Some(failure) = result.as_ref().err().filter(ended) {
            tracing::warn!("batches and uploads: {failure}");
            self.station.health.count("failures");
            self.station.health.record(failure.message.clone());
            self.troubles[at] = Some(failure.message.clone());
        }
        result
    }

    /// Asks the database, and shows how things are.
    async fn look(&mut self) {
        if let Ok(survey) = self.station.store.call(Survey::take).await {
            self.survey = survey;
        }
        let (health, survey) = (&self.station.health, &self.survey);
        health.put("pending", survey.pending());
        health.put("uploaded", survey.uploaded);
        health.put("rejected", survey.rejected);
        if !self.options.enabled {
            return;
        }
        let rejected = (survey.rejected > 0)
            .then(|| format!("batches rejected by the server: {}", survey.rejected));
        let mut reasons = self.troubles.iter().flatten().cloned().chain(rejected);
        health.set(match reasons.next() {
            Some(reason) => State::Degraded { reason },
            None => State::Ready,
        });
    }

    fn show_activity(&self, activity: Option<&'static str>) {
        self.tell(|state| state.activity = activity);
    }

    fn show_times(&self) {
        if !self.options.enabled {
            return;
        }
        let (now, utc) = (self.station.clock.now(), self.station.clock.utc());
        let time = |due: Instant| Some(utc + due.saturating_duration_since(now));
        let (batch, upload) = (time(self.batches.due()), time(self.uploads.due()));
        self.tell(|state| {
            state.next_batch = batch;
            state.next_upload = upload;
        });
    }

    fn tell(&self, change: impl FnOnce(&mut super::report::State)) {
        if let Some(shared) = self.shared.upgrade() {
            change(&mut shared.state.borrow_mut());
        }
    }
}

fn perform(
    uploader: &mut Uploader,
    work: Work,
    settings: &UploadSettings,
    device_id: &str,
    clock: &ClockState,
) -> Done {
    match work {
        Work::Batch => Done::Batches(uploader.make_batches(clock)),
        Work::Upload => Done::Pass(uploader.pass(Scope::All)),
        Work::UploadDue => Done::Pass(uploader.pass(Scope::Due)),
        Work::Requeue(source_ref) => Done::Other(uploader.requeue(&source_ref)),
        Work::Register(pin) => Done::Other(
            Api::new(&settings.api)
                .map_err(UploadError::from)
                .and_then(|api| upload::register(&api, device_id, &pin, &settings.key_file))
                .map(drop),
        ),
    }
}

fn stopping() -> Failure {
    Failure::new(Kind::Aborted, "the station is stopping")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_is_done_is_due_an_interval_later_and_sooner_when_something_calls_for_it() {
        let now = Instant::now();
        let after = |s| now + Duration::from_secs(s);
        let mut table = Timetable::new(HOUR, now);
        assert_eq!(table.due(), now);
        table.done(now, true);
        assert_eq!(table.due(), now + HOUR);
        table.call_for(after(30));
        table.call_for(after(40));
        assert_eq!(table.due(), after(30));
        // What came early does not move the tick.
        table.done(after(30), true);
        assert_eq!(table.due(), now + HOUR);
        table.call_for(after(9999));
        assert_eq!(table.due(), now + HOUR);
    }

    #[test]
    fn failures_wait_longer_each_time_until_one_succeeds() {
        let now = Instant::now();
        let mut table = Timetable::new(24 * HOUR, now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            table.done(now, false);
            waits.push((table.due() - now).as_secs());
        }
        assert_eq!(waits[..5], [10, 20, 40, 80, 160]);
        assert_eq!(waits[9..], [3600; 3]);
        table.done(now, true);
        table.done(now, false);
        assert_eq!((table.due() - now).as_secs(), 10);
    }
}
