//! The front ends: pseudo-terminal and SPI in memory, TCP, and both as a program.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use embedded_hal::spi::SpiDevice;
use outpost::base::clock::Clock;
use outpost::bus::serial::{NativeSerial, open_native};
use outpost::tcam::proto::{Announcement, Framer};
use outpost::tcam::sim::{Config, FAULTS, Faults, Hardware, Interface, Network};
use tempfile::TempDir;

use crate::rig::{ack, announced, ms};

/// Far longer than anything here takes: a test that meets it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const STATUS: &str = r#"{"cmd":"get_status"}"#;
const STREAM: &str = r#"{"cmd":"stream_on"}"#;
const GET: &str = r#"{"cmd":"get_image"}"#;

/// A host at one end of a command link.
struct Host<L> {
    link: L,
    framer: Framer,
}

impl<L: Read + Write> Host<L> {
    fn new(link: L) -> Self {
        let framer = Framer::host();
        Self { link, framer }
    }

    fn send(&mut self, text: &str) {
        let packet = [b"\x02", text.as_bytes(), b"\x03"].concat();
        self.link.write_all(&packet).unwrap();
    }

    fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            if let Some(packet) = self.framer.next() {
                return Ok(packet.text().to_vec());
            }
            let mut buffer = [0; 4096];
            let count = self.link.read(&mut buffer)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.framer.push(&buffer[..count]);
        }
    }

    /// The answer, images before it skipped.
    fn ask(&mut self, text: &str) -> String {
        self.send(text);
        loop {
            let packet = self.receive().unwrap();
            if announced(&packet).is_none() && packet.len() < 1000 {
                return String::from_utf8(packet).unwrap();
            }
        }
    }

    fn announcement(&mut self) -> Announcement {
        let packet = self.receive().unwrap();
        let length = announced(&packet).unwrap_or_else(|| panic!("{}", packet.len()));
        Announcement::new(length as i64).unwrap()
    }
}

fn quick(interface: Interface) -> Config {
    Config {
        frame_period: ms(3),
        ..Config::new(interface, 1)
    }
}

fn board(clock: Clock, config: Config) -> (Hardware, Faults, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::none();
    let link = folder.path().join("uart");
    let hardware = Hardware::start(clock, config, faults.clone(), &link).unwrap();
    (hardware, faults, folder)
}

fn open(hardware: &Hardware) -> Host<NativeSerial> {
    Host::new(open_native(hardware.port(), 230_400, PATIENCE).unwrap())
}

fn read_image(host: &mut Host<NativeSerial>, hardware: &Hardware) {
    let announcement = host.announcement();
    let mut read = vec![0; announcement.read_len()];
    hardware.spi().read(&mut read).unwrap();
    announcement.image(&read).unwrap();
}

#[test]
fn a_driver_streams_over_uart_and_spi() {
    let (hardware, _, _folder) = board(Clock::real(), quick(Interface::Hardware));
    let mut host = open(&hardware);
    assert!(host.ask(STATUS).contains("\"Model\":266242"));
    assert_eq!(host.ask(STREAM), ack("stream_on"));
    for _ in 0..20 {
        read_image(&mut host, &hardware);
    }
}

#[test]
fn an_image_waits_a_second_and_no_longer() {
    for (waited, start) in [(900, 0x02), (1100, 0xff)] {
        let (clock, hand) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        let (hardware, _, _folder) = board(clock, Config::new(Interface::Hardware, 1));
        let mut host = Host::new(open_native(hardware.port(), 230_400, ms(20)).unwrap());
        host.send(GET);
        // The camera may not have read the command yet when time moves.
        let packet = loop {
            hand.advance(ms(20));
            if let Ok(packet) = host.receive() {
                break packet;
            }
        };
        assert!(announced(&packet).is_some());
        hand.advance(ms(waited));
        let mut read = [0];
        hardware.spi().read(&mut read).unwrap();
        assert_eq!(read, [start], "after {waited} ms");
    }
}

#[test]
fn spi_takes_the_time_of_its_clock_if_asked() {
    let (clock, hand) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
    let config = Config {
        spi_timing: true,
        ..Config::new(Interface::Hardware, 1)
    };
    let (hardware, _, _folder) = board(clock, config);
    let mut spi = hardware.spi();
    let (done, read) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut words = vec![0; 52_000];
        spi.read(&mut words).unwrap();
        done.send(()).unwrap();
    });
    // 52 000 x 8 / 7 MHz = 59.4 ms, whenever it was begun.
    hand.advance(ms(59));
    assert!(read.recv_timeout(ms(50)).is_err());
    while read.recv_timeout(ms(5)).is_err() {
        hand.advance(ms(60));
    }
    reading.join().unwrap();
}

