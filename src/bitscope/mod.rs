//! The BitScope oscilloscope: two analogue and eight logic channels, a waveform and a clock generator, over a serial
//! line, raw TCP, or the datagrams of a bitscope-server.
//!
//! ```text
//! Scope (one conversation) <-> serial port, TCP stream, or datagrams <-> device or simulator
//! ```

pub mod driver;
pub mod proto;
pub mod sim;
