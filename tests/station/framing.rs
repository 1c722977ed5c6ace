//! Messages and their ends: the reference's worked bytes, splits, noise, and messages that are too long (scpi.md 1, 2, 11, 13).

use std::io::Write;
use std::thread;
use std::time::Duration;

use super::harness::{Client, Setup, Station, number};

/// A pause within a message, far below the settle time of the stations it is used with, and one well above it. They are
/// the client's own silence, by the clock that the other program has.
const SPLIT: Duration = Duration::from_millis(5);
const BREAK: Duration = Duration::from_millis(400);
const LONG_SETTLE: &str = "legacy_settle_ms = 200";

/// Message, reply line ("" for silence), error numbers afterwards (scpi.md 13).
const QUICK_VECTORS: [(&str, &str, &[i32]); 13] = [
    ("*ESE 31.6;*ESE?", "32\n", &[]),
    ("*ESE 8;*ESE 256;*ESE?", "8\n", &[-222]),
    ("*SRE 255;*SRE?", "191\n", &[]),
    ("SYST:VERS?;*ESE?;ERR?", "1999.0;0;0,\"No error\"\n", &[]),
    ("SYST:VERS?;SYST:ERR?", "1999.0\n", &[-113]),
    (":*ESE?", "", &[-102]),
    ("*ESE #13abc", "", &[-168]),
    ("*ESE \"1\"", "", &[-158]),
    ("*ESE 1V", "", &[-138]),
    ("*IDN? 12", "", &[-108]),
    ("*FOO;*ESE?", "0\n", &[-113]),
    ("*ESE 32;*SRE 32;*FOO;*STB?", "100\n", &[-113]),
    ("SYST:ERR:COUN?", "0\n", &[]),
];

/// More of sections 1 to 5 and 9.
const MORE_VECTORS: &[(&str, &str, &[i32])] = &[
    ("", "", &[]),
    (" \t ", "", &[]),
    (";;*ESE?;;", "0\n", &[]),
    ("*ESE 1 2", "", &[-103]),
    ("*ESE", "", &[-109]),
    ("*ESE 1,2", "", &[-108]),
    ("*ESE 1.6 e +1;*ESE?", "16\n", &[]),
    ("*ESE #H20;*ESE?;*ESE #q40;*ESE?", "32;32\n", &[]),
    ("*ESE 1E32001", "", &[-123]),
    ("*ESE 0.5;*ESE?", "1\n", &[]),
    ("syst:vers?;SYSTEM:VERSION?", "1999.0\n", &[-113]),
    ("syst:vers?;:SYSTEM:VERSION?", "1999.0;1999.0\n", &[]),
    ("SYSTE:VERS?", "", &[-113]),
    ("SYST::ERR?", "", &[-102]),
    ("SYST:ERR :NEXT?", "", &[-113]),
    ("*", "", &[-102]),
    ("SYST:ABCDEFGHIJKLM?", "", &[-112]),
    ("CAM9:CONF:SS 1", "", &[-113]),
    ("IDN?", "", &[-113]),
    ("*IDN", "", &[-113]),
    ("*RST?", "", &[-113]),
    ("SYST:ECHO? \"a;b,c #15\"", "\"a;b,c #15\"\n", &[]),
    ("SYST:ECHO? 'it''s \"x\"'", "\"it's \"\"x\"\"\"\n", &[]),
    ("SYST:ECHO? \"open", "", &[-151]),
    ("SYST:TRAC:STAT ON;STAT?;STAT 0;STAT?", "1;0\n", &[]),
    ("SYST:TRAC:STAT MAYBE", "", &[-224]),
    ("SYST:ERR?;ERR:COUN?;COUN?", "0,\"No error\";0;0\n", &[]),
    ("*ESE #0abc", "", &[-161]),
    ("*ESE \u{7f}", "", &[-101]),
    (
        "CAM:CONF:SS 10000;SS?;SS 20MS;SS?;SS 0.03S;SS?;SS 4E4us;SS?",
        "10000;20000;30000;40000\n",
        &[],
    ),
    ("CAM:CONF:SS 10HZ", "", &[-131]),
];

