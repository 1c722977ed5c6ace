//! What an uploader is told, and what it tells.

use std::path::PathBuf;

use jiff::Timestamp;
use smol::channel::Sender;

use super::{ApiSettings, ScpMode, UploadError};
use crate::base::jobs::Progress;
use crate::store::batch::{Batch, BatchSettings, BatchState};

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
    /// Folder of `scp`'s own files ([`OpenSsh`](super::OpenSsh)) and of the lock that keeps other programs out.
    pub ssh_dir: PathBuf,
    /// Which protocol `scp` speaks.
    pub scp: ScpMode,
    /// Delete the files after the upload instead of moving them.
    pub delete_batch_on_upload: bool,
    /// Delete the readings of uploaded batches, [`UploadSettings::retention_days`] after the upload.
    pub delete_readings: bool,
    /// How long uploaded files are kept, days; 0 = for ever.
    pub retention_days: u32,
    /// Bytes that stay free where the files are: uploaded ones make room, oldest first, and batches wait.
    pub reserve_bytes: u64,
}

/// What an uploader said to the server, or heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// A request, without keys and passwords.
    Asked(String),
    /// The answer, in short.
    Heard(String),
}

/// Who watches an uploader at work.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Told how far a pass has come; asked whether it should end.
    pub progress: Progress,
    /// Gets every exchange that fits.
    pub exchanges: Option<Sender<Exchange>>,
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
    /// Uploaded files deleted because room ran short.
    pub evicted: u64,
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
