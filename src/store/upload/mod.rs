//! From pending batches to a server that has each reading once (`tinycloud` reference, sections 4, 5 and 9).
//!
//! ```text
//! building -> ready -> requested -> sending -> sent -> uploaded | rejected
//!               ^                      |
//!               +---- doubt: ask ------+
//! ```
//!
//! Every arrow is stored before what follows it is done, so a run that ends anywhere is taken up where it was. A
//! batch that may have been sent is never sent again before the server has been asked for it.
//!
//! Everything here blocks and belongs on the blocking pool, one call at a time.

mod error;
mod files;
mod http;
mod key;
mod machine;
mod plan;
mod scp;
mod steps;

pub use error::{ApiError, KeyError, SendError, UploadError};
pub use http::{Api, ApiSettings, Status};
pub use key::GatewayKey;
pub use machine::Uploader;
pub use plan::{Arrow, Exchange, Outcome, Pass, Scope, UploadSettings, Watch};
pub use scp::{Delivery, OpenSsh, ScpMode};

use std::path::Path;

/// Under this name the log tells at level `debug` which [`Arrow`] is passed.
pub const ARROWS: &str = "outpost::upload::arrows";

/// Registers the station: exchanges `pin` for a gateway key and keeps it in `key_file`.
///
/// # Errors
/// What the server or the disk says.
pub fn register(
    api: &Api,
    device_id: &str,
    pin: &str,
    key_file: &Path,
) -> Result<GatewayKey, UploadError> {
    let key = api.activate(device_id, pin.trim(), "Raspberry pi")?;
    key.store(key_file)?;
    Ok(key)
}

/// The device's id for [`register`]: the `Serial` line of the kernel's text about the processor, or 16 zeros.
pub fn device_id(cpuinfo: &str) -> String {
    cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("Serial"))
        .filter_map(|rest| rest.trim_start().strip_prefix(':'))
        .map(|serial| serial.trim().to_owned())
        .find(|serial| serial.len() == 16 && serial.bytes().all(|b| b.is_ascii_hexdigit()))
        .unwrap_or_else(|| "0".repeat(16))
}
