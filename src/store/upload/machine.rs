//! The uploader: passes over the batches, waits, and what ends a pass.

use std::fs::File;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::scp::make_private;
use super::steps::Next;
use super::{
    ARROWS, Api, Arrow, Delivery, Exchange, GatewayKey, KeyError, OpenSsh, Outcome, Pass, Scope,
    SendError, UploadError, UploadSettings, Watch,
};
use crate::base::clock::Clock;
use crate::store::batch::{self, Batch, BatchState, save};
use crate::store::readings::{ClockState, StoreHandle};

const FIRST_WAIT_MS: i64 = 10_000;
pub(super) const LONGEST_WAIT_MS: i64 = 3_600_000;

pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a program being started on another thread may hold the file open a moment longer.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

type Send = Box<dyn FnMut(&Delivery<'_>) -> Result<(), SendError> + std::marker::Send>;
pub(super) type FreeBytes = Box<dyn Fn(&Path) -> io::Result<u64> + std::marker::Send>;
type Stop = Box<dyn FnMut(Arrow) -> bool + std::marker::Send>;

/// The uploader. One at a time for a database; what it knows is in there.
pub struct Uploader {
    pub(super) settings: UploadSettings,
    pub(super) store: StoreHandle,
    pub(super) clock: Clock,
    pub(super) send: Send,
    pub(super) free_bytes: FreeBytes,
    pub(super) watch: Watch,
    stop: Option<Stop>,
    noise: u64,
    /// Nobody is tried before: the server did not answer.
    quiet_until_ms: i64,
    silences: i64,
}

impl Uploader {
    /// An uploader that sends by the system's `scp`.
    pub fn new(settings: UploadSettings, store: StoreHandle, clock: Clock) -> Self {
        let ssh = OpenSsh {
            folder: settings.ssh_dir.clone(),
            mode: settings.scp,
        };
        Uploader {
            settings,
            store,
            clock,
            send: Box::new(move |delivery| ssh.send(delivery)),
            free_bytes: Box::new(super::files::free_bytes),
            watch: Watch::default(),
            stop: None,
            noise: u64::from(std::process::id()) | 1,
            quiet_until_ms: 0,
            silences: 0,
        }
    }

    /// Sends files by other means, for trials.
    #[must_use]
    pub fn with_sender(
        mut self,
        send: impl FnMut(&Delivery<'_>) -> Result<(), SendError> + std::marker::Send + 'static,
    ) -> Self {
        self.send = Box::new(send);
        self
    }

    /// Looks by other means at how many bytes are free in a folder, for trials.
    #[must_use]
    pub fn with_free_bytes(
        mut self,
        free: impl Fn(&Path) -> io::Result<u64> + std::marker::Send + 'static,
    ) -> Self {
        self.free_bytes = Box::new(free);
        self
    }

    /// From now on this is told of its work.
    pub fn watch(&mut self, watch: Watch) {
        self.watch = watch;
    }

    /// Asks `stop` at every arrow whether to end there, as a station that is shut down or killed does.
    #[must_use]
    pub fn with_stop(
        mut self,
        stop: impl FnMut(Arrow) -> bool + std::marker::Send + 'static,
    ) -> Self {
        self.stop = Some(Box::new(stop));
        self
    }

    /// Makes batches of all rows that are in none yet; those made.
    ///
    /// Batches whose making was cut short are made first. Without a gateway key a batch keeps the state
    /// [`BatchState::Building`]: its files are made again once there is one, as they hold it.
    ///
    /// # Errors
    /// A malformed key, too little room, another program at it, or what the disk says; what was chosen stays chosen.
    pub fn make_batches(&mut self, clock: &ClockState) -> Result<Vec<Batch>, UploadError> {
        let _lock = self.lock()?;
        let key = match GatewayKey::load(&self.settings.key_file) {
            Ok(key) => Some(key),
            Err(KeyError::Missing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        self.make_room()?;
        let (settings, clock) = (self.settings.batch.clone(), *clock);
        self.store
            .call_blocking(move |database| batch::choose(database, &settings, &clock))?;
        self.at(Arrow::Chosen)?;
        let building = [BatchState::Building];
        let mut batches = self
            .store
            .call_blocking(move |database| batch::in_state(database, &building))?;
        let folder = self.settings.batch.pending_dir.clone();
        if key.is_none() {
            batches.retain(|batch| !batch::is_built(batch, &folder));
        }
        for batch in &mut batches {
            self.watch_end()?;
            match &key {
                Some(key) => self.build(batch, key)?,
                None => self.draft(batch)?,
            }
        }
        Ok(batches)
    }

    /// Takes every batch in scope as far as it goes now, the oldest first, and cleans up.
    ///
    /// A batch that fails waits 10 s, doubling to an hour; the others go on, unless they would fail alike.
    ///
    /// # Errors
    /// No key, another program at it, an unusable server address, the database, or a stop. What concerns one batch is in its outcome.
    pub fn pass(&mut self, scope: Scope) -> Result<Pass, UploadError> {
        let lock = self.lock()?;
        let mut pass = Pass::default();
        self.file_away()?;
        let open = self.open_batches()?;
        let count = open.len();
        if !open.is_empty() && (scope == Scope::All || !is_later(self.quiet_until_ms, self.now())) {
            let key = GatewayKey::load(&self.settings.key_file)?;
            let api = Api::new(&self.settings.api)?;
            for (n, batch) in open.into_iter().enumerate() {
                self.watch_end()?;
                self.watch.progress.set(n as f64 / count as f64);
                if scope == Scope::Due && is_later(batch.next_try_ms, self.now()) {
                    continue;
                }
                let outcome = self.advance(batch, &api, &key, &lock)?;
                let failed_for_all = outcome
                    .error
                    .as_ref()
                    .is_some_and(UploadError::concerns_all);
                pass.outcomes.push(outcome);
                if failed_for_all {
                    self.quiet_until_ms = self.now() + self.back_off(self.silences);
                    self.silences += 1;
                    break;
                }
                self.silences = 0;
                self.quiet_until_ms = 0;
            }
        }
        self.file_away()?;
        pass.evicted = self.clean_up()?;
        let due = self
            .open_batches()?
            .into_iter()
            .map(|b| b.next_try_ms)
            .min();
        let due = due.map(|due| due.max(self.quiet_until_ms));
        pass.next = due.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Ok(pass)
    }

    /// Puts a rejected batch back in the queue; its files are made anew.
    ///
    /// # Errors
    /// [`UploadError::NotRejected`], another program at it, or what the database says.
    pub fn requeue(&mut self, source_ref: &str) -> Result<(), UploadError> {
        // Another program may be moving its files, and would then store what it knows of it.
        let _lock = self.lock()?;
        let wanted = source_ref.to_owned();
        let found = self
            .store
            .call_blocking(move |database| batch::find(database, &wanted))?;
        let Some(mut batch) = found.filter(|batch| batch.state == BatchState::Rejected) else {
            return Err(UploadError::NotRejected(source_ref.to_owned()));
        };
        batch.state = BatchState::Building;
        batch.ticket = None;
        batch.filed = false;
        batch.done_ms = None;
        batch.sent_ms = None;
        self.calm(&mut batch);
        self.save(&batch)
    }

    /// Counts the rows that are in no batch as uploaded ([`batch::mark_sent`]); how many.
    ///
    /// # Errors
    /// Another program at it, or what the database says.
    pub fn mark_sent(&mut self) -> Result<u64, UploadError> {
        let _lock = self.lock()?;
        let now = self.clock.utc();
        Ok(self
            .store
            .call_blocking(move |database| batch::mark_sent(database, now))?)
    }

    /// Every batch that is not at its end, oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn open_batches(&self) -> Result<Vec<Batch>, UploadError> {
        let open: Vec<BatchState> = BatchState::ALL
            .into_iter()
            .filter(|state| !state.is_final())
            .collect();
        Ok(self
            .store
            .call_blocking(move |database| batch::in_state(database, &open))?)
    }

    fn advance(
        &mut self,
        mut batch: Batch,
        api: &Api,
        key: &GatewayKey,
        lock: &Lock,
    ) -> Result<Outcome, UploadError> {
        loop {
            let error = match self.step(&mut batch, api, key, lock) {
                Ok(Next::Again) => {
                    self.watch_end()?;
                    continue;
                }
                Ok(Next::Done) => None,
                Ok(Next::Wait(ms)) => {
                    batch.attempts += 1;
                    batch.next_try_ms = self.now() + ms;
                    batch.last_error = None;
                    self.save(&batch)?;
                    None
                }
                Err(error) if error.is_end() => return Err(error),
                Err(error) => {
                    // What concerns all keeps all waiting: the oldest must not lose its place.
                    if !error.concerns_all() {
                        let wait = self.back_off(batch.attempts);
                        batch.attempts += 1;
                        batch.next_try_ms = self.now() + wait;
                    }
                    let failure = crate::base::error::Failure::from_error(error.kind(), &error);
                    tracing::warn!("batch {}: {failure}", batch.source_ref);
                    batch.last_error = Some(failure.message);
                    self.save(&batch)?;
                    Some(error)
                }
            };
            return Ok(Outcome { batch, error });
        }
    }

    /// Keeps other programs out. The system lets go of it however this process ends.
    fn lock(&self) -> Result<Lock, UploadError> {
        let folder = &self.settings.ssh_dir;
        let path = folder.join("lock");
        let failed = |source: std::io::Error| UploadError::File {
            path: path.clone(),
            source,
        };
        make_private(folder).map_err(failed)?;
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(Errno::WOULDBLOCK) => Err(UploadError::Busy),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    pub(super) fn save(&self, batch: &Batch) -> Result<(), UploadError> {
        let batch = batch.clone();
        Ok(self
            .store
            .call_blocking(move |database| save(database, &batch))?)
    }

    /// Ends the run where that is wanted.
    fn watch_end(&self) -> Result<(), UploadError> {
        match self.watch.progress.is_aborted() {
            true => Err(UploadError::Aborted),
            false => Ok(()),
        }
    }

    /// Tells the watcher; what does not fit is not told.
    pub(super) fn tell(&self, exchange: impl FnOnce() -> Exchange) {
        if let Some(exchanges) = &self.watch.exchanges {
            let _ = exchanges.try_send(exchange());
        }
    }

    pub(super) fn at(&mut self, arrow: Arrow) -> Result<(), UploadError> {
        tracing::debug!(target: ARROWS, "{arrow:?}");
        let stops = match &mut self.stop {
            Some(stop) => stop(arrow),
            None => false,
        };
        if stops {
            return Err(UploadError::Stopped(arrow));
        }
        Ok(())
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.utc().as_millisecond()
    }

    fn back_off(&mut self, failures: i64) -> i64 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        let doublings = u32::try_from(failures.clamp(0, 16)).unwrap_or(0);
        let step = (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS);
        let jitter = (self.noise % 256) as i64;
        step - step * jitter / 1024
    }
}

/// Whether `due` is still ahead. More than any wait ahead, it shows a clock that was set back, and is not believed.
fn is_later(due_ms: i64, now_ms: i64) -> bool {
    (1..=LONGEST_WAIT_MS).contains(&due_ms.saturating_sub(now_ms))
}
