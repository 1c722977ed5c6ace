//! `outpost sim msp1000` as other software meets it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use outpost::base::certificate::{CERTIFICATE_FILE, Identity, KEY_FILE};
use outpost::base::clock::Clock;
use outpost::base::trace::Trace;
use outpost::msp1000::driver::{Link, Trust, plain, secure};
use outpost::msp1000::sim::FAULTS;
use smol::Async;

use crate::rig::{ANY, run};

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(flags: &[&str]) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["sim", "msp1000", "--listen", "127.0.0.1:0"])
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.strip_prefix("tcp ").unwrap().parse().unwrap();
    let running = Running { child, address };
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    running
}

async fn connect(address: SocketAddr) -> Async<std::net::TcpStream> {
    Async::<std::net::TcpStream>::connect(address)
        .await
        .unwrap()
}

#[test]
fn it_serves_tls_with_a_given_certificate_and_announces_itself() {
    let folder = tempfile::tempdir().unwrap();
    let own = Identity::keep(folder.path(), "instrument")
        .unwrap()
        .fingerprint();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let receiver = UdpSocket::bind(ANY).unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let announce = format!("--announce={}", receiver.local_addr().unwrap());
    let (certificate, key) = (file(CERTIFICATE_FILE), file(KEY_FILE));
    let running = start(&[
        "--cert",
        &certificate,
        "--key",
        &key,
        &announce,
        "--serial",
        "77",
        "--interface=wlan0",
        "--fault",
        "lamp=off",
        "--fault=eol=lf",
    ]);
    let mut datagram = [0; 64];
    let count = receiver.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..count], b"msp1000wlan0,77");
    run(async {
        let clock = Clock::real();
        let stream = connect(running.address).await;
        let trust = Trust::Pin(own);
        let (port, _) = secure(stream, "127.0.0.1", "77", &trust, &clock)
            .await
            .unwrap();
        let mut link = Link::new(port, clock.clone(), Trace::new(clock));
        link.take().await.unwrap();
        let frame = link.spectrum().await.unwrap();
        // The lamp is off: nothing but bias, edges, dark current and noise.
        assert!(frame.counts().iter().all(|count| *count < 1580));
    });
}

#[test]
fn it_serves_without_tls_and_ends_on_a_signal() {
    let mut running = start(&["--plain", "--seed=7"]);
    run(async {
        let mut stream = connect(running.address).await;
        stream.write_all(b"get_exposure\r\n").await.unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"exposure:2\r\n");
        let clock = Clock::real();
        let port = plain(stream, running.address).unwrap();
        let mut link = Link::new(port, clock.clone(), Trace::new(clock));
        assert_eq!(link.exposure().await.unwrap(), 2);
    });
    let id = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(running.child.wait().unwrap().success());
}

fn outpost(flags: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["sim", "msp1000"])
        .args(flags)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn its_help_lists_every_fault() {
    let (code, out, _) = outpost(&["--help"]);
    assert_eq!(code, Some(0));
    for fault in FAULTS {
        assert!(
            out.lines()
                .any(|line| line.trim_start().starts_with(fault.name)),
            "{}",
            fault.name
        );
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
}

#[test]
fn what_makes_no_sense_is_told() {
    let listen = ["--listen", "127.0.0.1:0"];
    for (flags, text) in [
        (&[][..], "--listen says where"),
        (
            &["--listen", "here"],
            "--listen takes an address and a port",
        ),
        (
            &[&listen[..], &["--fault", "melt"]].concat(),
            "no fault \"melt\"",
        ),
        (
            &[&listen[..], &["--fault", "eol=dot"]].concat(),
            "--fault takes NAME=N",
        ),
        (
            &[&listen[..], &["--cert", "x"]].concat(),
            "--cert and --key go together",
        ),
        (
            &[&listen[..], &["--plain", "--cert=x", "--key=x"]].concat(),
            "--plain shows no",
        ),
        (
            &[&listen[..], &["--plain=yes"]].concat(),
            "--plain takes no value",
        ),
        (
            &[&listen[..], &["--serial", "a,b"]].concat(),
            "--interface and --serial",
        ),
        (
            &[&listen[..], &["--chunk", "1"]].concat(),
            "no flag --chunk",
        ),
    ] {
        let (code, _, err) = outpost(flags);
        assert_eq!(code, Some(2), "{flags:?}: {err}");
        assert!(err.contains(text), "{err}");
    }
    let (code, _, err) = outpost(&[&listen[..], &["--cert=/no/c", "--key=/no/k"]].concat());
    assert_eq!(code, Some(1));
    assert!(err.contains("/no/c"), "{err}");
}
