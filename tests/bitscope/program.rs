//! `outpost sim bitscope` as other software meets it: a process, bytes to and fro, and its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use outpost::base::clock::Clock;
use outpost::base::trace::Trace;
use outpost::bitscope::driver::{BAUD, Link, Scope};
use outpost::bitscope::proto::{CaptureRequest, Cause};
use outpost::bus::serial::open_async;
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);
const REVISION: &[u8] = b"?\rBS000501\r";

struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["sim", "bitscope"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// The rest of the line that says where it is; then it is ready.
    fn front(&mut self, kind: &str) -> String {
        let line = self.line();
        assert_eq!(self.line(), "ready");
        line.strip_prefix(kind).expect(&line).trim().to_owned()
    }

    /// Ends it as the system would.
    fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(stream: &mut (impl Read + Write), commands: &[u8], answer: &[u8]) {
    stream.write_all(commands).unwrap();
    let mut got = vec![0; answer.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, answer);
}

#[test]
fn a_byte_stream_on_tcp_is_one_clients_after_the_other() {
    let mut running = Running::start(&["--tcp", "127.0.0.1:0"]);
    let address = running.front("tcp");
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        ask(&mut stream, b"!", b"!");
        ask(&mut stream, b"?", REVISION);
        ask(&mut stream, b"[2e]@[28]sp", b"[2e]@[28]sp\r28\r");
    }
    running.end();
}

#[test]
fn a_bitscope_server_answers_datagram_by_datagram() {
    let mut running = Running::start(&["--udp", "127.0.0.1:0", "--fault", "rev=BS001001"]);
    let address = running.front("udp");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(&address).unwrap();
    let mut datagram = [0; 2048];
    for (cmd_id, commands, answer) in [(7, &b"!"[..], &b"!"[..]), (8, b"?", b"?\rBS001001\r")] {
        socket.send(&[&[cmd_id], commands].concat()).unwrap();
        let count = socket.recv(&mut datagram).unwrap();
        assert_eq!(datagram[2..4], [cmd_id, 0]);
        assert_eq!(&datagram[4..count], answer);
    }
    running.end();
}

#[test]
fn a_serial_port_captures_and_is_gone_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("scope");
    let mut running = Running::start(&["--tty", link.to_str().unwrap(), "--seed=3"]);
    let front = running.front("tty");
    let pts = front.strip_prefix(link.to_str().unwrap()).unwrap().trim();
    assert_eq!(std::fs::read_link(&link).unwrap().to_str(), Some(pts));
    let capture = smol::block_on(async {
        let clock = Clock::real();
        let work = async {
            let port = open_async(&link, BAUD).await.unwrap();
            let trace = Trace::new(clock.clone());
            let link = Link::Stream(Box::pin(port));
            let mut scope = Scope::connect(link, clock.clone(), trace).await.unwrap();
            assert_eq!(scope.identity().serial_number, "DB98TI79");
            let request = CaptureRequest::default();
            scope
                .capture(&request, std::future::pending())
                .await
                .unwrap()
        };
        clock.timeout(PATIENCE, work).await.expect("it hangs")
    });
    assert_eq!(capture.cause, Cause::Trigger);
    assert_eq!(capture.traces[0].samples.len(), 1000);
    running.end();
    assert!(!link.is_symlink(), "the link is taken away");
}
