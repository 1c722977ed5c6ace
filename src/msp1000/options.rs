//! Where the spectrometer is, whom to trust, what to announce.

use std::net::SocketAddr;
use std::time::Duration;

use super::driver::Trust;

/// Where the instrument is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Wherever it announces itself, with TLS.
    Discovered {
        /// TCP port, which announcements do not tell; 8000 unless the instrument was set otherwise.
        port: u16,
    },
    /// There, with TLS.
    Host {
        /// Name or IP address.
        host: String,
        /// TCP port.
        port: u16,
        /// Its serial number, where that is known beforehand.
        serial: Option<String>,
    },
    /// There, without TLS: a terminator on this machine.
    Plain(SocketAddr),
    /// Nowhere, and why.
    Nowhere(String),
}

/// When announcements are listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Always.
    On,
    /// Never: the port belongs to another program.
    Off,
    /// While somebody asks for the list.
    OnDemand,
}

/// How this station is announced as a spectrometer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcing {
    /// Where the datagrams go.
    pub to: SocketAddr,
    /// Name of the station's network interface.
    pub interface: String,
}

/// How the spectrometer is to be used.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is.
    pub address: Address,
    /// Which certificates are trusted.
    pub trust: Trust,
    /// When announcements are listened for.
    pub listening: Listening,
    /// Where they are listened for.
    pub discovery: SocketAddr,
    /// Whether this station announces itself.
    pub announcing: Option<Announcing>,
    /// A controller idle for this long loses control; `None` for never.
    pub control_idle: Option<Duration>,
}
