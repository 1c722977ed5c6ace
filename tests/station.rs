//! The whole station as its clients see it: the built program with its own folder and ports, and what comes over the wire.

#[path = "station/board.rs"]
mod board;
#[path = "station/camera.rs"]
mod camera;
#[path = "station/client.rs"]
mod client;
#[path = "station/clients.rs"]
mod clients;
#[path = "station/cloud.rs"]
mod cloud;
#[path = "station/defects.rs"]
mod defects;
#[path = "station/discovery.rs"]
mod discovery;
#[path = "station/faults.rs"]
mod faults;
#[path = "station/files.rs"]
mod files;
#[path = "station/framing.rs"]
mod framing;
#[path = "station/harness.rs"]
mod harness;
#[path = "station/http.rs"]
mod http;
#[path = "station/legacy_session.rs"]
mod legacy_session;
#[path = "station/mini_spec.rs"]
mod mini_spec;
#[path = "station/particle.rs"]
mod particle;
#[path = "station/particle_clock.rs"]
mod particle_clock;
#[path = "station/particle_faults.rs"]
mod particle_faults;
#[path = "station/particle_rig.rs"]
mod particle_rig;
// Each test program uses its own part.
#[path = "station/scope.rs"]
mod scope;
#[path = "station/scope_clients.rs"]
mod scope_clients;
#[path = "station/scope_control.rs"]
mod scope_control;
#[path = "station/scope_faults.rs"]
mod scope_faults;
#[allow(dead_code)]
#[path = "tinycloud/server.rs"]
mod server;
#[path = "station/spectrometer.rs"]
mod spectrometer;
#[path = "station/spectrometer_clients.rs"]
mod spectrometer_clients;
#[path = "station/spectrometer_commands.rs"]
mod spectrometer_commands;
#[path = "station/spectrometer_faults.rs"]
mod spectrometer_faults;
#[allow(dead_code)]
#[path = "tinycloud/sshd.rs"]
mod sshd;
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
