//! `outpost support`: the archive, with and without a station that runs.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Names and texts of the archive's files.
fn unpack(path: &Path) -> Vec<(String, String)> {
    let file = fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, text)
        })
        .collect()
}

fn support(folder: &Path, name: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["support", name, "--config", "c.toml", "--state-dir", "."])
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn the_archive_comes_about_without_a_station_and_holds_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    // Refused, and the refusal shows the value.
    let text = "[bitscope]\nurl = \"socket://me:hunter2@scope.example:9000\"\n";
    fs::write(folder.path().join("c.toml"), text).unwrap();
    let output = support(folder.path(), "a.tar.gz");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let path = folder.path().join("a.tar.gz");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let files = unpack(&path);
    let text = |name: &str| {
        let name = format!("outpost-support/{name}");
        let found = files.iter().find(|(each, _)| *each == name);
        &found.unwrap_or_else(|| panic!("{name}")).1
    };
    assert_eq!(
        text("version.txt"),
        concat!("outpost ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert!(text("settings.txt").contains("c.toml:2:7: bitscope.url: \"socket://***@scope"));
    assert!(text("station/absent.txt").contains("bitscope.url"));
    assert!(text("machine/proc/meminfo").contains("MemTotal"));
    for (name, text) in &files {
        assert!(!text.contains("hunter2"), "{name}");
    }
    // An archive that is there already is not written over.
    assert_eq!(support(folder.path(), "a.tar.gz").status.code(), Some(1));
}

#[test]
fn sound_settings_are_in_it_with_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("c.toml"),
        "board = \"sim\"\n[scpi]\nport = 0\n",
    )
    .unwrap();
    let output = support(folder.path(), "a.tar.gz");
    assert_eq!(output.status.code(), Some(0));
    let files = unpack(&folder.path().join("a.tar.gz"));
    let text = |name: &str| &files.iter().find(|(each, _)| each == name).unwrap().1;
    let settings = text("outpost-support/settings.txt");
    assert!(
        settings.contains("scpi.port = 0    # c.toml:3\n"),
        "{settings}"
    );
    assert!(text("outpost-support/station/absent.txt").contains("no station runs here"));
}
