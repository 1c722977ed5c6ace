//! `outpost setup`: the SD card's `outpost.toml`, applied at every start.
//!
//! The system is read-only, so what follows from the file is written to memory (`/run/outpost-setup`) each time, where the
//! image's own files point. What was good is kept on the data partition (`/data/setup/accepted.toml`), with the checksum of
//! the file it came from, so that a file that was damaged or half edited changes nothing. What is wrong is told in
//! `outpost-errors.txt` beside the file: the partition that any computer can read is the only screen this machine has.

mod card;
mod outputs;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use md5::{Digest, Md5};
use rustix::mount::{MountFlags, mount_remount};
use serde::{Deserialize, Serialize};

use super::{Arguments, Failure, complain};
use crate::board::{self, Profile, RamdiskSize};
use crate::config::{Problem, Sources};
use card::Card;

const FILE: &str = "outpost.toml";
const ERRORS: &str = "outpost-errors.txt";

/// What is kept on the data partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Accepted {
    /// Checksum of the file that was applied.
    file_md5: String,
    card: Card,
}

/// The folders, below `--root`.
struct Places {
    /// Whether this is the machine itself: only then it is renamed and partitions are made writable.
    is_machine: bool,
    card: PathBuf,
    kept: PathBuf,
    out: PathBuf,
    networks: PathBuf,
    ramdisk: PathBuf,
    shadow: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let root = arguments.root.clone().unwrap_or_else(|| "/".into());
    let places = Places {
        is_machine: root == Path::new("/"),
        card: root.join("boot/firmware"),
        kept: root.join("data/setup"),
        out: root.join("run/outpost-setup"),
        networks: root.join("run/systemd/network"),
        ramdisk: root.join("media/ramdisk"),
        shadow: root.join("etc/shadow"),
    };
    let mut problems = Vec::new();
    let accepted = choose(&places, &arguments.sources(), &mut problems);
    write_outputs(&places, &accepted.card)?;
    tell(&places, &problems);
    if places.is_machine {
        if let Err(error) =
            rustix::system::sethostname(outputs::hostname(&accepted.card).as_bytes())
        {
            complain(&format!("cannot name the machine: {error}"));
        }
        size_ramdisk(&places, &accepted.card);
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings to use: those of the file as far as they are good, else the last good ones.
fn choose(places: &Places, sources: &Sources, problems: &mut Vec<Problem>) -> Accepted {
    let kept = places.kept.join("accepted.toml");
    let last: Accepted = match fs::read_to_string(&kept).map(|text| toml::from_str(&text)) {
        Ok(Ok(last)) => last,
        Ok(Err(error)) => {
            complain(&format!(
                "{} is damaged: {}",
                kept.display(),
                error.message()
            ));
            Accepted::default()
        }
        Err(_) => Accepted::default(),
    };
    let path = places.card.join(FILE);
    let bytes = match read_file(&path) {
        Ok(Some(bytes)) => bytes,
        // Somebody took the file away: nothing new was said.
        Ok(None) => return last,
        Err(text) => {
            problems.push(Problem::new(None, FILE, text));
            return last;
        }
    };
    let file_md5 = format!("{:x}", Md5::digest(&bytes));
    let Ok(text) = String::from_utf8(bytes) else {
        let text = "is not UTF-8 text: save it with the encoding UTF-8";
        problems.push(Problem::new(None, FILE, text));
        return last;
    };
    let mut card = card::read(&path, &text, &last.card, sources, problems);
    if file_md5 == last.file_md5 && problems.is_empty() {
        return last;
    }
    if let Err(text) = hash_password(&mut card) {
        problems.push(Problem::new(None, "ssh.password", text));
        card.ssh.password = last.card.ssh.password.clone();
    }
    let accepted = Accepted { file_md5, card };
    if accepted != last
        && let Err(error) = keep(&kept, &accepted)
    {
        complain(&format!(
            "the settings cannot be kept in {}: {error}",
            kept.display()
        ));
    }
    accepted
}

/// The file's bytes, `None` if there is none.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err("is not a file".into());
    }
    let mut bytes = Vec::new();
    file.take(card::LONGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    match bytes.len() as u64 > card::LONGEST_FILE {
        true => Err(format!("is longer than {} bytes", card::LONGEST_FILE)),
        false => Ok(Some(bytes)),
    }
}

/// Turns a plain password into a hash: the password file takes nothing else, and the data partition need not know more.
fn hash_password(card: &mut Card) -> Result<(), String> {
    let password = &card.ssh.password;
    if password.is_empty() || card::is_hash(password) {
        return Ok(());
    }
    let failed = |error: io::Error| format!("cannot be used: openssl does not run: {error}");
    let mut openssl = Command::new("openssl")
        .args(["passwd", "-6", "-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = openssl.stdin.take() {
        stdin
            .write_all(format!("{password}\n").as_bytes())
            .map_err(failed)?;
    }
    let output = openssl.wait_with_output().map_err(failed)?;
    let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || !card::is_hash(&hash) {
        return Err("cannot be used: openssl gave no hash of it".into());
    }
    card.ssh.password = hash;
    Ok(())
}

fn keep(path: &Path, accepted: &Accepted) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let text = toml::to_string(accepted).map_err(io::Error::other)?;
    store(path, text.as_bytes(), 0o600)
}

/// A whole file under its name, with its mode, on the disk when this returns.
fn store(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A rest of an earlier try may have another mode or be a link.
    let _ = fs::remove_file(&temporary);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    // A FAT partition has no modes; its files cannot be secret.
    let _ = file.set_permissions(fs::Permissions::from_mode(mode));
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)?.sync_all()
}

