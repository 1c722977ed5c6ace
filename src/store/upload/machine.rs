//! The state machine.

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;

use super::{
    Api, ApiError, ApiSettings, Delivery, GatewayKey, OpenSsh, ScpMode, SendError, Status,
    UploadError,
};
use crate::base::clock::Clock;
use crate::store::batch::{self, Batch, BatchSettings, BatchState, is_built, request_form, save};
use crate::store::readings::{ClockState, StoreHandle};

const FIRST_WAIT_MS: i64 = 10_000;
const LONGEST_WAIT_MS: i64 = 3_600_000;
/// After the first question, which comes at once.
const POLL_MS: [i64; 3] = [5_000, 10_000, 30_000];
const SLOW_POLL_MS: i64 = 300_000;
const DAY_MS: i64 = 24 * 3_600_000;
/// A password is not used in its last half minute.
const TICKET_MARGIN_MS: i64 = 30_000;
/// A ticket that seems to last longer than any does shows a clock that was set back.
const LONGEST_TICKET_MS: i64 = 660_000;

/// A place between two steps, where a run may end. In the order of a batch's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrow {
    /// Rows chosen, no file yet.
    Chosen,
    /// Files made, not recorded.
    Built,
    /// Recorded as ready.
    Ready,
    /// The server gave a ticket, not recorded.
    Ticket,
    /// The ticket is recorded.
    Requested,
    /// Recorded as sending, nothing sent.
    Sending,
    /// The file was sent, not recorded.
    Delivered,
    /// Recorded as sent.
    Sent,
    /// The server told the end, not recorded.
    Told,
    /// The end is recorded, the files not moved.
    Ended,
    /// The files are moved, not recorded.
    Moved,
}

impl Arrow {
    /// All of them.
    pub const ALL: [Arrow; 11] = [
        Arrow::Chosen,
        Arrow::Built,
        Arrow::Ready,
        Arrow::Ticket,
        Arrow::Requested,
        Arrow::Sending,
        Arrow::Delivered,
        Arrow::Sent,
        Arrow::Told,
        Arrow::Ended,
        Arrow::Moved,
    ];
}

/// Which batches a pass works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those whose time has come.
    Due,
    /// All that are not at their end: somebody asked.
    All,
}

/// How batches are made and uploaded.
#[derive(Debug, Clone)]
pub struct UploadSettings {
    /// The server's interface.
    pub api: ApiSettings,
    /// The gateway key's file.
    pub key_file: PathBuf,
    /// How batches are made.
    pub batch: BatchSettings,
    /// Where files go after their upload.
    pub uploaded_dir: PathBuf,
    /// Where files go that the server does not want.
    pub rejected_dir: PathBuf,
    /// Folder of `scp`'s own files: see [`OpenSsh`].
    pub ssh_dir: PathBuf,
    /// Which protocol `scp` speaks.
    pub scp: ScpMode,
    /// Delete the files after the upload instead of moving them.
    pub delete_batch_on_upload: bool,
    /// Delete the readings of uploaded batches, [`UploadSettings::retention_days`] after the upload.
    pub delete_readings: bool,
    /// How long uploaded files are kept, days; 0 = for ever.
    pub retention_days: u32,
}

/// What became of one batch in a pass.
#[derive(Debug)]
pub struct Outcome {
    /// The batch as it is now.
    pub batch: Batch,
    /// Why it did not get on.
    pub error: Option<UploadError>,
}

/// What a pass did.
#[derive(Debug, Default)]
pub struct Pass {
    /// The batches it worked on, in order.
    pub outcomes: Vec<Outcome>,
    /// When the next pass is due, UTC; `None` when no batch waits.
    pub next: Option<Timestamp>,
}

impl Pass {
    /// Whether any batch failed or was rejected.
    pub fn has_failures(&self) -> bool {
        self.outcomes
            .iter()
            .any(|outcome| outcome.error.is_some() || outcome.batch.state == BatchState::Rejected)
    }
}

