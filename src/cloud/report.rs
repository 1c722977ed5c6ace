//! What `PARTicle:UPLoad:STATe?` and `outpost cloud` tell.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::error::Failure;
use crate::store::batch::{self, Batch, BatchState};
use crate::store::readings::{Database, ReadingsError};
use crate::store::upload::{GatewayKey, Outcome, Pass, UploadError, UploadSettings};

/// Rejected batches named at most.
const REJECTED_SHOWN: usize = 32;

/// Batches and uploads at a moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Whether they run on schedule.
    pub enabled: bool,
    /// Whether there is a gateway key.
    pub registered: bool,
    /// The server.
    pub api: String,
    /// What is being done, or `idle`.
    pub activity: String,
    /// Batches that are not at their end, oldest first.
    pub open: Vec<OpenBatch>,
    /// Batches uploaded so far.
    pub uploaded: u64,
    /// Batches that the server did not want.
    pub rejected: u64,
    /// The newest of them by name.
    pub rejected_batches: Vec<String>,
    /// The last time batches were made, since the start.
    pub last_batch: Option<LastBatching>,
    /// The last pass, since the start.
    pub last_pass: Option<LastPass>,
    /// The last batches made by command, since the start; the schedule does not replace them.
    pub commanded_batch: Option<LastBatching>,
    /// The last pass by command, likewise.
    pub commanded_pass: Option<LastPass>,
    /// When batches are made next, UTC.
    pub next_batch: Option<Timestamp>,
    /// When the next pass is due, UTC.
    pub next_upload: Option<Timestamp>,
}

/// A batch that is not at its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenBatch {
    /// Its name.
    pub source_ref: String,
    /// Whose readings.
    pub gadget_id: Option<String>,
    /// Number of its first row.
    pub first_rdg: i64,
    /// Number of its last row.
    pub last_rdg: i64,
    /// Rows in it.
    pub rows: i64,
    /// How far it has come, as a word.
    pub state: String,
    /// Failures in a row.
    pub attempts: i64,
    /// Not before this time again, UTC.
    pub next_try: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was chosen, UTC.
    pub created: Timestamp,
}

/// What a making of batches gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastBatching {
    /// When, UTC.
    pub time: Timestamp,
    /// The job it was; `None` on schedule.
    pub job: Option<u32>,
    /// What was made.
    pub made: Vec<MadeBatch>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A batch made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeBatch {
    /// Its zip file, which holds the table as `<name>.csv`.
    pub path: String,
    /// Whose readings.
    pub gadget_id: Option<String>,
    /// Rows in it.
    pub rows: i64,
}

/// What a pass did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastPass {
    /// When it ended, UTC.
    pub time: Timestamp,
    /// The job it was; `None` on schedule.
    pub job: Option<u32>,
    /// What became of the batches it worked on, in order.
    pub batches: Vec<UploadedBatch>,
    /// Why the pass as a whole failed.
    pub error: Option<String>,
}

/// What became of a batch in a pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadedBatch {
    /// Its name.
    pub source_ref: String,
    /// Whose readings.
    pub gadget_id: Option<String>,
    /// Rows in it.
    pub rows: i64,
    /// How far it has come, as a word.
    pub state: String,
    /// Why it did not get on.
    pub error: Option<String>,
}

/// What the database tells.
#[derive(Debug, Default)]
pub struct Survey {
    open: Vec<Batch>,
    pub(super) uploaded: u64,
    pub(super) rejected: u64,
    rejected_batches: Vec<String>,
}

/// What only the running station knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) activity: Option<&'static str>,
    pub(super) last_batch: Option<LastBatching>,
    pub(super) last_pass: Option<LastPass>,
    pub(super) commanded_batch: Option<LastBatching>,
    pub(super) commanded_pass: Option<LastPass>,
    pub(super) next_batch: Option<Timestamp>,
    pub(super) next_upload: Option<Timestamp>,
}

