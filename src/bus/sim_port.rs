//! A simulated device on a pseudo-terminal, as every simulator with a serial port keeps it.
//!
//! The device runs on a thread of its own, because drivers of serial devices block theirs.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use smol::channel::{Receiver, Sender, bounded};

use super::pty::{Pty, PtyError};

/// Why a device cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port.
    #[error("the simulated {device} gets no serial port")]
    Port {
        /// What the device is called.
        device: &'static str,
        /// Why.
        #[source]
        source: PtyError,
    },
    /// No thread.
    #[error("the simulated {device} gets no thread")]
    Thread {
        /// What the device is called.
        device: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Pull the plug or put it in again; told when done.
#[derive(Debug)]
pub struct PlugOrder {
    plugged: bool,
    done: Sender<()>,
}

/// A simulated device on a pseudo-terminal, commanded by orders `O`. It runs until this is dropped.
#[derive(Debug)]
pub struct SimPort<O> {
    link: PathBuf,
    pts: PathBuf,
    orders: Option<Sender<O>>,
    thread: Option<JoinHandle<()>>,
}

/// Orders that may wait until the device comes to them.
const QUEUE: usize = 16;

impl<O: Send + 'static> SimPort<O> {
    /// Plugs a device in at the symbolic link `link`, which replaces an older one and is removed in the end.
    ///
    /// `run` gets the device's socket and its orders, and returns when no more orders can come. `device` is what
    /// messages call it, `thread` the name of its thread, of at most 15 bytes.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start<Run, Running>(
        device: &'static str,
        thread: &str,
        link: &Path,
        run: Run,
    ) -> Result<Self, StartError>
    where
        Run: FnOnce(Socket, Receiver<O>) -> Running + Send + 'static,
        Running: Future<Output = ()>,
    {
        let pty = Pty::open(Some(link)).map_err(|source| StartError::Port { device, source })?;
        let pts = pty.path().to_owned();
        let (orders, inbox) = bounded(QUEUE);
        let socket = Socket {
            device,
            link: link.to_owned(),
            pty: Some(pty),
        };
        let thread = thread::Builder::new()
            .name(thread.into())
            .spawn(move || smol::block_on(run(socket, inbox)))
            .map_err(|source| StartError::Thread { device, source })?;
        Ok(Self {
            link: link.to_owned(),
            pts,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// The serial port, for drivers.
    pub fn path(&self) -> &Path {
        &self.link
    }

    /// The pseudo-terminal behind [`path`](Self::path) at the start; another one after it was plugged in again.
    pub fn pts(&self) -> &Path {
        &self.pts
    }

    /// Where orders go.
    pub(crate) fn orders(&self) -> &Sender<O> {
        self.orders
            .as_ref()
            .expect("a sender because only dropping takes it")
    }
}

impl<O: From<PlugOrder> + Send + 'static> SimPort<O> {
    /// Pulls the plug: the link goes, an open port is disconnected. The device behind keeps its power. Blocks until it
    /// is done.
    pub fn unplug(&self) {
        self.set_plugged(false);
    }

    /// Puts the plug in again, under the same link. Blocks until it is done.
    pub fn plug(&self) {
        self.set_plugged(true);
    }

    fn set_plugged(&self, plugged: bool) {
        let (done, wait) = bounded(1);
        let order = PlugOrder { plugged, done }.into();
        let _ = self.orders().send_blocking(order);
        let _ = wait.recv_blocking();
    }
}

impl<O> Drop for SimPort<O> {
    /// Waits until the link is gone.
    fn drop(&mut self) {
        if let Some(orders) = self.orders.take() {
            orders.close();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where a simulated device is plugged in, or not.
#[derive(Debug)]
pub struct Socket {
    device: &'static str,
    link: PathBuf,
    pty: Option<Pty>,
}

impl Socket {
    /// The serial line, while plugged in.
    pub(crate) fn line(&mut self) -> Option<&mut Pty> {
        self.pty.as_mut()
    }

    /// Whether it is plugged in.
    pub(crate) fn is_plugged(&self) -> bool {
        self.pty.is_some()
    }

    /// Takes the device away as pulling a USB plug does.
    pub(crate) fn pull(&mut self) {
        self.pty = None;
    }

    /// Puts it in again; it stays away, and a log line says why, when the system gives no port.
    pub(crate) fn put(&mut self) {
        if self.is_plugged() {
            return;
        }
        match Pty::open(Some(&self.link)) {
            Ok(pty) => self.pty = Some(pty),
            Err(error) => tracing::error!("the simulated {} stays unplugged: {error}", self.device),
        }
    }
}

impl PlugOrder {
    /// Hands to `act` whether the plug is to be in, and tells whoever ordered that it is done.
    pub(crate) fn obey(self, act: impl FnOnce(bool)) {
        act(self.plugged);
        let _ = self.done.try_send(());
    }
}
