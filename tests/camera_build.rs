//! The program without libcamera, and the camera build beside it: who serves, and what is said where that one cannot.
#![cfg(not(feature = "libcamera"))]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// An installation: `bin/outpost`, and a script as `lib/outpost/outpost-camera`.
struct Installed {
    folder: TempDir,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Installed {
    fn new(camera_build: &str) -> Self {
        // On the file system of the program, which is too large to be copied each time.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (bin, lib) = (folder.path().join("bin"), folder.path().join("lib/outpost"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&lib).unwrap();
        fs::hard_link(env!("CARGO_BIN_EXE_outpost"), bin.join("outpost")).unwrap();
        let script = lib.join("outpost-camera");
        let text = format!("#!/bin/sh\necho >> \"$0.calls\"\n{camera_build}\n");
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let state = folder.path().join("state");
        let text = format!(
            "board = \"sim\"\n[camera]\nbackend = \"libcamera\"\n[scpi]\nbind = \"127.0.0.1\"\nport = 0\nlegacy_port = 0\n\
             [http]\nport = 0\n[discovery]\nenabled = false\n[tcam]\nserve_port = 0\n[bitscope]\nserve_port = 0\n\
             [msp1000]\nenabled = false\n[storage]\nramdisk = \"{0}/ramdisk\"\nimages = \"{0}/ramdisk/Captures\"\n\
             data = \"{0}/data\"\n",
            state.display()
        );
        fs::write(folder.path().join("outpost.toml"), text).unwrap();
        Self { folder }
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("outpost.toml")
    }

    /// How often the camera build was started.
    fn calls(&self) -> usize {
        let calls = self.folder.path().join("lib/outpost/outpost-camera.calls");
        fs::read_to_string(calls).map_or(0, |calls| calls.lines().count())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.folder.path().join("bin/outpost"));
        command
            .args(["serve", "--config"])
            .arg(self.settings())
            .stdin(Stdio::null());
        command
    }

    fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Starts the station; what `query` answers.
    fn ask(&self, query: &str) -> (Running, String) {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let running = Running(child);
        let address = lines.next().unwrap().unwrap();
        let address = address.strip_prefix("scpi ").unwrap().to_owned();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(query.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).unwrap();
        (running, answer)
    }
}

const VERSION: &str = concat!("outpost ", env!("CARGO_PKG_VERSION"));

#[test]
fn the_camera_build_takes_over_where_it_starts() {
    let installed = Installed::new(&format!(
        "if [ \"$1\" = --version ]; then echo '{VERSION}'; else echo \"took over: $*\"; exit 7; fi"
    ));
    let output = installed.run();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!(
            "took over: serve --config {}\n",
            installed.settings().display()
        )
    );
}

#[test]
fn where_it_does_not_start_everything_else_is_served_and_the_reason_is_told() {
    let loader =
        "error while loading shared libraries: libcamera.so.0.7: cannot open shared object file";
    for (script, told) in [
        (
            format!("echo 'outpost-camera: {loader}' >&2; exit 127"),
            loader,
        ),
        ("echo 'outpost 0.0.9'".into(), "install both of one version"),
        ("kill -SEGV $$".into(), "its program does not start"),
    ] {
        let installed = Installed::new(&script);
        let (_running, health) = installed.ask("SYST:HEAL? camera\n");
        assert!(
            health.contains("unavailable") && health.contains(told),
            "{health}"
        );
        assert_eq!(installed.calls(), 1, "once is enough to know why");
        let (_running, identity) = installed.ask("*IDN?\n");
        assert!(identity.starts_with("Outpost,"), "{identity}");
    }
}

#[test]
fn a_simulated_camera_needs_no_camera_build() {
    let installed = Installed::new("echo called >&2; exit 1");
    let text = fs::read_to_string(installed.settings()).unwrap();
    fs::write(
        installed.settings(),
        text.replace("\"libcamera\"", "\"sim\""),
    )
    .unwrap();
    let (_running, health) = installed.ask("SYST:HEAL? camera\n");
    assert!(!health.contains("unavailable"), "{health}");
    assert_eq!(installed.calls(), 0);
}
