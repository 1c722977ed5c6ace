//! Values with a form of their own: addresses, trust, file formats. Each is parsed in one place, here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// A network host and port. An IPv6 address with a port is written in brackets: `[fe80::1]:5001`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP or UDP port.
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST` or `HOST:PORT`; `default_port` where none is given.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, String> {
        let (host, port) = split_host(text);
        let port = match (port, default_port) {
            (Some(port), _) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| "has a port that is not in 1..65535".to_owned())?,
            (None, Some(port)) => port,
            (None, None) => return Err("lacks a port: write HOST:PORT".into()),
        };
        let is_address = host.parse::<IpAddr>().is_ok();
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if !is_address && !is_name {
            return Err("does not name a host: write HOST or HOST:PORT".into());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

fn split_host(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => ("", None),
        };
    }
    match text.split_once(':') {
        // Two colons without brackets: a bare IPv6 address.
        Some((_, rest)) if rest.contains(':') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

/// Where the spectrometer is (`msp1000.address`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Msp1000Address {
    /// The simulated one on the simulated board, else [`Msp1000Address::Discover`].
    Auto,
    /// Whichever announces itself by UDP.
    Discover,
    /// The simulated one.
    Sim,
    /// TLS at this host, port 8000 unless given.
    Host(HostPort),
    /// The protocol without TLS, on the loopback interface alone (behind a TLS terminator).
    Plain(SocketAddr),
}

/// Port of the spectrometer's own protocol.
pub(super) const MSP1000_PORT: u16 = 8000;
/// Port of the thermal camera's own protocol.
pub(super) const TCAM_PORT: u16 = 5001;

impl FromStr for Msp1000Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "discover" => return Ok(Self::Discover),
            "sim" => return Ok(Self::Sim),
            _ => {}
        }
        if let Some(plain) = text.strip_prefix("msp1000-plain://") {
            let address: SocketAddr = plain
                .parse()
                .map_err(|_| "lacks an address such as 127.0.0.1:8001".to_owned())?;
            return match address.ip().is_loopback() {
                true => Ok(Self::Plain(address)),
                false => {
                    Err("is not a loopback address; without TLS only those are allowed".into())
                }
            };
        }
        if text.contains("://") {
            return Err("has an unknown scheme (allowed: msp1000-plain://127.0.0.1:PORT)".into());
        }
        HostPort::parse(text, Some(MSP1000_PORT)).map(Self::Host)
    }
}

/// How the spectrometer's certificate is trusted (`msp1000.pin`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Accept and remember the first certificate seen.
    FirstUse,
    /// SHA-256 of the whole DER certificate.
    Sha256([u8; 32]),
    /// Ordinary verification against the authorities in this PEM file.
    Authority(PathBuf),
    /// No check at all.
    None,
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => return Ok(Self::FirstUse),
            "none" => return Ok(Self::None),
            _ => {}
        }
        if let Some(file) = text.strip_prefix("ca:") {
            return match file.starts_with('/') {
                true => Ok(Self::Authority(file.into())),
                false => Err("must name the file by its full path: ca:/...".into()),
            };
        }
        let digits: String = text.chars().filter(|char| *char != ':').collect();
        let bytes = digits.as_bytes();
        if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
            return Err(
                "is not a SHA-256 in 64 hexadecimal digits (or \"\", ca:FILE, none)".into(),
            );
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
            let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        Ok(Self::Sha256(hash))
    }
}

/// Where the oscilloscope is (`bitscope.url`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BitscopeUrl {
    /// The simulated one on the simulated board, else the first USB serial port 0403:6001.
    Auto,
    /// The simulated one.
    Sim,
    /// A serial port: a bare path, `file:PATH` or `socket:///PATH`.
    Serial(PathBuf),
    /// A raw TCP byte stream: `socket://HOST:PORT`.
    Tcp(HostPort),
    /// A BitScope server (UDP): `bitscope-server://HOST:PORT`.
    Server(HostPort),
}

