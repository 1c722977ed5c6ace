//! The station's ports: bound before anything starts, told to others, and served in the end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use smol::LocalExecutor;

use super::{AppError, announce};
use crate::config::Loaded;
use crate::server::{Listener, Protocol, ScopePort, Services};
use crate::store::{NewFile, StoreError};

/// Every port that the configuration asks for.
pub(super) struct Ports {
    tcp: Vec<(&'static str, Listener)>,
    /// UDP, of the oscilloscope.
    scope: Option<ScopePort>,
}

impl Ports {
    /// Binds them.
    ///
    /// # Errors
    /// [`AppError::Listen`], naming the key of the port that cannot be had.
    pub(super) fn bind(loaded: &Loaded) -> Result<Self, AppError> {
        let config = &loaded.config;
        let (scpi, tcam, msp1000) = (&config.scpi, &config.tcam, &config.msp1000);
        let (http, bitscope) = (&config.http, &config.bitscope);
        type Wanted = (bool, &'static str, Protocol, IpAddr, u16, &'static str);
        let wanted: [Wanted; 5] = [
            (
                true,
                "scpi",
                Protocol::Scpi,
                scpi.bind,
                scpi.port,
                "scpi.port",
            ),
            (
                true,
                "legacy",
                Protocol::Legacy,
                scpi.bind,
                scpi.legacy_port,
                "scpi.legacy_port",
            ),
            (
                tcam.enabled,
                "tcam",
                Protocol::Thermal,
                tcam.bind,
                tcam.serve_port,
                "tcam.serve_port",
            ),
            (
                msp1000.enabled,
                "msp1000",
                Protocol::Spectrometer,
                msp1000.bind,
                msp1000.serve_port,
                "msp1000.serve_port",
            ),
            (
                true,
                "http",
                Protocol::Http,
                http.bind,
                http.port,
                "http.port",
            ),
        ];
        let mut tcp = Vec::with_capacity(wanted.len());
        for (enabled, name, protocol, bind, port, key) in wanted {
            if enabled {
                let address = SocketAddr::new(bind, port);
                let listener = Listener::bind(address, protocol, scpi.max_clients);
                tcp.push((name, listener.map_err(refused(address, key))?));
            }
        }
        let scope = match bitscope.enabled {
            true => {
                let address = SocketAddr::new(bitscope.bind, bitscope.serve_port);
                let port = ScopePort::bind(address);
                Some(port.map_err(refused(address, "bitscope.serve_port"))?)
            }
            false => None,
        };
        Ok(Self { tcp, scope })
    }

    /// Closes the ports of instruments that the station turned out not to have.
    pub(super) fn retain(&mut self, services: &Services) {
        self.tcp.retain(|(name, _)| match *name {
            "tcam" => services.thermal.is_some(),
            "msp1000" => services.spectrometer_tls.is_some(),
            _ => true,
        });
        self.scope = self.scope.take().filter(|_| services.scope.is_some());
    }

    /// Prints one line an endpoint and writes `<data>/endpoints.json`, renamed into place; gives what it
    /// told.
    pub(super) fn publish(
        &self,
        loaded: &Loaded,
    ) -> Result<Vec<(&'static str, SocketAddr)>, AppError> {
        let mut bound = Vec::with_capacity(self.tcp.len() + 1);
        let mut endpoints = BTreeMap::new();
        let tcp = self.tcp.iter();
        let tcp = tcp.map(|(name, listener)| (*name, listener.address()));
        let udp = self.scope.iter().map(|port| ("bitscope", port.address()));
        for (name, address) in tcp.chain(udp) {
            let address = address.map_err(|source| AppError::System {
                what: "the address of a listener",
                source,
            })?;
            announce(&format!("{name} {address}"))?;
            endpoints.insert(name, address.to_string());
            bound.push((name, address));
        }
        if let Err(error) = write(&loaded.endpoints(), &endpoints) {
            // Programs that look for the file do without; a full disk is no reason not to serve.
            tracing::warn!(%error, "cannot tell programs where the station listens");
        }
        Ok(bound)
    }

    /// Serves all of them until the station stops.
    pub(super) fn serve(self, executor: &LocalExecutor<'static>, services: &Rc<Services>) {
        for (_, listener) in self.tcp {
            executor.spawn(listener.run(services.clone())).detach();
        }
        if let Some(port) = self.scope {
            executor.spawn(port.run(services.clone())).detach();
        }
    }
}

fn refused(address: SocketAddr, key: &'static str) -> impl FnOnce(io::Error) -> AppError {
    move |source| AppError::Listen {
        address,
        key,
        source,
    }
}

fn write(path: &Path, endpoints: &BTreeMap<&str, String>) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec(endpoints).expect("text because its keys are");
    json.push(b'\n');
    NewFile::store(path, &json)
}

/// Takes the file of [`Ports::publish`] away: nothing listens any more.
pub(super) fn retract(loaded: &Loaded) {
    let _ = fs::remove_file(loaded.endpoints());
}
