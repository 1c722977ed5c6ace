//! `outpost query`: replies, blocks, errors, and stations that do not answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::thread;

use rustix::net::{AddressFamily, SocketType};

use super::support::{block, outpost, run, said, station, stderr};

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