#[test]
fn quick_vectors_of_the_reference() {
    let station = Setup::small().start();
    for terminator in ["\n", "\r\n"] {
        for (message, reply, errors) in QUICK_VECTORS.iter().chain(MORE_VECTORS) {
            let mut client = station.client();
            client.command("*CLS");
            client.send(format!("{message}{terminator}SYST:ECHO? \"end\"\n"));
            let mut said = String::new();
            while !said.ends_with("\"end\"\n") {
                said += &client.line();
                said.push('\n');
            }
            assert_eq!(said.strip_suffix("\"end\"\n").unwrap(), *reply, "{message}");
            let queue: Vec<i32> = client.errors().iter().map(|entry| number(entry)).collect();
            assert_eq!(&queue, errors, "{message}");
        }
    }
    station.stop();
}

#[test]
fn worked_bytes_of_the_dialect() {
    let station = Setup::small().start();
    let rddir = station.ramdisk().display().to_string();
    let identity = station.client().query("*IDN?");
    let mut client = station.legacy_client();
    assert_eq!(client.ask("IDN?"), "PiCam2");
    assert_eq!(client.ask("IDN?\n"), "PiCam2\n");
    assert_eq!(client.ask("*IDN?\n"), format!("{identity}\n"));
    assert_eq!(client.ask("SRV:ECHO a  b"), "a  b");
    assert_eq!(client.ask("SRV:ECHO a;b\n"), "a;b\n");
    assert_eq!(client.ask("CAM:CONF:SS"), "nak");
    assert_eq!(client.ask("CAM:CONF:SS abc"), "nak");
    assert_eq!(client.ask("cam:conf:ss 1000"), "Unknown Command");
    client.command("*CLS");
    client.send("cam:conf:ss 1000\n");
    assert_eq!(client.query("CAM:CONF:SS?"), "1000");
    assert_eq!(client.ask("NOSUCH"), "Unknown Command");
    client.command("*CLS");
    assert_eq!(client.query("NOSUCH"), "Unknown Command");
    assert_eq!(
        client
            .errors()
            .iter()
            .map(|e| number(e))
            .collect::<Vec<_>>(),
        [-113]
    );
    assert_eq!(client.refused("NOSUCH:THING?"), -113);
    assert_eq!(client.ask("*ESE 32;*ESE?\n"), "32\n");
    client.send("SRV:PATH:RDDIR?\n*OPC?\n");
    assert_eq!(client.line(), rddir);
    assert_eq!(client.line(), "1");
    assert_eq!(client.ask("IDN?IDN?"), "Unknown Command");
    station.stop();
}

#[test]
fn more_of_the_dialects_grammar() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    // Unterminated SCPI: one reply each, without LF (scpi.md 11.4).
    for (message, reply) in [
        ("*ESE 16", "ack"),
        ("*ESE?", "16"),
        ("*ESE 256", "nak"),
        ("*FOO", "Unknown Command"),
        ("SYST:VERS?", "1999.0"),
        ("NOSUCH:THING?", "Unknown Command"),
        ("SYST:VERS", "Unknown Command"),
        ("IDN? ", "PiCam2"),
        ("IDN? and more", "PiCam2"),
        (" IDN?", "Unknown Command"),
        ("SRV:ECHO #15", "#15"),
        ("SRV:ECHO \"open", "\"open"),
        ("SRV:ECHO", "nak"),
        ("SRV:ECHO ", "nak"),
        ("SRV:IMG:SHRNK 1", "ack"),
        ("CAM:CONF:ALL 1", "Unknown Command"),
    ] {
        assert_eq!(client.ask(message), reply, "{message}");
    }
    // Line ends and blanks alone ask for nothing, so a client that sends its LF later gets one reply.
    client.send("\n \r\n");
    assert_eq!(client.ask("IDN?"), "PiCam2");
    client.send("\n");
    assert_eq!(client.ask("SRV:IMG:DBAY 1\r\n"), "ack\n");
    assert_eq!(client.query("SRV:IMG:DBAY?"), "1");
    station.stop();
}