type Send = Box<dyn FnMut(&Delivery<'_>) -> Result<(), SendError> + std::marker::Send>;
type Stop = Box<dyn FnMut(Arrow) -> bool + std::marker::Send>;

/// The uploader. One at a time for a database; what it knows is in there.
pub struct Uploader {
    pub(super) settings: UploadSettings,
    pub(super) store: StoreHandle,
    clock: Clock,
    send: Send,
    stop: Option<Stop>,
    noise: u64,
    /// Nobody is tried before: the server did not answer.
    quiet_until_ms: i64,
    silences: i64,
}

enum Next {
    /// Go on at once.
    Again,
    /// Look again later; nothing is wrong.
    Wait(i64),
    /// At its end.
    Done,
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
    /// Batches whose making was cut short are made first.
    ///
    /// # Errors
    /// No key, or what the disk says; what was chosen stays chosen.
    pub fn make_batches(&mut self, clock: &ClockState) -> Result<Vec<Batch>, UploadError> {
        let key = GatewayKey::load(&self.settings.key_file)?;
        let (settings, clock) = (self.settings.batch.clone(), *clock);
        self.store
            .call_blocking(move |database| batch::choose(database, &settings, &clock))?;
        self.at(Arrow::Chosen)?;
        let building = [BatchState::Building];
        let mut batches = self
            .store
            .call_blocking(move |database| batch::in_state(database, &building))?;
        for batch in &mut batches {
            self.build(batch, &key)?;
        }
        Ok(batches)
    }

    /// Takes every batch in scope as far as it goes now, the oldest first, and cleans up.
    ///
    /// A batch that fails waits 10 s, doubling to an hour; the others go on, unless they would fail alike.
    ///
    /// # Errors
    /// No key, an unusable server address, the database, or a stop. What concerns one batch is in its outcome.
    pub fn pass(&mut self, scope: Scope) -> Result<Pass, UploadError> {
        let mut pass = Pass::default();
        self.file_away()?;
        let open = self.open_batches()?;
        if !open.is_empty() && (scope == Scope::All || !is_later(self.quiet_until_ms, self.now())) {
            let key = GatewayKey::load(&self.settings.key_file)?;
            let api = Api::new(&self.settings.api)?;
            for batch in open {
                if scope == Scope::Due && is_later(batch.next_try_ms, self.now()) {
                    continue;
                }
                let outcome = self.advance(batch, &api, &key)?;
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
        self.clean_up()?;
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
    /// [`UploadError::NotRejected`], or what the database says.
    pub fn requeue(&mut self, source_ref: &str) -> Result<(), UploadError> {
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
    ) -> Result<Outcome, UploadError> {
        loop {
            let error = match self.step(&mut batch, api, key) {
                Ok(Next::Again) => continue,
                Ok(Next::Done) => None,
                Ok(Next::Wait(ms)) => {
                    batch.attempts += 1;
                    batch.next_try_ms = self.now() + ms;
                    batch.last_error = None;
                    self.save(&batch)?;
                    None
                }
                Err(error @ UploadError::Stopped(_)) => return Err(error),
                Err(error) => {
                    let wait = self.back_off(batch.attempts);
                    batch.attempts += 1;
                    batch.next_try_ms = self.now() + wait;
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

    fn step(
        &mut self,
        batch: &mut Batch,
        api: &Api,
        key: &GatewayKey,
    ) -> Result<Next, UploadError> {
        match batch.state {
            BatchState::Building => self.build(batch, key).map(|()| Next::Again),
            BatchState::Ready => self.request(batch, api, key),
            BatchState::Requested => self.deliver(batch, key),
            BatchState::Sending => self.resolve_doubt(batch, api, key),
            BatchState::Sent => self.confirm(batch, api, key),
            BatchState::Uploaded | BatchState::Rejected => Ok(Next::Done),
        }
    }

    fn build(&mut self, batch: &mut Batch, key: &GatewayKey) -> Result<(), UploadError> {
        batch::build(&self.store, batch, &self.settings.batch, key.expose())?;
        self.at(Arrow::Built)?;
        batch.state = BatchState::Ready;
        self.calm(batch);
        self.save(batch)?;
        self.at(Arrow::Ready)
    }

    fn request(
        &mut self,
        batch: &mut Batch,
        api: &Api,
        key: &GatewayKey,
    ) -> Result<Next, UploadError> {
        if !is_built(batch, &self.settings.batch.pending_dir) {
            batch.state = BatchState::Building;
            return Ok(Next::Again);
        }
        // An older ticket may have been used, and the file arrived late.
        let mut word = String::new();
        if let Some(ticket) = &batch.ticket {
            match api.status(key, &ticket.batchid)? {
                Status::Unknown(said) => word = said,
                status => return self.end(batch, &status),
            }
        }
        let form = request_form(batch, &self.settings.batch, key.expose());
        match api.request(key, &form, self.now()) {
            Ok(ticket) => {
                self.at(Arrow::Ticket)?;
                batch.ticket = Some(ticket);
                batch.state = BatchState::Requested;
                self.calm(batch);
                self.save(batch)?;
                self.at(Arrow::Requested)?;
                Ok(Next::Again)
            }
            Err(ApiError::Refused { code: 409, .. }) if self.is_recent(batch) => {
                Err(UploadError::Announced(word))
            }
            Err(ApiError::Refused { code: 409, .. }) => self.rename(batch),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the batch's last ticket expired less than an hour ago, so that its file may yet show up.
    fn is_recent(&self, batch: &Batch) -> bool {
        let since = batch
            .ticket
            .as_ref()
            .map(|ticket| self.now() - ticket.until_ms);
        since.is_some_and(|since| since < LONGEST_WAIT_MS)
    }

    /// The server has had this name announced and takes it no second time. Either its answer was lost, so nothing
    /// can have been sent under it, or the ticket is long out of use and the server has no file of it: the batch
    /// gets another name.
    fn rename(&mut self, batch: &mut Batch) -> Result<Next, UploadError> {
        let (base, number) = match batch.source_ref.rsplit_once('-') {
            Some((base, digits)) if base.contains('_') => {
                (base.to_owned(), digits.parse().unwrap_or(1_u32))
            }
            _ => (batch.source_ref.clone(), 1),
        };
        for name in [batch.zip_name(), batch.yaml_name()] {
            // Left behind, they take room and nothing else.
            let _ = fs::remove_file(self.settings.batch.pending_dir.join(name));
        }
        batch.source_ref = format!("{base}-{}", number.saturating_add(1));
        batch.ticket = None;
        batch.state = BatchState::Building;
        self.save(batch)?;
        Ok(Next::Again)
    }

    fn deliver(&mut self, batch: &mut Batch, key: &GatewayKey) -> Result<Next, UploadError> {
        let Some(ticket) = batch.ticket.clone().filter(|t| self.is_good(t.until_ms)) else {
            // Never used: nothing to ask.
            batch.ticket = None;
            batch.state = BatchState::Ready;
            return Ok(Next::Again);
        };
        if !is_built(batch, &self.settings.batch.pending_dir) {
            batch.ticket = None;
            batch.state = BatchState::Building;
            return Ok(Next::Again);
        }
        batch.state = BatchState::Sending;
        self.save(batch)?;
        self.at(Arrow::Sending)?;
        let file = self.link(batch, &ticket.batchid)?;
        let inbox = format!("{}/inbox/", key.expose());
        let folder = match ticket.destination.ends_with(&format!("/{inbox}")) {
            true => ticket.destination.clone(),
            false => format!("{}{inbox}", ticket.destination),
        };
        let sent = (self.send)(&Delivery {
            file: &file,
            ticket: &ticket,
            user: key.expose(),
            folder: &folder,
        });
        // One left behind is swept at the next delivery of the same batch.
        let _ = fs::remove_file(&file);
        if matches!(sent, Err(SendError::PasswordRefused))
            && let Some(ticket) = &mut batch.ticket
        {
            ticket.until_ms = self.clock.utc().as_millisecond();
        }
        sent?;
        self.at(Arrow::Delivered)?;
        batch.state = BatchState::Sent;
        batch.sent_ms = Some(self.now());
        self.calm(batch);
        self.save(batch)?;
        self.at(Arrow::Sent)?;
        Ok(Next::Again)
    }

    /// The file may have arrived. Asks; sends again under the same ticket only when the server does not have it.
    fn resolve_doubt(
        &mut self,
        batch: &mut Batch,
        api: &Api,
        key: &GatewayKey,
    ) -> Result<Next, UploadError> {
        let Some(ticket) = batch.ticket.clone() else {
            batch.state = BatchState::Ready;
            return Ok(Next::Again);
        };
        let expired = !self.is_good(ticket.until_ms);
        match api.status(key, &ticket.batchid)? {
            Status::Unknown(_) if expired => batch.state = BatchState::Ready,
            Status::Unknown(_) if is_built(batch, &self.settings.batch.pending_dir) => {
                batch.state = BatchState::Requested;
            }
            // Without its file, it starts over once this ticket can no longer be in use.
            Status::Unknown(_) => return Ok(Next::Wait(ticket.until_ms - self.now() + 1000)),
            status => return self.end(batch, &status),
        }
        Ok(Next::Again)
    }

    fn confirm(
        &mut self,
        batch: &mut Batch,
        api: &Api,
        key: &GatewayKey,
    ) -> Result<Next, UploadError> {
        let Some(ticket) = &batch.ticket else {
            batch.state = BatchState::Ready;
            return Ok(Next::Again);
        };
        match api.status(key, &ticket.batchid)? {
            Status::Unknown(word) => {
                let waited = self.now() - batch.sent_ms.unwrap_or(batch.created_ms);
                if waited > DAY_MS {
                    let hours = waited / 3_600_000;
                    return Err(UploadError::Unconfirmed { hours, word });
                }
                let poll = usize::try_from(batch.attempts).ok();
                let wait = poll.and_then(|n| POLL_MS.get(n));
                Ok(Next::Wait(wait.copied().unwrap_or(SLOW_POLL_MS)))
            }
            status => self.end(batch, &status),
        }
    }

    fn end(&mut self, batch: &mut Batch, status: &Status) -> Result<Next, UploadError> {
        self.at(Arrow::Told)?;
        batch.state = match status {
            Status::Rejected => BatchState::Rejected,
            _ => BatchState::Uploaded,
        };
        batch.done_ms = Some(self.now());
        batch.filed = false;
        self.calm(batch);
        if batch.state == BatchState::Rejected {
            batch.last_error = Some("rejected by the server".into());
        }
        self.save(batch)?;
        self.at(Arrow::Ended)?;
        Ok(Next::Done)
    }

    fn calm(&self, batch: &mut Batch) {
        batch.attempts = 0;
        batch.next_try_ms = 0;
        batch.last_error = None;
    }

    pub(super) fn save(&self, batch: &Batch) -> Result<(), UploadError> {
        let batch = batch.clone();
        Ok(self
            .store
            .call_blocking(move |database| save(database, &batch))?)
    }

    pub(super) fn at(&mut self, arrow: Arrow) -> Result<(), UploadError> {
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

    fn is_good(&self, until_ms: i64) -> bool {
        let left = until_ms.saturating_sub(self.now());
        (TICKET_MARGIN_MS..=LONGEST_TICKET_MS).contains(&left)
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
