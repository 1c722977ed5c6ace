//! The state machine, one step a function.

use std::fs;

use super::machine::{LONGEST_WAIT_MS, Lock};
use super::{
    Api, ApiError, Arrow, Delivery, Exchange, GatewayKey, SendError, Status, UploadError, Uploader,
};
use crate::store::batch::{self, Batch, BatchState, Ticket, is_built, request_form};

/// After the first question, which comes at once.
const POLL_MS: [i64; 3] = [5_000, 10_000, 30_000];
const SLOW_POLL_MS: i64 = 300_000;
const DAY_MS: i64 = 24 * 3_600_000;
/// A password is not used in its last half minute.
const TICKET_MARGIN_MS: i64 = 30_000;
/// A ticket that seems to last longer than any does shows a clock that was set back.
const LONGEST_TICKET_MS: i64 = 660_000;

/// What is next for a batch after a step.
pub(super) enum Next {
    /// Go on at once.
    Again,
    /// Look again later; nothing is wrong.
    Wait(i64),
    /// At its end.
    Done,
}

impl Uploader {
    pub(super) fn step(
        &mut self,
        batch: &mut Batch,
        api: &Api,
        key: &GatewayKey,
        lock: &Lock,
    ) -> Result<Next, UploadError> {
        match batch.state {
            BatchState::Building => self.build(batch, key).map(|()| Next::Again),
            BatchState::Ready => self.request(batch, api, key),
            BatchState::Requested => self.deliver(batch, key, lock),
            BatchState::Sending => self.resolve_doubt(batch, api, key, lock),
            BatchState::Sent => self.confirm(batch, api, key),
            BatchState::Uploaded | BatchState::Rejected => Ok(Next::Done),
        }
    }

    /// Makes the files without a key, to be made again.
    pub(super) fn draft(&mut self, batch: &mut Batch) -> Result<(), UploadError> {
        batch::build(&self.store, batch, &self.settings.batch, "")?;
        self.save(batch)
    }

    fn ask_status(&self, api: &Api, key: &GatewayKey, batchid: &str) -> Result<Status, ApiError> {
        // The rest of it is a password.
        let shown = batchid.get(..8).unwrap_or_default();
        self.tell(|| Exchange::Asked(format!("GET /upload_status/{shown}.../")));
        let status = api.status(key, batchid);
        self.tell(|| match &status {
            Ok(status) => Exchange::Heard(format!("{status:?}")),
            Err(error) => Exchange::Heard(error.to_string()),
        });
        status
    }

    fn ask_ticket(
        &self,
        api: &Api,
        key: &GatewayKey,
        form: &[(&'static str, String)],
    ) -> Result<Ticket, ApiError> {
        self.tell(|| {
            let shown = form.iter().filter(|(name, _)| *name != "key");
            let shown: Vec<String> = shown
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            Exchange::Asked(format!("POST /quarantine_request/ {}", shown.join("&")))
        });
        let ticket = api.request(key, form, self.now());
        self.tell(|| match &ticket {
            // The destination may hold the key.
            Ok(ticket) => {
                let (domain, port) = (&ticket.domain, ticket.port);
                Exchange::Heard(format!("leave to send to {domain}:{port}"))
            }
            Err(error) => Exchange::Heard(error.to_string()),
        });
        ticket
    }

    pub(super) fn build(&mut self, batch: &mut Batch, key: &GatewayKey) -> Result<(), UploadError> {
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
            match self.ask_status(api, key, &ticket.batchid)? {
                Status::Unknown(said) => word = said,
                status => return self.end(batch, &status),
            }
        }
        let form = request_form(batch, &self.settings.batch, key.expose());
        match self.ask_ticket(api, key, &form) {
            Ok(ticket) => {
                self.at(Arrow::Ticket)?;
                self.unlink(batch);
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
        self.unlink(batch);
        batch.source_ref = format!("{base}-{}", number.saturating_add(1));
        batch.ticket = None;
        batch.state = BatchState::Building;
        self.save(batch)?;
        Ok(Next::Again)
    }

    fn deliver(
        &mut self,
        batch: &mut Batch,
        key: &GatewayKey,
        lock: &Lock,
    ) -> Result<Next, UploadError> {
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
        self.transmit(batch, &ticket, key, lock)
    }

    /// Sends the file of a batch that is recorded as sending.
    fn transmit(
        &mut self,
        batch: &mut Batch,
        ticket: &Ticket,
        key: &GatewayKey,
        lock: &Lock,
    ) -> Result<Next, UploadError> {
        let file = self.link(batch, &ticket.batchid)?;
        let inbox = format!("{}/inbox/", key.expose());
        let folder = match ticket.destination.ends_with(&format!("/{inbox}")) {
            true => ticket.destination.clone(),
            false => format!("{}{inbox}", ticket.destination),
        };
        self.tell(|| {
            let (domain, port) = (&ticket.domain, ticket.port);
            Exchange::Asked(format!("{} by scp to {domain}:{port}", batch.zip_name()))
        });
        let sent = (self.send)(&Delivery {
            lock: &lock.0,
            progress: &self.watch.progress,
            file: &file,
            ticket,
            user: key.expose(),
            folder: &folder,
        });
        self.tell(|| match &sent {
            Ok(()) => Exchange::Heard("all of it acknowledged".into()),
            Err(error) => Exchange::Heard(error.to_string()),
        });
        // One left behind goes at the next delivery, with another ticket, or at the batch's end.
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

    /// The file may have arrived. Asks; sends again under the same ticket only when the server does not have it. A
    /// ticket that has been used is kept until the server was asked after its end ([`Uploader::request`]).
    fn resolve_doubt(
        &mut self,
        batch: &mut Batch,
        api: &Api,
        key: &GatewayKey,
        lock: &Lock,
    ) -> Result<Next, UploadError> {
        let Some(ticket) = batch.ticket.clone() else {
            batch.state = BatchState::Ready;
            return Ok(Next::Again);
        };
        match self.ask_status(api, key, &ticket.batchid)? {
            // By the time of the answer, which may have taken long.
            Status::Unknown(_) if !self.is_good(ticket.until_ms) => {
                batch.state = BatchState::Ready;
                Ok(Next::Again)
            }
            Status::Unknown(_) if is_built(batch, &self.settings.batch.pending_dir) => {
                self.transmit(batch, &ticket, key, lock)
            }
            // Without its file, it starts over once this ticket can no longer be in use.
            Status::Unknown(_) => Ok(Next::Wait(ticket.until_ms - self.now() + 1000)),
            status => self.end(batch, &status),
        }
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
        match self.ask_status(api, key, &ticket.batchid)? {
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

    pub(super) fn calm(&self, batch: &mut Batch) {
        batch.attempts = 0;
        batch.next_try_ms = 0;
        batch.last_error = None;
    }

    fn is_good(&self, until_ms: i64) -> bool {
        let left = until_ms.saturating_sub(self.now());
        (TICKET_MARGIN_MS..=LONGEST_TICKET_MS).contains(&left)
    }
}
