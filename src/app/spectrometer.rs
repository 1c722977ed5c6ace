//! The spectrometer's wires: configuration and board to address, trust, announcements, certificate and faults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::base::certificate::{CertificateError, Fingerprint, Identity, TlsVersions};
use crate::base::clock::Clock;
use crate::base::fault::FaultSwitch;
use crate::config::{ListenDiscovery, Loaded, Msp1000, Msp1000Address, Trust as Pin};
use crate::msp1000::driver::{KnownInstruments, Trust};
use crate::msp1000::proto::PORT;
use crate::msp1000::sim::{Announce, Config, Faults, Simulator};
use crate::msp1000::{Address, Announcing, Listening, Options};

/// Seed of the simulated instrument.
const SEED: u64 = 1;

/// How the spectrometer is to be used, and the faults it can be told to have.
pub(super) struct Setup {
    pub(super) options: Options,
    /// Runs as long as it is kept.
    pub(super) simulator: Option<Simulator>,
    pub(super) faults: Option<FaultSwitch>,
    /// For the station's own port; `None` when there is no certificate.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// What the configuration and the board make of the spectrometer; `None` when it is switched off.
pub(super) fn set_up(loaded: &Loaded, clock: &Clock) -> Option<Setup> {
    let msp1000 = &loaded.config.msp1000;
    if !msp1000.enabled {
        return None;
    }
    let folder = loaded.config.storage.data.join("tls");
    let is_simulated = match msp1000.address {
        Msp1000Address::Sim => true,
        Msp1000Address::Auto => loaded.board.is_simulated(),
        _ => false,
    };
    let mut setup = Setup {
        options: options(msp1000, &folder),
        simulator: None,
        faults: None,
        tls: certificate(&folder),
    };
    if is_simulated {
        let faults = Faults::none();
        let (address, simulator) = simulate(clock, faults.clone());
        setup.options.address = address;
        // Nobody else's announcements are of interest then, but those of tests.
        setup.options.discovery.set_ip(Ipv4Addr::LOCALHOST.into());
        // This process made its certificate.
        setup.options.trust = Trust::None;
        setup.simulator = simulator;
        setup.faults = loaded.board.is_simulated().then(|| faults.switch());
    }
    Some(setup)
}

fn options(msp1000: &Msp1000, folder: &Path) -> Options {
    let here = msp1000.bind.is_loopback();
    Options {
        address: match &msp1000.address {
            Msp1000Address::Host(at) => Address::Host {
                host: at.host.clone(),
                port: at.port,
                serial: None,
            },
            Msp1000Address::Plain(at) => Address::Plain(*at),
            Msp1000Address::Auto | Msp1000Address::Discover | Msp1000Address::Sim => {
                Address::Discovered { port: PORT }
            }
        },
        trust: match &msp1000.pin {
            Pin::FirstUse => Trust::FirstUse(KnownInstruments::new(folder.join("known"))),
            Pin::Sha256(hash) => Trust::Pin(Fingerprint(*hash)),
            Pin::Authority(file) => Trust::Authority(file.clone()),
            Pin::None => Trust::None,
        },
        listening: match msp1000.listen_discovery {
            ListenDiscovery::On => Listening::On,
            ListenDiscovery::Off => Listening::Off,
            ListenDiscovery::OnDemand => Listening::OnDemand,
        },
        discovery: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), msp1000.discovery_port),
        announcing: msp1000.announce.then(|| {
            let everybody = match here {
                true => IpAddr::V4(Ipv4Addr::LOCALHOST),
                false => IpAddr::V4(Ipv4Addr::BROADCAST),
            };
            Announcing {
                to: SocketAddr::new(everybody, msp1000.discovery_port),
                interface: interface(),
            }
        }),
        control_idle: match msp1000.control_idle_s {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        },
    }
}

/// The name of a network interface that an instrument could have.
fn interface() -> String {
    let is_up = |name: &&str| {
        let state = Path::new("/sys/class/net").join(name).join("operstate");
        std::fs::read_to_string(state).is_ok_and(|state| state.trim() == "up")
    };
    let name = ["eth0", "wlan0"].into_iter().find(is_up);
    name.unwrap_or("eth0").into()
}

/// The certificate of the station's own port, made the first time. Without one the port is not served: all else is.
fn certificate(folder: &Path) -> Option<Arc<ServerConfig>> {
    let made = || -> Result<_, CertificateError> {
        let identity = Identity::keep(folder, "outpost")?;
        tracing::debug!(fingerprint = %identity.fingerprint(), "certificate of the spectrometer's port");
        identity.server_config(TlsVersions::All)
    };
    made()
        .inspect_err(|error| {
            let failure =
                crate::base::error::Failure::from_error(crate::base::error::Kind::Storage, error);
            tracing::error!(%failure, "the spectrometer's port is not served");
        })
        .ok()
}

/// The simulated instrument, reached as a real one is.
fn simulate(clock: &Clock, faults: Faults) -> (Address, Option<Simulator>) {
    let config = Config {
        seed: SEED,
        ..Config::default()
    };
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match Simulator::start(clock.clone(), config, faults, here) {
        Ok(simulator) => {
            let at = simulator.address();
            let address = Address::Host {
                host: at.ip().to_string(),
                port: at.port(),
                serial: Some(Announce::new().announcement.serial),
            };
            (address, Some(simulator))
        }
        Err(error) => (Address::Nowhere(error.to_string()), None),
    }
}
