//! Telling others where the station listens: standard output, and `endpoints.json` for programs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;

use super::{AppError, announce};
use crate::config::Loaded;
use crate::server::{Listener, ScopePort};
use crate::store::NewFile;

/// Prints one line an endpoint and writes `<data>/endpoints.json`, renamed into place; gives what it told.
pub(super) fn publish(
    loaded: &Loaded,
    listeners: &[(&'static str, Listener)],
    scope: Option<&ScopePort>,
) -> Result<Vec<(&'static str, SocketAddr)>, AppError> {
    let mut bound = Vec::with_capacity(listeners.len() + 1);
    let mut endpoints = BTreeMap::new();
    let tcp = listeners.iter();
    let tcp = tcp.map(|(name, listener)| (*name, listener.address()));
    let udp = scope.map(|port| ("bitscope", port.address()));
    for (name, address) in tcp.chain(udp) {
        let address = address.map_err(|source| AppError::System {
            what: "the address of a listener",
            source,
        })?;
        announce(&format!("{name} {address}"))?;
        endpoints.insert(name, address.to_string());
        bound.push((name, address));
    }
    let path = loaded.endpoints();
    let fail = |source| AppError::Data {
        path: path.clone(),
        source,
    };
    let mut json = serde_json::to_vec(&endpoints).map_err(|error| fail(error.into()))?;
    json.push(b'\n');
    NewFile::store(&path, &json).map_err(|error| fail(io::Error::other(error)))?;
    Ok(bound)
}

/// Takes the file away: nothing listens any more.
pub(super) fn retract(loaded: &Loaded) {
    let _ = fs::remove_file(loaded.endpoints());
}
