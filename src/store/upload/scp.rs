//! The file's way: the system's own OpenSSH `scp`.
//!
//! The password goes through `SSH_ASKPASS` (forced, so no terminal is needed) and the user's name stands in a
//! configuration file that its owner alone can read. As the receiver wants a file named after the batch, and a folder
//! named after the user, both can be seen on the command line all the same, by other accounts of this machine, while the
//! file is on its way. A host's key is pinned by its domain, the port aside, when it is first seen; a changed one is
//! refused.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::SendError;
use crate::base::jobs::Progress;
use crate::store::batch::{Ticket, write_synced};

const HOST: &str = "outpost-upload";
const PASSWORD_VARIABLE: &str = "OUTPOST_SSH_PASSWORD";
const ASKPASS: &str = "#!/bin/sh\nprintf '%s\\n' \"$OUTPOST_SSH_PASSWORD\"\n";
/// What a slow mobile link still carries.
const SLOWEST_BYTES_PER_S: u64 = 2048;
const LOOK: Duration = Duration::from_millis(10);
const MAX_MESSAGE_BYTES: u64 = 4096;

/// Which protocol `scp` speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScpMode {
    /// The old copy protocol (`scp -O`).
    Legacy,
    /// SFTP.
    Sftp,
}

/// One file to send.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The file, whose name is the one it gets there.
    pub file: &'a Path,
    /// Where to, and the password.
    pub ticket: &'a Ticket,
    /// User name there.
    pub user: &'a str,
    /// Folder there, ending in `/`.
    pub folder: &'a str,
    /// Kept open by the program, so that a lock on it lasts as long as the program does, also beyond the station.
    pub lock: &'a File,
    /// Asked whether to end.
    pub progress: &'a Progress,
}

/// `scp` with its files.
#[derive(Debug, Clone)]
pub struct OpenSsh {
    /// Folder for configuration, known hosts and the password helper; made when missing, mode 0700.
    pub folder: PathBuf,
    /// Which protocol.
    pub mode: ScpMode,
}

