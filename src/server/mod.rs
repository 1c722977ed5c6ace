//! The servers: listeners, sessions, the command table and the FE-PyCam2 dialect.
//!
//! ```text
//! listener (one a port) -> session (one a connection) -> framer -> units -> command table -> handler
//!                             status, error queue,                \-> dialect (port 5060)
//!                             unsent output                              |
//!                                                        actor handles, store, jobs <-+
//! ```

mod commands;
mod connection;
mod context;
mod dialect;
mod errors;
mod http;
mod listener;
mod scope;
mod services;
mod session;
mod spectrometer;
mod thermal;

pub use self::commands::{help_rows, tree};
pub use self::http::{Message, WebSocket, WebSocketHandler};
pub use self::listener::{Listener, Protocol};
pub use self::scope::ScopePort;
pub use self::services::{CameraStart, Identity, LegacyPaths, RECORDINGS, Services};
pub use self::spectrometer::serve_websocket as serve_spectrometer_websocket;
