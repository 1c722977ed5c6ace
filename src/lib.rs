//! Outpost: a headless Raspberry Pi as a networked measuring station.

pub mod app;
pub mod base;
pub mod board;
pub mod bus;
pub mod camera;
pub mod cli;
pub mod config;
pub mod raw;
pub mod scpi;
pub mod server;
pub mod store;
pub mod tcam;
