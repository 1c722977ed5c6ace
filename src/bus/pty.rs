//! A simulated serial device: a pseudo-terminal whose other end a driver opens by path, as it would a real port.
//!
//! ```text
//! simulator <-> master | kernel | slave <-> driver, or any other program
//!                               ^ kept open here as well
//! ```
//! The slave end is raw (no echo, no translation) and kept open here too: without it the master would fail with EIO
//! whenever no driver has the port, and the raw settings would be lost. A UART that nobody listens to goes on sending;
//! this one takes about 13 KB that nobody reads, then a write waits.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use smol::Async;

/// Why there is no pseudo-terminal.
#[derive(Debug, thiserror::Error)]
pub enum PtyError {
    /// The kernel gave none.
    #[error("no pseudo-terminal to be had")]
    Open(#[source] io::Error),
    /// The name for the link is taken.
    #[error("{0} exists and is not a symbolic link: remove it, or choose another name")]
    Occupied(PathBuf),
    /// The link cannot be made.
    #[error("symbolic link {link} cannot be made")]
    Link {
        /// Its name.
        link: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The device's end of a simulated serial port: what is written here the driver reads, and the other way round.
///
/// Futures-io [`AsyncRead`] and [`AsyncWrite`] on the smol reactor. A read or write dropped while pending loses no
/// bytes. Dropping it removes the link and unplugs the device.
#[derive(Debug)]
pub struct Pty {
    master: Async<File>,
    slave: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Pty {
    /// Makes a pseudo-terminal, and a symbolic link to it if `link` names one. An older link of that name, left by a
    /// process that was killed, is replaced.
    ///
    /// # Errors
    /// [`PtyError`].
    pub fn open(link: Option<&Path>) -> Result<Self, PtyError> {
        let (master, slave, path) = open_pair().map_err(|error| PtyError::Open(error.into()))?;
        let master = Async::new(File::from(master)).map_err(PtyError::Open)?;
        if let Some(link) = link {
            make_link(link, &path)?;
        }
        Ok(Self {
            master,
            slave,
            path,
            link: link.map(Path::to_owned),
        })
    }

    /// The slave's own path, `/dev/pts/N`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path for drivers: the link if there is one, else [`path`](Self::path).
    pub fn port(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }

    /// Takes the device away as pulling a USB plug does: the link goes, and a driver that has the port open is
    /// disconnected. Plug it in again by [`open`](Self::open) with the same link.
    pub fn unplug(self) {}
}

impl Drop for Pty {
    fn drop(&mut self) {
        // The name may be another's by now; that one's must stay.
        if let Some(link) = &self.link
            && std::fs::read_link(link).is_ok_and(|target| target == self.path)
        {
            let _ = std::fs::remove_file(link);
        }
    }
}

impl AsyncRead for Pty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.master).poll_read(cx, buffer))?;
        // Exclusive access ends with the last close, which never comes while the slave is held here: a driver that
        // was killed would lock its successor out. Ours are kept apart by their file locks as well.
        let _ = rustix::termios::ioctl_tiocnxcl(&self.slave);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.master).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Master, raw slave, and the slave's path.
fn open_pair() -> rustix::io::Result<(OwnedFd, OwnedFd, PathBuf)> {
    let master =
        rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(&name, flags, Mode::empty())?;
    let mut settings = rustix::termios::tcgetattr(&slave)?;
    settings.make_raw();
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings)?;
    let path = PathBuf::from(String::from_utf8_lossy(name.as_bytes()).into_owned());
    Ok((master, slave, path))
}

/// Puts the link in place in one step, so that a driver that waits for it never finds half of it.
fn make_link(link: &Path, target: &Path) -> Result<(), PtyError> {
    match std::fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => return Err(PtyError::Occupied(link.to_owned())),
        _ => {}
    }
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let place = || {
        symlink(target, &temporary)?;
        std::fs::rename(&temporary, link)
    };
    place().map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        PtyError::Link {
            link: link.to_owned(),
            source,
        }
    })
}
