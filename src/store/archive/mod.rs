//! Archives of a folder: tar, alone or compressed (`SRV:ARCHV`, hq-camera reference 5).
//!
//! ```text
//! header 512 | content, zero-filled to 512 | header | content | ... | 1024 zeros
//! ```
//! Headers are GNU tar's; a member name above 100 bytes comes before its header in a record of its own. Regular
//! files and folders only, in byte order of their names, with owner, mode and time of the files, so the same folder
//! gives the same archive. Compression adds gzip around it, with neither name nor time in its header: 7-Zip then
//! names what is inside after the archive.

mod gzip;
mod members;

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::folder::{EntryKind, Folder};
use super::{NewFile, RamDisk, Reservation, StoreError};
pub use members::MAX_MEMBERS;
use members::Member;

const BLOCK_BYTES: usize = 512;
/// Two blocks of zeros end a tar file.
const TRAILER: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];
/// A name up to here stands in the header itself.
const SHORT_NAME_BYTES: usize = 100;
/// Read size; also the longest the work goes on after an abort.
const READ_BYTES: usize = 256 * 1024;
/// Space held back ahead of a compressed archive, whose size nobody knows.
const RESERVE_STEP: u64 = 8 << 20;

/// How an archive is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchiveOptions {
    /// gzip rather than plain tar.
    pub compress: bool,
    /// Compress on all cores. The content is the same, cut into independent gzip members.
    pub multicore: bool,
    /// Members as `./` and `./name` (true), or with the whole path of the folder without its leading slash (false).
    pub suppress_parents: bool,
}

/// How far an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the files read so far.
    pub bytes_done: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSummary {
    /// Where it is, without links.
    pub path: PathBuf,
    /// Files and folders in it.
    pub members: usize,
    /// Bytes of the files in it.
    pub content_bytes: u64,
}

