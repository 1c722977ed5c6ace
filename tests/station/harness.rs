//! A whole station in a folder of its own, on free ports.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use super::client::{Client, number, unpickle};

/// Anything that takes longer is a hang. Generous, for slow machines; no test waits that long for success.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between looks where no event tells of the change.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Where a station's frames come from.
enum Frames {
    /// 12-megapixel frames of the simulated sensor, unpaced.
    Simulated,
    /// Small frames that differ from one another, from a replay folder.
    Replayed(Replay),
}

/// A replay folder to be made.
pub struct Replay {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Bytes.
    pub stride: usize,
    /// Frames in the order they are shown.
    pub frames: Vec<Vec<u8>>,
    /// More lines of `replay.toml`.
    pub more: String,
}

impl Replay {
    /// Four frames of 64 x 48 pixels; every pixel of frame n is 1000 + n.
    pub fn counting() -> Self {
        let frames = (0..4).map(|n| flat_frame(1000 + n)).collect();
        Self {
            width: 64,
            height: 48,
            stride: 128,
            frames,
            more: "paced = false\n".into(),
        }
    }

    fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (n, frame) in self.frames.iter().enumerate() {
            assert_eq!(frame.len(), self.stride * self.height);
            fs::write(folder.join(format!("{n:04}.bin")), frame).unwrap();
        }
        let text = format!(
            "width = {}\nheight = {}\nstride = {}\npacking = \"csi2p12\"\nbayer = \"BGGR\"\nblack_level = 256\n{}",
            self.width, self.height, self.stride, self.more
        );
        fs::write(folder.join("replay.toml"), text).unwrap();
    }
}

/// 64 x 48 packed pixels of one value, stride 128, the padding not zero.
fn flat_frame(value: u16) -> Vec<u8> {
    let (high, low) = ((value >> 4) as u8, (value & 15) as u8);
    let mut row = [high, high, low | low << 4].repeat(32);
    row.resize(128, 0xA5);
    row.repeat(48)
}

/// How a station is to be started.
pub struct Setup {
    board: String,
    frames: Frames,
    storage: String,
    scpi: String,
    camera: String,
    tcam: String,
    opc: String,
    tinycloud: String,
    discovery: String,
    bitscope: String,
    msp1000: String,
    listen_discovery: &'static str,
    ports: [u16; 2],
}

impl Setup {
    /// Small replayed frames that come at once.
    pub fn small() -> Self {
        Self::replay(Replay::counting())
    }

    /// Small replayed frames, 20 a second.
    pub fn slow() -> Self {
        Self::replay(Replay {
            more: String::new(),
            ..Replay::counting()
        })
        .camera("fps = 20.0")
    }

    /// The simulated sensor, as fast as it can.
    pub fn simulated() -> Self {
        Self::new(Frames::Simulated).camera("sim_paced = false")
    }

    /// The simulated sensor in real time.
    pub fn paced() -> Self {
        Self::new(Frames::Simulated)
    }

    /// These frames.
    pub fn replay(replay: Replay) -> Self {
        Self::new(Frames::Replayed(replay))
    }

    fn new(frames: Frames) -> Self {
        Self {
            board: "sim".into(),
            frames,
            storage: String::new(),
            scpi: String::new(),
            camera: String::new(),
            tcam: String::new(),
            opc: String::new(),
            tinycloud: String::new(),
            discovery: "enabled = false".into(),
            bitscope: String::new(),
            msp1000: String::new(),
            listen_discovery: "off",
            ports: [0, 0],
        }
    }

    /// Another board than the simulated one: a profile's name or path.
    pub fn board(mut self, board: &Path) -> Self {
        self.board = board.display().to_string();
        self
    }

    /// A line for `[storage]`.
    pub fn storage(mut self, line: &str) -> Self {
        self.storage += &format!("{line}\n");
        self
    }

