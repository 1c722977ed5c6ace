//! The simulated tCam-Mini: the camera's side of its protocol, with a scene, state, timing and faults.
//!
//! | module | holds |
//! |---|---|
//! | [`camera`] | the camera as a state machine, without input and output |
//! | [`scene`] | what it looks at: a moving warm spot, or recorded pictures |
//!
//! It is written from the camera's documents and shares with the driver no more than the codec.

mod calendar;
pub mod camera;
mod faults;
mod image;
mod lepton;
mod registers;
pub mod scene;
mod wire;

pub use camera::{Camera, Config, Interface};
pub use faults::{FAULTS, Faults, UnknownFault};
pub use scene::{Scene, SceneError};
pub use wire::Output;
