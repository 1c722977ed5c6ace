//! Start, rest and size of the station: `cargo bench --bench start`.
//!
//! The station is the real program on the simulated board, each start with new folders. One wait of half a minute
//! lets the camera come to rest.

mod support;

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::Verdict::{Below, Plain};
use support::{Client, Station, ms, quantile, report};

const STARTS: usize = 20;
const START_BUDGET_MS: f64 = 300.0;
const MEMORY_BUDGET_MB: f64 = 16.0;
const CPU_BUDGET_PERCENT: f64 = 0.5;
const SIZE_BUDGET_MB: f64 = 8.0;
/// After `ready`, before memory is looked at.
const CALM: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(5);
/// The camera rests after 30 s without a command.
const REST: Duration = Duration::from_secs(32);

fn main() {
    support::print_machine();
    let starts: Vec<Duration> = (0..STARTS).map(|_| Station::start().start).collect();
    for (which, share) in [("shortest", 0.0), ("median", 0.5)] {
        let time = ms(quantile(&starts, share));
        report(
            &format!("start to `ready`, {which}"),
            time,
            "ms",
            Below(START_BUDGET_MS),
        );
    }
    let station = Station::start();
    thread::sleep(CALM);
    memory(&station, "idle");
    idle_cpu(&station, "idle");
    use_camera(&station);
    memory(&station, "camera streaming");
    idle_cpu(&station, "camera streaming, unused");
    thread::sleep(REST);
    memory(&station, "after camera's rest");
    idle_cpu(&station, "after camera's rest");
    drop(station);
    size();
}

fn memory(station: &Station, state: &str) {
    let budget = |state: &str| match state {
        "camera streaming" => Plain,
        _ => Below(MEMORY_BUDGET_MB),
    };
    let resident = station.kilobytes("status", "VmRSS") as f64 * 1024.0 / 1e6;
    let share = station.kilobytes("smaps_rollup", "Pss") as f64 * 1024.0 / 1e6;
    report(
        &format!("memory, {state}: VmRSS"),
        resident,
        "MB",
        budget(state),
    );
    report(&format!("memory, {state}: PSS"), share, "MB", budget(state));
    report(
        &format!("threads, {state}"),
        station.threads() as f64,
        "",
        Plain,
    );
}

fn idle_cpu(station: &Station, state: &str) {
    let budget = match state.contains("streaming") {
        true => Plain,
        false => Below(CPU_BUDGET_PERCENT),
    };
    let before = station.cpu();
    thread::sleep(IDLE);
    let used = (station.cpu() - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    report(&format!("processor, {state}"), used, "%", budget);
}

fn use_camera(station: &Station) {
    let mut client = Client::connect(station.scpi);
    client.wait_for_camera();
    client.set("SRV:IMG:DBAY 1");
    assert_eq!(
        client.ask(b"CAP:SEQFET \"b\",(1000),4,30,1;*OPC?\n"),
        b"1\n"
    );
    let pictures = fs::read_dir(station.images()).expect("the folder").count();
    assert_eq!(pictures, 5, "four pictures and the log");
}

fn size() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stripped = folder.path().join("outpost");
    let done = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(support::binary())
        .status();
    let megabytes = |path| fs::metadata(path).expect("the program").len() as f64 / 1e6;
    match done {
        Ok(status) if status.success() => {
            let budget = Below(SIZE_BUDGET_MB);
            report("program, stripped", megabytes(&*stripped), "MB", budget);
        }
        _ => report(
            "program, not stripped (no `strip` here)",
            megabytes(support::binary().as_ref()),
            "MB",
            Plain,
        ),
    }
}
