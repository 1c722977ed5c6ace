//! The simulated particle counter behind the simulated USB bridge, on a pseudo-terminal.

use std::path::Path;

use crate::base::clock::Clock;
use crate::bus::sim_port::StartError;
use crate::opcn3::sim::{Counter, Faults, SimConfig};
use crate::usbiss;
use crate::usbiss::sim::{Bridge, Port, Trouble};

/// Switches a counter on behind a bridge whose serial port is the symbolic link `link`. Both suffer from `faults`.
///
/// # Errors
/// [`StartError`].
pub fn start(
    clock: Clock,
    config: SimConfig,
    faults: Faults,
    link: &Path,
) -> Result<Port, StartError> {
    usbiss::sim::plug_in(clock, bridge(config, faults), link)
}

/// The counter behind the bridge, without a port.
pub fn bridge(config: SimConfig, faults: Faults) -> Bridge {
    let mut counter = Counter::new(config, faults.clone(), std::time::Duration::ZERO);
    let slave = move |byte, now| counter.transfer(byte, now);
    let strikes = move |trouble: Trouble| faults.strike_named(trouble.name());
    Bridge::new(Box::new(slave), Box::new(strikes))
}
