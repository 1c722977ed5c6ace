//! Frame memory: allocated here and imported into libcamera, mapped once, read in place.
//!
//! | source | mapping | used for |
//! |---|---|---|
//! | DMA heap `vidbuf_cached`, then `linux,cma` | cached; a sync ioctl before and after a look | a Pi |
//! | libcamera's allocator | often uncached: slow to read, but always there | a Pi without usable heaps |
//! | memfd | plain memory that no hardware can fill | software pipelines |

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use libcamera::camera::ActiveCamera;
use libcamera::framebuffer::{
    AsFrameBuffer, FrameBufferPlane, FrameMetadataStatus, OwnedFrameBuffer,
};
use libcamera::framebuffer_allocator::{FrameBuffer, FrameBufferAllocator};
use libcamera::request::Request;
use libcamera::stream::Stream;
use rustix::fs::{MemfdFlags, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::ioctl::{Setter, Updater, ioctl};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::camera::backend::BackendError;

/// DMA heaps by preference: the first one's buffers are cached, so that reading them costs what memory costs.
const HEAPS: [&str; 2] = ["/dev/dma_heap/vidbuf_cached", "/dev/dma_heap/linux,cma"];
/// `DMA_HEAP_IOCTL_ALLOC`.
const HEAP_ALLOC: u32 = 0xc018_4800;
/// `DMA_BUF_IOCTL_SYNC`.
const BUFFER_SYNC: u32 = 0x4008_6200;
const SYNC_START_READ: u64 = 1;
const SYNC_END_READ: u64 = 5;
/// Fewer buffers make no stream: one fills while the other is read.
const FEWEST: usize = 2;

/// `struct dma_heap_allocation_data`.
#[repr(C)]
struct HeapAllocation {
    length: u64,
    fd: u32,
    fd_flags: u32,
    heap_flags: u64,
}

const _: () = assert!(size_of::<HeapAllocation>() == 0x18);

/// One frame's memory. The mapping is for reading alone.
#[derive(Debug)]
pub(super) struct Memory {
    fd: OwnedFd,
    base: NonNull<u8>,
    length: usize,
    /// Backed by a DMA buffer, whose caches have to be told of a look.
    needs_sync: bool,
}

// SAFETY: the mapping belongs to this value alone and is never written through it; reading it from another thread is
// no different. The descriptor may be used from any thread.
unsafe impl Send for Memory {}
// SAFETY: as above; all methods read.
unsafe impl Sync for Memory {}

impl Memory {
    fn map(fd: OwnedFd, length: usize, needs_sync: bool) -> io::Result<Self> {
        // SAFETY: a new shared mapping at an address of the kernel's choice replaces nothing that Rust knows of.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                &fd,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            fd,
            base,
            length,
            needs_sync,
        })
    }

    /// Shows the first `length` bytes, or all there are. No request that holds this memory may be with the camera.
    pub(super) fn look(&self, length: usize, look: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let _synced = self.needs_sync.then(|| Synced::start(self.fd.as_fd()));
        let _synced = _synced.transpose()?;
        // SAFETY: the mapping holds `self.length` bytes and lives as long as `self`. The camera does not write into it,
        // because the frame that leads here keeps its request from being queued; nobody else knows the memory.
        let bytes = unsafe { slice::from_raw_parts(self.base.as_ptr(), length.min(self.length)) };
        look(bytes);
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping made by `map`, and no slice of it outlives `look`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// A look at a DMA buffer; the caches are told of its end even when the look panics.
struct Synced<'a>(BorrowedFd<'a>);

impl<'a> Synced<'a> {
    fn start(fd: BorrowedFd<'a>) -> io::Result<Self> {
        sync(fd, SYNC_START_READ)?;
        Ok(Self(fd))
    }
}

impl Drop for Synced<'_> {
    fn drop(&mut self) {
        if let Err(error) = sync(self.0, SYNC_END_READ) {
            tracing::debug!(%error, "cannot end the look at a DMA buffer");
        }
    }
}

fn sync(fd: BorrowedFd<'_>, flags: u64) -> io::Result<()> {
    let once = || {
        // SAFETY: this opcode takes a pointer to a `struct dma_buf_sync`, which is one u64, and only reads it.
        unsafe { ioctl(fd, Setter::<BUFFER_SYNC, u64>::new(flags)) }
    };
    match retry_on_intr(once) {
        // No DMA buffer after all: its memory has no caches of its own.
        Err(Errno::NOTTY) => Ok(()),
        result => Ok(result?),
    }
}

/// Memory and the buffer that libcamera fills it by.
pub(super) struct Allotment {
    pub(super) memory: Arc<Memory>,
    buffer: Buffer,
}

/// A buffer as libcamera has it.
enum Buffer {
    Imported(OwnedFrameBuffer),
    Allocated(FrameBuffer),
}

/// How a frame is laid out for libcamera: its planes as (offset, length).
pub(super) struct FramePlanes {
    pub(super) planes: Vec<(u32, u32)>,
}

impl FramePlanes {
    fn bytes(&self) -> usize {
        let end = |&(offset, length): &(u32, u32)| offset as usize + length as usize;
        self.planes.iter().map(end).max().unwrap_or(0)
    }
}

impl Allotment {
    /// Hands the buffer to a request for good.
    pub(super) fn attach(self, request: &mut Request, stream: &Stream) -> io::Result<()> {
        match self.buffer {
            Buffer::Imported(buffer) => request.add_buffer(stream, buffer),
            Buffer::Allocated(buffer) => request.add_buffer(stream, buffer),
        }
    }
}

