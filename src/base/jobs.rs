//! Long operations: id, progress, abort, result.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use smol::channel;

use super::clock::Clock;
use super::error::Failure;

const FINISHED_KEPT: usize = 32;

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Accepted, not begun.
    Queued,
    /// At work.
    Running,
    /// Ended well.
    Done,
    /// Ended with this failure.
    Failed(Failure),
    /// Ended by the user.
    Aborted,
}

impl JobState {
    /// SCPI word, long form with the short form in capitals.
    pub fn word(&self) -> &'static str {
        match self {
            JobState::Queued => "QUEued",
            JobState::Running => "RUNning",
            JobState::Done => "DONE",
            JobState::Failed(_) => "FAILed",
            JobState::Aborted => "ABORted",
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        !matches!(self, JobState::Queued | JobState::Running)
    }
}

/// A job seen from its owner and its watchers. Main thread only; clones share it.
#[derive(Debug, Clone)]
pub struct Job(Rc<Inner>);

struct Inner {
    id: u32,
    name: String,
    clock: Clock,
    created: Timestamp,
    began: Cell<Option<Instant>>,
    state: RefCell<JobState>,
    progress: Progress,
    abort_sender: channel::Sender<()>,
    abort: channel::Receiver<()>,
    over_sender: channel::Sender<()>,
    over: channel::Receiver<()>,
    at_end: RefCell<Vec<Listener>>,
}

type Listener = Box<dyn FnOnce(&JobState)>;

/// Progress and abort flag of a job, for the threads that do its work.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    permille: Arc<AtomicU32>,
    aborted: Arc<AtomicBool>,
}

/// One row of `SYSTem:JOB:LIST?`.
#[derive(Debug, Serialize)]
pub struct JobReport {
    /// Number of the job.
    pub id: u32,
    /// What it does.
    pub name: String,
    /// Its state as a lower-case word.
    pub state: String,
    /// 0 to 100.
    pub percent: f64,
    /// Seconds to go, where that can be told.
    pub eta_s: Option<f64>,
    /// When it was accepted, UTC.
    pub created: Timestamp,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// All running jobs and the last finished ones. Main thread only; clones share it.
#[derive(Debug, Clone)]
pub struct Jobs {
    clock: Clock,
    next_id: Rc<Cell<u32>>,
    book: Rc<RefCell<VecDeque<Job>>>,
}

impl Progress {
    /// States how much is done, 0.0 to 1.0.
    pub fn set(&self, fraction: f64) {
        self.permille.store(
            (fraction.clamp(0.0, 1.0) * 1000.0) as u32,
            Ordering::Relaxed,
        );
    }

    /// Asks the work to end.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }

    /// Whether the user wants it ended.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }
}

impl Jobs {
    /// An empty book.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            next_id: Rc::new(Cell::new(1)),
            book: Rc::default(),
        }
    }

    /// Enters a job, queued.
    pub fn enter(&self, name: impl Into<String>) -> Job {
        let id = self
            .next_id
            .replace(self.next_id.get().checked_add(1).unwrap_or(1));
        let (abort_sender, abort) = channel::bounded(1);
        let (over_sender, over) = channel::bounded(1);
        let job = Job(Rc::new(Inner {
            id,
            name: name.into(),
            clock: self.clock.clone(),
            created: self.clock.utc(),
            began: Cell::new(None),
            state: RefCell::new(JobState::Queued),
            progress: Progress::default(),
            abort_sender,
            abort,
            over_sender,
            over,
            at_end: RefCell::default(),
        }));
        let mut book = self.book.borrow_mut();
        if book.iter().filter(|job| job.state().is_over()).count() >= FINISHED_KEPT
            && let Some(oldest) = book.iter().position(|job| job.state().is_over())
        {
            book.remove(oldest);
        }
        book.push_back(job.clone());
        job
    }

    /// Takes a job that never came to be out of the book.
    pub fn forget(&self, job: &Job) {
        self.book.borrow_mut().retain(|kept| kept.id() != job.id());
    }

    /// The job with this id, while remembered.
    pub fn get(&self, id: u32) -> Option<Job> {
        self.book
            .borrow()
            .iter()
            .find(|job| job.id() == id)
            .cloned()
    }

    /// All remembered jobs, oldest first.
    pub fn reports(&self) -> Vec<JobReport> {
        self.book.borrow().iter().map(Job::report).collect()
    }

    /// Jobs that are queued or running.
    pub fn unfinished(&self) -> Vec<Job> {
        self.book
            .borrow()
            .iter()
            .filter(|job| !job.state().is_over())
            .cloned()
            .collect()
    }

    /// Asks every unfinished job to end.
    pub fn abort_all(&self) {
        for job in self.book.borrow().iter() {
            job.abort();
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut job = f.debug_struct("Job");
        job.field("id", &self.id).field("name", &self.name);
        job.field("state", &self.state).finish_non_exhaustive()
    }
}

