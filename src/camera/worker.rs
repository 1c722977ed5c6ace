//! The image worker: a thread that turns frames into files or bytes.
//!
//! It clips, unpacks and bins straight from the frame buffer, gives the buffer back, then writes. Its arrays are
//! reused from picture to picture and released when the camera rests.

use std::io::{Cursor, Seek, SeekFrom};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use smol::channel::{self, Receiver, Sender};

use super::backend::{Frame, FrameBuffer};
use super::error::CameraError;
use crate::raw::formats::{self, Format, Picture, Tags};
use crate::raw::{FormatError, Kernels, Layout, Mode, Reducer, Window};
use crate::store::{NewFile, StoreError};

const TASKS: usize = 16;

/// What to make of a frame.
pub(super) struct Task {
    pub(super) frame: Frame,
    pub(super) layout: Layout,
    pub(super) window: Window,
    pub(super) mode: Mode,
    pub(super) tags: Tags,
    pub(super) output: Output,
    /// Repeated in the result.
    pub(super) number: usize,
    pub(super) reply: Sender<Done>,
}

/// Where the picture goes.
pub(super) enum Output {
    /// Files `<stem>.<extension>` in a folder, one a format, each complete or absent.
    Files {
        folder: PathBuf,
        stem: String,
        formats: Vec<Format>,
    },
    /// The bytes of one file.
    Memory(Format),
}

/// A task's end.
pub(super) struct Done {
    pub(super) number: usize,
    pub(super) result: Result<Product, CameraError>,
    /// Processing and writing.
    pub(super) took: Duration,
}

/// What became of a frame.
#[derive(Debug, Default)]
pub(super) struct Product {
    /// Bytes written to files.
    pub(super) written: u64,
    /// The file's bytes, for [`Output::Memory`].
    pub(super) bytes: Vec<u8>,
}

enum Order {
    Make(Box<Task>),
    Release,
}

/// The way to the worker; dropping it ends the thread after what it was given.
#[derive(Debug)]
pub(super) struct Worker(Sender<Order>);

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Order::Make(_) => "Make",
            Order::Release => "Release",
        })
    }
}

impl Worker {
    /// Starts the thread.
    pub(super) fn spawn() -> std::io::Result<Self> {
        let (sender, orders) = channel::bounded(TASKS);
        thread::Builder::new()
            .name("image-worker".into())
            .spawn(move || serve(&orders))?;
        Ok(Self(sender))
    }

    /// Hands in a frame; the caller bounds how many are out.
    pub(super) fn make(&self, task: Task) -> Result<(), CameraError> {
        self.0
            .try_send(Order::Make(Box::new(task)))
            .map_err(|_| CameraError::WorkerEnded)
    }

    /// Gives the arrays' memory back.
    pub(super) fn release(&self) {
        let _ = self.0.try_send(Order::Release);
    }
}

fn serve(orders: &Receiver<Order>) {
    let mut bench = Bench::new();
    while let Ok(order) = orders.recv_blocking() {
        match order {
            Order::Release => bench.release(),
            Order::Make(task) => {
                let begun = Instant::now();
                let Task {
                    frame,
                    layout,
                    window,
                    mode,
                    tags,
                    output,
                    number,
                    reply,
                } = *task;
                let geometry = Geometry {
                    layout,
                    window,
                    mode,
                };
                // A bug costs this picture; without an answer the capture would wait for ever.
                let make = AssertUnwindSafe(|| bench.make(frame.buffer, &geometry, &tags, &output));
                let result = panic::catch_unwind(make).unwrap_or(Err(CameraError::WorkerEnded));
                let _ = reply.send_blocking(Done {
                    number,
                    result,
                    took: begun.elapsed(),
                });
            }
        }
    }
}

struct Geometry {
    layout: Layout,
    window: Window,
    mode: Mode,
}

