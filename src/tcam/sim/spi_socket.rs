//! The SPI slave for other programs: a UNIX stream socket.
//!
//! Each transaction: the client sends a u32, little endian, N; it gets exactly N bytes, then chip select rises.
//! Several may follow on a connection, and there may be several connections.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};

use super::hardware::SpiPort;

/// The longest transaction served; the camera's buffer holds 54 272 bytes.
const LONGEST: u32 = 1 << 20;

/// A listening socket, whose file is removed when it is dropped.
#[derive(Debug)]
pub struct SpiSocket {
    listener: Async<UnixListener>,
    path: PathBuf,
}

impl SpiSocket {
    /// Listens at `path`. A socket left there by a process that was killed is replaced.
    ///
    /// # Errors
    /// Those of the system: another kind of file is there, the folder is missing or closed to this user.
    pub fn bind(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        Ok(Self {
            listener: Async::<UnixListener>::bind(path)?,
            path: path.to_owned(),
        })
    }

    /// Serves `port`, until dropped.
    pub async fn serve(&self, port: SpiPort) -> io::Result<()> {
        let executor = LocalExecutor::new();
        let accept = async {
            loop {
                let (client, _) = self.listener.accept().await?;
                let port = port.clone();
                executor
                    .spawn(async move {
                        // A client that went away ends its connection, nothing else.
                        let _ = serve_client(client, port).await;
                    })
                    .detach();
            }
        };
        executor.run(accept).await
    }
}

impl Drop for SpiSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve_client(mut client: Async<UnixStream>, port: SpiPort) -> io::Result<()> {
    let mut words = Vec::new();
    loop {
        let mut count = [0; 4];
        client.read_exact(&mut count).await?;
        let count = u32::from_le_bytes(count);
        if count > LONGEST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        words.resize(count as usize, 0);
        words = port.transfer(words).await;
        client.write_all(&words).await?;
    }
}
