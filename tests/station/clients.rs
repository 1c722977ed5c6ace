//! Many clients at once, slow ones, rude ones and impatient ones (scpi.md 1).

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::harness::{Client, Setup, Station, eventually};

/// How long a full socket is watched before it counts as full.
const FULL: Duration = Duration::from_millis(200);

#[test]
fn twenty_thousand_queries_sent_before_reading_are_all_answered_in_order() {
    let station = patient().start();
    let count = 20_000;
    for mut client in [station.client(), station.legacy_client()] {
        let messages: String = (0..count).map(|n| format!("SYST:ECHO? '{n}'\n")).collect();
        client.send(messages);
        for n in 0..count {
            assert_eq!(client.line(), format!("\"{n}\""));
        }
    }
    let mut client = station.client();
    let units: String = (0..1000).map(|_| "*ESE?;").collect();
    assert_eq!(client.query(&units), ["0"; 1000].join(";"));
    station.stop();
}

/// A station that takes no pause of a busy machine for the end of a message.
fn patient() -> Setup {
    Setup::small().scpi("legacy_settle_ms = 200")
}

/// Sends until the station stops reading; gives the bytes that went out.
pub fn fill(stream: &TcpStream, message: &[u8]) -> usize {
    stream.set_write_timeout(Some(FULL)).unwrap();
    let mut stream = stream;
    let mut sent = 0;
    loop {
        let at = sent % message.len();
        match stream.write(&message[at..]) {
            Ok(n) => sent += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return sent;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 1 << 28, "the station takes input without end");
    }
}

#[test]
fn a_client_that_never_reads_holds_up_nobody_and_loses_nothing() {
    let station = patient().start();
    for connect in [Station::client, Station::legacy_client] {
        let mut deaf = connect(&station);
        let message = format!("SYST:ECHO? \"{}\"\n", "x".repeat(4000));
        let sent = fill(deaf.stream(), message.as_bytes());
        let mut other = connect(&station);
        for _ in 0..100 {
            assert_eq!(other.query("SYST:VERS?"), "1999.0");
        }
        let replies = sent / message.len();
        assert!(replies > 100);
        let reply = format!("\"{}\"", "x".repeat(4000));
        for _ in 0..replies {
            assert_eq!(deaf.line(), reply);
        }
    }
    station.stop();
}

#[test]
fn after_a_half_close_every_reply_is_sent() {
    let station = patient().start();
    for mut client in [station.client(), station.legacy_client()] {
        let messages: String = (0..500).map(|n| format!("SYST:ECHO? '{n}'\n")).collect();
        client.send(messages);
        client.half_close();
        let expected: String = (0..500).map(|n| format!("\"{n}\"\n")).collect();
        assert_eq!(String::from_utf8(client.rest()).unwrap(), expected);
    }
    station.stop();
}

#[test]
fn the_end_of_input_ends_a_query_but_no_command() {
    let station = patient().start();
    let said = |mut client: Client, message: &str| {
        client.send(message);
        client.half_close();
        String::from_utf8(client.rest()).unwrap()
    };
    let identity = station.client().query("*IDN?");
    assert_eq!(said(station.client(), "*IDN?"), format!("{identity}\n"));
    assert_eq!(said(station.legacy_client(), "*IDN?"), identity);
    assert_eq!(said(station.legacy_client(), "IDN?"), "PiCam2");
    assert_eq!(
        said(station.client(), "*IDN?;SYST:VERS?\n*ESE?"),
        format!("{identity};1999.0\n0\n")
    );
    // A killed client must not set 1000 when it was about to say 10000.
    assert_eq!(
        said(station.client(), "CAM:CONF:SS 2000;SS?\nCAM:CONF:SS 1000"),
        "2000\n"
    );
    assert_eq!(said(station.client(), "CAM:CONF:SS?;SS 1000"), "");
    assert_eq!(station.client().query("CAM:CONF:SS?"), "2000");
    // On the dialect's port the end of input ends a message as a pause does.
    assert_eq!(said(station.legacy_client(), "CAM:CONF:SS 3000"), "ack");
    assert_eq!(station.client().query("CAM:CONF:SS?"), "3000");
    station.stop();
}

