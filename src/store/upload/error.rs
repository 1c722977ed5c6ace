//! Why an upload did not get on.

use std::path::PathBuf;

use super::Arrow;
use crate::base::error::Kind;
use crate::store::batch::BatchError;
use crate::store::readings::ReadingsError;

/// Why the gateway key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No file: the station is not registered.
    #[error("no gateway key in {}; register first", .0.display())]
    Missing(PathBuf),
    /// Not 20 letters and digits.
    #[error(
        "the gateway key has {0} characters, or unusual ones; it should be 20 letters and digits"
    )]
    Malformed(usize),
    /// The file cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why the server's interface gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Plain http to a machine that is not this one.
    #[error("{0} is not encrypted; use https, or set allow_http")]
    Insecure(String),
    /// No usable address.
    #[error("no server address: {0:?}")]
    Address(String),
    /// The certificate file is no use.
    #[error("no certificates in {}", .0.display())]
    Certificates(PathBuf),
    /// No answer in time.
    #[error("the server did not answer within {0} s")]
    TimedOut(f64),
    /// Its certificate is not trusted, or no encryption can be agreed on.
    #[error("no secure connection to the server: {0}")]
    Tls(String),
    /// No connection, or a broken answer.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Box<ureq::Error>),
    /// An answer other than 200.
    #[error("the server answered {code} {reason}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Its usual text.
        reason: String,
    },
    /// An answer that is not what was agreed.
    #[error("the server's answer makes no sense: {0}")]
    BadReply(String),
}

/// Why a file was not sent, as far as this side knows.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The key of the host is not the one seen before.
    #[error("the SSH host key of {domain} has changed; if that is meant, remove it from {}", known_hosts.display())]
    HostKeyChanged {
        /// The host.
        domain: String,
        /// Where its key is kept.
        known_hosts: PathBuf,
    },
    /// The password is wrong or has expired.
    #[error("the SSH server refused the password")]
    PasswordRefused,
    /// It took too long.
    #[error("sending took more than {0} s")]
    TimedOut(u64),
    /// Another failure, in the program's own words.
    #[error("scp failed: {0}")]
    Failed(String),
    /// The station wanted it ended.
    #[error("ended before the file was sent")]
    Aborted,
    /// The program could not be run, or its files not be prepared.
    #[error("cannot run scp")]
    Program(#[source] std::io::Error),
}

/// Why an upload did not get on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The gateway key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The files or the database.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The server's interface.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The file's way.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A file could not be moved or linked.
    #[error("cannot move {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server took the file long ago and does not say what became of it.
    #[error("sent {hours} hours ago, but the server says only {word:?}")]
    Unconfirmed {
        /// Since it was taken.
        hours: i64,
        /// The server's word.
        word: String,
    },
    /// The server knows the batch already and not what became of it.
    #[error("the server has had this batch announced before and says only {0:?} of it")]
    Announced(String),
    /// Another program has the uploads in hand.
    #[error("another program makes or uploads batches at the moment")]
    Busy,
    /// There is no such batch, or it is not rejected.
    #[error("{0} is not a rejected batch")]
    NotRejected(String),
    /// Too little room for the files of a batch, whose rows wait in the database.
    #[error("{free} bytes are free in {}, of which {reserve} are kept for readings: batches wait", folder.display())]
    NoRoom {
        /// Where the files go.
        folder: PathBuf,
        /// Free there.
        free: u64,
        /// What must stay free.
        reserve: u64,
    },
    /// The station or the user wanted it ended; it goes on from there the next time.
    #[error("ended on request")]
    Aborted,
    /// Stopped here on purpose.
    #[error("stopped at {0:?}")]
    Stopped(Arrow),
}

impl From<ReadingsError> for UploadError {
    fn from(error: ReadingsError) -> Self {
        UploadError::Batch(error.into())
    }
}

impl UploadError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            UploadError::Key(KeyError::Missing(_)) => Kind::NotFound,
            UploadError::Batch(error) => error.kind(),
            UploadError::Api(ApiError::Unreachable(_) | ApiError::TimedOut(_)) => Kind::TimedOut,
            UploadError::Api(ApiError::Insecure(_) | ApiError::Address(_)) => Kind::InvalidArgument,
            UploadError::Send(SendError::TimedOut(_)) => Kind::TimedOut,
            UploadError::File { .. } => Kind::Storage,
            UploadError::NotRejected(_) => Kind::NotFound,
            UploadError::Busy => Kind::Busy,
            UploadError::NoRoom { .. } => Kind::Full,
            UploadError::Stopped(_)
            | UploadError::Aborted
            | UploadError::Send(SendError::Aborted) => Kind::Aborted,
            _ => Kind::Hardware,
        }
    }

    /// Whether the run was ended from outside: nothing is wrong with the batch.
    pub(super) fn is_end(&self) -> bool {
        matches!(
            self,
            UploadError::Stopped(_) | UploadError::Aborted | UploadError::Send(SendError::Aborted)
        )
    }

    /// Whether every other batch would fail alike, so that trying them is pointless.
    pub(super) fn concerns_all(&self) -> bool {
        matches!(
            self,
            UploadError::Key(_)
                | UploadError::Api(
                    ApiError::Unreachable(_)
                        | ApiError::TimedOut(_)
                        | ApiError::Tls(_)
                        | ApiError::Certificates(_)
                        | ApiError::Insecure(_)
                        | ApiError::Address(_)
                )
                | UploadError::Send(SendError::HostKeyChanged { .. } | SendError::Program(_))
        )
    }
}
