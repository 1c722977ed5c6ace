//! The counter asked by this command itself, where no station runs. Fan and laser are off afterwards, whatever happens.

use std::fs;
use std::rc::Rc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use futures_lite::future::or;
use smol::LocalExecutor;

use super::{NamedRow, Visit};
use crate::app::{cloud, particle};
use crate::base::clock::Clock;
use crate::base::conditions::Conditions;
use crate::base::health::{Health, HealthBook, State};
use crate::base::shutdown::shutdown;
use crate::base::trace::Trace;
use crate::cli::Failure;
use crate::config::Loaded;
use crate::opcn3::{Particles, Station};
use crate::store::readings::{ClockState, StoredReading};

/// Opening the bridge, a silence of 2.5 s, fan, laser, and the reading that is thrown away.
const START: Duration = Duration::from_secs(40);
/// Between looks at a counter that starts.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn visit(loaded: &Loaded) -> Result<Visit, Failure> {
    let executor = Rc::new(LocalExecutor::new());
    let work = executor.run(visit_on(&executor, loaded));
    smol::block_on(work)
}

async fn visit_on(executor: &LocalExecutor<'static>, loaded: &Loaded) -> Result<Visit, Failure> {
    let clock = Clock::real();
    let mut interrupt = Signals::new([Signal::Term, Signal::Int])
        .map_err(|error| Failure::Failed(format!("no signal handling: {error}")))?;
    // The simulated counter's port is there.
    fs::create_dir_all(&loaded.config.storage.data)?;
    let setup = particle::set_up(loaded, &clock);
    let setup =
        setup.ok_or_else(|| Failure::Failed("opc.enabled is off in the settings".into()))?;
    let health = HealthBook::new(clock.clone()).register("opc", State::Disabled);
    let (trigger, stop) = shutdown();
    let time = clock.clone();
    let station = Station {
        wall_clock: Rc::new(move || ClockState {
            is_set: true,
            utc: time.utc(),
            monotonic_ms: 0,
        }),
        conditions: Conditions::default(),
        health: health.clone(),
        trace: Trace::new(clock.clone()),
        store: None,
        shutdown: stop,
        clock,
    };
    let (particles, run) = Particles::new(setup.options, station);
    let run = executor.spawn(run);
    let visited = or(ask(&particles, &health), async {
        let _ = interrupt.next().await;
        Err(Failure::Failed("interrupted".into()))
    });
    let visited = visited.await;
    trigger.fire();
    run.await;
    visited
}

async fn ask(particles: &Particles, health: &Health) -> Result<Visit, Failure> {
    let clock = Clock::real();
    let limit = clock.now() + START;
    while !particles.wait_counting(LOOK).await {
        match health.state() {
            // The first failure is told: trying again is a station's way.
            State::Failed { reason, .. } => return Err(Failure::Failed(reason)),
            _ if clock.now() > limit => {
                let text = format!("the counter did not start within {} s", START.as_secs());
                return Err(Failure::Failed(text));
            }
            _ => {}
        }
    }
    let sample = particles.read().await;
    let sample = sample.map_err(|error| Failure::Failed(error.to_string()))?;
    let info = serde_json::to_value(particles.info()).map_err(|error| {
        Failure::Failed(format!("the counter's words cannot be shown: {error}"))
    })?;
    let counts = sample.histogram.counts.iter().copied();
    Ok(Visit {
        info,
        counts: counts.map(u64::from).collect(),
    })
}

pub(super) fn recent(loaded: &Loaded, rows: u32) -> Result<Vec<NamedRow>, Failure> {
    // Looking must not make a database.
    if !loaded.config.opc.database.exists() {
        return Ok(Vec::new());
    }
    let told = |error: &dyn std::error::Error| Failure::Failed(error.to_string());
    let (store, _) = cloud::open_store(loaded).map_err(|error| told(&error))?;
    let found = store
        .handle()
        .call_blocking(move |database| database.recent(rows));
    store.close();
    let found = found.map_err(|error| told(&error))?;
    Ok(found.iter().map(StoredReading::named).collect())
}
