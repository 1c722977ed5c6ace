//! Capture sequences of the running station: `cargo bench --bench capture`.
//!
//! The station is the real program with the simulated camera at its real pace of 10 frames per second, its RAM disk in
//! memory. Times are those a client sees, from `CAP:SEQFET` to the answer of `*OPC?`; processor time is that of the
//! whole process, simulator included.

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::Verdict::{Below, Plain, Ratio};
use support::{Client, Station, ms, quantile, report};

/// At 10 frames per second, and every exposure below fits.
const FRAME: Duration = Duration::from_millis(100);
const LATENCY_FRAMES: u32 = 3;
const EXPOSURES: &str = "(1000,5000,20000)";
const ENTRIES: usize = 3;
const PICTURES_EACH: usize = 4;
const PICTURES: u32 = (ENTRIES * PICTURES_EACH) as u32;
const ROUNDS: usize = 5;
const WALL_BUDGET: f64 = 1.05;
const CPU_BUDGET_S: f64 = 0.3;
const QUERY_BUDGET_MS: f64 = 20.0;
/// Between the queries of the other connection.
const QUERY_PAUSE: Duration = Duration::from_millis(2);

fn main() {
    support::print_machine();
    let station = Station::start();
    let mut camera = Camera::new(&station);
    camera.wall();
    camera.cpu();
    camera.overlap();
    drop(camera);
    drop(station);
    queries_meanwhile();
}

struct Camera<'a> {
    client: Client,
    station: &'a Station,
}

/// What one sequence took.
struct Sequence {
    wall: Duration,
    cpu: Duration,
    /// Time the pictures took to be made and written, from the log.
    saving: Duration,
}

impl<'a> Camera<'a> {
    fn new(station: &'a Station) -> Self {
        let mut client = Client::connect(station.scpi);
        client.wait_for_camera();
        Self { client, station }
    }

    /// Sequence times when the first exposure is in effect already, and when it is not.
    fn wall(&mut self) {
        self.client.set("SRV:IMG:SRNK 1");
        let own = FRAME * PICTURES;
        let limit = own + FRAME * LATENCY_FRAMES;
        println!(
            "12 pictures of 3 exposures, binned 2x2: own frames {} ms, with control latency {} ms",
            ms(own),
            ms(limit)
        );
        for (state, before) in [("settled", 1000), ("unsettled", 40_000)] {
            let take = |_| {
                self.client.set(&format!("CAM:CONF:SS {before}"));
                self.sequence().wall
            };
            let walls: Vec<Duration> = (0..ROUNDS).map(take).collect();
            for (which, share) in [("median", 0.5), ("longest", 1.0)] {
                let wall = quantile(&walls, share);
                let ratio = Ratio(wall.as_secs_f64() / limit.as_secs_f64(), WALL_BUDGET);
                report(
                    &format!("sequence, {state}, {which}"),
                    ms(wall),
                    "ms",
                    ratio,
                );
            }
        }
    }

    /// Processor time of full frames.
    fn cpu(&mut self) {
        let modes = [
            ("packed bytes (DBAY 0)", "SRV:IMG:SRNK 0;:SRV:IMG:DBAY 0"),
            ("pixels (DBAY 1)", "SRV:IMG:SRNK 0;:SRV:IMG:DBAY 1"),
            ("binned 2x2 (SRNK 1)", "SRV:IMG:DBAY 1;:SRV:IMG:SRNK 1"),
        ];
        for (name, command) in modes {
            self.client.set(command);
            self.sequence();
            let all: Vec<Sequence> = (0..ROUNDS).map(|_| self.sequence()).collect();
            let cpu: Duration = all.iter().map(|one| one.cpu).sum();
            let cpu_s = cpu.as_secs_f64() / ROUNDS as f64;
            let budget = match command.ends_with("SRNK 1") {
                true => Below(CPU_BUDGET_S),
                false => Plain,
            };
            report(
                &format!("processor, 12 full frames, {name}"),
                cpu_s,
                "s",
                budget,
            );
            let saving: Vec<Duration> = all.iter().map(|one| one.saving).collect();
            let saving = ms(quantile(&saving, 0.5)) / f64::from(PICTURES);
            report(
                &format!("processing and writing one, {name}"),
                saving,
                "ms",
                Plain,
            );
        }
    }

