//! Wiring: configuration and board to storage, instruments and servers; start and stop order.

pub(crate) mod cloud;
mod discovery;
mod endpoints;
#[cfg(feature = "libcamera")]
mod hq_camera;
#[cfg(not(feature = "libcamera"))]
#[path = "app/no_camera.rs"]
mod hq_camera;
mod instruments;
mod logging;
mod notify;
pub mod particle;
pub mod particle_sim;
mod readings;
mod scope;
mod spectrometer;
mod station;
mod thermal;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use futures_lite::future::poll_once;
use notify::Notifier;
use smol::{LocalExecutor, Task, channel};

use crate::base::health::State;
use crate::base::shutdown::{Shutdown, Trigger, shutdown};
use crate::config::Loaded;
use crate::server::{Listener, Protocol, ScopePort};
use crate::store::StoreError;

/// The stop of systemd comes after 5 s; this leaves time to log what did not end.
const STOP_LIMIT: Duration = Duration::from_millis(4_500);

/// Time given to instruments before the station says that it is ready.
const OPENING: Duration = Duration::from_millis(150);
/// Why the station cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port cannot be had.
    #[error("cannot listen on {address} ({key} in the configuration)")]
    Listen {
        /// Address wanted.
        address: SocketAddr,
        /// Key that sets it.
        key: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The RAM disk or the image folder is unusable.
    #[error("the RAM disk cannot be used")]
    RamDisk(#[source] StoreError),
    /// The data folder is unusable.
    #[error("the data folder {} cannot be used", path.display())]
    Data {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something the system refused.
    #[error("the system refused: {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Runs the station until a signal ends it.
///
/// Exit code 0 after an orderly stop, 1 when it could not start.
pub fn serve(loaded: Loaded) -> ExitCode {
    logging::start(&loaded.config.log);
    // Files are shared with the login user that fetches and deletes them, by group.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o002));
    // May start the program anew, so nothing is open yet.
    hq_camera::prepare(&loaded);
    let executor = Rc::new(LocalExecutor::new());
    let ended = smol::block_on(executor.run(run(loaded, executor.clone())));
    drop(executor);
    hq_camera::close();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut causes = format!("outpost: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                causes = format!("{causes}: {cause}");
                source = cause.source();
            }
            eprintln!("{causes}");
            ExitCode::FAILURE
        }
    }
}

async fn run(loaded: Loaded, executor: Rc<LocalExecutor<'static>>) -> Result<(), AppError> {
    report(&loaded);
    let (trigger, stopping) = shutdown();
    watch_signals(&executor, trigger.clone())?;
    let scpi = &loaded.config.scpi;
    let listen = |bind, port, key, protocol| {
        let address = SocketAddr::new(bind, port);
        Listener::bind(address, protocol, scpi.max_clients).map_err(|source| AppError::Listen {
            address,
            key,
            source,
        })
    };
    let bind = scpi.bind;
    let mut listeners = vec![
        (
            "scpi",
            listen(bind, scpi.port, "scpi.port", Protocol::Scpi)?,
        ),
        (
            "legacy",
            listen(bind, scpi.legacy_port, "scpi.legacy_port", Protocol::Legacy)?,
        ),
    ];
    let tcam = &loaded.config.tcam;
    if tcam.enabled {
        let listener = listen(
            tcam.bind,
            tcam.serve_port,
            "tcam.serve_port",
            Protocol::Thermal,
        )?;
        listeners.push(("tcam", listener));
    }
    let msp1000 = &loaded.config.msp1000;
    if msp1000.enabled {
        let listener = listen(
            msp1000.bind,
            msp1000.serve_port,
            "msp1000.serve_port",
            Protocol::Spectrometer,
        )?;
        listeners.push(("msp1000", listener));
    }
    let http = &loaded.config.http;
    listeners.push((
        "http",
        listen(http.bind, http.port, "http.port", Protocol::Http)?,
    ));
    let mut scope_port = bind_scope(&loaded)?;
    let (alive, all_gone) = channel::bounded::<()>(1);
    let station = station::build(&loaded, executor.clone(), trigger, stopping.clone(), alive)?;
    if station.services.thermal.is_none() {
        listeners.retain(|(name, _)| *name != "tcam");
    }
    scope_port = scope_port.filter(|_| station.services.scope.is_some());
    if station.services.spectrometer_tls.is_none() {
        listeners.retain(|(name, _)| *name != "msp1000");
    }
    let bound = endpoints::publish(&loaded, &listeners, scope_port.as_ref())?;
    // Set here and nowhere else.
    let _ = station.services.endpoints.set(bound.clone());
    if let Some(port) = scope_port {
        let serving = port.run(station.services.clone());
        executor.spawn(serving).detach();
    }
    let notifier = Notifier::from_environment();
    let heartbeat = notifier.heartbeat(
        station.clock.clone(),
        station.services.server_health.clone(),
    );
    executor.spawn(heartbeat).detach();
    for (_, listener) in listeners {
        executor
            .spawn(listener.run(station.services.clone()))
            .detach();
    }
    // A camera that opens at once serves the first command after `ready`; a slow one is not waited for.
    if let Some(camera) = &station.services.camera {
        station.clock.timeout(OPENING, camera.opened()).await;
    }
    announce("ready")?;
    let announced = announce_services(&loaded, &bound, &station, stopping.clone());
    notifier.ready("serving");
    stopping.wait().await;
    notifier.stopping();
    tracing::info!("stopping");
    let station::Station {
        services,
        instruments,
        clock,
        status_led,
    } = station;
    drop(services);
    let ended = clock.timeout(STOP_LIMIT, async {
        // Sessions and archives hold the services; the last of them lets go of `alive`.
        let _ = all_gone.recv().await;
        instruments.await;
        announced.await;
    });
    if ended.await.is_none() {
        tracing::warn!("some operations did not end in time");
    }
    drop(status_led);
    endpoints::retract(&loaded);
    Ok(())
}

/// Makes the station known on the network, as long as it runs.
fn announce_services(
    loaded: &Loaded,
    bound: &[(&'static str, SocketAddr)],
    station: &station::Station,
    stopping: Shutdown,
) -> Task<()> {
    let (settings, services) = (&loaded.config.discovery, &station.services);
    let health = services.health.register("discovery", State::Disabled);
    if !settings.enabled {
        return services.executor.spawn(async {});
    }
    let announcements = bound
        .iter()
        .flat_map(|(name, address)| discovery::of_endpoint(name, *address, &services.identity))
        .collect();
    let announcer = discovery::Announcer::new(
        settings,
        &services.identity.serial,
        announcements,
        health,
        station.clock.clone(),
        stopping,
    );
    services.executor.spawn(announcer.run())
}

/// Binds the port of the oscilloscope, where it is enabled.
fn bind_scope(loaded: &Loaded) -> Result<Option<ScopePort>, AppError> {
    let scope = &loaded.config.bitscope;
    if !scope.enabled {
        return Ok(None);
    }
    let address = SocketAddr::new(scope.bind, scope.serve_port);
    let port = ScopePort::bind(address).map_err(|source| AppError::Listen {
        address,
        key: "bitscope.serve_port",
        source,
    })?;
    Ok(Some(port))
}

/// Says what `outpost check` would say, as far as it is no reason not to run.
fn report(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for conflict in loaded.board.conflicts(&loaded.config) {
        tracing::warn!("{}", conflict.text);
    }
}

/// The first signal stops the station in order, the second at once.
fn watch_signals(executor: &LocalExecutor<'static>, trigger: Trigger) -> Result<(), AppError> {
    let mut signals =
        Signals::new([Signal::Term, Signal::Int]).map_err(|source| AppError::System {
            what: "signal handling",
            source,
        })?;
    let watch = async move {
        signals.next().await;
        trigger.fire();
        // A service manager may signal the process and its group: two signals at once are one wish.
        smol::future::yield_now().await;
        while let Some(Some(_)) = poll_once(signals.next()).await {}
        signals.next().await;
        std::process::exit(1);
    };
    executor.spawn(watch).detach();
    Ok(())
}

/// Prints a line for people and scripts that wait for it.
fn announce(line: &str) -> Result<(), AppError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|source| AppError::System {
            what: "standard output",
            source,
        })
}