/// Ends a connection with a reset.
fn reset(client: Client) {
    rustix::net::sockopt::set_socket_linger(client.stream(), Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_in_mid_message_changes_nothing() {
    let station = Setup::slow().start();
    let mut owner = station.client();
    owner.command("CAP:SEQFET 'R',(1000),4,0,0");
    for connect in [Station::client, Station::legacy_client] {
        for _ in 0..20 {
            let mut client = connect(&station);
            client.send("*ESE?\n*ESE?\n*ESE #5100");
            assert_eq!(client.line(), "0");
            reset(client);
        }
    }
    assert_eq!(owner.query("*OPC?;:SYST:ERR?"), "1;0,\"No error\"");
    assert_eq!(station.files().len(), 4);
    station.stop();
}

#[test]
fn a_capture_goes_on_when_its_client_leaves() {
    let station = Setup::slow().start();
    let mut client = station.client();
    client.command("CAP:SEQFET 'L',(1000),4,0,1");
    reset(client);
    let mut client = station.legacy_client();
    client.send("CAP:SEQFET M 1000 2 0.2 1");
    let mut other = station.client();
    eventually("the second capture to be accepted", || {
        other
            .json("SYST:JOB:LIST?")
            .to_string()
            .contains("capture M")
    });
    reset(client);
    eventually("both logs", || {
        ["L_SSCapture.log", "M_SSCapture.log"]
            .iter()
            .all(|log| station.images().join(log).exists())
    });
    assert_eq!(station.files().len(), 8);
    station.stop();
}

/// Connects until the station does not close the connection at once.
fn take_a_free_seat(address: SocketAddr) -> TcpStream {
    let mut seat = None;
    eventually("a free seat", || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let asked = stream
            .write_all(b"*ESE?\n")
            .and_then(|()| stream.read(&mut [0; 16]));
        seat = matches!(asked, Ok(2)).then_some(stream);
        seat.is_some()
    });
    seat.unwrap()
}

#[test]
fn sixty_four_clients_a_port_and_no_more() {
    let station = patient().start();
    for address in [station.scpi, station.legacy] {
        let mut seated: Vec<Client> = (0..64).map(|_| Client::connect(address)).collect();
        for client in &mut seated {
            client.send("SYST:VERS?\n");
        }
        for client in &mut seated {
            assert_eq!(client.line(), "1999.0");
        }
        let mut refused = TcpStream::connect(address).unwrap();
        refused
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        assert_eq!(
            refused.read(&mut [0; 16]).unwrap(),
            0,
            "one too many is not closed"
        );
        for client in &mut seated {
            assert_eq!(client.query("SYST:VERS?"), "1999.0");
        }
        drop(seated.pop());
        take_a_free_seat(address);
        drop(seated);
        take_a_free_seat(address);
    }
    let refused = station.counter("server", "refused_clients");
    assert!(refused >= 2, "{refused}");
    station.stop();
}

#[test]
fn the_limit_of_clients_can_be_set() {
    let station = Setup::small().scpi("max_clients = 1").start();
    let _only = take_a_free_seat(station.scpi);
    let mut refused = TcpStream::connect(station.scpi).unwrap();
    assert_eq!(refused.read(&mut [0; 16]).unwrap(), 0);
    let _other = take_a_free_seat(station.legacy);
    station.stop();
}

#[test]
fn a_large_file_goes_to_a_slow_reader_while_others_are_served() {
    let station = patient().start();
    let content: Vec<u8> = (0..48u32 << 20).map(|n| (n ^ n >> 11) as u8).collect();
    fs::write(station.images().join("large.bin"), &content).unwrap();
    let mut slow = station.client();
    slow.send("*ESE?;:MMEM:DATA? 'large.bin';:SYST:VERS?\n");
    let mut other = station.client();
    for _ in 0..300 {
        assert_eq!(other.query("*ESE?;:SYST:VERS?"), "0;1999.0");
    }
    assert_eq!(slow.take(2), b"0;");
    assert!(slow.block_content() == content);
    assert_eq!(slow.take(8), b";1999.0\n");
    station.stop();
}

#[test]
fn sixteen_busy_clients_each_get_their_own_replies() {
    let station = patient().start();
    thread::scope(|scope| {
        for n in 0..16 {
            let station = &station;
            scope.spawn(move || {
                let mut client = if n % 2 == 0 {
                    station.client()
                } else {
                    station.legacy_client()
                };
                for i in 0..200 {
                    let text = format!("{n}:{i}");
                    assert_eq!(
                        client.query(&format!("SYST:ECHO? '{text}'")),
                        format!("\"{text}\"")
                    );
                    if n % 2 == 1 && i % 50 == 0 {
                        assert_eq!(client.ask(&format!("SRV:ECHO {text}")), text);
                    }
                }
            });
        }
    });
    station.stop();
}
