//! SCPI and the FE-PyCam2 dialect as bytes and plain structs: no sockets, files, tasks or clocks.
//!
//! | step | module |
//! |---|---|
//! | bytes to messages | [`framing`] (port 5025), [`dual`] (port 5060) |
//! | message to units, headers and parameters | [`grammar`], [`token`] |
//! | header to command | [`tree`], over tables of [`command::Command`] |
//! | parameters to typed, checked values | [`args`] |
//! | registers and error queue of one connection | [`status`], [`error`] |
//! | values to response bytes | [`reply`] |
//! | messages of the FE-PyCam2 dialect | [`legacy`] |
//! | the texts made of the command table | [`help`] |
//!
//! A session feeds a framer, walks [`grammar::units`], resolves each header with [`tree::Tree::find`], checks its
//! parameters with [`args::check`], and has the handler write into a [`reply::Reply`].

pub mod args;
pub mod command;
pub mod dual;
pub mod error;
pub mod framing;
pub mod grammar;
pub mod help;
pub mod legacy;
pub mod reply;
mod scan;
pub mod status;
pub mod token;
pub mod tree;

pub use args::{Args, check};
pub use command::{Command, Kind, Limit, Need, NumericRange, Param, Range, Unit};
pub use error::Error;
pub use reply::Reply;
pub use status::Status;
pub use tree::Tree;

/// White space between the parts of a message: space, TAB and CR. Other control bytes are errors, not blanks.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}