    /// A line for `[scpi]`.
    pub fn scpi(mut self, line: &str) -> Self {
        self.scpi += &format!("{line}\n");
        self
    }

    /// A line for `[camera]`.
    pub fn camera(mut self, line: &str) -> Self {
        self.camera += &format!("{line}\n");
        self
    }

    /// A line for `[tcam]`.
    pub fn tcam(mut self, line: &str) -> Self {
        self.tcam += &format!("{line}\n");
        self
    }

    /// A line for `[opc]`.
    pub fn opc(mut self, line: &str) -> Self {
        self.opc += &format!("{line}\n");
        self
    }

    /// A line for `[tinycloud]`.
    pub fn tinycloud(mut self, line: &str) -> Self {
        self.tinycloud += &format!("{line}\n");
        self
    }

    /// The lines of `[discovery]`, which is off otherwise.
    pub fn discovery(mut self, lines: &str) -> Self {
        self.discovery = lines.into();
        self
    }

    /// A line for `[bitscope]`.
    pub fn bitscope(mut self, line: &str) -> Self {
        self.bitscope += &format!("{line}\n");
        self
    }

    /// Lines for `[msp1000]`.
    pub fn msp1000(mut self, lines: &str) -> Self {
        self.msp1000 += &format!("{lines}\n");
        self
    }

    /// Whether spectrometers are listened for; not otherwise.
    pub fn listen_discovery(mut self, when: &'static str) -> Self {
        self.listen_discovery = when;
        self
    }

    /// Fixed ports, SCPI and legacy.
    pub fn ports(mut self, ports: [u16; 2]) -> Self {
        self.ports = ports;
        self
    }

    /// Starts it and waits for `ready`.
    pub fn start(self) -> Station {
        self.start_in(short_folder())
    }

    /// The same in a folder that exists, with what an earlier station left in it.
    pub fn start_in(self, folder: TempDir) -> Station {
        self.write(folder.path());
        Station::launch(folder)
    }

    /// Writes the configuration and what it names; gives its path.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let (backend, replay) = match &self.frames {
            Frames::Simulated => ("sim", String::new()),
            Frames::Replayed(replay) => {
                let path = folder.join("replay");
                replay.write(&path);
                ("replay", path.display().to_string())
            }
        };
        let [port, legacy_port] = self.ports;
        let text = format!(
            "board = \"{}\"\n[storage]\n{}\
             [scpi]\nbind = \"127.0.0.1\"\nport = {port}\nlegacy_port = {legacy_port}\n{}\
             [http]\nport = 0\n[discovery]\n{}\n\
             [camera]\nbackend = \"{backend}\"\nreplay = \"{replay}\"\n{}\
             [tcam]\nserve_port = 0\n{}[opc]\n{}[msp1000]\nserve_port = 0\nlisten_discovery = \"{}\"\n{}\
             [bitscope]\nserve_port = 0\n{}[tinycloud]\n{}",
            self.board,
            self.storage,
            self.scpi,
            self.discovery,
            self.camera,
            self.tcam,
            self.opc,
            self.listen_discovery,
            self.msp1000,
            self.bitscope,
            self.tinycloud,
        );
        let path = folder.join("c.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

/// A folder with a short path: a legacy reply takes 31 bytes, and `/ramdisk/Captures` are 17 of them.
pub fn short_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("o")
        .rand_bytes(5)
        .tempdir_in("/tmp")
        .unwrap()
}

