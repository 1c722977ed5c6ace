//! Files by the system's `scp` and a real `sshd` on loopback.
//!
//! The user and password that Tinycloud asks for are no account of this machine, so every connection gets an `sshd`
//! (in its one-connection mode) that sees account files of the test's own, in a mount namespace of its own. That
//! takes root and an installed server; elsewhere the tests say so and pass.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outpost::store::batch::BatchState;
use outpost::store::upload::{Scope, ScpMode, SendError, UploadError, Uploader};

use crate::server::{KEY, Tinycloud};
use crate::support::Station;

const SSHD: &str = "/usr/sbin/sshd";

fn is_possible() -> bool {
    let isolated = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "none", "/run"])
        .output();
    let reason = if !Path::new(SSHD).exists() {
        "no OpenSSH server installed"
    } else if !isolated.is_ok_and(|output| output.status.success()) {
        "no right to make a mount namespace"
    } else if Command::new("openssl").arg("version").output().is_err() {
        "no openssl to hash a password"
    } else {
        return true;
    };
    println!("skipped: {reason}");
    false
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn new_host_key(folder: &Path) {
    let _ = fs::remove_file(folder.join("host_key"));
    let path = folder.join("host_key");
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path));
}

/// Serves SSH for `server` until the test's process ends.
fn serve(server: &Tinycloud, folder: PathBuf, password: Option<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    {
        let inbox = folder.join("quarantine").join(KEY).join("inbox");
        fs::create_dir_all(&inbox).unwrap();
        let mut state = server.state();
        state.ssh_port = listener.local_addr().unwrap().port();
        state.destination = format!("{}/", folder.join("quarantine").display());
        state.inbox = Some(inbox);
    }
    new_host_key(&folder);
    let config = format!(
        "HostKey {}\nUsePAM no\nPasswordAuthentication yes\nPermitRootLogin yes\nPubkeyAuthentication no\n\
         StrictModes no\nPidFile none\nPrintMotd no\nSubsystem sftp internal-sftp\n",
        folder.join("host_key").display()
    );
    fs::write(folder.join("sshd_config"), config).unwrap();
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(
        folder.join("passwd"),
        format!("{accounts}{KEY}:x:0:0::/tmp:/bin/sh\n"),
    )
    .unwrap();
    let server = server.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let newest = server.state().tickets.keys().next_back().cloned().unwrap();
            let word = password.unwrap_or(&newest);
            let hash = run(Command::new("openssl").args(["passwd", "-6", word]));
            let shadow = format!(
                "root:*:19000:0:99999:7:::\n{KEY}:{}:19000:0:99999:7:::\n",
                hash.trim()
            );
            fs::write(folder.join("shadow"), shadow).unwrap();
            let script = format!(
                "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && cd {} && mount --bind passwd /etc/passwd && \
                 mount --bind shadow /etc/shadow && exec {SSHD} -i -f sshd_config",
                folder.display()
            );
            let input = OwnedFd::from(stream);
            let output = input.try_clone().unwrap();
            let mut connection = Command::new("unshare")
                .args(["-m", "sh", "-c", &script])
                .stdin(Stdio::from(input))
                .stdout(Stdio::from(output))
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            connection.wait().unwrap();
        }
    });
}

fn station(mode: ScpMode) -> Station {
    let mut station = Station::new();
    station.settings.scp = mode;
    station.log("A", 300);
    station
}

fn uploader(station: &Station) -> Uploader {
    Uploader::new(
        station.settings.clone(),
        station.handle.clone(),
        station.clock.clone(),
    )
}

#[test]
fn a_file_arrives_by_either_protocol() {
    if !is_possible() {
        return;
    }
    for mode in [ScpMode::Legacy, ScpMode::Sftp] {
        let station = station(mode);
        serve(&station.server, station.folder.path().to_path_buf(), None);
        let mut uploader = uploader(&station);
        uploader.make_batches(&station.clock_state()).unwrap();
        let pass = uploader.pass(Scope::Due).unwrap();
        assert!(
            pass.outcomes[0].error.is_none(),
            "{:?}",
            pass.outcomes[0].error
        );
        assert_eq!(pass.outcomes[0].batch.state, BatchState::Uploaded);
        assert_eq!(station.server.counts(), (300, 0));
        assert_eq!(station.server.state().problems, [""; 0]);
        assert_eq!(station.files("pending"), [""; 0]);
        let ssh = station.folder.path().join("ssh");
        let pinned = fs::read_to_string(ssh.join("known_hosts")).unwrap();
        assert!(pinned.starts_with("127.0.0.1 ssh-ed25519 "), "{pinned}");
        assert_eq!(
            fs::metadata(&ssh).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::metadata(ssh.join("config"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
    }
}

#[test]
fn a_changed_host_key_is_refused_and_a_wrong_password_told() {
    if !is_possible() {
        return;
    }
    let mut station = station(ScpMode::Legacy);
    let folder = station.folder.path().to_path_buf();
    serve(&station.server, folder.clone(), None);
    let mut uploader = uploader(&station);
    uploader.make_batches(&station.clock_state()).unwrap();
    assert!(!uploader.pass(Scope::Due).unwrap().has_failures());

    new_host_key(&folder);
    station.log("A", 5);
    uploader.make_batches(&station.clock_state()).unwrap();
    let pass = uploader.pass(Scope::All).unwrap();
    let error = pass.outcomes[0].error.as_ref().unwrap();
    assert!(
        matches!(error, UploadError::Send(SendError::HostKeyChanged { .. })),
        "{error}"
    );
    assert_eq!(station.server.counts(), (300, 0));

    // Another port of the same host has the same pin.
    fs::remove_file(folder.join("ssh/known_hosts")).unwrap();
    serve(&station.server, folder, Some("another"));
    station.hand.advance(std::time::Duration::from_secs(3600));
    let pass = uploader.pass(Scope::All).unwrap();
    let error = pass.outcomes[0].error.as_ref().unwrap();
    assert!(
        matches!(error, UploadError::Send(SendError::PasswordRefused)),
        "{error}"
    );
}

#[test]
fn a_missing_folder_is_told_without_the_key() {
    if !is_possible() {
        return;
    }
    let station = station(ScpMode::Legacy);
    let folder = station.folder.path().to_path_buf();
    serve(&station.server, folder.clone(), None);
    fs::remove_dir(folder.join("quarantine").join(KEY).join("inbox")).unwrap();
    let mut uploader = uploader(&station);
    uploader.make_batches(&station.clock_state()).unwrap();
    let pass = uploader.pass(Scope::Due).unwrap();
    let text = pass.outcomes[0].error.as_ref().unwrap().to_string();
    assert!(
        text.starts_with("scp failed: ") && !text.contains(KEY),
        "{text}"
    );
}