/// What libcamera says of the buffer of a completed request: verdict and frame counter. `None` where the pipeline
/// fills nothing in.
pub(super) fn verdict(request: &Request, stream: &Stream) -> Option<(FrameMetadataStatus, u32)> {
    let imported = request.buffer::<OwnedFrameBuffer>(stream);
    let metadata = match imported {
        Some(buffer) => buffer.metadata(),
        None => request.buffer::<FrameBuffer>(stream)?.metadata(),
    }?;
    Some((metadata.status(), metadata.sequence()))
}

/// Up to `count` buffers, at least two, from the best source that has them. `software` says that no hardware fills
/// them, so that plain memory will do.
pub(super) fn allocate(
    camera: &ActiveCamera<'static>,
    stream: &Stream,
    frame: &FramePlanes,
    count: usize,
    software: bool,
) -> Result<Vec<Allotment>, BackendError> {
    let mut refusals = Vec::new();
    for path in HEAPS {
        match several(count, || heap_memory(Path::new(path), frame)) {
            Ok(made) => return Ok(chosen(path, made)),
            Err(error) => refusals.push(format!("{path}: {error}")),
        }
    }
    match allocated(camera, stream, frame) {
        Ok(made) => return Ok(chosen("libcamera's allocator", made)),
        Err(error) => refusals.push(format!("libcamera's allocator: {error}")),
    }
    if software {
        match several(count, || plain_memory(frame)) {
            Ok(made) => return Ok(chosen("plain memory", made)),
            Err(error) => refusals.push(format!("plain memory: {error}")),
        }
    }
    Err(BackendError::Device(format!(
        "no memory for {FEWEST} frames of {} bytes ({})",
        frame.bytes(),
        refusals.join("; ")
    )))
}

fn chosen(source: &str, made: Vec<Allotment>) -> Vec<Allotment> {
    tracing::debug!(source, buffers = made.len(), "frame memory");
    made
}

/// As many as can be had, up to `count`.
fn several(count: usize, make: impl Fn() -> io::Result<Allotment>) -> io::Result<Vec<Allotment>> {
    let mut made = Vec::with_capacity(count);
    while made.len() < count {
        match make() {
            Ok(one) => made.push(one),
            Err(error) if made.len() < FEWEST => return Err(error),
            Err(error) => {
                tracing::debug!(%error, buffers = made.len(), "less frame memory than wanted");
                break;
            }
        }
    }
    Ok(made)
}

fn heap_memory(heap: &Path, frame: &FramePlanes) -> io::Result<Allotment> {
    let heap = File::options().read(true).write(true).open(heap)?;
    let mut allocation = HeapAllocation {
        length: frame.bytes() as u64,
        fd: 0,
        fd_flags: (OFlags::RDWR | OFlags::CLOEXEC).bits(),
        heap_flags: 0,
    };
    // SAFETY: this opcode takes a pointer to exactly this structure and fills in `fd`.
    unsafe { ioctl(&heap, Updater::<HEAP_ALLOC, _>::new(&mut allocation))? };
    let fd = RawFd::try_from(allocation.fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the call has just opened this descriptor for us, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    imported(fd, frame, true)
}

fn plain_memory(frame: &FramePlanes) -> io::Result<Allotment> {
    let fd = rustix::fs::memfd_create("outpost-frame", MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&fd, frame.bytes() as u64)?;
    imported(fd, frame, false)
}

fn imported(fd: OwnedFd, frame: &FramePlanes, needs_sync: bool) -> io::Result<Allotment> {
    let buffer = import(&fd, frame)?;
    Ok(Allotment {
        memory: Arc::new(Memory::map(fd, frame.bytes(), needs_sync)?),
        buffer: Buffer::Imported(buffer),
    })
}

/// Makes memory known to libcamera, which keeps duplicates of the descriptor.
fn import(fd: &OwnedFd, frame: &FramePlanes) -> io::Result<OwnedFrameBuffer> {
    let mut planes = Vec::with_capacity(frame.planes.len());
    for &(offset, length) in &frame.planes {
        planes.push(FrameBufferPlane {
            fd: fd.try_clone()?,
            offset,
            length,
        });
    }
    let handed: Vec<RawFd> = planes.iter().map(|plane| plane.fd.as_raw_fd()).collect();
    let buffer = OwnedFrameBuffer::new(planes, None)?;
    for fd in handed {
        // SAFETY: the crate took these descriptors out of their owners, lent them to libcamera, which duplicates them,
        // and forgets them when it succeeds (crate 0.7.0, the version Cargo.toml demands): they are open and nobody's.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    Ok(buffer)
}

fn allocated(
    camera: &ActiveCamera<'static>,
    stream: &Stream,
    frame: &FramePlanes,
) -> io::Result<Vec<Allotment>> {
    // The buffers keep what they come from alive.
    let buffers = FrameBufferAllocator::new(camera).alloc(stream)?;
    let allotments: io::Result<Vec<Allotment>> = buffers
        .into_iter()
        .map(|buffer| {
            let memory = {
                let planes = buffer.planes();
                let first = planes.get(0).ok_or(io::ErrorKind::InvalidData)?;
                // SAFETY: the descriptor belongs to `buffer`, which outlives this borrow.
                let fd = unsafe { BorrowedFd::borrow_raw(first.fd()) };
                let fits = first.offset() == Some(0) && first.len() >= frame.planes[0].1 as usize;
                if !fits {
                    return Err(io::Error::from(io::ErrorKind::InvalidData));
                }
                Memory::map(fd.try_clone_to_owned()?, first.len(), true)?
            };
            Ok(Allotment {
                memory: Arc::new(memory),
                buffer: Buffer::Allocated(buffer),
            })
        })
        .collect();
    match allotments {
        Ok(made) if made.len() < FEWEST => Err(io::ErrorKind::OutOfMemory.into()),
        made => made,
    }
}
