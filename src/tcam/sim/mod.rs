//! The simulated tCam-Mini: the camera's side of its protocol, with a scene, state, timing and faults.
//!
//! | module | holds |
//! |---|---|
//! | [`camera`] | the camera as a state machine, without input and output |
//! | [`hardware`] | the camera with UART (a pseudo-terminal) and SPI (in memory), on a thread |
//! | [`network`] | the camera on a TCP port, on a thread |
//! | [`spi_socket`] | SPI for other programs, over a UNIX socket |
//! | [`scene`] | what it looks at: a moving warm spot, or recorded pictures |
//!
//! It is written from the camera's documents and shares with the driver no more than the codec.

mod calendar;
pub mod camera;
mod faults;
mod front;
pub mod hardware;
mod image;
mod lepton;
pub mod network;
mod registers;
pub mod scene;
pub mod spi_socket;
mod wire;

pub use camera::{Camera, Config, Interface};
pub use faults::{FAULTS, Faults};
pub use hardware::{Hardware, SpiPort};
pub use network::Network;
pub use scene::{Scene, SceneError};
pub use spi_socket::SpiSocket;
pub use wire::Output;
