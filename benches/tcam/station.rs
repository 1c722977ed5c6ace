//! The running station between a simulated thermal camera and its clients.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use outpost::base::clock::Clock;
use outpost::tcam::proto::{Frame, Framer, ImageText};
use outpost::tcam::sim::{Config, Faults, Interface, Network};

use super::support::Verdict::{Below, Compared, Plain};
use super::support::{Client, Station, ms, quantile, report, us};

const CLIENTS: usize = 32;
/// 11 times as fast as the real camera.
const FAST: Duration = Duration::from_millis(10);
/// Before memory and time are looked at.
const WARM_UP: usize = 100;
const FRAMES: usize = 1000;
const QUESTIONS: usize = 200;
const ANSWER_BUDGET_MS: f64 = 120.0;
/// Any packet that is longer is an image.
const LONGEST_ANSWER: usize = 50_000;

/// One camera to many clients that read all they can.
pub fn crowd() {
    let camera = camera(FAST);
    let station = Station::start_with_tcam(&networked(camera.address()));
    let address = station.tcam();
    let before = station.kilobytes("status", "VmRSS");
    let (told, events) = mpsc::channel();
    let run = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let told = told.clone();
                scope.spawn(move || read_stream(address, &told))
            })
            .collect();
        let next = || events.recv().expect("a client that reads");
        next();
        let (clock, start) = (Instant::now(), station.cpu());
        let warm = station.kilobytes("status", "VmRSS");
        // All others are warm, and one is at its end.
        (0..CLIENTS).for_each(|_| next());
        Run {
            elapsed: clock.elapsed(),
            cpu: station.cpu() - start,
            memory: [before, warm, station.kilobytes("status", "VmRSS")],
            seen: clients
                .into_iter()
                .map(|client| client.join().expect("a client that reads"))
                .collect(),
        }
    });
    run.print();
}

/// What came of a crowd.
struct Run {
    elapsed: Duration,
    /// Of the station.
    cpu: Duration,
    /// Resident kilobytes before there are clients, after the warm-up, in the end.
    memory: [u64; 3],
    /// Frame counters, a list a client.
    seen: Vec<Vec<u32>>,
}

impl Run {
    fn print(&self) {
        let line = |what: &str| format!("{CLIENTS} clients of one camera: {what}");
        let rate = FRAMES as f64 / self.elapsed.as_secs_f64();
        report(&line("frames each"), rate, "1/s", Plain);
        let all = (CLIENTS * FRAMES) as f64;
        let each = us(self.cpu) / all;
        report(&line("processor, frame and client"), each, "us", Plain);
        let lost = lost(&self.seen) as f64;
        report(&line("frames lost"), lost, "", Below(0.0));
        let [before, warm, after] = self.memory;
        for (when, kilobytes) in [("before", before), ("warm", warm), ("after", after)] {
            let megabytes = kilobytes as f64 * 1024.0 / 1e6;
            report(&line(&format!("VmRSS {when}")), megabytes, "MB", Plain);
        }
        let growth = after.saturating_sub(warm) as f64;
        let what = format!("growth in {FRAMES} frames");
        report(&line(&what), growth, "kB", Below(0.0));
    }
}

/// Counters of the frames that came after the warm-up.
fn read_stream(address: SocketAddr, told: &Sender<()>) -> Vec<u32> {
    let mut client = Thermal::connect(address);
    client.send(b"\x02{\"cmd\":\"stream_on\"}\x03");
    let mut frame = Frame::blank();
    for _ in 0..WARM_UP {
        client.counter(&mut frame);
    }
    let _ = told.send(());
    let seen = (0..FRAMES).map(|_| client.counter(&mut frame)).collect();
    let _ = told.send(());
    seen
}

/// How many of the camera's frames did not come, in all lists together.
fn lost(seen: &[Vec<u32>]) -> usize {
    let missed = |seen: &Vec<u32>| {
        let frames = seen[seen.len() - 1] - seen[0] + 1;
        frames as usize - seen.len()
    };
    seen.iter().map(missed).sum()
}

/// Makes something that asks a station and waits for the answer.
type Way = fn(&Station) -> Box<dyn FnMut()>;

