//! Where a BitScope is: the addresses that its programs know.

use std::path::PathBuf;

/// Port that the examples of bitscope-server use.
pub const SERVER_PORT: u16 = 15500;

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The first USB adapter that a BitScope answers on.
    Auto,
    /// A serial port.
    Serial(PathBuf),
    /// A raw byte stream on TCP.
    Tcp {
        /// Name or number; IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A bitscope-server.
    Udp {
        /// Name or number; IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// The simulated one.
    Sim,
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme.
    #[error(
        "{0:?} is no address of a BitScope: give auto, a path, file:PATH, socket://HOST:PORT, bitscope-server://HOST:PORT or sim"
    )]
    Scheme(String),
    /// No path after `file:`.
    #[error("{0:?} names no serial port")]
    NoPath(String),
    /// No host.
    #[error("{0:?} names no host")]
    NoHost(String),
    /// No port.
    #[error("{0:?} names no port: a raw stream has no usual one")]
    NoPort(String),
    /// A port that is none.
    #[error("{url:?}: {port:?} is no port, they go from 1 to 65535")]
    Port {
        /// All of it.
        url: String,
        /// What stands for the port.
        port: String,
    },
}

impl Address {
    /// Reads an address in any of the forms in use: nothing or `auto`; `PATH`, `file:PATH`, `file://PATH`,
    /// `socket:///PATH` (serial); `socket://HOST:PORT` (TCP); `bitscope-server://HOST[:PORT]` (UDP); `sim` or `sim:`.
    ///
    /// # Errors
    /// [`UrlError`], which tells the forms.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let url = url.trim();
        let lower = url.to_ascii_lowercase();
        let after = |scheme: &str| lower.starts_with(scheme).then(|| &url[scheme.len()..]);
        if url.is_empty() || lower == "auto" {
            return Ok(Self::Auto);
        }
        if lower == "sim" || lower == "sim:" {
            return Ok(Self::Sim);
        }
        if let Some(rest) = after("bitscope-server://") {
            let (host, port) = host_port(url, rest)?;
            let port = port.unwrap_or(SERVER_PORT);
            return Ok(Self::Udp { host, port });
        }
        if let Some(rest) = after("socket://") {
            if rest.starts_with('/') {
                return serial(url, rest);
            }
            let (host, port) = host_port(url, rest)?;
            let port = port.ok_or_else(|| UrlError::NoPort(url.to_owned()))?;
            return Ok(Self::Tcp { host, port });
        }
        if let Some(rest) = after("file:") {
            return serial(url, rest.strip_prefix("//").unwrap_or(rest));
        }
        match url.contains("://") || !url.contains('/') {
            true => Err(UrlError::Scheme(url.to_owned())),
            false => serial(url, url),
        }
    }
}

fn serial(url: &str, path: &str) -> Result<Address, UrlError> {
    match path.trim_matches('/').is_empty() {
        true => Err(UrlError::NoPath(url.to_owned())),
        false => Ok(Address::Serial(path.into())),
    }
}

/// Host, without the brackets of IPv6, and port if there is one.
fn host_port(url: &str, text: &str) -> Result<(String, Option<u16>), UrlError> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest
                .split_once(']')
                .ok_or_else(|| UrlError::NoHost(url.to_owned()))?;
            (host, after.strip_prefix(':'))
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() || host.contains(['/', '@']) {
        return Err(UrlError::NoHost(url.to_owned()));
    }
    let port = port.map(|port| {
        let number = port.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| UrlError::Port {
            url: url.to_owned(),
            port: port.to_owned(),
        })
    });
    Ok((host.to_owned(), port.transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_in_use_is_read() {
        let serial = |path: &str| Address::Serial(path.into());
        let tcp = |host: &str, port| Address::Tcp {
            host: host.into(),
            port,
        };
        let udp = |host: &str, port| Address::Udp {
            host: host.into(),
            port,
        };
        for (url, address) in [
            ("", Address::Auto),
            ("auto", Address::Auto),
            ("sim", Address::Sim),
            ("sim:", Address::Sim),
            ("/dev/ttyUSB0", serial("/dev/ttyUSB0")),
            ("./scope", serial("./scope")),
            ("file:/dev/ttyUSB0", serial("/dev/ttyUSB0")),
            ("file:///dev/ttyUSB0", serial("/dev/ttyUSB0")),
            ("socket:///dev/ttyUSB0", serial("/dev/ttyUSB0")),
            ("socket://scope.local:4000", tcp("scope.local", 4000)),
            ("SOCKET://[::1]:4000", tcp("::1", 4000)),
            (
                "bitscope-server://192.168.20.25:15500",
                udp("192.168.20.25", 15500),
            ),
            ("bitscope-server://scope", udp("scope", 15500)),
            ("bitscope-server://scope:1/", udp("scope", 1)),
        ] {
            assert_eq!(Address::parse(url), Ok(address), "{url}");
        }
        for (url, text) in [
            ("ttyUSB0", "is no address of a BitScope"),
            ("http://scope/", "is no address of a BitScope"),
            ("file:", "names no serial port"),
            ("socket:///", "names no serial port"),
            ("socket://host", "names no port"),
            ("socket://host:0", "\"0\" is no port"),
            ("socket://:4000", "names no host"),
            ("bitscope-server://", "names no host"),
            ("bitscope-server://h:99999", "\"99999\" is no port"),
            ("bitscope-server://[::1", "names no host"),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(text), "{url}: {error}");
        }
    }
}
