//! READY, WATCHDOG and STOPPING, as systemd receives them.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Anything that takes longer is a hang.
const PATIENCE: Duration = Duration::from_secs(30);

const SETTINGS: &str = "board = \"sim\"\n[scpi]\nbind = \"127.0.0.1\"\nport = 0\nlegacy_port = 0\n\
    [tcam]\nserve_port = 0\n[msp1000]\nserve_port = 0\n[bitscope]\nserve_port = 0\n[http]\nport = 0\n";

/// The socket of a service manager, and the station that was given it.
struct Service {
    manager: UnixDatagram,
    child: Child,
    folder: TempDir,
}

impl Service {
    fn start(watchdog_us: &str) -> Self {
        Self::start_with(SETTINGS, watchdog_us)
    }

    fn start_with(settings: &str, watchdog_us: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = station(folder.path(), settings)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", watchdog_us)
            .spawn()
            .unwrap();
        Self {
            manager,
            child,
            folder,
        }
    }

    fn message(&self) -> String {
        self.receive().unwrap()
    }

    /// A message, or what came of waiting. A signal to the tests ends a wait with a limit early (signal(7)).
    fn receive(&self) -> io::Result<String> {
        let mut buffer = [0; 1024];
        loop {
            match self.manager.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => {
                    return received
                        .map(|length| String::from_utf8(buffer[..length].to_vec()).unwrap());
                }
            }
        }
    }

    /// Takes messages until one begins so.
    fn wait_for(&self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let message = self.message();
            if message.starts_with(start) {
                return message;
            }
        }
        panic!("waited in vain for {start}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn station(folder: &Path, settings: &str) -> Command {
    fs::write(folder.join("c.toml"), settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
    command
        .args(["serve", "--state-dir"])
        .arg(folder)
        .arg("--config")
        .arg(folder.join("c.toml"))
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn ready_means_that_every_port_accepts_and_stopping_that_the_end_is_near() {
    let mut service = Service::start("600000");
    let ready = service.wait_for("READY=1");
    assert!(ready.contains("\nSTATUS="), "{ready}");
    let endpoints = fs::read(service.folder.path().join("data/endpoints.json")).unwrap();
    let endpoints: serde_json::Value = serde_json::from_slice(&endpoints).unwrap();
    for name in ["scpi", "legacy", "tcam"] {
        TcpStream::connect(endpoints[name].as_str().unwrap()).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(service.message(), "WATCHDOG=1");
    }
    service.signal(Signal::TERM);
    service.wait_for("STOPPING=1");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn why_it_cannot_start_is_its_status() {
    let mut service =
        Service::start_with("[scpi]\nport = 99999\n[opc]\ninterval_s = -1\n", "8000000");
    let status = service.message();
    assert!(
        status.starts_with("STATUS=cannot start: ") && status.contains("c.toml:2:8: scpi.port: "),
        "{status}"
    );
    assert!(status.contains("; ") && !status.contains('\n'), "{status}");
    assert_eq!(service.child.wait().unwrap().code(), Some(1));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let settings = SETTINGS.replacen("port = 0", &format!("port = {port}"), 1);
    let mut service = Service::start_with(&settings, "8000000");
    let status = service.wait_for("STATUS=");
    assert!(status.contains(&format!("127.0.0.1:{port}")), "{status}");
    assert_eq!(service.child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_stopped_station_gives_no_sign_of_life() {
    let service = Service::start("150000");
    service.wait_for("WATCHDOG=1");
    service.signal(Signal::STOP);
    // What was sent before the stop is taken first; then there must be silence.
    service
        .manager
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let silent = (0..64).any(|_| service.receive().is_err());
    assert!(silent);
    service.signal(Signal::CONT);
    service.manager.set_read_timeout(Some(PATIENCE)).unwrap();
    service.wait_for("WATCHDOG=1");
}

#[test]
fn a_manager_that_is_not_there_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nobody");
    let mut child = station(folder.path(), SETTINGS)
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "nonsense")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let (sender, serving) = mpsc::channel();
    thread::spawn(move || {
        let ready = said
            .lines()
            .any(|line| line.is_ok_and(|line| line == "ready"));
        sender.send(ready)
    });
    assert_eq!(serving.recv_timeout(PATIENCE), Ok(true), "not serving");
    child.kill().unwrap();
    child.wait().unwrap();
}
