//! What the front ends have in common.

use std::io;

use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::device::Device;
use super::faults::{Fault, Faults};

/// Bytes read at a time.
const READ: usize = 4096;
/// Bytes that wait to be sent at most, but for the answer to the byte that exceeds it.
const PENDING: usize = 4096;

/// Plays the device on a byte stream until the host ends it, or until the device is to vanish: for how many
/// milliseconds.
///
/// # Errors
/// Those of the stream.
pub(super) async fn serve(
    device: &mut Device,
    faults: &Faults,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<Option<u64>> {
    let mut buffer = [0; READ];
    let mut out = Vec::new();
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(None);
        }
        let ms = faults.take(Fault::Vanish);
        if ms > 0 {
            return Ok(Some(ms));
        }
        for byte in &buffer[..count] {
            device.receive(std::slice::from_ref(byte), &mut out);
            if out.len() > PENDING {
                send(faults, stream, &mut out).await?;
            }
        }
        send(faults, stream, &mut out).await?;
    }
}

async fn send(
    faults: &Faults,
    stream: &mut (impl AsyncWrite + Unpin),
    out: &mut Vec<u8>,
) -> io::Result<()> {
    match faults.number(Fault::SlowWrites) {
        0 => stream.write_all(out).await?,
        size => {
            for piece in out.chunks(size.try_into().unwrap_or(usize::MAX)) {
                stream.write_all(piece).await?;
                // The host's thread gets its turn between two pieces.
                std::thread::yield_now();
            }
        }
    }
    // A large dump leaves no large buffer behind.
    *out = Vec::new();
    Ok(())
}