/// Writes everything below the folder `dir` into the archive `file`, both below the RAM disk.
///
/// The archive appears when it is complete, replacing a file of that name; after an error nothing is left. The
/// folder is not touched. Left out: the archive itself, temporary files, links, pipes and devices. A file that
/// grows meanwhile is stored as long as it was when its turn came; one that shrinks or vanishes is an error.
/// `progress` is called after every 256 KiB read and once at the end; [`ControlFlow::Break`] aborts.
///
/// Errors: names and places as [`RamDisk::resolve`], [`StoreError::Full`] before the start (plain) or meanwhile
/// (compressed), [`StoreError::Changed`], [`StoreError::TooMany`], [`StoreError::Aborted`].
pub fn create_archive(
    disk: &RamDisk,
    dir: &str,
    file: &str,
    options: ArchiveOptions,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ArchiveSummary, StoreError> {
    let source = disk.confine_path(dir)?;
    let folder = source.open_folder()?;
    let target = disk.confine_target(file)?;
    let target_folder = target.folder.open_folder()?;
    match target_folder.stat(&target.name) {
        Ok(found) if found.kind == EntryKind::File => {}
        Err(StoreError::NotFound { .. }) => {}
        Ok(_) => {
            return Err(StoreError::NotAFile {
                path: target_folder.path_of(&target.name),
            });
        }
        Err(error) => return Err(error),
    }
    let path = target.folder.real().join(&target.name);
    let itself = path.strip_prefix(source.real()).ok().map(Path::to_path_buf);
    let members = members::list(&folder, itself.as_deref())?;
    let prefix = name_prefix(&source.shown, options.suppress_parents);
    let content_bytes = members.iter().map(|member| member.size).sum();
    let writer = TarWriter {
        folder,
        prefix,
        target: path.clone(),
        done: Progress {
            bytes_done: 0,
            bytes_total: content_bytes,
        },
    };
    let reserved = disk.reserve(match options.compress {
        true => 0,
        false => writer.tar_size(&members),
    })?;
    let out = ArchiveFile {
        file: NewFile::create_in(target_folder, &target.name)?,
        disk,
        reserved,
    };
    let summary = ArchiveSummary {
        path,
        members: members.len(),
        content_bytes,
    };
    writer.write(out, &members, options, progress)?;
    Ok(summary)
}

/// What goes before each member's name.
fn name_prefix(dir: &Path, suppress_parents: bool) -> Vec<u8> {
    let parents = dir.strip_prefix("/").unwrap_or(dir);
    if suppress_parents || parents.as_os_str().is_empty() {
        return b"./".to_vec();
    }
    let mut prefix = parents.as_os_str().as_bytes().to_vec();
    prefix.push(b'/');
    prefix
}

struct TarWriter {
    folder: Folder,
    prefix: Vec<u8>,
    target: PathBuf,
    done: Progress,
}

impl TarWriter {
    fn write(
        mut self,
        out: ArchiveFile<'_>,
        members: &[Member],
        options: ArchiveOptions,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let target = self.target.clone();
        let fail = |source| StoreError::from_io(&target, source);
        let threads = match options.multicore {
            true => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            false => 1,
        };
        let mut body = |out: &mut dyn Write| self.write_members(members, out, progress);
        let mut out = out;
        if !options.compress {
            body(&mut out)?;
        } else if threads == 1 {
            let mut encoder = gzip::encoder(out);
            body(&mut encoder)?;
            out = encoder.finish().map_err(fail)?;
        } else {
            out = gzip::parallel(out, threads, fail, body)?;
        }
        out.file.commit()
    }

    fn write_members(
        &mut self,
        members: &[Member],
        out: &mut dyn Write,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut buffer = vec![0; READ_BYTES];
        for member in members {
            if member.is_folder {
                self.write_folder(member, out)?;
            } else {
                self.write_file(member, out, &mut buffer, progress)?;
            }
        }
        put(out, &TRAILER, &self.target)?;
        report(progress, self.done)
    }

    fn write_folder(&self, member: &Member, out: &mut dyn Write) -> Result<(), StoreError> {
        let metadata = self
            .changed(member, self.folder.descend(&member.path))?
            .metadata()?;
        let mut header = describe(&metadata);
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        self.put_header(header, &self.member_name(member), out)
    }

    fn write_file(
        &mut self,
        member: &Member,
        out: &mut dyn Write,
        buffer: &mut [u8],
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (mut file, metadata) = self.changed(member, self.open(member))?;
        // The size the space was reserved for and the progress counts to; a longer file is cut to it.
        if metadata.len() < member.size {
            return Err(self.vanished(member));
        }
        let mut header = describe(&metadata);
        header.set_entry_type(EntryType::Regular);
        header.set_size(member.size);
        self.put_header(header, &self.member_name(member), out)?;
        let mut left = member.size;
        while left > 0 {
            let want = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = match file.read(&mut buffer[..want]) {
                Ok(0) => return Err(self.vanished(member)),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::from_io(&self.path_of(member), error)),
            };
            put(out, &buffer[..got], &self.target)?;
            left -= got as u64;
            self.done.bytes_done += got as u64;
            report(progress, self.done)?;
        }
        put(out, padding(member.size), &self.target)
    }

    fn open(&self, member: &Member) -> Result<(File, std::fs::Metadata), StoreError> {
        let (parent, name) = (member.path.parent(), member.path.file_name());
        self.folder
            .descend(parent.unwrap_or(Path::new("")))?
            .open_file(name.unwrap_or_default())
    }

    fn put_header(
        &self,
        mut header: Header,
        name: &[u8],
        out: &mut dyn Write,
    ) -> Result<(), StoreError> {
        if name.len() > SHORT_NAME_BYTES {
            let size = name.len() as u64 + 1;
            let mut long = Header::new_gnu();
            set_name(&mut long, b"././@LongLink");
            long.set_entry_type(EntryType::GNULongName);
            long.set_mode(0o644);
            long.set_uid(0);
            long.set_gid(0);
            long.set_mtime(0);
            long.set_size(size);
            long.set_cksum();
            put(out, long.as_bytes(), &self.target)?;
            put(out, name, &self.target)?;
            put(out, &[0], &self.target)?;
            put(out, padding(size), &self.target)?;
        }
        set_name(&mut header, name);
        header.set_cksum();
        put(out, header.as_bytes(), &self.target)
    }

    fn member_name(&self, member: &Member) -> Vec<u8> {
        let mut name = self.prefix.clone();
        if !member.path.as_os_str().is_empty() {
            name.extend_from_slice(member.path.as_os_str().as_bytes());
            if member.is_folder {
                name.push(b'/');
            }
        }
        name
    }

    /// Bytes of the plain tar file.
    fn tar_size(&self, members: &[Member]) -> u64 {
        let blocks = |bytes: u64| bytes + padding(bytes).len() as u64;
        let all = members.iter().map(|member| {
            let name = self.member_name(member).len();
            let long_name = match name > SHORT_NAME_BYTES {
                true => BLOCK_BYTES as u64 + blocks(name as u64 + 1),
                false => 0,
            };
            BLOCK_BYTES as u64 + long_name + blocks(member.size)
        });
        all.sum::<u64>() + TRAILER.len() as u64
    }

    /// What was listed and is gone, or no longer a file, has changed under our hands.
    fn changed<T>(&self, member: &Member, opened: Result<T, StoreError>) -> Result<T, StoreError> {
        opened.map_err(|error| match error {
            StoreError::NotFound { .. }
            | StoreError::NotAFile { .. }
            | StoreError::NotAFolder { .. } => self.vanished(member),
            other => other,
        })
    }

    fn vanished(&self, member: &Member) -> StoreError {
        StoreError::Changed {
            path: self.path_of(member),
        }
    }

    fn path_of(&self, member: &Member) -> PathBuf {
        self.folder.path_of(member.path.as_os_str())
    }
}

/// A header with owner, mode and time.
fn describe(metadata: &std::fs::Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header
}

/// Writes the name's bytes as they are: the `tar` crate would drop the leading `./` that unpacking tools rely on.
fn set_name(header: &mut Header, name: &[u8]) {
    let field = &mut header.as_old_mut().name;
    let kept = name.len().min(field.len());
    field.fill(0);
    field[..kept].copy_from_slice(&name[..kept]);
}

/// The zeros that fill `size` bytes up to whole blocks.
fn padding(size: u64) -> &'static [u8] {
    static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    let over = (size % BLOCK_BYTES as u64) as usize;
    &ZEROS[..(BLOCK_BYTES - over) % BLOCK_BYTES]
}

fn put(out: &mut dyn Write, bytes: &[u8], target: &Path) -> Result<(), StoreError> {
    out.write_all(bytes)
        .map_err(|source| StoreError::from_io(target, source))
}

fn report(
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    done: Progress,
) -> Result<(), StoreError> {
    match progress(done) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(StoreError::Aborted),
    }
}

/// The archive file, which never takes more space than the RAM disk may give.
struct ArchiveFile<'a> {
    file: NewFile,
    disk: &'a RamDisk,
    reserved: Reservation,
}

impl Write for ArchiveFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = bytes.len() as u64;
        if self.reserved.remaining() < needed {
            let more = self.disk.reserve(RESERVE_STEP.max(needed));
            // Near the limit the whole step may not fit although the rest of the archive does.
            self.reserved = more
                .or_else(|_| self.disk.reserve(needed))
                .map_err(io::Error::other)?;
        }
        let written = self.file.write(bytes)?;
        self.reserved.consume(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
