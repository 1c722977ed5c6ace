//! Telling others where the station listens: standard output, and `endpoints.json` for programs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;

use super::{AppError, announce};
use crate::config::Loaded;
use crate::server::Listener;
use crate::store::NewFile;

/// Prints one line an endpoint and writes `<data>/endpoints.json`, renamed into place; gives what it told.
pub(super) fn publish(
    loaded: &Loaded,
    listeners: &[(&'static str, Listener)],
) -> Result<Vec<(&'static str, SocketAddr)>, AppError> {
    let mut bound = Vec::with_capacity(listeners.len());
    let mut endpoints = BTreeMap::new();
    for (name, listener) in listeners {
        let address = listener.address().map_err(|source| AppError::System {
            what: "the address of a listener",
            source,
        })?;
        announce(&format!("{name} {address}"))?;
        endpoints.insert(*name, address.to_string());
        bound.push((*name, address));
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
