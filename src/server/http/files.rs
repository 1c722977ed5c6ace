//! A file as the body of an answer: read piece by piece on the blocking pool while it is sent.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::base::pool::BlockingPool;
use crate::store::StoredFile;

/// Piece in which files are read.
const CHUNK: usize = 256 * 1024;

type Reading = Pin<Box<dyn Future<Output = io::Result<(File, Vec<u8>)>>>>;

/// A stored file on its way to a client.
pub(super) struct FileBody {
    pool: BlockingPool,
    /// Between two pieces.
    file: Option<File>,
    /// The piece being read.
    reading: Option<Reading>,
    /// Bytes not yet read.
    left: u64,
}

impl FileBody {
    pub(super) fn new(stored: StoredFile, pool: BlockingPool) -> Self {
        Self {
            pool,
            file: Some(stored.file),
            reading: None,
            left: stored.size,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.reading.is_none() {
            let want = self.left.min(CHUNK as u64) as usize;
            let Some(file) = self.file.take().filter(|_| want > 0) else {
                return Poll::Ready(None);
            };
            self.reading = Some(read(self.pool.clone(), file, want));
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let Poll::Ready(done) = reading.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        self.reading = None;
        // A file cut short under our hands is an error: hyper then closes the connection before its stated end.
        Poll::Ready(Some(done.map(|(file, piece)| {
            self.file = Some(file);
            self.left -= piece.len() as u64;
            Frame::data(piece.into())
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn read(pool: BlockingPool, mut file: File, want: usize) -> Reading {
    Box::pin(async move {
        let work = move || {
            let mut piece = vec![0; want];
            io::Read::read_exact(&mut file, &mut piece).map(|()| (file, piece))
        };
        pool.run_in_turn(work).await.map_err(io::Error::other)?
    })
}
