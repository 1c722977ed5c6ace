//! The device behind a pseudo-terminal.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_lite::future::or;
use smol::channel::{Receiver, Sender, bounded};

use super::device::{Config, Device};
use super::faults::Faults;
use super::front;
use crate::base::clock::Clock;
use crate::bus::pty::{Pty, PtyError};

/// Why the oscilloscope cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port.
    #[error("the simulated BitScope gets no serial port")]
    Port(#[from] PtyError),
    /// No thread.
    #[error("the simulated BitScope gets no thread")]
    Thread(#[source] io::Error),
}

/// A simulated BitScope on a pseudo-terminal, on a thread of its own. It runs until this is dropped.
#[derive(Debug)]
pub struct Port {
    link: PathBuf,
    pts: PathBuf,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    /// Plugs a device in at the symbolic link `link`, which replaces an older one and is removed in the end.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        clock: Clock,
        config: Config,
        faults: Faults,
        link: &Path,
    ) -> Result<Self, StartError> {
        let pty = Pty::open(Some(link))?;
        let pts = pty.path().to_owned();
        let (alive, end) = bounded(1);
        let board = Board {
            clock,
            config,
            faults,
            link: link.to_owned(),
        };
        let thread = thread::Builder::new()
            .name("bitscope-sim".into())
            .spawn(move || smol::block_on(or(board.run(pty), until(end))))
            .map_err(StartError::Thread)?;
        Ok(Self {
            link: link.to_owned(),
            pts,
            alive: Some(alive),
            thread: Some(thread),
        })
    }

    /// The serial port, for drivers.
    pub fn path(&self) -> &Path {
        &self.link
    }

    /// The pseudo-terminal behind [`path`](Self::path) at the start; another one after it had vanished.
    pub fn pts(&self) -> &Path {
        &self.pts
    }
}

impl Drop for Port {
    /// Waits until the link is gone.
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits until the other end is dropped.
pub(super) async fn until(end: Receiver<()>) {
    let _ = end.recv().await;
}

/// What the thread runs.
struct Board {
    clock: Clock,
    config: Config,
    faults: Faults,
    link: PathBuf,
}

impl Board {
    async fn run(self, mut pty: Pty) {
        loop {
            let mut device = Device::new(self.config, self.faults.clone());
            let served = front::serve(&mut device, &self.faults, &mut pty).await;
            // Without a wish to vanish the kernel took the port away; it comes back at once.
            let ms = served.ok().flatten().unwrap_or(0);
            pty.unplug();
            self.clock.sleep(Duration::from_millis(ms)).await;
            pty = match Pty::open(Some(&self.link)) {
                Ok(pty) => pty,
                Err(error) => {
                    tracing::error!("the simulated BitScope stays unplugged: {error}");
                    return std::future::pending().await;
                }
            };
        }
    }
}