impl Survey {
    /// Asks the database.
    ///
    /// # Errors
    /// What it says.
    pub fn take(database: &mut Database) -> Result<Self, ReadingsError> {
        let open: Vec<BatchState> = BatchState::ALL
            .into_iter()
            .filter(|state| !state.is_final())
            .collect();
        let mut survey = Survey {
            open: batch::in_state(database, &open)?,
            ..Survey::default()
        };
        for (state, n) in batch::counts(database)? {
            match state {
                BatchState::Uploaded => survey.uploaded = n,
                BatchState::Rejected => survey.rejected = n,
                _ => {}
            }
        }
        if survey.rejected > 0 {
            let rejected = batch::in_state(database, &[BatchState::Rejected])?;
            let newest = rejected.into_iter().rev().take(REJECTED_SHOWN);
            survey.rejected_batches = newest.map(|batch| batch.source_ref).collect();
        }
        Ok(survey)
    }

    /// Batches that are not at their end.
    pub(super) fn pending(&self) -> u64 {
        self.open.len() as u64
    }
}

impl Report {
    pub(super) fn new(
        enabled: bool,
        upload: &UploadSettings,
        survey: Survey,
        state: &State,
    ) -> Self {
        Report {
            enabled,
            registered: GatewayKey::load(&upload.key_file).is_ok(),
            api: upload.api.api.clone(),
            activity: state.activity.unwrap_or("idle").to_owned(),
            open: survey.open.iter().map(OpenBatch::new).collect(),
            uploaded: survey.uploaded,
            rejected: survey.rejected,
            rejected_batches: survey.rejected_batches,
            last_batch: state.last_batch.clone(),
            last_pass: state.last_pass.clone(),
            commanded_batch: state.commanded_batch.clone(),
            commanded_pass: state.commanded_pass.clone(),
            next_batch: state.next_batch,
            next_upload: state.next_upload,
        }
    }

    /// What is known where no station runs.
    pub fn at_rest(enabled: bool, upload: &UploadSettings, survey: Survey) -> Self {
        Self::new(enabled, upload, survey, &State::default())
    }
}

impl OpenBatch {
    fn new(batch: &Batch) -> Self {
        let time = |ms| Timestamp::from_millisecond(ms).ok();
        OpenBatch {
            source_ref: batch.source_ref.clone(),
            gadget_id: batch.gadget_id.clone(),
            first_rdg: batch.first_rdg,
            last_rdg: batch.last_rdg,
            rows: batch.n_rows,
            state: batch.state.word().to_owned(),
            attempts: batch.attempts,
            next_try: (batch.next_try_ms > 0)
                .then(|| time(batch.next_try_ms))
                .flatten(),
            last_error: batch.last_error.clone(),
            created: time(batch.created_ms).unwrap_or_default(),
        }
    }
}

impl LastBatching {
    /// What came of making batches.
    pub fn new(
        time: Timestamp,
        settings: &UploadSettings,
        result: &Result<Vec<Batch>, UploadError>,
    ) -> Self {
        let folder = &settings.batch.pending_dir;
        let made = |batch: &Batch| MadeBatch {
            path: folder.join(batch.zip_name()).display().to_string(),
            gadget_id: batch.gadget_id.clone(),
            rows: batch.n_rows,
        };
        LastBatching {
            time,
            job: None,
            made: result.iter().flatten().map(made).collect(),
            error: result.as_ref().err().map(|error| failure(error).message),
        }
    }
}

impl LastPass {
    /// What came of a pass.
    pub fn new(time: Timestamp, result: &Result<Pass, UploadError>) -> Self {
        let batches = match result {
            Ok(pass) => pass.outcomes.iter().map(UploadedBatch::new).collect(),
            Err(_) => Vec::new(),
        };
        LastPass {
            time,
            job: None,
            batches,
            error: result.as_ref().err().map(|error| failure(error).message),
        }
    }
}

impl UploadedBatch {
    fn new(outcome: &Outcome) -> Self {
        let batch = &outcome.batch;
        let rejected = batch.state == BatchState::Rejected;
        let error = outcome.error.as_ref().map(|error| failure(error).message);
        UploadedBatch {
            source_ref: batch.source_ref.clone(),
            gadget_id: batch.gadget_id.clone(),
            rows: batch.n_rows,
            state: batch.state.word().to_owned(),
            error: error.or_else(|| batch.last_error.clone().filter(|_| rejected)),
        }
    }
}

pub(super) fn failure(error: &UploadError) -> Failure {
    Failure::from_error(error.kind(), error)
}
