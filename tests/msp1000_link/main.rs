//! Driver and simulated spectrometer over real sockets, with TLS and without.

mod acceptance;
mod actor;
mod instrument;
mod program;
mod rig;
mod tls;
mod trouble;
