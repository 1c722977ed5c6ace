//! The program as a user meets it: help, exit codes, reports, and talk with a station (a tiny one, on a free port).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

use rustix::net::{AddressFamily, SocketType};

const COMMANDS: [&str; 10] = [
    "serve", "check", "boards", "query", "status", "sim", "opc", "cloud", "setup", "support",
];

/// Runs the program away from the settings of the machine and its user.
fn outpost(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(arguments)
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env_remove("HOME")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = outpost(arguments);
    let code = output.status.code();
    let code = code.unwrap_or_else(|| panic!("{}: {}", output.status, stderr(&output)));
    (code, stdout(&output), stderr(&output))
}

fn said(code: i32, out: &str, err: &str) -> (i32, String, String) {
    (code, out.into(), err.into())
}

/// A station that serves one connection: `answer` gives the reply to a message, `Err` an entry of the error queue.
fn station(
    mut answer: impl FnMut(&str) -> Result<Option<Vec<u8>>, &'static str> + Send + 'static,
) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut errors = Vec::new();
        let mut messages = Vec::new();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let reply = match line.as_str() {
                "SYST:VERS?" => Some(b"1999.0\n".to_vec()),
                "SYST:ERR?" if errors.is_empty() => Some(b"0,\"No error\"\n".to_vec()),
                "SYST:ERR?" => Some(format!("{}\n", errors.remove(0)).into_bytes()),
                message => answer(message).unwrap_or_else(|error| {
                    errors.push(error);
                    None
                }),
            };
            messages.push(line);
            if let Some(reply) = reply {
                writer.write_all(&reply).unwrap();
            }
        }
        messages
    });
    (port, thread)
}

fn block(bytes: &[u8]) -> Vec<u8> {
    let digits = bytes.len().to_string();
    let mut reply = format!("#{}{digits}", digits.len()).into_bytes();
    reply.extend_from_slice(bytes);
    reply.push(b'\n');
    reply
}

