//! Wiring: configuration and board to storage, instruments and servers; start and stop order.

pub(crate) mod cloud;
mod discovery;
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
mod ports;
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
use ports::Ports;
use smol::channel::{self, Receiver};
use smol::{LocalExecutor, Task};
use station::Station;

use crate::base::health::State;
use crate::base::shutdown::{Shutdown, Trigger, shutdown};
use crate::config::Loaded;
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
            cannot_start(&causes);
            ExitCode::FAILURE
        }
    }
}

/// Tells the service manager, if there is one, why the station does not serve.
pub fn cannot_start(reason: &str) {
    Notifier::from_environment().failed(reason);
}

async fn run(loaded: Loaded, executor: Rc<LocalExecutor<'static>>) -> Result<(), AppError> {
    report(&loaded);
    let (trigger, stopping) = shutdown();
    watch_signals(&executor, trigger.clone())?;
    let mut ports = Ports::bind(&loaded)?;
    let (alive, all_gone) = channel::bounded::<()>(1);
    let station = station::build(&loaded, executor.clone(), trigger, stopping.clone(), alive)?;
    ports.retain(&station.services);
    let bound = ports.publish(&loaded)?;
    // Set here and nowhere else.
    let _ = station.services.endpoints.set(bound.clone());
    let notifier = Notifier::from_environment();
    let heartbeat = notifier.heartbeat(
        station.clock.clone(),
        station.services.server_health.clone(),
    );
    executor.spawn(heartbeat).detach();
    ports.serve(&executor, &station.services);
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
    stop(station, all_gone, announced).await;
    ports::retract(&loaded);
    Ok(())
}

/// Lets sessions, instruments and announcements come to their end, within the limit.
async fn stop(station: Station, all_gone: Receiver<()>, announced: Task<()>) {
    let Station {
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
}

/// Makes the station known on the network, as long as it runs.
fn announce_services(
    loaded: &Loaded,
    bound: &[(&'static str, SocketAddr)],
    station: &Station,
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
