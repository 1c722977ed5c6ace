//! gzip on one core or on all of them.
//!
//! On several, the data are cut into chunks and each becomes a gzip member of its own; members one after another are
//! a gzip file by RFC 1952, 2.2. Chunk i goes to worker i mod n and the results are collected in the same order, so
//! the queues between are short and the output does not depend on which worker is quicker.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

/// On raw frames level 3 takes half the time of gzip's usual 6 and gives at most 3 % more bytes (measured with
/// zlib-rs on simulated noise: 94 against 43 MB/s at 39.5 against 38.3 % for packed bytes, equal for unpacked pixels).
const LEVEL: u32 = 3;
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks waiting before and behind each worker.
const QUEUE_CHUNKS: usize = 1;
/// More workers would only hold more memory: the tar side feeds about this many.
const MAX_WORKERS: usize = 8;

/// gzip into `out`, with neither name nor time in the header.
pub(super) fn encoder<W: Write>(out: W) -> GzEncoder<W> {
    GzBuilder::new().write(out, Compression::new(LEVEL))
}

/// Runs `produce` and compresses what it writes on up to `threads` workers into `out`, which comes back complete.
///
/// `fail` turns an error of `out` into the caller's; it goes before the error that `produce` makes of it.
pub(super) fn parallel<W: Write + Send, E>(
    out: W,
    threads: usize,
    fail: impl Fn(io::Error) -> E,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<W, E> {
    thread::scope(|scope| {
        let mut feeds = Vec::new();
        let mut results = Vec::new();
        for _ in 0..threads.clamp(1, MAX_WORKERS) {
            let (feed, chunks) = sync_channel(QUEUE_CHUNKS);
            let (result, compressed) = sync_channel(QUEUE_CHUNKS);
            thread::Builder::new()
                .name("archive-gzip".into())
                .spawn_scoped(scope, move || compress_chunks(&chunks, &result))
                .map_err(&fail)?;
            feeds.push(feed);
            results.push(compressed);
        }
        let collector = thread::Builder::new()
            .name("archive-write".into())
            .spawn_scoped(scope, move || collect(out, &results))
            .map_err(&fail)?;
        let mut chunks = ChunkWriter {
            feeds,
            next: 0,
            chunk: Vec::with_capacity(CHUNK_BYTES),
        };
        let produced = produce(&mut chunks).and_then(|()| chunks.send().map_err(&fail));
        drop(chunks);
        let collected = match collector.join() {
            Ok(collected) => collected,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let out = collected.map_err(&fail)?;
        produced.map(|()| out)
    })
}

/// Cuts a stream into chunks and deals them to the workers in turn.
struct ChunkWriter {
    feeds: Vec<SyncSender<Vec<u8>>>,
    next: usize,
    chunk: Vec<u8>,
}

impl ChunkWriter {
    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        self.feeds[self.next]
            .send(chunk)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.next = (self.next + 1) % self.feeds.len();
        Ok(())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A worker: ends when the producer or the collector does.
fn compress_chunks(chunks: &Receiver<Vec<u8>>, results: &SyncSender<io::Result<Vec<u8>>>) {
    while let Ok(chunk) = chunks.recv() {
        let compressed = compress(&chunk);
        if results.send(compressed).is_err() {
            return;
        }
    }
}

fn compress(chunk: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = encoder(Vec::with_capacity(chunk.len() / 2));
    encoder.write_all(chunk)?;
    encoder.finish()
}

/// Writes the results in order until the first worker has no more; its turn is where the stream ended.
fn collect<W: Write>(mut out: W, results: &[Receiver<io::Result<Vec<u8>>>]) -> io::Result<W> {
    for turn in results.iter().cycle() {
        match turn.recv() {
            Ok(compressed) => out.write_all(&compressed?)?,
            Err(_) => break,
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use super::*;

    fn pack(data: &[u8], threads: usize) -> io::Result<Vec<u8>> {
        // Pieces that do not divide a chunk, as tar headers make them.
        parallel(
            Vec::new(),
            threads,
            |error| error,
            |out| data.chunks(1000).try_for_each(|piece| out.write_all(piece)),
        )
    }

    #[test]
    fn chunks_come_back_in_order_on_any_number_of_threads() {
        let data: Vec<u8> = (0..7_u32 << 18)
            .flat_map(|n| (n / 3).to_le_bytes())
            .collect();
        for len in [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, data.len()] {
            let packed = pack(&data[..len], 3).unwrap();
            assert_eq!(packed, pack(&data[..len], 1).unwrap());
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(packed.as_slice())
                .read_to_end(&mut unpacked)
                .unwrap();
            assert!(unpacked == data[..len], "{len}");
        }
    }

    #[test]
    fn the_cause_is_told_when_the_output_fails() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.saturating_sub(bytes.len());
                match self.0 {
                    0 => Err(io::ErrorKind::StorageFull.into()),
                    _ => Ok(bytes.len()),
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let endless = parallel(
            Full(3000),
            2,
            |error| error,
            |out| {
                loop {
                    out.write_all(&[0; 5000])?;
                }
            },
        );
        assert_eq!(endless.err().unwrap().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn an_error_of_the_producer_ends_all_threads() {
        let result = parallel(
            Vec::new(),
            2,
            |_| "output",
            |out| {
                out.write_all(&vec![1; 3 * CHUNK_BYTES]).unwrap();
                Err("aborted")
            },
        );
        assert_eq!(result, Err("aborted"));
    }
}
