//! Each reading reaches the cloud once, by the whole program: readings logged while batches and uploads run against a
//! Tinycloud that fails in every way, the process killed (SIGKILL) at every arrow of the state machine.
//!
//! The readings come from beside the station, because its own counter gives one a second; that one counts as well, as
//! a second gadget whose rows lie between the others.
//!
//! The station that is to die at an arrow is this test's own program, run again: it listens to the log, which names
//! each arrow, and kills itself there. The last one is the real program, which finishes what is left.

// Each test program uses its own part.
#[allow(dead_code)]
#[path = "tinycloud/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "tinycloud/sshd.rs"]
mod sshd;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outpost::base::clock::Clock;
use outpost::config::{Config, Sources};
use outpost::store::readings::{DatabaseSettings, Reading, ReadingStore};
use outpost::store::upload::{ARROWS, Arrow, GatewayKey};
use rustix::process::{Signal, getpid, kill_process};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use server::{Fault, KEY, Tinycloud};

const FOLDER: &str = "OUTPOST_TEST_FOLDER";
const END_AT: &str = "OUTPOST_TEST_END_AT";
const READINGS: usize = 500;
/// What the simulated counter's rows are called, and how many of them are waited for at least.
const COUNTER: &str = "COUNTER";
const COUNTED: usize = 3;
/// Anything that takes longer is a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills the process where the log tells of an arrow.
struct Killer(String);

struct Told<'a>(&'a str);

impl Visit for Told<'_> {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        if format!("{value:?}") == self.0 {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Killer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == ARROWS {
            event.record(&mut Told(&self.0));
        }
    }
}

/// No test of its own: what the test below starts.
#[test]
#[ignore = "run by the test of this file"]
fn station() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let arrow = std::env::var(END_AT).unwrap();
    let log = tracing_subscriber::registry().with(Killer(arrow));
    tracing::subscriber::set_global_default(log).unwrap();
    outpost::app::serve(Config::load(&sources(&folder)).unwrap());
}

fn sources(folder: &Path) -> Sources {
    Sources {
        config: Some(folder.join("c.toml")),
        state_dir: Some(folder.to_owned()),
        ..Sources::from_environment()
    }
}

/// A station in a process of its own.
struct Station {
    child: Child,
    client: BufReader<TcpStream>,
}

impl Station {
    fn start(folder: &Path, mut command: Command) -> Self {
        let mut options = File::options();
        options.append(true).create(true);
        let log = options.open(folder.join("log")).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = lines.any(|line| line.is_ok_and(|line| line == "ready"));
        // One that resumes may be dead by then.
        let address = match is_ready {
            true => endpoint(folder),
            false => "127.0.0.1:1".into(),
        };
        let client = TcpStream::connect(address).unwrap_or_else(|_| {
            let (dead, listener) = dead_connection();
            drop(listener);
            dead
        });
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Station {
            child,
            client: BufReader::new(client),
        }
    }

