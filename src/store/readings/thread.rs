//! The thread that owns the database, and the handle to it.
//!
//! Readings wait in a bounded queue in memory until they are committed, so a full disk or a file locked by another
//! program costs nothing until the queue is full. Several that wait are committed together.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use futures_lite::future;
use smol::channel::{self, Receiver, Sender, TrySendError};

use super::error::{is_full, is_locked};
use super::{ClockState, Database, DatabaseSettings, Reading, ReadingsError, StoredReading};
use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::error::Failure;

/// Readings committed together at most.
const GROUP: usize = 128;
/// Requests other than readings that may wait.
const CALLS: usize = 16;

type Call = Box<dyn FnOnce(Result<&mut Database, ReadingsError>) + Send>;
type Answer = Result<i64, ReadingsError>;

struct Append {
    reading: Box<Reading>,
    answer: Sender<Answer>,
}

/// Whether readings reach the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreState {
    /// They do, as far as known.
    Ready,
    /// They wait in memory and are tried again.
    Stalled(Failure),
}

/// The store's state and counts since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Whether readings reach the disk.
    pub state: StoreState,
    /// Readings committed.
    pub stored: u64,
    /// Readings refused because the queue was full, or given up at the end.
    pub lost: u64,
    /// Readings that wait in memory.
    pub waiting: usize,
    /// Attempts to commit that failed.
    pub failures: u64,
    /// Damaged files moved aside.
    pub moved_aside: u64,
    /// When the next attempt comes, after one that failed.
    pub retry_at: Option<Instant>,
}

/// The running store. Dropping it stops taking readings; [`ReadingStore::close`] also waits for the last commit.
#[derive(Debug)]
pub struct ReadingStore {
    handle: StoreHandle,
    thread: JoinHandle<()>,
}

/// The way to the store, from any thread and from async code. Clones are alike.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    readings: Sender<Append>,
    calls: Sender<Call>,
    status: Arc<Mutex<StoreStatus>>,
}

/// A reading on its way; [`Pending::committed`] tells when it is on the disk. Dropping it changes nothing.
#[derive(Debug)]
pub struct Pending(Receiver<Answer>);

impl Pending {
    /// Waits for the commit; the row's number.
    ///
    /// # Errors
    /// [`ReadingsError::Closed`] when the store ended before it could commit.
    pub async fn committed(self) -> Result<i64, ReadingsError> {
        self.0.recv().await.unwrap_or(Err(ReadingsError::Closed))
    }

    /// As [`Pending::committed`], blocking this thread.
    ///
    /// # Errors
    /// As [`Pending::committed`].
    pub fn wait(self) -> Result<i64, ReadingsError> {
        self.0.recv_blocking().unwrap_or(Err(ReadingsError::Closed))
    }
}

impl ReadingStore {
    /// Starts the store's thread. The file is opened there, and tried again while it cannot be.
    ///
    /// `queue`: readings that may wait in memory (plus up to 128 in hand).
    ///
    /// # Errors
    /// A table name that is none, or no thread.
    pub fn start(
        settings: DatabaseSettings,
        queue: usize,
        clock: Clock,
    ) -> Result<Self, ReadingsError> {
        super::check_table_name(&settings.table)?;
        let (readings, inbox) = channel::bounded(queue.max(1));
        let (calls, requests) = channel::bounded(CALLS);
        let status = Arc::new(Mutex::new(StoreStatus {
            state: StoreState::Ready,
            stored: 0,
            lost: 0,
            waiting: 0,
            failures: 0,
            moved_aside: 0,
            retry_at: None,
        }));
        let path = settings.path.clone();
        let worker = Worker {
            settings,
            clock,
            inbox,
            requests,
            status: Arc::clone(&status),
            database: None,
            hand: Vec::new(),
            backoff: Backoff::new(std::process::id().into()),
            retry_at: None,
        };
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || worker.run())
            .map_err(|source| ReadingsError::File { path, source })?;
        let handle = StoreHandle {
            readings,
            calls,
            status,
        };
        Ok(ReadingStore { handle, thread })
    }

    /// A way to the store.
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Takes no more readings, commits those that wait (one attempt), closes the file.
    pub fn close(self) {
        self.handle.readings.close();
        self.handle.calls.close();
        // A panic there has been reported where it happened.
        let _ = self.thread.join();
    }
}

