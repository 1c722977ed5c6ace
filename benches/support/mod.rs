//! What the benches of the running station share: starting it, speaking to it, looking at its process, and one line
//! a figure.

// Each bench uses its own part.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use tempfile::TempDir;

/// A station that starts takes no longer than this, or something is broken.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// Of the times in `/proc`, on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const CONFIG: &str = "\
board = \"sim\"
log = \"error\"
[scpi]
port = 0
legacy_port = 0
[http]
port = 0
[tcam]
serve_port = 0
[msp1000]
serve_port = 0
[bitscope]
serve_port = 0
";

/// `outpost serve` on the simulated board with its own folders, ended when dropped.
pub struct Station {
    child: Child,
    folder: TempDir,
    /// Port 5025 of this station.
    pub scpi: SocketAddr,
    /// Port 5060 of this station.
    pub legacy: SocketAddr,
    /// From starting the program to `ready`.
    pub start: Duration,
}

impl Station {
    pub fn start() -> Self {
        Self::start_with_tcam("")
    }

    /// The same with these lines in `[tcam]`.
    pub fn start_with_tcam(lines: &str) -> Self {
        // A RAM disk as on the real station, where the system has one.
        let parent = ["/dev/shm", "/tmp"].into_iter().find(|path| {
            let probe = tempfile::Builder::new().tempdir_in(path);
            probe.is_ok()
        });
        let folder = tempfile::Builder::new()
            .prefix("outpost-bench-")
            .tempdir_in(parent.expect("a folder for temporary files"))
            .expect("a temporary folder");
        let config = folder.path().join("outpost.toml");
        let text = CONFIG.replace("[tcam]\n", &format!("[tcam]\n{lines}"));
        fs::write(&config, text).expect("writable");
        let mut command = Command::new(binary());
        command
            .args(["serve", "--state-dir"])
            .arg(folder.path())
            .arg("--config")
            .arg(config)
            .stdout(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().expect("the station starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("a line").expect("text");
            let address = line.strip_prefix(name).expect("endpoints in order");
            address.trim().parse().expect("an address")
        };
        let (scpi, legacy) = (address("scpi"), address("legacy"));
        while lines.next().expect("`ready` comes").expect("text") != "ready" {}
        let start = begun.elapsed();
        Self {
            child,
            folder,
            scpi,
            legacy,
            start,
        }
    }

    pub fn images(&self) -> PathBuf {
        self.folder.path().join("ramdisk/Captures")
    }

    /// Port 5001 of this station, once its thermal camera is set up.
    pub fn tcam(&self) -> SocketAddr {
        let json = fs::read(self.folder.path().join("data/endpoints.json")).expect("endpoints");
        let endpoints: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let mut client = Client::connect(self.scpi);
        let begun = Instant::now();
        while !String::from_utf8_lossy(client.ask(b"SYST:HEAL? tcam\n")).contains("\"ready\"") {
            assert!(begun.elapsed() < REPLY_LIMIT, "the camera does not come up");
        }
        let address = endpoints["tcam"].as_str().expect("it is served");
        address.parse().expect("an address")
    }

    /// Port 8000 of this station, once its spectrometer is set up.
    pub fn msp1000(&self) -> SocketAddr {
        let json = fs::read(self.folder.path().join("data/endpoints.json")).expect("endpoints");
        let endpoints: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let mut client = Client::connect(self.scpi);
        let begun = Instant::now();
        while !String::from_utf8_lossy(client.ask(b"SYST:HEAL? msp1000\n")).contains("\"ready\"") {
            assert!(
                begun.elapsed() < REPLY_LIMIT,
                "the spectrometer does not come up"
            );
        }
        let address = endpoints["msp1000"].as_str().expect("it is served");
        address.parse().expect("an address")
    }

    /// Processor time of all its threads so far, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..]
            .split(' ')
            .collect();
        let ticks = |index: usize| fields[index].parse::<u64>().expect("a number");
        // utime and stime are fields 14 and 15 of proc_pid_stat(5); the name was the second.
        let all = ticks(11) + ticks(12);
        Duration::from_secs_f64(all as f64 / TICKS_PER_SECOND)
    }

