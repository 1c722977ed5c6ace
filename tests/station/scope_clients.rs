//! Programs that speak the BitScope's language, at port 15500's stand-in.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use outpost::base::clock::Clock;
use outpost::bitscope::proto::datagram::ReplyHeader;
use outpost::bitscope::sim::{Config, Faults, Inputs, NetworkFront, Protocol, Signal};
use serde_json::Value;

use super::harness::{PATIENCE, Setup, Station, eventually};
use super::scope::{acquire, started, started_with};

/// Long enough for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(200);

struct Program {
    socket: UdpSocket,
}

impl Program {
    fn of(station: &Station) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .connect(station.scope.expect("the oscilloscope is served"))
            .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    fn send(&self, cmd_id: u8, commands: &[u8]) {
        self.send_datagram(&[&[cmd_id], commands].concat());
    }

    fn send_datagram(&self, datagram: &[u8]) {
        self.socket.send(datagram).unwrap();
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 65536];
        let count = self.socket.recv(&mut buffer).expect("an answer");
        buffer[..count].to_vec()
    }

    /// Data of the answer to these commands: so many bytes, in order.
    fn ask(&self, cmd_id: u8, commands: &[u8], bytes: usize) -> Vec<u8> {
        self.send(cmd_id, commands);
        let mut data = Vec::new();
        for data_seq in 0.. {
            let datagram = self.receive();
            let (header, piece) = ReplyHeader::decode(&datagram).unwrap();
            assert_eq!((header.cmd_id, header.data_seq), (cmd_id, data_seq));
            assert!(piece.len() <= 512);
            data.extend_from_slice(piece);
            if data.len() >= bytes {
                return data;
            }
        }
        unreachable!()
    }

    fn is_silent(&self) -> bool {
        self.socket.set_read_timeout(Some(SILENCE)).unwrap();
        let silent = self.socket.recv(&mut [0; 2048]).is_err();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }
}

#[test]
fn the_recorded_session_of_a_client_goes_through_as_it_was() {
    let path = format!(
        "{}/tests/data/bitscope/udp_session.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let vector: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let inputs = Inputs {
        a: Signal::Sine {
            mean: 1.5,
            amplitude: 1.2,
            hz: 2000.0,
            phase: 0.3,
        },
        ..Inputs::default()
    };
    let config = Config {
        inputs,
        ..Config::default()
    };
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let device =
        NetworkFront::start(Protocol::Tcp, Clock::real(), config, Faults::none(), any).unwrap();
    let url = format!("url = \"socket://{}\"", device.address());
    let (station, _client) = started_with(Setup::small().bitscope(&url));
    let program = Program::of(&station);
    let hex = |text: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    };
    let mut sent = 0;
    for datagram in vector["datagrams"].as_array().unwrap() {
        let bytes = hex(datagram["hex"].as_str().unwrap());
        match datagram["dir"].as_str().unwrap() {
            "H>S" => {
                program.send_datagram(&bytes);
                sent += 1;
            }
            _ => assert_eq!(program.receive(), bytes, "after {sent} datagrams"),
        }
    }
    assert!(program.is_silent());
    assert_eq!(sent, 12);
    station.stop();
}

#[test]
fn one_program_has_the_device_and_passes_it_on_by_a_reset() {
    let (station, mut client) = started();
    let (one, other) = (Program::of(&station), Program::of(&station));
    assert_eq!(one.ask(7, b"!", 1), b"!");
    assert_eq!(one.ask(8, b"?", 11), b"?\rBS000501\r");
    other.send(1, b"?");
    assert!(other.is_silent());
    let address = one.socket.local_addr().unwrap();
    assert_eq!(client.query("SCOP:CONT?"), format!("\"{address}\""));
    assert_eq!(client.json("SCOP:STAT?")["controller"], address.to_string());
    assert_eq!(other.ask(2, b"!?", 12), b"!?\rBS000501\r");
    one.send(9, b"?");
    assert!(one.is_silent());
    assert_eq!(station.counter("bitscope", "datagrams_refused"), 2);
    // The station's own operations wait, then give up.
    assert_eq!(client.refused("SCOP:REG? TraceMode"), -213);
    client.command("SCOP:CONT:REL");
    eventually("the device to be free", || {
        client.query("SCOP:CONT?") == "\"\""
    });
    assert_eq!(acquire(&mut client)["cause"], "trigger");
}

