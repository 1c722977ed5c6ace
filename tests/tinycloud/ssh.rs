//! Files by the system's `scp` and a real `sshd` on loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use outpost::store::batch::BatchState;
use outpost::store::upload::{Scope, ScpMode, SendError, UploadError, Uploader};

use crate::server::KEY;
use crate::sshd::{is_possible, new_host_key, serve};
use crate::support::Station;

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

    new_host_key(&folder, "host_key");
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
