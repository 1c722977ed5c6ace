//! What most instruments need from the station.

use super::clock::Clock;
use super::conditions::Conditions;
use super::health::Health;
use super::shutdown::Shutdown;
use super::trace::Trace;

/// The station as an instrument sees it.
#[derive(Clone)]
pub struct Station {
    /// Time.
    pub clock: Clock,
    /// Condition bits.
    pub conditions: Conditions,
    /// The instrument's own entry in the health book.
    pub health: Health,
    /// The instrument's trace.
    pub trace: Trace,
    /// The signal to stop.
    pub shutdown: Shutdown,
}
