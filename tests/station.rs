//! The whole station as its clients see it: the built program with its own folder and ports, and what comes over the wire.

#[path = "station/camera.rs"]
mod camera;
#[path = "station/client.rs"]
mod client;
#[path = "station/clients.rs"]
mod clients;
#[path = "station/defects.rs"]
mod defects;
#[path = "station/faults.rs"]
mod faults;
#[path = "station/files.rs"]
mod files;
#[path = "station/framing.rs"]
mod framing;
#[path = "station/harness.rs"]
mod harness;
#[path = "station/legacy_session.rs"]
mod legacy_session;
#[path = "station/particle.rs"]
mod particle;
#[path = "station/particle_clock.rs"]
mod particle_clock;
#[path = "station/particle_faults.rs"]
mod particle_faults;
#[path = "station/start_and_stop.rs"]
mod start_and_stop;
#[path = "station/status.rs"]
mod status;
#[path = "station/thermal.rs"]
mod thermal;
#[path = "station/thermal_clients.rs"]
mod thermal_clients;
#[path = "station/thermal_commands.rs"]
mod thermal_commands;
#[path = "station/thermal_faults.rs"]
mod thermal_faults;
