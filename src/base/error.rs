//! The few kinds of failure that leave an instrument.
//!
//! Modules have error enums of their own; at their edge each maps to a [`Kind`]. SCPI numbers, legacy replies and
//! health states are computed from the kind alone.

use std::fmt;

/// What sort of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The device did not answer in time.
    TimedOut,
    /// The device answered wrongly or failed.
    Hardware,
    /// The device is absent, switched off, or not in the board profile.
    Absent,
    /// Somebody else's operation is in the way.
    Busy,
    /// A word or name that is not allowed.
    InvalidArgument,
    /// A number outside its range.
    OutOfRange,
    /// Legal alone, not with the present settings.
    Conflict,
    /// No usable data yet.
    NoData,
    /// No room on the RAM disk or card.
    Full,
    /// No such file.
    NotFound,
    /// A file name that is malformed or leads outside its folder.
    BadName,
    /// A folder or file that cannot be written.
    ReadOnly,
    /// Any other trouble with files.
    Storage,
    /// No memory, or no room in a bounded queue.
    OutOfMemory,
    /// A calibration failed.
    Calibration,
    /// The user ended it.
    Aborted,
    /// This session may not do that.
    Protected,
    /// A bug in Outpost.
    Internal,
}

/// A failure as it crosses an instrument's edge: its kind and a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides number, reply and health state.
    pub kind: Kind,
    /// Cause, lower case, without full stop.
    pub message: String,
}

impl Failure {
    /// A failure of this kind with its cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A failure from a module's error, its sources appended after colons.
    pub fn from_error(kind: Kind, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { kind, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
