//! A spidev device file, played by a FUSE server.
//!
//! The kernel hands a FUSE server only the argument of an ioctl itself, so the buffers that the transfer records point
//! to are read and written through `/proc/PID/mem` of the caller, which waits in its ioctl meanwhile.
//!
//! ```text
//! ioctl   type 'k' (0x6b), number, size
//! 0       n x 32 bytes of struct spi_ioc_transfer: tx_buf u64, rx_buf u64, len u32, speed_hz u32, delay_usecs u16, ...
//! 1, 5    mode, u8 or u32        2  least significant bit first, u8
//! 3       bits a word, u8        4  highest clock, u32
//! ```
//! Source: the kernel's `include/uapi/linux/spi/spidev.h` and `drivers/spi/spidev.c`.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use embedded_hal::spi::SpiDevice;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, IoctlFlags, OpenFlags, ReplyAttr, ReplyEntry, ReplyIoctl, ReplyOpen,
    Request,
};
use outpost::bus::spi::SpiLink;
use tempfile::TempDir;

const NAME: &str = "spidev0.0";
const FILE: INodeNo = INodeNo(2);
const FOREVER: Duration = Duration::from_secs(3600);
/// Bytes of a transfer record.
const RECORD: usize = 32;
const MAGIC: u8 = 0x6b;
/// `_IOC_WRITE`: from the caller to the device.
const WRITE: u32 = 1;

/// What the caller has set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    pub mode: u32,
    pub lsb_first: bool,
    pub bits: u8,
    pub hz: u32,
}

/// The file. Unmounted when dropped.
pub struct Device {
    state: Arc<Mutex<Bus>>,
    _session: BackgroundSession,
    folder: TempDir,
}

/// What the server and the test share.
struct Bus {
    slave: SpiLink,
    bufsiz: usize,
    settings: Settings,
    refuses_settings: bool,
    /// Bytes of each transaction.
    transactions: Vec<usize>,
}

struct Server(Arc<Mutex<Bus>>);

impl Device {
    /// Mounts a folder with the file `spidev0.0` in it. Errors: there is no FUSE, or not for this user.
    pub fn serve(slave: SpiLink, bufsiz: usize) -> io::Result<Self> {
        // Told more plainly than by the mount.
        OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")?;
        let folder = tempfile::tempdir()?;
        let state = Arc::new(Mutex::new(Bus {
            slave,
            bufsiz,
            settings: Settings::default(),
            refuses_settings: false,
            transactions: Vec::new(),
        }));
        let session = fuser::spawn_mount(Server(state.clone()), folder.path(), &Config::default())?;
        Ok(Self {
            state,
            _session: session,
            folder,
        })
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    pub fn settings(&self) -> Settings {
        self.state.lock().unwrap().settings
    }

    pub fn transactions(&self) -> Vec<usize> {
        self.state.lock().unwrap().transactions.clone()
    }

    /// As a controller that cannot do what is asked for.
    pub fn refuse_settings(&self) {
        self.state.lock().unwrap().refuses_settings = true;
    }
}

/// One record of a message.
struct Transfer {
    tx: u64,
    rx: u64,
    length: usize,
}

impl Transfer {
    fn read(record: &[u8]) -> Self {
        let word = |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().unwrap());
        Self {
            tx: word(0),
            rx: word(8),
            length: u32::from_ne_bytes(record[16..20].try_into().unwrap()) as usize,
        }
    }
}

impl Bus {
    /// One message: chip-select falls before it and rises after it. Gives the number of bytes.
    fn message(&mut self, records: &[u8], caller: u32) -> Result<usize, Errno> {
        let transfers: Vec<_> = records.chunks_exact(RECORD).map(Transfer::read).collect();
        let total = transfers.iter().map(|transfer| transfer.length).sum();
        if total > self.bufsiz {
            return Err(Errno::EMSGSIZE);
        }
        let memory = memory(caller)?;
        let mut clocked = vec![0; total];
        let mut rest = clocked.as_mut_slice();
        for transfer in &transfers {
            let (bytes, others) = rest.split_at_mut(transfer.length);
            if transfer.tx != 0 {
                memory
                    .read_exact_at(bytes, transfer.tx)
                    .map_err(|_| Errno::EFAULT)?;
            }
            rest = others;
        }
        self.slave
            .transfer_in_place(&mut clocked)
            .map_err(|_| Errno::EIO)?;
        let mut rest = clocked.as_slice();
        for transfer in &transfers {
            let (bytes, others) = rest.split_at(transfer.length);
            if transfer.rx != 0 {
                memory
                    .write_all_at(bytes, transfer.rx)
                    .map_err(|_| Errno::EFAULT)?;
            }
            rest = others;
        }
        self.transactions.push(total);
        Ok(total)
    }

    fn set(&mut self, number: u8, value: &[u8]) -> Result<(), Errno> {
        if self.refuses_settings {
            return Err(Errno::EINVAL);
        }
        let small = value.first().copied().ok_or(Errno::EINVAL)?;
        let large = || value.try_into().map(u32::from_ne_bytes);
        match number {
            1 => self.settings.mode = small.into(),
            2 => self.settings.lsb_first = small != 0,
            3 => self.settings.bits = small,
            4 => self.settings.hz = large().map_err(|_| Errno::EINVAL)?,
            5 => self.settings.mode = large().map_err(|_| Errno::EINVAL)?,
            _ => return Err(Errno::ENOTTY),
        }
        Ok(())
    }

    fn get(&self, number: u8) -> Result<Vec<u8>, Errno> {
        let Settings {
            mode,
            lsb_first,
            bits,
            hz,
        } = self.settings;
        match number {
            1 => Ok(vec![mode as u8]),
            2 => Ok(vec![lsb_first.into()]),
            3 => Ok(vec![bits]),
            4 => Ok(hz.to_ne_bytes().to_vec()),
            5 => Ok(mode.to_ne_bytes().to_vec()),
            _ => Err(Errno::ENOTTY),
        }
    }
}

/// Memory of a process. Its own is open to each, others' to root and to whoever may trace them.
fn memory(process: u32) -> Result<File, Errno> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{process}/mem"))
        .map_err(|_| Errno::EPERM)
}

fn attributes(inode: INodeNo) -> FileAttr {
    let is_file = inode == FILE;
    FileAttr {
        ino: inode,
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: match is_file {
            true => FileType::RegularFile,
            false => FileType::Directory,
        },
        perm: if is_file { 0o600 } else { 0o700 },
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match parent == INodeNo::ROOT && name == NAME {
            true => reply.entry(&FOREVER, &attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Nothing of it is to be cached, and it has no length.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn ioctl(
        &self,
        request: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        command: u32,
        argument: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        let [number, kind, ..] = command.to_le_bytes();
        if kind != MAGIC {
            return reply.error(Errno::ENOTTY);
        }
        let mut bus = self.0.lock().unwrap();
        let writes = (command >> 30) & WRITE != 0;
        let done = match (number, writes) {
            (0, true) => bus
                .message(argument, request.pid())
                .map(|bytes| (bytes as i32, Vec::new())),
            (_, true) => bus.set(number, argument).map(|()| (0, Vec::new())),
            (_, false) => bus.get(number).map(|value| (0, value)),
        };
        match done {
            Ok((result, value)) => reply.ioctl(result, &value),
            Err(error) => reply.error(error),
        }
    }
}
