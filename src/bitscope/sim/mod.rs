//! The simulated BitScope Micro: the device's side of its protocol, with inputs, state and faults.
//!
//! | module | holds |
//! |---|---|
//! | [`device`] | the device as a state machine: bytes in, bytes out, virtual time |
//! | [`port`] | the device behind a pseudo-terminal |
//! | [`network`] | the device behind TCP, and behind the datagrams of a bitscope-server |
//!
//! Time is virtual: a trace ends at once, and the device's clock advances by what it took. It is written from the
//! device's documents and shares with the driver no more than the codec.

pub mod device;
mod faults;
mod front;
mod generator;
mod inputs;
pub mod network;
pub mod port;
mod trace;

pub use device::{Config, Device};
pub use faults::{FAULTS, Faults};
pub use inputs::{Inputs, Signal};
pub use network::{Answer, Datagrams, NetworkFront, Protocol};
pub use port::{Port, plug_in};
