//! What the camera forgets with its power and is told again.

use super::proto::SpotArea;
use super::proto::response::Config;

/// Settings that are applied again after each restart of the camera.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// AGC, emissivity, gain mode.
    pub config: Config,
    /// Spot meter; `None` leaves it where the camera has it.
    pub spot: Option<SpotArea>,
    /// How far the camera's clock is to be ahead of the station's UTC, seconds: clients may set it to another zone.
    pub clock_ahead_s: i64,
}