#[test]
fn every_command_has_a_help_text_that_fits_a_terminal() {
    let (code, overview, err) = run(&["--help"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for command in COMMANDS {
        assert!(
            overview.contains(&format!("\n  {command:8}  ")),
            "{command}"
        );
        let (code, help, err) = run(&[command, "--help"]);
        assert_eq!((code, err.as_str()), (0, ""), "{command}");
        assert!(help.contains("Usage: outpost "), "{help}");
        assert!(help.contains(command), "{help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        assert_eq!(run(&[command, "-h"]), said(0, &help, ""));
        assert_eq!(run(&["help", command]), said(0, &help, ""));
        assert_eq!(run(&["--help", command]), said(0, &help, ""));
    }
    assert_eq!(run(&["-h"]), said(0, &overview, ""));
    assert_eq!(run(&["help"]), said(0, &overview, ""));
    assert!(overview.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn every_flag_that_a_help_text_names_is_taken() {
    for command in ["serve", "check", "boards", "query", "status", "cloud"] {
        let (_, help, _) = run(&[command, "--help"]);
        let rows = help.lines().filter(|line| line.starts_with("  -"));
        let words = rows
            .flat_map(|row| row.split(|char: char| !char.is_ascii_alphanumeric() && char != '-'));
        for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            let value = format!("{flag}=1");
            let flag = if ["--help", "--version"].contains(&flag) {
                flag
            } else {
                &value
            };
            let (code, ..) = run(&[command, flag, "--help"]);
            assert_eq!(code, 0, "outpost {command} {flag}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = concat!("outpost ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&["--version"]), said(0, version, ""));
    assert_eq!(run(&["-V"]), said(0, version, ""));
    assert_eq!(run(&["check", "--version"]), said(0, version, ""));
}

#[test]
fn wrong_usage_is_explained_and_exits_with_2() {
    let cases: [(&[&str], &str); 15] = [
        (
            &["frob"],
            "there is no command \"frob\"\nTry 'outpost --help'.",
        ),
        (
            &["chekc"],
            "there is no command \"chekc\", did you mean check?\nTry 'outpost --help'.",
        ),
        (
            &["--bord", "sim"],
            "there is no flag --bord, did you mean --board?\nTry 'outpost --help'.",
        ),
        (
            &["check", "-x"],
            "there is no flag -x\nTry 'outpost check --help'.",
        ),
        (
            &["check", "--port", "1"],
            "there is no flag --port\nTry 'outpost check --help'.",
        ),
        (
            &["--port", "1"],
            "--port is no flag of serve\nTry 'outpost --help'.",
        ),
        (
            &["--port", "1", "boards"],
            "--port is no flag of boards\nTry 'outpost boards --help'.",
        ),
        (
            &["check", "--config"],
            "--config needs a value\nTry 'outpost check --help'.",
        ),
        (
            &["check", "now"],
            "there is nothing to do with \"now\"\nTry 'outpost check --help'.",
        ),
        (
            &["query", "--port=0", "*IDN?"],
            "--port takes a number in 1..65535, not \"0\"\nTry 'outpost query --help'.",
        ),
        (
            &["query", "--timeout=never", "*IDN?"],
            "--timeout takes seconds in 0.001..86400, not \"never\"\nTry 'outpost query --help'.",
        ),
        (
            &["query"],
            "query needs a SCPI message, such as '*IDN?'\nTry 'outpost query --help'.",
        ),
        (
            &["opc"],
            "opc needs to know what: test, read or recent\nTry 'outpost opc --help'.",
        ),
        (
            &["opc", "recent", "0"],
            "recent takes a number of rows from 1 to 500, not \"0\"\nTry 'outpost opc --help'.",
        ),
        (
            &["opc", "clean"],
            "opc cannot \"clean\": it can test, read and recent\nTry 'outpost opc --help'.",
        ),
    ];
    for (arguments, text) in cases {
        let expected = said(2, "", &format!("outpost: {text}\n"));
        assert_eq!(run(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn the_particle_counter_is_asked_without_a_station() {
    let folder = tempfile::tempdir().unwrap();
    let place = [
        "--board",
        "sim",
        "--state-dir",
        folder.path().to_str().unwrap(),
    ];
    let opc = |words: &[&str]| run(&[&["opc"], words, &place[..]].concat());
    assert_eq!(opc(&["recent"]), said(0, "no readings yet\n", ""));
    let database = folder.path().join("data/readings.db");
    assert!(!database.exists(), "looking made a database");
    let (code, text, err) = opc(&["test"]);
    assert_eq!((code, err.as_str()), (0, ""), "{text}");
    let head = "Asked by: this command, as no station is running\nLink: sim\nBridge: USB-ISS ";
    assert!(text.starts_with(head), "{text}");
    for line in [
        "Counter: OPC-N3 ",
        "Key: Bin 23 Value: ",
        "Key: Laser status Value: 608 (healthy)",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let (code, line, _) = opc(&["read"]);
    let numbers: Vec<f64> = line
        .strip_prefix("logging OPC_1 t:")
        .unwrap_or_else(|| panic!("{code} {line}"))
        .replace(" rh: ", "")
        .replace(" pms: ", "")
        .trim_end()
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert_eq!(numbers.len(), 5, "{line}");
    assert!(
        numbers[2] <= numbers[3] && numbers[3] <= numbers[4],
        "{line}"
    );
    assert!(!database.exists(), "reading stores nothing");
}

#[test]
fn a_particle_counter_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("outpost.toml");
    fs::write(&settings, "board = \"sim\"\n[opc]\nenabled = false\n").unwrap();
    let state = folder.path().to_str().unwrap();
    let flags = ["--config", settings.to_str().unwrap(), "--state-dir", state];
    let (code, out, err) = run(&[&["opc", "read"][..], &flags[..]].concat());
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "outpost: opc.enabled is off in the settings\n");
}

#[test]
fn boards_lists_every_profile_and_marks_one() {
    let (code, list, _) = run(&["boards"]);
    assert_eq!(code, 0);
    let ids: Vec<&str> = list
        .lines()
        .filter_map(|line| line[2..].split(' ').next())
        .collect();
    assert_eq!(ids, ["sim", "pi3b", "pi4b", "pi5", "zero2w", "cm4"]);
    let marked = list.lines().filter(|line| line.starts_with("* ")).count();
    assert_eq!(marked, 1, "{list}");
}

#[test]
fn check_shows_values_with_origin_wiring_and_what_is_not_there_yet() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    fs::write(&file, "[camera]\nfps = 5\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, report, err) = run(&["check", "--board=pi5", "--config", file, "--state-dir=/s"]);
    assert_eq!((code, err.as_str()), (0, ""), "{report}");
    let has = |line: &str| {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            report.lines().any(|other| squeezed(other) == line),
            "{line}\n{report}"
        );
    };
    has(&format!("Configuration: {file}"));
    has("Board: pi5, Raspberry Pi 5 (chosen by --board)");
    has("setting value origin");
    has(&format!("camera.fps 5.0 {file}:2"));
    has("storage.data \"/s/data\" --state-dir");
    has("tcam.uart \"/dev/ttyAMA0\" board pi5");
    has("tcam.bind \"0.0.0.0\" follows scpi.bind");
    has("scpi.port 5025 default");
    has("8 GPIO14 uart0 TX thermal camera RX");
    has(
        "config.txt needs: dtparam=uart0=on, dtparam=spi=on, dtoverlay=nospi10, dtoverlay=gpio-shutdown,gpio_pin=27,active_low=1,gpio_pull=up",
    );
    has("No conflicts.");
}

#[test]
fn check_reports_conflicts_and_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    let text =
        "[tcam]\nspi_hz = 8000000\n[storage]\nsdcard = \"/media/a-card-with-a-rather-long-name\"\n";
    fs::write(&file, text).unwrap();
    let (code, report, err) = run(&["check", "--board=pi4b", "--config", file.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (1, ""));
    let verdict: Vec<&str> = report.lines().rev().take(3).collect();
    assert_eq!(
        verdict,
        [
            "1 conflict.",
            "conflict: tcam.spi_hz: 8000000 is above the 7200000 hertz that the thermal camera bears",
            "warning: storage.sdcard: /media/a-card-with-a-rather-long-name is 37 bytes long; \
             FE-PyCam2 clients see only the first 31 bytes of a path",
        ]
    );
}

#[test]
fn check_reports_every_mistake_by_its_place() {
    let broken = Path::new("tests/data/config/broken/ranges.toml");
    let (code, out, err) = run(&["check", "--config", broken.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (1, ""));
    let expected = fs::read_to_string(broken.with_extension("txt")).unwrap();
    let folder = broken.parent().unwrap().to_str().unwrap();
    assert_eq!(err.replace(&format!("{folder}/"), ""), expected);
    assert_eq!(
        run(&["check", "--config", "/nonexistent.toml"]),
        said(
            1,
            "",
            "/nonexistent.toml: cannot be read: No such file or directory (os error 2)\n"
        )
    );
}

#[test]
fn query_prints_replies_and_knows_that_commands_have_none() {
    let (port, station) = station(|message| {
        Ok(match message {
            "*IDN?" => Some(b"Outpost,station,0,0.1.0\r\n".to_vec()),
            "SYST:TEXT?" => Some(b"\"a,#13\",1\n".to_vec()),
            "MIX?" => Some(b"1;#13a\nb;2\n".to_vec()),
            _ => None,
        })
    });
    let messages = [
        "*IDN?",
        "CAM:CONF:SS 1000",
        "SYST:TEXT?",
        "MIX?",
        "SYST:ERR?",
        "SYST:VERS?",
    ];
    let arguments = ["query", "--host=127.0.0.1", "--port", &port];
    let (code, out, err) = run(&[&arguments[..], &messages[..]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "Outpost,station,0,0.1.0\n\"a,#13\",1\n1;#13a\nb;2\n0,\"No error\"\n1999.0\n"
    );
    let received = station.join().unwrap();
    let sent = received
        .iter()
        .filter(|message| !message.starts_with("SYST:"));
    assert_eq!(
        sent.collect::<Vec<_>>(),
        ["*IDN?", "CAM:CONF:SS 1000", "MIX?"]
    );
}

#[test]
fn query_writes_block_bytes_as_they_are() {
    let mut bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    bytes.push(b'\n');
    let reply = block(&bytes);
    let (port, station) = station(move |_| Ok(Some(reply.clone())));
    let output = outpost(&["query", "--port", &port, "CAM:FRAM? RAW"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, bytes);
    station.join().unwrap();
}

#[test]
fn query_drains_the_error_queue_and_fails() {
    let (port, station) = station(|message| match message {
        "*FOO?" => Err("-113,\"Undefined header;*FOO?\""),
        "*ESE 256" => Err("-222,\"Data out of range;*ESE 0..255\""),
        _ => Ok(Some(b"0\n".to_vec())),
    });
    let (code, out, err) = run(&["query", "--port", &port, "*FOO?", "*ESE 256", "*ESE?"]);
    assert_eq!(code, 1);
    assert_eq!(out, "0\n");
    assert_eq!(
        err,
        "*FOO?: error -113,\"Undefined header;*FOO?\"\n\
         *ESE 256: error -222,\"Data out of range;*ESE 0..255\"\n"
    );
    station.join().unwrap();
}

#[test]
fn query_gives_up_on_silence_nonsense_and_absence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // It accepts (the kernel does) and never answers.
    let (code, out, err) = run(&["query", "--port", &port, "--timeout=0.05", "*IDN?"]);
    let text = format!("outpost: no reply from 127.0.0.1:{port} within 0.05 s\n");
    assert_eq!((code, out, err), said(1, "", &text));

    // Bound, so that nobody else gets the port, but not listening.
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = rustix::net::getsockname(&socket).unwrap();
    let address = SocketAddrV4::try_from(address).unwrap().to_string();
    let (code, _, err) = run(&["query", "--host", &address, "*IDN?"]);
    assert_eq!(code, 1);
    let start = format!("outpost: cannot reach a station at {address}: ");
    assert!(err.starts_with(&start), "{err}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\r\n")
            .unwrap();
        stream
    });
    let (code, out, err) = run(&["query", "--port", &port, "*IDN?"]);
    let text = format!(
        "outpost: 127.0.0.1:{port} does not speak SCPI: SYST:ERR? answered \"HTTP/1.1 400 Bad Request\"\n"
    );
    assert_eq!((code, out, err), said(1, "", &text));
    drop(server.join().unwrap());
}

#[test]
fn query_notices_a_connection_that_ends_within_a_block() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        for _ in 0..3 {
            reader.read_line(&mut String::new()).unwrap();
        }
        reader.get_mut().write_all(b"#510000abc").unwrap();
    });
    let (code, out, err) = run(&["query", "--port", &port, "MMEM:DATA? \"x\""]);
    server.join().unwrap();
    let text = format!("outpost: 127.0.0.1:{port} closed the connection before it had answered\n");
    assert_eq!((code, out, err), said(1, "abc", &text));
}

const HEALTH: &str = r#"[
{"instrument":"camera","state":"ready","reason":"","counters":{"frames":12,"dropped":0},"errors":[]},
{"instrument":"tcam","state":"STATE","reason":"no answer","counters":{},"errors":["a","time out"]},
{"instrument":"opc","state":"unavailable"}]"#;

fn health(state: &str) -> (String, JoinHandle<Vec<String>>) {
    let reply = block(HEALTH.replace("STATE", state).as_bytes());
    station(move |message| match message {
        "SYST:HEAL?" => Ok(Some(reply.clone())),
        _ => Err("-113,\"Undefined header\""),
    })
}

#[test]
fn status_says_one_line_an_instrument() {
    let (port, station) = health("degraded");
    assert_eq!(
        run(&["status", "--port", &port]),
        said(
            0,
            "camera  ready        dropped 0, frames 12\n\
             tcam    degraded     no answer; last error: time out\n\
             opc     unavailable\n",
            ""
        )
    );
    station.join().unwrap();
    let (port, station) = health("failed");
    let (code, out, _) = run(&["status", "--port", &port]);
    assert_eq!(code, 1, "{out}");
    station.join().unwrap();
}

#[test]
fn status_fails_on_a_station_without_health() {
    let (port, station) = station(|_| Err("-113,\"Undefined header\""));
    let expected = said(
        1,
        "",
        "SYST:HEAL?: error -113,\"Undefined header\"\n\
         outpost: the station does not report its health (SYST:HEAL? gave no block)\n",
    );
    assert_eq!(run(&["status", "--port", &port]), expected);
    station.join().unwrap();
}

#[test]
fn status_finds_the_station_by_its_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let (port, station) = health("ready");
    let endpoints = format!("{{\"scpi\":\"0.0.0.0:{port}\",\"legacy\":\"0.0.0.0:1\"}}");
    fs::write(data.join("endpoints.json"), endpoints).unwrap();
    let folder = folder.path().to_str().unwrap();
    let (code, out, err) = run(&["status", "--board=sim", "--state-dir", folder]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 3);
    station.join().unwrap();
}

#[test]
fn status_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    fs::write(&file, "[scpi]\nport = 0\n").unwrap();
    let config = file.to_str().unwrap();
    let folder = folder.path().to_str().unwrap();
    assert_eq!(
        run(&["status", "--config", config, "--state-dir", folder]),
        said(
            1,
            "",
            &format!(
                "outpost: no station runs here: {folder}/data/endpoints.json does not exist or \
                 names no scpi address\n"
            )
        )
    );
}
