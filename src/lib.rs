//! Outpost: a headless Raspberry Pi as a networked measuring station.
//!
//! The code map, from the top down; ARCHITECTURE.md tells how the parts work together.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line, one file a subcommand |
//! | [`app`] | wiring: profile, storage, instruments, servers; start and stop order |
//! | [`server`] | listeners, sessions, the command table, the FE-PyCam2 dialect, the compatible ports, HTTP |
//! | [`opcn3`] | the particle counter: codec, driver, simulation |
//! | [`msp1000`] | the spectrometer: codec and arithmetic, driver, simulation |
//! | [`usbiss`] | the USB bridge in front of it, as an SPI device |
//! | [`bitscope`] | the oscilloscope: codec, driver, simulation |
//! | [`camera`] | the HQ camera: backends, stream, capture plan, actor, image worker |
//! | [`cloud`] | batches and uploads, on schedule and on demand |
//! | [`store`] | RAM disk, atomic files, catalog, archives |
//! | [`board`], [`config`] | profiles and settings, each mistake with its place |
//! | [`scpi`] | the text protocol as bytes and plain structs |
//! | [`plot`] | curves as PNG pictures: axes, units, legend |
//! | [`raw`] | pixel kernels and picture formats |
//! | [`bus`] | the only place that names hardware crates |
//! | [`base`] | clock, shutdown, error kinds, health, conditions, jobs, blocking pool |

pub mod app;
pub mod base;
pub mod bitscope;
pub mod board;
pub mod bus;
pub mod camera;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod msp1000;
pub mod opcn3;
pub mod plot;
pub mod raw;
pub mod scpi;
pub mod server;
pub mod store;
pub mod tcam;
pub mod usbiss;
