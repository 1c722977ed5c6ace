//! The device behind a pseudo-terminal.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use futures_lite::future::{or, pending};
use smol::channel::Receiver;

use super::device::{Config, Device};
use super::faults::Faults;
use super::front;
use crate::base::clock::Clock;
use crate::bus::sim_port::{SimPort, Socket, StartError};

/// A simulated BitScope on a pseudo-terminal. It runs until this is dropped.
pub type Port = SimPort<Infallible>;

/// Plugs a device in at the symbolic link `link`, which replaces an older one and is removed in the end.
///
/// # Errors
/// [`StartError`].
pub fn plug_in(
    clock: Clock,
    config: Config,
    faults: Faults,
    link: &Path,
) -> Result<Port, StartError> {
    SimPort::start("BitScope", "bitscope-sim", link, move |socket, end| {
        or(run(clock, config, faults, socket), until(end))
    })
}

/// Waits until the other end is dropped.
pub(super) async fn until<T>(end: Receiver<T>) {
    let _ = end.recv().await;
}

async fn run(clock: Clock, config: Config, faults: Faults, mut socket: Socket) {
    while let Some(pty) = socket.line() {
        let mut device = Device::new(config, faults.clone());
        let served = front::serve(&mut device, &faults, pty).await;
        // Without a wish to vanish the kernel took the port away; it comes back at once.
        let ms = served.ok().flatten().unwrap_or(0);
        socket.pull();
        clock.sleep(Duration::from_millis(ms)).await;
        socket.put();
    }
    pending().await
}
