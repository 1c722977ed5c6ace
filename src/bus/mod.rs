//! The only place that names hardware crates: lines of the GPIO header.

pub mod gpio;