#[test]
fn a_short_pause_within_an_unterminated_message_does_not_split_it() {
    let station = Setup::small().scpi(LONG_SETTLE).start();
    let mut client = station.legacy_client();
    client.send("CAM:CONF:SS 1000");
    thread::sleep(SPLIT);
    assert_eq!(client.ask("0"), "ack");
    assert_eq!(client.query("CAM:CONF:SS?"), "10000");
    let log = station.client().json("SYST:HEAL? camera");
    assert_eq!(log["counters"]["hangs"], 0);
    client.send("CAM:CONF:SS 1000");
    thread::sleep(BREAK);
    client.send("0");
    let mut said = Vec::new();
    while said.len() < "ackUnknown Command".len() {
        said.extend(client.take(1));
    }
    assert_eq!(said, b"ackUnknown Command");
    assert_eq!(client.query("CAM:CONF:SS?"), "1000");
    station.stop();
}

/// Cuts `message` at every point, so that the station surely sees both parts apart: the first part travels with a
/// query whose reply is waited for.
fn assert_splits(station: &Station, connect: fn(&Station) -> Client, message: &str, reply: &str) {
    for at in 0..=message.len() {
        let mut client = connect(station);
        client.command("*CLS");
        client.send([b"SYST:VERS?\n", &message.as_bytes()[..at]].concat());
        assert_eq!(client.line(), "1999.0");
        client.send(&message.as_bytes()[at..]);
        let said = client.take(reply.len());
        assert_eq!(
            String::from_utf8_lossy(&said),
            reply,
            "{message:?} cut at {at}"
        );
        // Nothing else came, and nothing was left over.
        assert_eq!(
            client.query("SYST:VERS?"),
            "1999.0",
            "{message:?} cut at {at}"
        );
    }
}

#[test]
fn every_split_of_a_terminated_message_gives_the_same_reply() {
    let station = Setup::small().scpi(LONG_SETTLE).start();
    for (message, reply) in [
        ("*ESE 31.6;*ESE?;:SYST:ERR?\r\n", "32;0,\"No error\"\n"),
        (
            "SYST:ECHO? \"a;\"\"#12\"\n*ESE #13a\nb;*ESE?\n*ESE?\n",
            "\"a;\"\"#12\"\n0\n0\n",
        ),
    ] {
        assert_splits(&station, Station::client, message, reply);
        assert_splits(&station, Station::legacy_client, message, reply);
    }
    assert_splits(
        &station,
        Station::legacy_client,
        "SRV:ECHO a  b #15\r\n",
        "a  b #15\n",
    );
    assert_splits(
        &station,
        Station::legacy_client,
        "CAM:CONF:AG 1,5\nFOO\n",
        "ack\nUnknown Command\n",
    );
    station.stop();
}

#[test]
fn every_split_of_an_unterminated_message_gives_one_reply() {
    let station = Setup::small().scpi(LONG_SETTLE).start();
    for (message, reply) in [
        ("CAM:CONF:AG 1,5", "ack"),
        ("SRV:ECHO a  b", "a  b"),
        ("*ESE 8;*ESE?", "8"),
    ] {
        let cut = |at: usize| {
            let mut client = station.legacy_client();
            client.send(&message[..at]);
            client.send(&message[at..]);
            client
        };
        // A few at a time: camera commands of many clients at once would fill its queue.
        let points: Vec<usize> = (1..message.len()).collect();
        for points in points.chunks(6) {
            let clients: Vec<Client> = points.iter().map(|&at| cut(at)).collect();
            for mut client in clients {
                let said = client.take(reply.len());
                assert_eq!(String::from_utf8_lossy(&said), reply, "{message}");
                assert_eq!(client.ask("IDN?"), "PiCam2", "{message}");
            }
        }
    }
    station.stop();
}