fn write_outputs(places: &Places, card: &Card) -> Result<(), Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::Failed(format!("cannot write {}: {error}", path.display()))
    };
    for folder in [&places.out, &places.networks] {
        fs::create_dir_all(folder)
            .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
            .map_err(|error| failed(folder, error))?;
    }
    let shadow = fs::read_to_string(&places.shadow).ok();
    for output in outputs::all(card, shadow.as_deref()) {
        let path = match output.name {
            "network" => places.networks.join("10-outpost-card.network"),
            name => places.out.join(name),
        };
        match output.text {
            Some(text) => store(&path, text.as_bytes(), output.mode),
            None => remove(&path),
        }
        .map_err(|error| failed(&path, error))?;
    }
    if places.is_machine {
        share_shadow(places);
    }
    Ok(())
}

/// Gives the password file the group of the image's own, whose members check passwords.
fn share_shadow(places: &Places) {
    let path = places.out.join("shadow");
    if let (true, Ok(own)) = (path.exists(), fs::metadata(&places.shadow))
        && let Err(error) = std::os::unix::fs::chown(&path, None, Some(own.gid()))
    {
        complain(&format!("{} keeps its group: {error}", path.display()));
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Says what is wrong: in the log, and beside the file. Where nothing is, an old text goes away.
fn tell(places: &Places, problems: &[Problem]) {
    let mut text = String::from(
        "Not everything in outpost.toml could be used. What is named here was left out, the last good value stays:\n\n",
    );
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let priority = if journal { "<3>" } else { "" };
    for problem in problems {
        complain(&format!("{priority}{problem}"));
        text += &format!("{problem}\n");
    }
    text +=
        "\nCorrect the file and start the station again. This text goes away when all is well.\n";
    let path = places.card.join(ERRORS);
    let wanted = (!problems.is_empty()).then_some(text);
    // The partition is written only where that changes something: a power cut may come at any time.
    if fs::read_to_string(&path).ok() == wanted {
        return;
    }
    let written = with_writable_card(places, || match &wanted {
        Some(text) => store(&path, text.as_bytes(), 0o644),
        None => remove(&path),
    });
    if let Err(error) = written {
        complain(&format!("cannot write {}: {error}", path.display()));
    }
}

fn with_writable_card(places: &Places, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if !places.is_machine {
        return write();
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_remount(&places.card, flags, "")?;
    let result = write();
    rustix::fs::sync();
    mount_remount(&places.card, flags | MountFlags::RDONLY, "")?;
    result
}

/// Gives the RAM disk the size of the board's profile; the mount unit's quarter of the memory is right for most.
fn size_ramdisk(places: &Places, card: &Card) {
    let asked = card.outpost.get("board").and_then(|board| board.as_str());
    let profile = match asked {
        None | Some("auto") => {
            let detected = board::detect(&board::DeviceTree::default());
            Profile::named(&detected.id)
        }
        Some(path) if board::is_path(path) => Profile::read(Path::new(path)),
        Some(name) => Profile::named(name),
    };
    let size = match profile {
        // What the simulated board wants is no more than what a trial on a large machine may take.
        Ok(profile) if profile.is_simulated() => return,
        Ok(profile) => match profile.ramdisk {
            RamdiskSize::Megabytes(size) => format!("size={size}m"),
            RamdiskSize::PercentOfRam(percent) => format!("size={percent}%"),
        },
        Err(error) => return complain(&error.to_string()),
    };
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if let Err(error) = mount_remount(&places.ramdisk, flags, size.as_str()) {
        complain(&format!("the RAM disk keeps its size: {error}"));
    }
}
