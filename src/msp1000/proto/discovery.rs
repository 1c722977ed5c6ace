//! The datagram by which an instrument tells once a second that it is there: `msp1000<interface>,<serial>`.
//!
//! ```text
//! msp1000eth0,81985529216486895
//! ```
//! Sent to the broadcast address, port 12345, from a port of no meaning. The instrument's address is the datagram's
//! source; nothing in it can be trusted.

/// How much of a datagram to read.
pub const MAX_DATAGRAM: usize = 512;

const MAGIC: &[u8] = b"msp1000";
/// `msp1000` directly before the first comma leaves 33 bytes for the vendor's own client; twice that is generous.
const MAX_FIELD: usize = 64;

/// What an instrument tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Name of its network interface, `eth0` or `wlan0`; may be empty.
    pub interface: String,
    /// Unique for each board. 64 bits, but nobody knows in which notation: printable ASCII, not to be interpreted.
    pub serial: String,
}

/// Why a datagram is no announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Somebody else's.
    #[error("the datagram does not begin with msp1000")]
    Foreign,
    /// No serial number.
    #[error("the announcement has no serial number")]
    NoSerial,
    /// Not printable ASCII.
    #[error("the announcement holds bytes that are no printable ASCII")]
    NotAscii,
    /// Longer than any instrument's.
    #[error("the announcement has a field of {0} bytes, {MAX_FIELD} are allowed")]
    TooLong(usize),
}

impl Announcement {
    /// Reads a datagram. What follows a second comma is ignored.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn parse(datagram: &[u8]) -> Result<Self, DiscoveryError> {
        let rest = datagram
            .strip_prefix(MAGIC)
            .ok_or(DiscoveryError::Foreign)?;
        let mut fields = rest.split(|byte| *byte == b',');
        let interface = fields.next().unwrap_or_default();
        let serial = fields.next().ok_or(DiscoveryError::NoSerial)?;
        let end = |byte: &u8| !matches!(byte, b'\r' | b'\n' | b'\t' | b' ' | 0);
        let length = serial.iter().rposition(end).map_or(0, |last| last + 1);
        if length == 0 {
            return Err(DiscoveryError::NoSerial);
        }
        Ok(Self {
            interface: text(interface)?,
            serial: text(&serial[..length])?,
        })
    }

    /// The datagram.
    pub fn encode(&self) -> Vec<u8> {
        [
            MAGIC,
            self.interface.as_bytes(),
            b",",
            self.serial.as_bytes(),
        ]
        .concat()
    }
}

fn text(field: &[u8]) -> Result<String, DiscoveryError> {
    if field.len() > MAX_FIELD {
        return Err(DiscoveryError::TooLong(field.len()));
    }
    if !field.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(DiscoveryError::NotAscii);
    }
    Ok(field.iter().map(|byte| char::from(*byte)).collect())
}
