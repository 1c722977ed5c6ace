//! The text protocols against a bare echo server: `cargo bench --bench scpi`.
//!
//! The station is the real program in a process of its own. So is the floor: this program started again, serving with
//! the same runtime (`smol::LocalExecutor`, `Async<TcpStream>`, TCP_NODELAY), giving the station's answer to whatever
//! comes, one write a message. One plain blocking client asks both in turn.
//!
//! Waking another core costs more than all the rest, and the system's choice of cores changes from run to run. So
//! client and servers share one core: what is compared is the work.

mod support;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};

use support::Verdict::{Compared, Plain, Ratio};
use support::{Client, Station, median, quantile, report, us};

const CORE: usize = 0;
const BUDGET: f64 = 1.5;
const ECHO: &str = "echo-server";
/// Floor and station take turns of this many round trips.
const TURN: usize = 200;
const TURNS: usize = 60;
/// Queries in one write.
const PIPELINED: usize = 500;
const PIPELINE_TURNS: usize = 60;
const CLIENTS: usize = 64;
const CROWD_TURNS: usize = 300;

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(ECHO) {
        return echo(args.next().expect("the answer").into_bytes());
    }
    support::print_machine();
    support::pin(CORE);
    let station = Station::start();
    Client::connect(station.scpi).wait_for_camera();
    let ports = [
        ("5025", station.scpi, "*IDN?\n"),
        ("5025", station.scpi, "CAM:CONF:SS?\n"),
        ("5060", station.legacy, "*IDN?\n"),
        ("5060", station.legacy, "IDN?"),
    ];
    for (port, address, query) in ports {
        let answer = Client::connect(address).ask(query.as_bytes()).to_vec();
        let floor = Floor::start(&answer);
        let case = Case {
            name: format!("{port} {}", query.trim_end()),
            query: query.as_bytes(),
            answer: &answer,
            servers: [floor.address, address],
        };
        case.one_client();
        if query.ends_with('\n') {
            case.pipelined();
            case.crowd();
        }
    }
}

struct Case<'a> {
    name: String,
    query: &'a [u8],
    answer: &'a [u8],
    /// The floor, the station.
    servers: [SocketAddr; 2],
}

impl Case<'_> {
    fn one_client(&self) {
        let mut clients = self.servers.map(Client::connect);
        let mut times = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        for _ in 0..TURNS {
            let turn = [0, 1].map(|server| {
                let ask = |_| clients[server].round_trip(self.query, self.answer);
                let turn: Vec<Duration> = (0..TURN).map(ask).collect();
                times[server].extend_from_slice(&turn);
                us(quantile(&turn, 0.5))
            });
            ratios.push(turn[1] / turn[0]);
        }
        let [floor, station] = &times;
        let p50 = |times| us(quantile(times, 0.5));
        let p99 = |times| us(quantile(times, 0.99));
        let name = &self.name;
        report(&format!("{name}: echo, p50"), p50(floor), "us", Plain);
        let ratio = Ratio(median(ratios), BUDGET);
        report(
            &format!("{name}: round trip, p50"),
            p50(station),
            "us",
            ratio,
        );
        report(&format!("{name}: echo, p99"), p99(floor), "us", Plain);
        let ratio = Compared(p99(station) / p99(floor));
        report(
            &format!("{name}: round trip, p99"),
            p99(station),
            "us",
            ratio,
        );
    }

    fn pipelined(&self) {
        let mut clients = self.servers.map(Client::connect);
        let message = self.query.repeat(PIPELINED);
        let expected = self.answer.repeat(PIPELINED);
        let name = format!("{}: {PIPELINED} pipelined", self.name);
        self.rates(&name, PIPELINED, PIPELINE_TURNS, |server| {
            clients[server].send(&message);
            let mut got = 0;
            while got < expected.len() {
                let piece = clients[server].receive();
                assert_eq!(piece, &expected[got..got + piece.len()]);
                got += piece.len();
            }
        });
    }

    fn crowd(&self) {
        let connect = |server| -> Vec<Client> {
            let connect = |_| Client::connect(server);
            (0..CLIENTS).map(connect).collect()
        };
        let mut crowds = self.servers.map(connect);
        let name = format!("{}: {CLIENTS} clients at once", self.name);
        self.rates(&name, CLIENTS, CROWD_TURNS, |server| {
            for client in &mut crowds[server] {
                client.send(self.query);
            }
            for client in &mut crowds[server] {
                assert_eq!(client.receive(), self.answer);
            }
        });
        drop(crowds);
    }

    /// Runs a turn of `requests` on each server in turn and prints requests per second.
    fn rates(&self, name: &str, requests: usize, turns: usize, mut run: impl FnMut(usize)) {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..turns {
            for (server, times) in times.iter_mut().enumerate() {
                let begun = Instant::now();
                run(server);
                times.push(begun.elapsed());
            }
        }
        let [floor, station] = times.map(|times| quantile(&times, 0.5).as_secs_f64());
        let rate = |seconds: f64| requests as f64 / seconds / 1e3;
        report(&format!("{name}, echo"), rate(floor), "k/s", Plain);
        report(name, rate(station), "k/s", Compared(station / floor));
    }
}

/// The echo server's process, ended when dropped.
struct Floor {
    child: Child,
    address: SocketAddr,
}

impl Floor {
    fn start(answer: &[u8]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args([OsStr::new(ECHO), OsStr::from_bytes(answer)])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("the address");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echo(answer: Vec<u8>) {
    let (executor, answer) = (Rc::new(LocalExecutor::new()), Rc::new(answer));
    let accept = async {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("a port");
        println!("{}", listener.get_ref().local_addr().expect("bound"));
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            stream.get_ref().set_nodelay(true).expect("a socket");
            executor.spawn(serve(stream, answer.clone())).detach();
        }
    };
    smol::block_on(executor.run(accept));
}

/// Answers every line, and whatever comes without a line's end, until the client leaves.
async fn serve(mut stream: Async<TcpStream>, answer: Rc<Vec<u8>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        let lines = buffer[..n].iter().filter(|&&byte| byte == b'\n').count();
        for _ in 0..lines.max(1) {
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}
