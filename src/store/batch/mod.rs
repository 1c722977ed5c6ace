//! Batches: which rows go together, and the files made of them.
//!
//! A batch is a record in table `upload_batches` and two files in the folder of pending batches, whose names begin
//! with its `source_ref`, `<created, UTC: YYYY-MM-DD_HH:MM>_<number>` (`tinycloud` reference, section 3):
//!
//! | file | holds |
//! |---|---|
//! | `<source_ref>.zip` | `<source_ref>.csv` (the 45 column names, then the rows; CRLF) and `<source_ref>.yaml` (what they are), stored without compression |
//! | `<source_ref>.yaml` | the form that announces the batch |
//!
//! The same rows always give the same bytes, so a batch whose making was cut short is simply made again.

mod build;
mod choose;
mod csv;
mod error;
mod ledger;
mod yaml;

pub use build::{BatchSettings, build, is_built};
pub use choose::{choose, mark_sent};
pub use error::BatchError;
pub use ledger::{
    Batch, BatchState, Ticket, counts, find, in_state, newest, save, unfiled, uploaded_before,
    with_readings,
};

pub(in crate::store) use build::{request_form, sync_folder, write_synced};