#[test]
fn a_trace_of_a_program_waits_and_is_cancelled() {
    let (station, _client) = started();
    let (one, other) = (Program::of(&station), Program::of(&station));
    one.ask(0, b"!", 1);
    // All bits must be high, for longer than the counter keeps them so.
    let setup = b"[05]@[ff]z[00]z[01]s[21]@[0e]s[2e]@[05]s[32]@[ff]z[00]z[ff]s>";
    assert_eq!(one.ask(1, setup, setup.len()), setup);
    one.send(2, b"D");
    let started = one.receive();
    assert_eq!(started.len(), 4 + 13);
    assert!(started[4..].starts_with(b"D02\r"));
    other.send(0, b"!");
    assert!(other.is_silent(), "a trace is no free device");
    let ended = one.ask(3, b"K", 22);
    assert!(ended.starts_with(b"K03\r"), "{}", ended.escape_ascii());
    assert_eq!(other.ask(1, b"!", 1), b"!");
}

#[test]
fn large_datagrams_and_large_answers_go_through_in_pieces() {
    let (station, _client) = started();
    let program = Program::of(&station);
    program.ask(0, b"!", 1);
    // 60 KB of digits, each echoed.
    let digits = b"0123456789abcdef".repeat(3750);
    program.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(program.ask(1, &digits, digits.len()), digits);
    let dump = b"[1c]@[00]z[30]s[1e]@[00]s>A";
    let data = program.ask(2, dump, dump.len() + 12288);
    assert_eq!(data.len(), dump.len() + 12288);
    assert_eq!(station.counter("bitscope", "datagrams_lost"), 0);
}

#[test]
fn hostile_datagrams_are_borne() {
    let (station, mut client) = started();
    let hostile = Program::of(&station);
    hostile.send_datagram(b"");
    hostile.send_datagram(b"\x05");
    let mut noise = 0x9e37_79b9_u32;
    for round in 0..100_u32 {
        let bytes: Vec<u8> = (0..round * 13 + 2)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                noise as u8
            })
            .collect();
        hostile.send_datagram(&bytes);
    }
    hostile.send_datagram(&vec![b'T'; 65_000]);
    hostile.send_datagram(&b"[1c]@[ff]z[ff]s[16]@[ff]z[ff]s[1e]@[05]s>AAAA".repeat(20));
    assert!(station.counter("bitscope", "datagrams_malformed") >= 1);
    client.command("SCOP:CONT:REL");
    // What waited in the socket takes the device again: it is taken back until all is through.
    eventually("the device", || {
        client.send("SCOP:CONT:REL;:SCOP:REG? TraceMode\n");
        client.send("SYST:ERR?\n");
        !client.line().contains("-213") && {
            client.errors();
            true
        }
    });
    station.wait_for_scope("ready");
    station.stop();
}

#[test]
fn a_program_that_comes_before_the_device_waits_for_it() {
    let (station, mut client) = started();
    let program = Program::of(&station);
    client.send("SIM:FAUL bitscope,vanish,400\n");
    client.send("SCOP:REG? TraceMode\n");
    station.wait_for_scope("failed");
    program.send(3, b"!");
    let mut answer = None;
    eventually("the device", || {
        // A request is held for 1.5 s; a program that is patient asks again.
        program
            .socket
            .set_read_timeout(Some(Duration::from_millis(1600)))
            .unwrap();
        let mut buffer = [0; 64];
        answer = program
            .socket
            .recv(&mut buffer)
            .ok()
            .map(|n| buffer[..n].to_vec());
        if answer.is_none() {
            program.send(3, b"!");
        }
        answer.is_some()
    });
    assert_eq!(answer.unwrap()[4..], *b"!");
}