    /// The reply, or `None` from a station that is dead.
    fn ask(&mut self, message: &str) -> Option<String> {
        let sent = self.client.get_mut().write_all(message.as_bytes());
        let mut line = String::new();
        match sent.and_then(|()| self.client.read_line(&mut line)) {
            Ok(n) if n > 0 => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no reply to {message:?}")
            }
            _ => None,
        }
    }

    /// One round of batches and uploads; whether it still lives.
    fn work(&mut self) -> bool {
        self.ask("PART:BATC\nPART:UPL\n*OPC?\n").is_some()
    }

    fn report(&mut self) -> serde_json::Value {
        let head = self.ask("PART:UPL:STAT?\n").unwrap();
        serde_json::from_str(&head[head.find('{').unwrap()..]).unwrap()
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dead_connection() -> (TcpStream, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (stream, listener)
}

fn endpoint(folder: &Path) -> String {
    let mut json = String::new();
    let file = File::open(folder.join("data/endpoints.json"));
    file.unwrap().read_to_string(&mut json).unwrap();
    let endpoints: serde_json::Value = serde_json::from_str(&json).unwrap();
    endpoints["scpi"].as_str().unwrap().to_owned()
}

/// This program again, to die at an arrow.
fn dying(folder: &Path, arrow: Arrow) -> Station {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "station", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(END_AT, format!("{arrow:?}"));
    Station::start(folder, command)
}

/// The program that people run.
fn real(folder: &Path) -> Station {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
    command
        .arg("serve")
        .arg("--state-dir")
        .arg(folder)
        .arg("--config")
        .arg(folder.join("c.toml"));
    Station::start(folder, command)
}

fn configure(folder: &Path, server: &Tinycloud) {
    let text = format!(
        "board = \"sim\"\nlog = \"debug\"\n[scpi]\nport = 0\nlegacy_port = 0\n[http]\nport = 0\n\
         [camera]\nenabled = false\n[tcam]\nenabled = false\n[opc]\ninterval_s = 1\ngadget_id = \"COUNTER\"\n[msp1000]\nenabled = false\n\
         [bitscope]\nenabled = false\n\
         [tinycloud]\nenabled = true\napi = \"{}\"\nbatch_interval_s = 1\nupload_interval_s = 1\n",
        server.api()
    );
    fs::write(folder.join("c.toml"), text).unwrap();
    fs::create_dir_all(folder.join("data")).unwrap();
    let key = GatewayKey::parse(KEY).unwrap();
    key.store(&folder.join("data/gateway_key.txt")).unwrap();
}

/// Logs readings beside the station, as the counter does within it.
struct Logger {
    store: ReadingStore,
    logged: usize,
}

impl Logger {
    fn log(&mut self, n: usize) {
        let pending: Vec<_> = (0..n)
            .map(|_| {
                self.logged += 1;
                let noise = self.logged as f64;
                let reading = Reading {
                    gadget_id: "OPC_1".into(),
                    utc: Clock::real().utc(),
                    temperature_c: Some(20.0 + noise.sin()),
                    bins_per_cm3: std::array::from_fn(|bin| Some((noise + bin as f64).sqrt())),
                    ..Reading::default()
                };
                self.store.handle().append(reading).unwrap()
            })
            .collect();
        pending.into_iter().for_each(|pending| {
            pending.wait().unwrap();
        });
    }
}

/// Not among them: a rejection, which ends a batch, and has a test of its own.
fn faults() -> Vec<Fault> {
    let all = Fault::ALL.into_iter();
    all.filter(|&fault| fault != Fault::StatusRejected)
        .collect()
}

#[test]
fn five_hundred_readings_arrive_once_whatever_fails_and_wherever_the_program_is_killed() {
    if !sshd::is_possible() {
        return;
    }
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.unwrap();
    let folder = folder.path();
    let server = Tinycloud::start(&Clock::real());
    server.state().pause = Duration::from_millis(300);
    configure(folder, &server);
    sshd::serve(&server, folder.to_owned(), None);
    let database = DatabaseSettings::new(folder.join("data/readings.db"));
    let mut logger = Logger {
        store: ReadingStore::start(database, 1000, Clock::real()).unwrap(),
        logged: 0,
    };
    // Every arrow with a fault, every fault with an arrow, in an order that the seed decides.
    let (mut arrows, mut faults) = (Arrow::ALL.to_vec(), faults());
    let mut random = shuffler(20_261_120);
    random(&mut arrows, &mut faults);
    let rounds = arrows.len().max(faults.len());
    let each = READINGS / (rounds + 2);
    for round in 0..rounds {
        let (arrow, fault) = (arrows[round % arrows.len()], faults[round % faults.len()]);
        server.fail_next(fault);
        logger.log(each);
        let mut station = dying(folder, arrow);
        let began = Instant::now();
        while station.work() {
            assert!(
                began.elapsed() < PATIENCE,
                "{arrow:?} with {fault:?} is never reached"
            );
        }
    }
    killed_while_sending(folder, &server, &mut logger, each);
    logger.log(READINGS - logger.logged);
    let mut station = real(folder);
    let began = Instant::now();
    loop {
        assert!(station.work(), "the real program died");
        let report = station.report();
        let is_done = report["open"].as_array().unwrap().is_empty();
        // Nothing is open either while the last rows are in no batch yet: an `scp` that was left behind may have kept
        // this round from making one.
        let all = rows_of(&server, "OPC_1").len() >= READINGS;
        if is_done && all && rows_of(&server, COUNTER).len() >= COUNTED {
            assert_eq!(report["rejected"], 0);
            break;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "batches wait for ever: {report}"
        );
    }
    let id = rustix::process::Pid::from_child(&station.child);
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(station.child.wait().unwrap().code(), Some(0));
    let problems = server.state().problems.clone();
    assert_eq!(problems, [""; 0]);
    assert_eq!(server.counts().1, 0, "twice");
    assert_eq!(rows_of(&server, "OPC_1").len(), READINGS);
    check_counted(&server, &folder.join("data/readings.db"));
    // Under their second name files would stay for ever.
    let names = fs::read_dir(folder.join("data/batches/pending")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| !name.contains('_')).collect();
    assert_eq!(left, [""; 0]);
}

/// Numbers of the rows of a gadget that the server has.
fn rows_of(server: &Tinycloud, gadget: &str) -> BTreeSet<i64> {
    let state = server.state();
    let of_gadget = state.rows.keys().filter(|(owner, _)| owner == gadget);
    of_gadget.map(|(_, number)| *number).collect()
}

/// The counter logs to the end: all its rows up to the last batch confirmed are there, and none that it never logged.
fn check_counted(server: &Tinycloud, database: &Path) {
    let database = rusqlite::Connection::open(database).unwrap();
    let numbers = |condition: &str| -> BTreeSet<i64> {
        let question =
            format!("SELECT rdg_no FROM Readings WHERE gadget_id = '{COUNTER}' AND {condition}");
        let mut rows = database.prepare(&question).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let confirmed = numbers(
        "rdg_no <= (SELECT max(last_rdg) FROM upload_batches WHERE gadget_id = 'COUNTER' AND state = 'uploaded')",
    );
    let there = rows_of(server, COUNTER);
    assert!(confirmed.len() >= COUNTED && confirmed.is_subset(&there));
    assert!(there.is_subset(&numbers("1")));
}

/// The real program killed while its file is on the way: `scp` outlives it, and the next one waits for that.
fn killed_while_sending(folder: &Path, server: &Tinycloud, logger: &mut Logger, n: usize) {
    let mut station = real(folder);
    while server.has_faults() {
        logger.log(1);
        assert!(station.work(), "the real program died");
    }
    server.hold();
    server.fail_next(Fault::SlowTransfer);
    logger.log(n);
    let stalled = server.state().stalls;
    let sent = station.client.get_mut();
    sent.write_all(b"PART:BATC\nPART:UPL\n").unwrap();
    server.wait_for_stall_after(stalled);
    drop(station);
    let mut station = real(folder);
    station.work();
    let error = station.ask("SYST:ERR?\n").unwrap();
    assert!(error.starts_with("-213,"), "{error}");
    assert!(error.contains("another program"), "{error}");
    server.release();
}

/// A seeded order of both lists.
fn shuffler(seed: u64) -> impl FnMut(&mut Vec<Arrow>, &mut Vec<Fault>) {
    let mut noise = seed;
    let mut below = move |n: usize| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise >> 20) as usize % n
    };
    move |arrows, faults| {
        for at in (1..arrows.len()).rev() {
            arrows.swap(at, below(at + 1));
        }
        for at in (1..faults.len()).rev() {
            faults.swap(at, below(at + 1));
        }
    }
}