#[test]
fn byte_by_byte_is_as_good_as_at_once() {
    let station = Setup::small().start();
    let mut client = station.client();
    for byte in b"*ESE 31.6;*ESE?\nSYST:ECHO? \"x\"\n*IDN?\n" {
        client.send([*byte]);
    }
    assert_eq!(client.line(), "32");
    assert_eq!(client.line(), "\"x\"");
    assert_eq!(client.line().split(',').count(), 4);
    station.stop();
}

/// The same numbers every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = Noise(seed);
    (0..bytes).map(|_| (noise.next() >> 32) as u8).collect()
}

/// Pieces of messages in senseless order.
fn gibberish(seed: u64, bytes: usize) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"*IDN?",
        b"*ESE",
        b" ",
        b"\n",
        b"\r\n",
        b";",
        b":",
        b",",
        b"SYST",
        b"SYST:ERR?",
        b"SYST:ERR:ALL?",
        b"?",
        b"#",
        b"15",
        b"#3100",
        b"\"",
        b"'",
        b"(",
        b")",
        b"CAM:CONF:SS ",
        b"CAM:CONF:AG?",
        b"MIN",
        b"1e999",
        b"-",
        b"0",
        b"MS",
        b"#H",
        b"SRV:ECHO ",
        b"IDN?",
        b"SRV:IMG:BCLP ",
        b"SRV:IMG:SRNK ",
        b"\x00",
        b"\xff",
        b"\xc3\xa4",
        b"STAT:OPER",
        b"*OPC?",
        b"*WAI",
        b"CAP:SEQFET a ",
        b"@",
    ];
    let mut noise = Noise(seed);
    let mut text = Vec::with_capacity(bytes + 16);
    while text.len() < bytes {
        text.extend_from_slice(PIECES[(noise.next() >> 33) as usize % PIECES.len()]);
    }
    text
}

#[test]
fn noise_on_both_ports_harms_nobody() {
    let station = Setup::small().start();
    let mut bystander = station.client();
    thread::scope(|scope| {
        for (address, bytes) in [
            (station.scpi, noise(1, 300_000)),
            (station.legacy, noise(2, 300_000)),
            (station.scpi, gibberish(3, 300_000)),
            (station.legacy, gibberish(4, 300_000)),
        ] {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let mut sender = client.stream().try_clone().unwrap();
                let sending = thread::spawn(move || {
                    for piece in bytes.chunks(1009) {
                        // The noise may say SRV:CLOSE; then the station closes.
                        if sender.write_all(piece).is_err() {
                            return;
                        }
                    }
                    let _ = sender.shutdown(std::net::Shutdown::Write);
                });
                client.read_until_it_ends();
                sending.join().unwrap();
            });
        }
    });
    assert_eq!(bystander.errors(), Vec::<String>::new());
    for mut client in [station.client(), station.legacy_client()] {
        assert_eq!(client.query("*IDN?").split(',').count(), 4);
    }
    station.stop();
}

