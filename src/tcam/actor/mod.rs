//! The thermal camera's supervised loop.

use std::rc::Rc;

use smol::channel::Receiver;

use super::driver::Source;
use super::{Order, Shared};
use crate::base::shutdown::Shutdown;

/// The actor.
pub(super) struct Actor {
    pub(super) shared: Rc<Shared>,
    pub(super) orders: Receiver<Order>,
    pub(super) interest_changed: Receiver<()>,
    pub(super) source: Source,
    pub(super) reset_line: Option<Box<dyn FnMut(bool)>>,
    pub(super) shutdown: Shutdown,
}

impl Actor {
    /// Serves until shutdown.
    pub(super) async fn run(self) {
        self.shutdown.wait().await;
        self.shared.fanout.close();
    }
}