    /// A kB field of one of the process's files.
    pub fn kilobytes(&self, file: &str, field: &str) -> u64 {
        let text = self.proc(file);
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
        number.expect("the field").parse().expect("a number")
    }

    pub fn threads(&self) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        tasks.expect("it runs").count()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("it runs")
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// The program under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_outpost")
}

/// Keeps this thread, and the threads and programs it starts from now on, on one core.
pub fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("a core of this machine");
}

/// A client as plain as most are: a blocking socket, one question, one answer.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        stream
            .set_read_timeout(Some(REPLY_LIMIT))
            .expect("a socket");
        Self {
            stream,
            buffer: vec![0; 64 * 1024],
        }
    }

    pub fn send(&mut self, message: &[u8]) {
        self.stream.write_all(message).expect("the server reads");
    }

    /// The answer that one receive gives.
    pub fn receive(&mut self) -> &[u8] {
        let n = self.stream.read(&mut self.buffer).expect("an answer");
        assert!(n > 0, "the server closed the connection");
        &self.buffer[..n]
    }

    pub fn ask(&mut self, message: &[u8]) -> &[u8] {
        self.send(message);
        self.receive()
    }

    /// Asks and compares; gives the time from the write to the answer.
    pub fn round_trip(&mut self, message: &[u8], answer: &[u8]) -> Duration {
        let begun = Instant::now();
        let got = self.ask(message);
        let took = begun.elapsed();
        assert_eq!(got, answer, "{}", String::from_utf8_lossy(message));
        took
    }

    /// Waits until the camera is open: `ready` means no more than that the ports accept.
    pub fn wait_for_camera(&mut self) {
        let begun = Instant::now();
        while self.ask(b"*CLS;:CAM:CONF:FR 10;:SYST:ERR?\n") != b"0,\"No error\"\n" {
            assert!(begun.elapsed() < REPLY_LIMIT, "the camera does not come up");
        }
    }

    /// Sends a setting and makes sure that it was taken.
    pub fn set(&mut self, command: &str) {
        let got = self.ask(format!("{command};:SYST:ERR?\n").as_bytes());
        assert_eq!(got, b"0,\"No error\"\n", "{command}");
    }
}

/// The value below which `share` of the times lie.
pub fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The middle of some ratios.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What a figure is compared with.
pub enum Verdict {
    /// Nothing: for information.
    Plain,
    /// An upper limit in the figure's own unit.
    Below(f64),
    /// A ratio to something measured in the same run, and its upper limit.
    Ratio(f64, f64),
    /// The same without a limit.
    Compared(f64),
}

/// Prints one figure. Budgets are reported, not enforced: the machine may be busy.
pub fn report(what: &str, value: f64, unit: &str, verdict: Verdict) {
    let word = |ok: bool| if ok { "ok" } else { "OVER" };
    let verdict = match verdict {
        Verdict::Plain => String::new(),
        Verdict::Below(limit) => format!("(budget {limit} {unit}) {}", word(value <= limit)),
        Verdict::Ratio(ratio, limit) => {
            format!("{ratio:.2}x (budget {limit}x) {}", word(ratio <= limit))
        }
        Verdict::Compared(ratio) => format!("{ratio:.2}x"),
    };
    let line = format!("{what:<58} {value:>10.2} {unit:<6} {verdict}");
    println!("{}", line.trim_end());
}

/// The machine, for whoever reads the figures later.
pub fn print_machine() {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = rustix::system::uname();
    println!(
        "{}, {cores} cores, Linux {}",
        model.unwrap_or_else(|| "unknown processor".into()),
        kernel.release().to_string_lossy()
    );
}