/// The worker's tools and arrays.
struct Bench {
    reducer: Reducer,
    /// In the mode of `.raw` and `.npy` files.
    array: Vec<u16>,
    /// Pixels, where `array` holds packed bytes and a format wants pixels.
    pixels: Vec<u16>,
}

impl Bench {
    fn new() -> Self {
        Self {
            reducer: Reducer::new(Kernels::detect()),
            array: Vec::new(),
            pixels: Vec::new(),
        }
    }

    fn release(&mut self) {
        *self = Self::new();
    }

    fn make(
        &mut self,
        mut buffer: Box<dyn FrameBuffer>,
        geometry: &Geometry,
        tags: &Tags,
        output: &Output,
    ) -> Result<Product, CameraError> {
        let formats = match output {
            Output::Files { formats, .. } => formats.as_slice(),
            Output::Memory(format) => std::slice::from_ref(format),
        };
        self.reduce(&mut *buffer, geometry, formats)?;
        // The camera can fill the buffer again while the picture is written.
        drop(buffer);
        match output {
            Output::Files { folder, stem, .. } => {
                self.write_files(folder, stem, formats, geometry, tags)
            }
            Output::Memory(format) => {
                let mut bytes = Cursor::new(Vec::new());
                formats::write(*format, &self.picture(*format, geometry, tags)?, &mut bytes)?;
                Ok(Product {
                    written: 0,
                    bytes: bytes.into_inner(),
                })
            }
        }
    }

    fn reduce(
        &mut self,
        buffer: &mut dyn FrameBuffer,
        geometry: &Geometry,
        formats: &[Format],
    ) -> Result<(), CameraError> {
        let Geometry {
            layout,
            window,
            mode,
        } = geometry;
        let stores_array = formats.iter().any(|format| !format.holds_pixels());
        let wants_pixels =
            *mode == Mode::PackedBytes && formats.iter().any(|format| format.holds_pixels());
        let mut reduced = Ok(());
        buffer.read(&mut |bytes| {
            let mut make = |mode: Mode, array: &mut Vec<u16>| {
                array.resize(mode.shape(window)?.element_count(), 0);
                self.reducer.reduce(bytes, layout, window, mode, array)
            };
            if stores_array || *mode != Mode::PackedBytes {
                reduced = make(*mode, &mut self.array);
            }
            if wants_pixels && reduced.is_ok() {
                reduced = make(Mode::Pixels, &mut self.pixels);
            }
        })?;
        Ok(reduced?)
    }

    fn picture<'a>(
        &'a self,
        format: Format,
        geometry: &Geometry,
        tags: &'a Tags,
    ) -> Result<Picture<'a>, CameraError> {
        let (mode, data) = match geometry.mode {
            Mode::PackedBytes if format.holds_pixels() => (Mode::Pixels, &self.pixels),
            mode => (mode, &self.array),
        };
        let shape = mode.shape(&geometry.window)?;
        Ok(Picture {
            rows: shape.rows,
            columns: shape.columns,
            data,
            mode,
            tags,
        })
    }

    fn write_files(
        &self,
        folder: &Path,
        stem: &str,
        formats: &[Format],
        geometry: &Geometry,
        tags: &Tags,
    ) -> Result<Product, CameraError> {
        let mut product = Product::default();
        for &format in formats {
            let mut file = NewFile::create(&folder.join(format!("{stem}.{}", format.extension())))?;
            let path = file.path();
            formats::write(format, &self.picture(format, geometry, tags)?, &mut file)
                .map_err(|error| at(&path, error))?;
            product.written += file
                .seek(SeekFrom::End(0))
                .map_err(|error| StoreError::from_io(&path, error))?;
            file.commit()?;
        }
        Ok(product)
    }
}

/// A file system's refusal is the store's to explain; everything else is the format's.
fn at(path: &Path, error: FormatError) -> CameraError {
    match error {
        FormatError::Io(source) => StoreError::from_io(path, source).into(),
        error => error.into(),
    }
}