impl Job {
    /// Number of the job, unique while remembered.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// What it does.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands.
    pub fn state(&self) -> JobState {
        self.0.state.borrow().clone()
    }

    /// For the threads that work on it.
    pub fn progress(&self) -> Progress {
        self.0.progress.clone()
    }

    /// Work begins.
    pub fn begin(&self) {
        self.0.began.set(Some(self.0.clock.now()));
        self.0.state.replace(JobState::Running);
    }

    /// Work ended; an abort that was asked for makes a failure count as aborted. Only the first end counts.
    pub fn finish(&self, result: Result<(), Failure>) {
        if self.state().is_over() {
            return;
        }
        let state = match result {
            Ok(()) => {
                self.0.progress.set(1.0);
                JobState::Done
            }
            Err(_) if self.is_aborted() => JobState::Aborted,
            Err(failure) => JobState::Failed(failure),
        };
        for tell in self.0.at_end.take() {
            tell(&state);
        }
        self.0.state.replace(state);
        self.0.over_sender.close();
    }

    /// Runs `tell` when the job ends, before anybody else can see that it has; at once if it has ended already.
    pub fn at_end(&self, tell: impl FnOnce(&JobState) + 'static) {
        let state = self.state();
        match state.is_over() {
            true => tell(&state),
            false => self.0.at_end.borrow_mut().push(Box::new(tell)),
        }
    }

    /// Asks it to end soon.
    pub fn abort(&self) {
        if !self.state().is_over() {
            self.0.progress.abort();
            self.0.abort_sender.close();
        }
    }

    /// Whether it was asked to end.
    pub fn is_aborted(&self) -> bool {
        self.0.progress.is_aborted()
    }

    /// Resolves when it was asked to end.
    pub async fn aborted(&self) {
        let _ = self.0.abort.recv().await;
    }

    /// Resolves when it is over.
    pub async fn over(&self) {
        let _ = self.0.over.recv().await;
    }

    /// 0 to 100.
    pub fn percent(&self) -> f64 {
        f64::from(self.0.progress.permille.load(Ordering::Relaxed)) / 10.0
    }

    /// Time to go by the pace so far; zero when over, `None` before there is a pace.
    pub fn eta(&self) -> Option<Duration> {
        if self.0.state.borrow().is_over() {
            return Some(Duration::ZERO);
        }
        let elapsed = self
            .0
            .clock
            .now()
            .checked_duration_since(self.0.began.get()?)?;
        let done = self.percent() / 100.0;
        (done > 0.0).then(|| elapsed.mul_f64((1.0 - done) / done))
    }

    fn report(&self) -> JobReport {
        let state = self.state();
        let error = match &state {
            JobState::Failed(failure) => Some(failure.message.clone()),
            _ => None,
        };
        JobReport {
            id: self.id(),
            name: self.name().to_owned(),
            state: state.word().to_ascii_lowercase(),
            percent: self.percent(),
            eta_s: self
                .eta()
                .map(|eta| (eta.as_secs_f64() * 10.0).round() / 10.0),
            created: self.0.created,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;

    #[test]
    fn eta_follows_the_pace() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let job = Jobs::new(clock).enter("capture");
        assert_eq!((job.state(), job.eta()), (JobState::Queued, None));
        job.begin();
        job.progress().set(0.25);
        hand.advance(Duration::from_secs(10));
        assert_eq!(job.eta(), Some(Duration::from_secs(30)));
        job.finish(Ok(()));
        assert_eq!(
            (job.state(), job.percent(), job.eta()),
            (JobState::Done, 100.0, Some(Duration::ZERO))
        );
        smol::block_on(job.over());
    }

    #[test]
    fn an_abort_turns_failure_into_aborted_and_comes_too_late_after_the_end() {
        let jobs = Jobs::new(Clock::manual(Timestamp::UNIX_EPOCH).0);
        let (one, two) = (jobs.enter("a"), jobs.enter("b"));
        one.finish(Err(Failure::new(Kind::Hardware, "broken")));
        jobs.abort_all();
        assert!(!one.is_aborted());
        smol::block_on(two.aborted());
        two.finish(Err(Failure::new(Kind::Aborted, "ended")));
        assert_eq!(two.state(), JobState::Aborted);
        assert_eq!(jobs.reports()[0].error.as_deref(), Some("broken"));
    }

    #[test]
    fn only_the_last_finished_jobs_are_remembered() {
        let jobs = Jobs::new(Clock::manual(Timestamp::UNIX_EPOCH).0);
        let running = jobs.enter("long");
        for _ in 0..100 {
            jobs.enter("short").finish(Ok(()));
        }
        assert_eq!(jobs.reports().len(), FINISHED_KEPT + 1);
        assert!(jobs.get(running.id()).is_some());
        assert!(jobs.get(2).is_none());
    }
}