#[test]
fn a_plug_is_pulled_and_put_in_again_under_the_same_name() {
    let (hardware, _, _folder) = board(Clock::real(), quick(Interface::Hardware));
    let mut host = open(&hardware);
    host.ask(STREAM);
    read_image(&mut host, &hardware);
    hardware.unplug();
    assert!(!hardware.port().exists());
    let error = loop {
        if let Err(error) = host.receive() {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    drop(host);
    hardware.plug();
    let mut host = open(&hardware);
    // Power stayed on, and so did the stream. What was announced meanwhile is past.
    assert!(host.ask(STATUS).starts_with("{\"status\""));
    loop {
        let announcement = host.announcement();
        let mut read = vec![0; announcement.read_len()];
        hardware.spi().read(&mut read).unwrap();
        if announcement.image(&read).is_ok() {
            break;
        }
    }
}

#[test]
fn a_camera_that_vanishes_comes_back_without_its_settings() {
    let (hardware, faults, _folder) = board(Clock::real(), quick(Interface::Hardware));
    let mut host = open(&hardware);
    host.ask(r#"{"cmd":"set_config","args":{"emissivity":90}}"#);
    faults.set("vanish", None).unwrap();
    assert_eq!(host.receive().unwrap_err().kind(), ErrorKind::NotConnected);
    let mut read = [0; 4];
    hardware.spi().read(&mut read).unwrap();
    assert_eq!(read, [0xff; 4]);
    drop(host);
    faults.clear();
    let mut host = loop {
        // The link comes back when the camera's thread has seen the change.
        match open_native(hardware.port(), 230_400, PATIENCE) {
            Ok(port) => break Host::new(port),
            Err(_) => std::thread::yield_now(),
        }
    };
    assert!(
        host.ask(r#"{"cmd":"get_config"}"#)
            .contains("\"emissivity\":100")
    );
}

#[test]
fn nothing_is_left_behind() {
    let (hardware, _, folder) = board(Clock::real(), quick(Interface::Hardware));
    let mut spi = hardware.spi();
    drop(hardware);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // A master that outlives the camera reads an idle line.
    let mut read = [0; 2];
    spi.read(&mut read).unwrap();
    assert_eq!(read, [0xff; 2]);
}

fn network() -> (Network, Faults) {
    let faults = Faults::none();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = quick(Interface::Network);
    let network = Network::start(Clock::real(), config, faults.clone(), any).unwrap();
    (network, faults)
}

fn connect(address: SocketAddr) -> Host<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Host::new(stream)
}

#[test]
fn one_client_is_served_and_the_next_waits() {
    let (network, _) = network();
    let mut first = connect(network.address());
    assert!(first.ask(STATUS).contains("\"Model\":262146"));
    let mut second = connect(network.address());
    second.send(STATUS);
    second.link.set_read_timeout(Some(ms(200))).unwrap();
    assert_eq!(second.receive().unwrap_err().kind(), ErrorKind::WouldBlock);
    second.link.set_read_timeout(Some(PATIENCE)).unwrap();
    first.ask(r#"{"cmd":"set_config","args":{"emissivity":90}}"#);
    first.ask(STREAM);
    assert!(first.receive().unwrap().len() > 50_000);
    drop(first);
    assert!(second.receive().unwrap().starts_with(b"{\"status\""));
    // The settings stay, the stream does not.
    let config = second.ask(r#"{"cmd":"get_config"}"#);
    assert!(config.contains("\"emissivity\":90"), "{config}");
    second.link.set_read_timeout(Some(ms(100))).unwrap();
    assert_eq!(second.receive().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_connection_ends_in_the_middle_of_an_image() {
    let (network, faults) = network();
    let mut host = connect(network.address());
    faults.set("close", None).unwrap();
    host.send(GET);
    assert_eq!(host.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let mut host = connect(network.address());
    host.send(GET);
    assert!(host.receive().unwrap().len() > 50_000);
    faults.set("vanish", Some(20)).unwrap();
    assert_eq!(host.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(
        connect(network.address())
            .ask(STATUS)
            .starts_with("{\"status\"")
    );
}

/// The program, ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(flags: &[&str]) -> (Program, Vec<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["sim", "tcam"])
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    for line in lines {
        printed.push(line.unwrap());
        if printed.last().is_some_and(|line| line == "ready") {
            break;
        }
    }
    (Program(child), printed)
}

fn end(mut program: Program) {
    let id = rustix::process::Pid::from_child(&program.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(program.0.wait().unwrap().success());
}

#[test]
fn the_program_offers_uart_and_spi_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let (uart, spi) = (folder.path().join("uart"), folder.path().join("spi"));
    let (uart, spi) = (uart.to_str().unwrap(), spi.to_str().unwrap());
    // Left by one that was killed.
    std::os::unix::fs::symlink("/nowhere", uart).unwrap();
    drop(std::os::unix::net::UnixListener::bind(spi).unwrap());
    let (program, printed) = program(&["--uart", uart, "--spi", spi, "--spi-filler=0"]);
    let pts = fs::read_link(uart).unwrap();
    let expected = [
        format!("tty {uart} {}", pts.display()),
        format!("spi {spi}"),
        "ready".into(),
    ];
    assert_eq!(printed, expected);
    let mut host = Host::new(open_native(Path::new(uart), 230_400, PATIENCE).unwrap());
    host.send(GET);
    let announcement = host.announcement();
    let mut socket = UnixStream::connect(spi).unwrap();
    let mut transaction = |length: usize| {
        socket.write_all(&(length as u32).to_le_bytes()).unwrap();
        let mut read = vec![9; length];
        socket.read_exact(&mut read).unwrap();
        read
    };
    let read = transaction(announcement.read_len());
    announcement.image(&read).unwrap();
    assert_eq!(transaction(5), [0; 5]);
    end(program);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_program_offers_tcp_with_a_recording_and_faults() {
    let recording = crate::rig::data("recording.tmjsn");
    let recording = recording.to_str().unwrap();
    let flags = [
        "--listen=127.0.0.1:0",
        "--replay",
        recording,
        "--frame-ms=1",
    ];
    let more = ["--seed=5", "--fault=unsolicited", "--fault", "junk=2"];
    let (program, printed) = program(&[&flags[..], &more[..]].concat());
    let address = printed[0].strip_prefix("tcp ").unwrap();
    assert_eq!(printed[1], "ready");
    let mut host = connect(address.parse().unwrap());
    assert!(host.ask(STATUS).contains("Simulated internal error"));
    assert!(host.receive().unwrap().starts_with(b"{\"status\""));
    host.send(GET);
    assert!(host.receive().unwrap().len() > 50_000);
    end(program);
}

#[test]
fn the_program_explains_itself_and_its_faults() {
    let run = |flags: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["sim"])
            .args(flags)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, help) = run(&["tcam", "--help"]);
    assert_eq!(code, Some(0));
    assert!(help.lines().all(|line| line.chars().count() <= 80));
    for fault in FAULTS {
        assert!(
            help.contains(&format!("\n  {}", fault.name)),
            "{}",
            fault.name
        );
    }
    for (flags, expected) in [
        (&[][..], "sim needs an instrument"),
        (&["radar"], "there is no simulated instrument \"radar\""),
        (&["tcam"], "either --listen, or both --uart and --spi"),
        (&["tcam", "--uart=/x"], "either --listen, or both"),
        (
            &["tcam", "--lisen=1"],
            "there is no flag --lisen, did you mean --listen?",
        ),
        (&["tcam", "--listen"], "--listen needs a value"),
        (
            &["tcam", "--listen=here"],
            "--listen takes an address and a port, not \"here\"",
        ),
        (
            &["tcam", "--fault=glu"],
            "has no fault \"glu\", did you mean glue?",
        ),
        (&["tcam", "--fault=glue=x"], "--fault takes NAME=N"),
        (
            &["tcam", "--spi-timing=yes"],
            "--spi-timing takes on or off",
        ),
    ] {
        let (code, text) = run(flags);
        assert_eq!(code, Some(2), "{flags:?}");
        assert!(text.contains(expected), "{flags:?}: {text}");
        assert!(text.contains("--help'."), "{text}");
    }
    let (code, text) = run(&["tcam", "--listen=127.0.0.1:0", "--replay=/nowhere.tjsn"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("/nowhere.tjsn cannot be read"), "{text}");
}