/// `get_config` by either protocol: how long, and what of it is not the camera's own time.
pub fn questions() {
    let ways: [(&str, Way); 2] = [
        ("get_config, port 5001", |station| {
            let mut client = Thermal::connect(station.tcam());
            Box::new(move || {
                client.send(b"\x02{\"cmd\":\"get_config\"}\x03");
                assert!(client.packet().starts_with(b"\x02{\"config\""));
            })
        }),
        ("THER:CONF?, port 5025", |station| {
            station.tcam();
            let mut client = Client::connect(station.scpi);
            Box::new(move || assert_eq!(client.ask(b"THER:CONF?\n"), b"0,98,HIGH\n"))
        }),
    ];
    let simulated = Station::start();
    let camera = camera(Duration::from_millis(114));
    let relay = Relay::start(camera.address());
    let networked = Station::start_with_tcam(&networked(relay.address));
    for (name, way) in ways {
        let times = time_all(way(&simulated), |_| {});
        for (which, share) in [("median", 0.5), ("p99", 0.99)] {
            let what = format!("{name}, UART of board sim, {which}");
            let time = ms(quantile(&times, share));
            report(&what, time, "ms", Below(ANSWER_BUDGET_MS));
        }
        let mut rests = Vec::new();
        let mut cameras = Vec::new();
        let times = time_all(way(&networked), |time| {
            let camera = relay.camera_time();
            cameras.push(camera);
            rests.push(time.saturating_sub(camera));
        });
        let [total, camera] = [&times, &cameras].map(|times| ms(quantile(times, 0.5)));
        let what = format!("{name}, TCP, median, over the camera's own");
        report(&what, total, "ms", Compared(total / camera));
        for (which, share) in [("median", 0.5), ("p99", 0.99)] {
            let what = format!("{name}, TCP, all the rest, {which}");
            report(&what, us(quantile(&rests, share)), "us", Plain);
        }
    }
}

fn time_all(mut ask: Box<dyn FnMut()>, mut each: impl FnMut(Duration)) -> Vec<Duration> {
    let question = |_| {
        let begun = Instant::now();
        ask();
        let time = begun.elapsed();
        each(time);
        time
    };
    (0..QUESTIONS).map(question).collect()
}

fn camera(frame_period: Duration) -> Network {
    let config = Config {
        frame_period,
        ..Config::new(Interface::Network, 1)
    };
    let any = "127.0.0.1:0".parse().expect("an address");
    Network::start(Clock::real(), config, Faults::none(), any).expect("a free port")
}

fn networked(host: SocketAddr) -> String {
    format!("link = \"network\"\nhost = \"{host}\"\n")
}

/// A client of port 5001.
struct Thermal {
    stream: TcpStream,
    framer: Framer,
}

impl Thermal {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the station listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            framer: Framer::host(),
        }
    }

    fn send(&mut self, packet: &[u8]) {
        self.stream.write_all(packet).expect("the station reads");
    }

    /// The next packet, with its delimiters.
    fn packet(&mut self) -> Vec<u8> {
        loop {
            if let Some(packet) = self.framer.next() {
                return packet.framed().to_vec();
            }
            let space = self.framer.space(65_536);
            let count = self.stream.read(space).expect("a packet");
            assert!(count > 0, "the station closed the connection");
            self.framer.filled(count);
        }
    }

    /// The camera's frame counter in the next image.
    fn counter(&mut self, frame: &mut Frame) -> u32 {
        loop {
            let packet = self.packet();
            if packet.len() > LONGEST_ANSWER {
                let image = ImageText::parse(&packet[1..packet.len() - 1]).expect("an image");
                frame.read(&image).expect("a good frame");
                return frame.telemetry().frame_counter;
            }
        }
    }
}

/// Between station and camera: sees how long the camera takes.
struct Relay {
    address: SocketAddr,
    /// When the last bytes went to the camera, and when the last came from it.
    passed: Arc<Mutex<[Instant; 2]>>,
}

impl Relay {
    fn start(camera: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let passed = Arc::new(Mutex::new([Instant::now(); 2]));
        let seen = passed.clone();
        thread::spawn(move || {
            while let Ok((host, _)) = listener.accept() {
                let camera = TcpStream::connect(camera).expect("the camera listens");
                let ends = [&host, &camera].map(|end| {
                    end.set_nodelay(true).expect("a socket");
                    end.try_clone().expect("a socket")
                });
                let [host_end, camera_end] = ends;
                let up = seen.clone();
                thread::spawn(move || copy(host, camera_end, &up, 0));
                copy(camera, host_end, &seen, 1);
            }
        });
        Self { address, passed }
    }

    fn camera_time(&self) -> Duration {
        let [asked, answered] = *self.passed.lock().expect("no panic");
        answered.saturating_duration_since(asked)
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, passed: &Mutex<[Instant; 2]>, way: usize) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        passed.lock().expect("no panic")[way] = Instant::now();
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
