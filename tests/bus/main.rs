//! Serial ports on pseudo-terminals, SPI devices in memory, and the texts that tell a user what to do.

use outpost::base::error::{Failure, Kind};

mod serial;
mod spi;

/// The error's text with its causes, as a user meets it.
fn text(error: &dyn std::error::Error) -> String {
    Failure::from_error(Kind::Internal, error).message
}

/// Bytes that neither repeat within a kernel buffer's size nor miss any value.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i ^ (i >> 8) ^ (i >> 15)) as u8)
        .collect()
}