#[test]
fn messages_longer_than_16_kib_are_dropped_whole() {
    let station = Setup::small().start();
    let mut client = station.client();
    let longest = format!("SYST:ECHO? \"{}\"", "x".repeat(16384 - 13));
    assert_eq!(longest.len(), 16384);
    assert_eq!(client.query(&longest), &longest[11..]);
    for length in [16385, 20_000, 300_000] {
        let message = format!("SYST:ECHO? \"{}\";*ESE 7", "x".repeat(length - 20));
        assert_eq!(client.refused(&message), -363, "{length} bytes");
    }
    // A block counts as well, and its line ends do not end the message.
    assert_eq!(
        client.refused(&format!("*ESE #520000{}", "\n".repeat(20_000))),
        -363
    );
    assert_eq!(client.query("*ESE?"), "0");

    let mut legacy = station.legacy_client();
    assert_eq!(
        legacy.ask(&format!("SRV:ECHO {}", "x".repeat(20_000))),
        "nak"
    );
    assert_eq!(legacy.ask("IDN?"), "PiCam2");
    assert_eq!(
        legacy
            .errors()
            .iter()
            .map(|e| number(e))
            .collect::<Vec<_>>(),
        [-363]
    );
    assert_eq!(
        legacy.ask(&format!("SRV:ECHO {}\n", "x".repeat(20_000))),
        "nak\n"
    );
    assert_eq!(legacy.ask("IDN?"), "PiCam2");
    let text = "x".repeat(16_000);
    legacy.send(format!("SRV:ECHO {text}"));
    assert_eq!(legacy.take(16_000), text.as_bytes());
    assert!(station.counter("server", "overlong_messages") >= 6);
    station.stop();
}

#[test]
fn quick_answers_are_one_segment_each() {
    // Some clients take one receive for the whole answer (scpi.md 1.10).
    let station = Setup::small().start();
    let mut client = station.client();
    for _ in 0..50 {
        assert_eq!(
            client
                .ask("*IDN?;*ESE?;:SYST:VERS?;*IDN?\n")
                .split(';')
                .count(),
            4
        );
        assert!(client.ask("SYST:HELP:SYNT? \"*IDN?\"\n").ends_with("\"\n"));
    }
    station.stop();
}

#[test]
fn every_header_of_the_table_can_be_reached() {
    let station = Setup::small().start();
    let mut client = station.client();
    let list = String::from_utf8(client.block("SYST:HELP:HEAD?")).unwrap();
    let mut headers = Vec::new();
    for line in list.lines() {
        match (line.strip_suffix("/qonly/"), line.strip_suffix("/nquery/")) {
            (Some(query), _) => headers.push(query.to_owned()),
            (_, Some(command)) => headers.push(command.to_owned()),
            _ => headers.extend([line.to_owned(), format!("{line}?")]),
        }
    }
    assert!(headers.len() > 60, "{headers:?}");
    assert_eq!(
        headers.len(),
        outpost::server::help_rows().lines().count() - 2
    );
    for header in &headers {
        // The long form without what may be left out, and the short form.
        let plain = header.replace("[:NEXT]", "").replace("[:EVENt]", "");
        let short: String = plain.chars().filter(|c| !c.is_ascii_lowercase()).collect();
        for name in [header, &plain, &short] {
            let syntax = client.query(&format!("SYST:HELP:SYNT? \"{name}\""));
            assert!(
                syntax.starts_with('"') && syntax.contains(": "),
                "{name}: {syntax}"
            );
        }
        if plain.ends_with('?') {
            assert_answers_or_refuses(&mut client, &plain);
            assert_answers_or_refuses(&mut client, &short);
        } else {
            // Without parameters nothing happens unless the command takes none; it is known in any case.
            if !["*RST", "*CLS", "*OPC", "*WAI"].contains(&&*plain) {
                client.send(format!("{short}\n"));
                let known = client.errors().iter().all(|entry| number(entry) != -113);
                assert!(known, "{short}");
            }
        }
    }
    station.stop();
}

/// A query either answers or leaves an error, never neither, never -113.
fn assert_answers_or_refuses(client: &mut Client, query: &str) {
    client.send(format!("*CLS;{query};:SYST:ECHO? \"end\"\n"));
    let mut said = client.take_until(b"\"end\"\n");
    said.truncate(said.len() - b"\"end\"\n".len());
    let errors = client.errors();
    assert_eq!(said.is_empty(), !errors.is_empty(), "{query}: {errors:?}");
    assert!(
        errors.iter().all(|entry| number(entry) != -113),
        "{query}: {errors:?}"
    );
}