impl StoreHandle {
    /// Hands a reading over, without waiting.
    ///
    /// # Errors
    /// [`ReadingsError::QueueFull`] (the reading is lost and counted) or [`ReadingsError::Closed`].
    pub fn append(&self, reading: Reading) -> Result<Pending, ReadingsError> {
        let (answer, answered) = channel::bounded(1);
        match self.readings.try_send(Append {
            reading: Box::new(reading),
            answer,
        }) {
            Ok(()) => Ok(Pending(answered)),
            Err(TrySendError::Full(_)) => {
                self.lock().lost += 1;
                let waiting = self.readings.len();
                Err(ReadingsError::QueueFull { waiting })
            }
            Err(TrySendError::Closed(_)) => Err(ReadingsError::Closed),
        }
    }

    /// Runs `work` on the store's thread, after what it does at present. Keep it short: readings wait meanwhile.
    /// Dropping the future lets waiting work run unheard.
    ///
    /// # Errors
    /// What `work` says, why the database is not open, [`ReadingsError::Busy`] when too many wait.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, ReadingsError> + Send + 'static,
    ) -> Result<T, ReadingsError> {
        self.ask(work)?
            .recv()
            .await
            .unwrap_or(Err(ReadingsError::Closed))
    }

    /// As [`StoreHandle::call`], blocking this thread, and waiting where too many wait already.
    ///
    /// # Errors
    /// What `work` says, or why the database is not open.
    pub fn call_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, ReadingsError> + Send + 'static,
    ) -> Result<T, ReadingsError> {
        let (call, answered) = wrap(work);
        self.calls
            .send_blocking(call)
            .map_err(|_| ReadingsError::Closed)?;
        answered
            .recv_blocking()
            .unwrap_or(Err(ReadingsError::Closed))
    }

    /// The newest `n` rows, newest first.
    ///
    /// # Errors
    /// As [`StoreHandle::call`].
    pub async fn recent(&self, n: u32) -> Result<Vec<StoredReading>, ReadingsError> {
        self.call(move |database| database.recent(n)).await
    }

    /// Corrects the stamps taken before the clock was set: see [`Database::set_clock`].
    ///
    /// # Errors
    /// As [`StoreHandle::call`].
    pub async fn set_clock(&self, clock: ClockState) -> Result<usize, ReadingsError> {
        self.call(move |database| database.set_clock(&clock)).await
    }

    /// State and counts now.
    pub fn status(&self) -> StoreStatus {
        let mut status = self.lock().clone();
        status.waiting += self.readings.len();
        status
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, ReadingsError> + Send + 'static,
    ) -> Result<Receiver<Result<T, ReadingsError>>, ReadingsError> {
        let (call, answered) = wrap(work);
        match self.calls.try_send(call) {
            Ok(()) => Ok(answered),
            Err(TrySendError::Full(_)) => Err(ReadingsError::Busy),
            Err(TrySendError::Closed(_)) => Err(ReadingsError::Closed),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, StoreStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wrap<T: Send + 'static>(
    work: impl FnOnce(&mut Database) -> Result<T, ReadingsError> + Send + 'static,
) -> (Call, Receiver<Result<T, ReadingsError>>) {
    let (answer, answered) = channel::bounded(1);
    let call: Call = Box::new(move |database| {
        // Nobody may be waiting any more.
        let _ = answer.try_send(database.and_then(work));
    });
    (call, answered)
}

struct Worker {
    settings: DatabaseSettings,
    clock: Clock,
    inbox: Receiver<Append>,
    requests: Receiver<Call>,
    status: Arc<Mutex<StoreStatus>>,
    database: Option<Database>,
    /// What is being committed; kept over failures.
    hand: Vec<Append>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

enum Event {
    Call(Call),
    Append(Append),
    Retry,
    Closed,
}

impl Worker {
    fn run(mut self) {
        self.commit();
        loop {
            match self.wait() {
                Event::Call(call) => self.answer(call),
                Event::Append(append) => {
                    self.hand.push(append);
                    self.commit();
                }
                Event::Retry => self.commit(),
                Event::Closed => return self.finish(),
            }
        }
    }

    fn wait(&self) -> Event {
        let call = async {
            match self.requests.recv().await {
                Ok(call) => Event::Call(call),
                Err(_) => future::pending().await,
            }
        };
        let append = async {
            // While a commit is due again the queue holds the rest: that keeps it bounded.
            if self.retry_at.is_some() && !self.inbox.is_closed() {
                return future::pending().await;
            }
            match self.inbox.recv().await {
                Ok(append) => Event::Append(append),
                Err(_) => Event::Closed,
            }
        };
        let retry = async {
            match self.retry_at {
                Some(due) => self.clock.sleep_until(due).await,
                None => future::pending().await,
            }
            Event::Retry
        };
        smol::block_on(future::or(call, future::or(append, retry)))
    }

    fn answer(&mut self, call: Call) {
        if let Err(error) = self.open() {
            return call(Err(error));
        }
        if let Some(database) = &mut self.database {
            call(Ok(database));
        }
    }

    fn open(&mut self) -> Result<(), ReadingsError> {
        if self.database.is_none() {
            let database = Database::open(self.settings.clone(), self.clock.utc())?;
            if database.moved_aside().is_some() {
                self.lock().moved_aside += 1;
            }
            self.database = Some(database);
        }
        Ok(())
    }

    /// Commits what is in hand and in the queue, as far as it goes.
    fn commit(&mut self) {
        loop {
            while self.hand.len() < GROUP {
                match self.inbox.try_recv() {
                    Ok(append) => self.hand.push(append),
                    Err(_) => break,
                }
            }
            if let Err(error) = self.commit_hand() {
                return self.stall(error);
            }
            self.backoff.reset();
            self.retry_at = None;
            {
                let mut status = self.lock();
                status.state = StoreState::Ready;
                status.retry_at = None;
            }
            if self.inbox.is_empty() {
                return;
            }
        }
    }

    fn commit_hand(&mut self) -> Result<(), ReadingsError> {
        self.open()?;
        let Some(database) = &mut self.database else {
            return Ok(());
        };
        if self.hand.is_empty() {
            return Ok(());
        }
        let numbers = database.append(self.hand.iter().map(|append| append.reading.as_ref()))?;
        {
            let mut status = self.lock();
            status.stored += numbers.len() as u64;
            status.waiting = 0;
        }
        for (append, number) in self.hand.drain(..).zip(numbers) {
            let _ = append.answer.try_send(Ok(number));
        }
        Ok(())
    }

    fn stall(&mut self, error: ReadingsError) {
        let keeps_file = matches!(&error, ReadingsError::Sqlite(e) if is_full(e) || is_locked(e));
        if !keeps_file {
            // Opened anew, it is checked again and moved aside where it is damaged.
            self.database = None;
        }
        let failure = Failure::from_error(error.kind(), &error);
        tracing::warn!("readings wait in memory: {failure}");
        self.retry_at = Some(self.clock.now() + self.backoff.wait());
        let waiting = self.hand.len();
        let mut status = self.lock();
        status.failures += 1;
        status.waiting = waiting;
        status.retry_at = self.retry_at;
        status.state = StoreState::Stalled(failure);
    }

    fn finish(mut self) {
        self.commit();
        while let Ok(call) = self.requests.try_recv() {
            self.answer(call);
        }
        let lost = self.hand.len() + self.inbox.len();
        if lost > 0 {
            tracing::error!("{lost} readings could not be written before the end");
            self.lock().lost += lost as u64;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, StoreStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
