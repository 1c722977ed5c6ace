//! Which station `query` and `status` speak to.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::client::Client;
use super::{Arguments, Failure};
use crate::config::{Config, HostPort, Loaded};

const SCPI_PORT: u16 = 5025;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the station that the flags name: `--host`/`--port`, else the one of this machine.
pub(super) fn connect(arguments: &Arguments) -> Result<Client, Failure> {
    let timeout = arguments.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let target = match (&arguments.host, arguments.port) {
        (None, None) => of_this_machine(arguments)?,
        (host, port) => by_flags(host.as_deref(), port)?,
    };
    Client::connect(&target, timeout).map_err(|error| Failure::Failed(error.to_string()))
}

/// The station that runs on this machine with these settings, if it answers.
pub(super) fn running(loaded: &Loaded) -> Option<Client> {
    let address = written_address(loaded)?;
    let target = reachable(address.ip(), address.port());
    let mut client = Client::connect(&target, DEFAULT_TIMEOUT).ok()?;
    let answer = client.exchange("*IDN?", &mut Vec::new()).ok()?.line?;
    // The file may be left over, and the port another program's by now.
    answer.starts_with(b"Outpost,").then_some(client)
}

fn by_flags(host: Option<&str>, port: Option<u16>) -> Result<HostPort, Failure> {
    let host = host.unwrap_or("127.0.0.1");
    let mut target = HostPort::parse(host, Some(SCPI_PORT)).map_err(|refusal| {
        let text = format!("--host \"{}\" {refusal}", host.escape_debug());
        super::arguments::usage(text, None)
    })?;
    if let Some(port) = port {
        target.port = port;
    }
    Ok(target)
}

/// The address in `endpoints.json`, else the one that is configured.
fn of_this_machine(arguments: &Arguments) -> Result<HostPort, Failure> {
    let named = arguments.config.is_some() || arguments.state_dir.is_some();
    let loaded = match Config::load(&arguments.sources()) {
        Ok(loaded) => loaded,
        Err(errors) if named => return Err(errors.into()),
        // A station may well run with an older, sound configuration.
        Err(_) => return Ok(reachable(Ipv4Addr::LOCALHOST.into(), SCPI_PORT)),
    };
    if let Some(address) = written_address(&loaded) {
        return Ok(reachable(address.ip(), address.port()));
    }
    match loaded.config.scpi.port {
        0 => Err(Failure::Failed(format!(
            "no station runs here: {} does not exist or names no scpi address",
            loaded.endpoints().display()
        ))),
        port => Ok(reachable(loaded.config.scpi.bind, port)),
    }
}

fn written_address(loaded: &Loaded) -> Option<SocketAddr> {
    let bytes = fs::read(loaded.endpoints()).ok()?;
    let endpoints: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    endpoints.get("scpi")?.as_str()?.parse().ok()
}

/// A listener on every interface is reached on the loopback one.
fn reachable(ip: IpAddr, port: u16) -> HostPort {
    let ip = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let host = ip.to_string();
    HostPort { host, port }
}