impl OpenSsh {
    /// Where the hosts' keys are kept.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// Sends the file and returns when the other side has acknowledged all of it.
    ///
    /// # Errors
    /// Whatever went wrong; the file may be there nevertheless.
    pub fn send(&self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        self.prepare(delivery).map_err(SendError::Program)?;
        let size = fs::metadata(delivery.file)
            .map_err(SendError::Program)?
            .len();
        let limit = Duration::from_secs(60 + size / SLOWEST_BYTES_PER_S);
        let lock = delivery.lock.try_clone().map_err(SendError::Program)?;
        let mut command = self.command(delivery);
        let child = command.stdin(Stdio::from(lock)).spawn();
        let mut child = child.map_err(SendError::Program)?;
        let stderr = child.stderr.take();
        let message = std::thread::spawn(move || read_bounded(stderr));
        let status = wait(&mut child, limit, delivery.progress).map_err(SendError::Program)?;
        let message = message.join().unwrap_or_default();
        match status {
            None if delivery.progress.is_aborted() => Err(SendError::Aborted),
            None => Err(SendError::TimedOut(limit.as_secs())),
            Some(true) => Ok(()),
            Some(false) => Err(self.explain(&message, delivery)),
        }
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> io::Result<()> {
        make_private(&self.folder)?;
        let askpass = self.folder.join("askpass");
        // Written only when needed: a file being written cannot be run.
        if fs::read(&askpass).ok().as_deref() != Some(ASKPASS.as_bytes()) {
            write_synced(&askpass, ASKPASS.as_bytes(), 0o700)?;
        }
        let config = self.configuration(delivery);
        write_synced(&self.folder.join("config"), config.as_bytes(), 0o600)
    }

    fn configuration(&self, delivery: &Delivery<'_>) -> String {
        let known_hosts = self.known_hosts().display().to_string().replace('%', "%%");
        let ticket = delivery.ticket;
        format!(
            "Host {HOST}\nHostName {domain}\nPort {port}\nUser {user}\nHostKeyAlias {domain}\n\
             UserKnownHostsFile \"{known_hosts}\"\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking accept-new\n\
             UpdateHostKeys no\nHashKnownHosts no\nCheckHostIP no\nPubkeyAuthentication no\n\
             PreferredAuthentications password,keyboard-interactive\nNumberOfPasswordPrompts 1\n\
             ConnectTimeout 10\nConnectionAttempts 1\nServerAliveInterval 10\nServerAliveCountMax 3\n\
             ClearAllForwardings yes\nLogLevel ERROR\n",
            domain = ticket.domain,
            port = ticket.port,
            user = delivery.user,
        )
    }

    fn command(&self, delivery: &Delivery<'_>) -> Command {
        // Without -q, which would keep back ssh's own message about the host's key.
        let mut command = Command::new("scp");
        command
            .args([
                if self.mode == ScpMode::Legacy {
                    "-O"
                } else {
                    "-s"
                },
                "-F",
            ])
            .arg(self.folder.join("config"))
            .arg("--")
            .arg(delivery.file)
            .arg(format!("{HOST}:{}", delivery.folder))
            .env("SSH_ASKPASS", self.folder.join("askpass"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env(PASSWORD_VARIABLE, &delivery.ticket.batchid)
            .env("LC_ALL", "C")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Its own group, so that a time-out ends `ssh` with it.
            .process_group(0);
        command
    }

    fn explain(&self, message: &str, delivery: &Delivery<'_>) -> SendError {
        if message.contains("HOST IDENTIFICATION HAS CHANGED") {
            return SendError::HostKeyChanged {
                domain: delivery.ticket.domain.clone(),
                known_hosts: self.known_hosts(),
            };
        }
        if message.contains("Permission denied (") {
            return SendError::PasswordRefused;
        }
        let line = message.lines().map(str::trim).find(|line| !line.is_empty());
        // The destination holds the key, and the file's name the password: messages are logged and shown to anybody.
        let line = line.unwrap_or("no message");
        let line = line.replace(delivery.user, "KEY");
        SendError::Failed(line.replace(&delivery.ticket.batchid, "BATCH"))
    }
}

/// Makes a folder for its owner alone.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

fn read_bounded(stderr: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stderr) = stderr {
        // A message cut short is still a message.
        let _ = stderr
            .by_ref()
            .take(MAX_MESSAGE_BYTES)
            .read_to_end(&mut bytes);
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the program ended well; `None` when it had to be ended.
fn wait(child: &mut Child, limit: Duration, progress: &Progress) -> io::Result<Option<bool>> {
    // The process lives by the machine's clock, whatever clock the station is given.
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if Instant::now() >= end || progress.is_aborted() {
            if let Ok(id) = i32::try_from(child.id())
                && let Some(group) = rustix::process::Pid::from_raw(id)
            {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_no_argument_and_the_key_of_the_host_is_pinned() {
        let lock = tempfile::tempfile().unwrap();
        let ticket = Ticket {
            batchid: "45de83af6eec51dd215e9c6ad94453d0".into(),
            domain: "tinycloud.example.org".into(),
            port: 8022,
            destination: "/quarantine/".into(),
            until_ms: 0,
        };
        let delivery = Delivery {
            file: Path::new("/data/file.zip"),
            ticket: &ticket,
            user: "0123456789abcdef0123",
            folder: "/inbox/",
            lock: &lock,
            progress: &Progress::default(),
        };
        for (mode, flag) in [(ScpMode::Legacy, "-O"), (ScpMode::Sftp, "-s")] {
            let ssh = OpenSsh {
                folder: "/data/ssh".into(),
                mode,
            };
            let command = ssh.command(&delivery);
            let arguments: Vec<&str> = command.get_args().map(|a| a.to_str().unwrap()).collect();
            let wanted = [flag, "-F", "/data/ssh/config", "--", "/data/file.zip"];
            assert_eq!(arguments[..5], wanted);
            assert_eq!(arguments[5..], ["outpost-upload:/inbox/"]);
            let config = ssh.configuration(&delivery);
            assert!(!config.contains(&ticket.batchid));
            let said = format!(
                "\nscp: /q/{}/inbox/{}.zip: No space left on device\n",
                delivery.user, ticket.batchid
            );
            let told = ssh.explain(&said, &delivery).to_string();
            let wanted = "scp failed: scp: /q/KEY/inbox/BATCH.zip: No space left on device";
            assert_eq!(told, wanted);
            for line in [
                "User 0123456789abcdef0123",
                "HostKeyAlias tinycloud.example.org",
                "StrictHostKeyChecking accept-new",
                "UserKnownHostsFile \"/data/ssh/known_hosts\"",
                "GlobalKnownHostsFile /dev/null",
            ] {
                assert!(config.lines().any(|found| found == line), "{line}");
            }
        }
    }
}