impl FromStr for BitscopeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "sim" => return Ok(Self::Sim),
            _ => {}
        }
        let path = text.strip_prefix("file://").or(text.strip_prefix("file:"));
        let path = path.or(text
            .strip_prefix("socket://")
            .filter(|rest| rest.starts_with('/')));
        let path = path.unwrap_or(text);
        if path.len() > 1 && path.starts_with('/') {
            return Ok(Self::Serial(path.into()));
        }
        if let Some(host) = text.strip_prefix("socket://") {
            return HostPort::parse(host, None).map(Self::Tcp);
        }
        if let Some(host) = text.strip_prefix("bitscope-server://") {
            return HostPort::parse(host, None).map(Self::Server);
        }
        Err(format!(
            "is neither a full path nor a known URL (allowed: {BITSCOPE_FORMS})"
        ))
    }
}

pub(super) const BITSCOPE_FORMS: &str =
    "auto, sim, PATH, file:PATH, socket://HOST:PORT, bitscope-server://HOST:PORT";
pub(super) const MSP1000_FORMS: &str =
    "auto, discover, sim, HOST, HOST:PORT, msp1000-plain://127.0.0.1:PORT";

// The rules below refuse with a phrase that follows the quoted value.

pub(super) fn check_ip(text: &str) -> Result<(), String> {
    text.parse::<IpAddr>()
        .map(drop)
        .map_err(|_| "is not an IP address such as 0.0.0.0 or 127.0.0.1".into())
}

pub(super) fn check_ip_or_empty(text: &str) -> Result<(), String> {
    match text.is_empty() {
        true => Ok(()),
        false => check_ip(text),
    }
}

pub(super) fn check_log(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        // The filter itself takes any lone word as a module's name, so a misspelt level would silently mean "trace".
        let is_level = LEVELS.contains(&directive.to_ascii_lowercase().as_str());
        if !is_level && !directive.contains("::") && !directive.contains('=') {
            return Err(
                "is not a log filter: write a level (error, warn, info, debug, trace) or \
                        \"info,outpost::camera=debug\""
                    .into(),
            );
        }
    }
    text.parse::<tracing_subscriber::filter::Targets>()
        .map(drop)
        .map_err(|error| format!("is not a log filter: {error}"))
}

pub(super) fn check_board(text: &str) -> Result<(), String> {
    match text.is_empty() {
        true => Err("names no board (auto, a profile's name, or a path)".into()),
        false => Ok(()),
    }
}

pub(super) fn check_service_name(text: &str) -> Result<(), String> {
    match text.len() {
        0..=63 => Ok(()),
        length => Err(format!(
            "is {length} bytes long, a service name has at most 63"
        )),
    }
}

pub(super) fn check_tcam_host(text: &str) -> Result<(), String> {
    match text.is_empty() {
        true => Ok(()),
        false => HostPort::parse(text, Some(TCAM_PORT)).map(drop),
    }
}

pub(super) fn check_msp1000(text: &str) -> Result<(), String> {
    text.parse::<Msp1000Address>().map(drop)
}

pub(super) fn check_trust(text: &str) -> Result<(), String> {
    text.parse::<Trust>().map(drop)
}

pub(super) fn check_bitscope(text: &str) -> Result<(), String> {
    text.parse::<BitscopeUrl>().map(drop)
}

pub(super) fn check_table(text: &str) -> Result<(), String> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !plain || !starts_well || text.len() > 64 {
        return Err("is not a plain table name (letters, digits and _, not first a digit)".into());
    }
    match text.to_ascii_lowercase().starts_with("sqlite_") {
        true => Err("is reserved: SQLite keeps names that begin with sqlite_".into()),
        false => Ok(()),
    }
}

pub(super) fn check_word(text: &str) -> Result<(), String> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    match plain && !text.is_empty() && text.len() <= 64 {
        true => Ok(()),
        false => Err("is not a word of 1 to 64 letters, digits, _ - or .".into()),
    }
}

pub(super) fn check_gadget(text: &str) -> Result<(), String> {
    match text.len() {
        1..=128 => Ok(()),
        length => Err(format!(
            "is {length} bytes long, an instrument's id has 1 to 128"
        )),
    }
}

pub(super) fn check_api(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let rest = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    let rest = rest.ok_or("does not begin with https:// or http://")?;
    let host = rest.split('/').next().unwrap_or_default();
    HostPort::parse(host, Some(443)).map(drop)
}

/// Whether an `http://` address stays on this machine.
pub(super) fn is_loopback_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let host = rest.split('/').next().unwrap_or_default();
    let host = HostPort::parse(host, Some(80)).map(|host| host.host);
    host.is_ok_and(|host| {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}