    /// Saving that takes long must not lengthen the sequence.
    fn overlap(&mut self) {
        self.client.set("SRV:IMG:SRNK 0;:SRV:IMG:DBAY 1");
        self.client.set("CAM:FORM RAW,NPY,FITS,TIFF");
        let all: Vec<Sequence> = (0..ROUNDS).map(|_| self.sequence()).collect();
        let saving: Vec<Duration> = all.iter().map(|one| one.saving).collect();
        let walls: Vec<Duration> = all.iter().map(|one| one.wall).collect();
        let (saving, wall) = (quantile(&saving, 0.5), quantile(&walls, 0.5));
        let limit = FRAME * (PICTURES + LATENCY_FRAMES);
        report("four files a picture: saving, sum", ms(saving), "ms", Plain);
        let ratio = Ratio(wall.as_secs_f64() / limit.as_secs_f64(), WALL_BUDGET);
        report("four files a picture: sequence", ms(wall), "ms", ratio);
        self.client.set("CAM:FORM RAW");
    }

    /// Takes one sequence, looks at what it left, and clears it away.
    fn sequence(&mut self) -> Sequence {
        let before = self.station.cpu();
        let begun = Instant::now();
        let order = format!("CAP:SEQFET \"b\",{EXPOSURES},{PICTURES_EACH},30,1;*OPC?\n");
        assert_eq!(self.client.ask(order.as_bytes()), b"1\n");
        let wall = begun.elapsed();
        let cpu = self.station.cpu() - before;
        self.client.set("*WAI");
        let images = self.station.images();
        let log = fs::read_to_string(images.join("b_SSCapture.log")).expect("the log");
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), PICTURES as usize, "{log}");
        let saving: f64 = lines.iter().map(|line| saving_s(line)).sum();
        for file in fs::read_dir(images).expect("the folder") {
            fs::remove_file(file.expect("readable").path()).expect("ours");
        }
        Sequence {
            wall,
            cpu,
            saving: Duration::from_secs_f64(saving),
        }
    }
}

fn saving_s(line: &str) -> f64 {
    let field = line.split(';').find_map(|field| field.strip_prefix("tSav"));
    field.expect("tSav").parse().expect("seconds")
}

/// `*IDN?` from another connection while sequences run, the whole process on one core, and the clients too.
fn queries_meanwhile() {
    support::pin(0);
    for (name, command) in [
        ("binned 2x2", "SRV:IMG:DBAY 1;:SRV:IMG:SRNK 1"),
        ("packed bytes", "SRV:IMG:SRNK 0;:SRV:IMG:DBAY 0"),
    ] {
        let station = Station::start();
        let mut camera = Camera::new(&station);
        camera.client.set(command);
        camera.sequence();
        let over = AtomicBool::new(false);
        let times = thread::scope(|scope| {
            let asking = scope.spawn(|| ask_until(&station, &over));
            for _ in 0..ROUNDS {
                camera.sequence();
            }
            over.store(true, Ordering::SeqCst);
            asking.join().expect("answers as expected")
        });
        let name = format!("*IDN? while capturing {name}, one core");
        for (which, share, verdict) in [
            ("p50", 0.5, Plain),
            ("p99", 0.99, Below(QUERY_BUDGET_MS)),
            ("longest", 1.0, Plain),
        ] {
            let time = ms(quantile(&times, share));
            report(&format!("{name}, {which}"), time, "ms", verdict);
        }
    }
}

fn ask_until(station: &Station, over: &AtomicBool) -> Vec<Duration> {
    let mut client = Client::connect(station.scpi);
    let answer = client.ask(b"*IDN?\n").to_vec();
    let mut times = Vec::new();
    while !over.load(Ordering::SeqCst) {
        times.push(client.round_trip(b"*IDN?\n", &answer));
        thread::sleep(QUERY_PAUSE);
    }
    times
}
