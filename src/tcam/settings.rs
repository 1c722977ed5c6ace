//! What the camera forgets with its power and is told again.

use std::time::Instant;

use super::proto::SpotArea;
use super::proto::response::Config;

/// Settings that are applied again after each restart of the camera.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// AGC, emissivity, gain mode.
    pub config: Config,
    /// Spot meter; `None` leaves it where the camera has it.
    pub spot: Option<SpotArea>,
    /// The time that a client set, in whatever zone; `None` has the station's UTC.
    pub client_time: Option<ClientTime>,
}

/// A time that a client gave the camera. It goes on with monotonic time, so that the station's own clock may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTime {
    /// Civil time as seconds since 1970, no zone implied.
    pub civil_s: i64,
    /// When that was.
    pub at: Instant,
}