/// The program with a station's arguments, not yet started.
pub fn serve(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
    command
        .args(["serve", "--state-dir"])
        .arg(folder)
        .arg("--config")
        .arg(folder.join("c.toml"))
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env_remove("HOME")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// A running station. Dropped, it is killed and its folder removed.
pub struct Station {
    child: Child,
    folder: Option<TempDir>,
    pub scpi: SocketAddr,
    pub legacy: SocketAddr,
    pub http: SocketAddr,
    /// `None` where the thermal camera is switched off.
    pub tcam: Option<SocketAddr>,
    /// `None` where the oscilloscope is switched off.
    pub scope: Option<SocketAddr>,
    /// `None` where the spectrometer is switched off.
    pub msp1000: Option<SocketAddr>,
}

impl Station {
    /// Starts with the configuration that lies in the folder.
    pub fn launch(folder: TempDir) -> Self {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut child = serve(folder.path()).stderr(log).spawn().unwrap();
        if let Err(seen) = wait_until_ready(&mut child) {
            let _ = child.kill();
            let log = fs::read_to_string(folder.path().join("log")).unwrap();
            panic!("not ready; it said {seen:?}\n{log}");
        }
        let json = fs::read(folder.path().join("data/endpoints.json")).unwrap();
        let endpoints: Value = serde_json::from_slice(&json).unwrap();
        let address = |name: &str| endpoints[name].as_str().unwrap().parse().unwrap();
        let station = Self {
            scpi: address("scpi"),
            legacy: address("legacy"),
            http: address("http"),
            tcam: endpoints
                .get("tcam")
                .map(|text| text.as_str().unwrap().parse().unwrap()),
            scope: endpoints
                .get("bitscope")
                .map(|text| text.as_str().unwrap().parse().unwrap()),
            msp1000: endpoints
                .get("msp1000")
                .map(|text| text.as_str().unwrap().parse().unwrap()),
            child,
            folder: Some(folder),
        };
        // `ready` means that the ports accept; an instrument may still be starting.
        let mut client = station.client();
        eventually("the camera", || {
            client.json("SYST:HEAL? camera")["state"] != "connecting"
        });
        // Its seat is free again when the station has closed its end.
        client.half_close();
        assert_eq!(client.rest(), b"");
        station
    }

    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub fn ramdisk(&self) -> PathBuf {
        self.folder().join("ramdisk")
    }

    pub fn images(&self) -> PathBuf {
        self.folder().join("ramdisk/Captures")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap()
    }

    /// Names in the image folder, sorted, hidden ones included.
    pub fn files(&self) -> Vec<String> {
        names_in(&self.images())
    }

    /// A picture or log in the image folder.
    pub fn image(&self, name: &str) -> Vec<u8> {
        fs::read(self.images().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A connection to port 5025's stand-in.
    pub fn client(&self) -> Client {
        Client::connect(self.scpi)
    }

    /// A connection to port 5060's stand-in.
    pub fn legacy_client(&self) -> Client {
        Client::connect(self.legacy)
    }

    /// Waits until the station has written the files of a capture under way.
    pub fn wait_for_files(&self, count: usize) {
        eventually("pictures", || {
            self.files()
                .iter()
                .filter(|name| !name.starts_with('.'))
                .count()
                >= count
        });
    }

    /// A counter of `SYSTem:HEALth?`.
    pub fn counter(&self, part: &str, counter: &str) -> u64 {
        let report = self.client().json(&format!("SYST:HEAL? {part}"));
        report["counters"][counter]
            .as_u64()
            .unwrap_or_else(|| panic!("{counter}: {report}"))
    }

    /// Asks it to end, as systemd does.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit status.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the station", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Ends it by SIGTERM, expects exit code 0 and no sign of a bug, and gives its folder.
    pub fn stop(mut self) -> TempDir {
        self.terminate();
        let status = self.wait();
        let log = self.log();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        self.folder.take().unwrap()
    }

    /// Ends it at once and gives its folder.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder.take().unwrap()
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads standard output up to `ready`; otherwise gives what came.
fn wait_until_ready(child: &mut Child) -> Result<(), Vec<String>> {
    let stdout = child.stdout.take().unwrap();
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if line == "ready" {
            return Ok(());
        }
        seen.push(line);
    }
    Err(seen)
}

/// Names in a folder, sorted, hidden ones included.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Looks until `done`; for changes that no event tells of.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(LOOK_EVERY);
    }
}
