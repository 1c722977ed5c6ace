//! `outpost sim opc-n3` as other software meets it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use outpost::bus::serial::open_native;
use outpost::opcn3::driver::OpcN3;
use outpost::opcn3::proto::{Command, Histogram, Reply};
use outpost::opcn3::sim::FAULTS;
use outpost::usbiss::driver::{BAUD, UsbIss};
use outpost::usbiss::proto::{Divisor, SpiMode};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_offers_a_port_that_drivers_open_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("opc");
    let (tty, frame) = (link.to_str().unwrap(), "03-busy-urban");
    let file = format!(
        "{}/tests/data/opc-n3/frames/{frame}.hex",
        env!("CARGO_MANIFEST_DIR")
    );
    // Left by one that was killed.
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    let mut child = Program::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["sim", "opc-n3", "--tty", tty, "--busy=3", "--replay", &file])
        .args(["--fault", "wrong-checksum=1", "--serial=42"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut running = Running(child);
    let printed: Vec<String> = lines.take(2).map(Result::unwrap).collect();
    let pts = fs::read_link(&link).unwrap();
    assert_eq!(
        printed,
        [format!("tty {tty} {}", pts.display()), "ready".into()]
    );

    let port = open_native(&link, BAUD, Duration::from_secs(5)).unwrap();
    let divisor = Divisor::for_hz(500_000).unwrap();
    let mut counter = OpcN3::new(UsbIss::open(port, SpiMode::Mode1, divisor).unwrap());
    // The simulation does not mind quicker polls, and its state is known.
    let mut run = |command| counter.run(&command, |_| {});
    let serial = run(Command::SerialString).unwrap();
    assert!(matches!(serial, Reply::Text(text) if text.serial_number() == Some("42")));
    assert!(
        run(Command::Histogram).is_err(),
        "the fault of the command line"
    );
    let Ok(Reply::Histogram(histogram)) = run(Command::Histogram) else {
        panic!("a histogram");
    };
    let hex = histogram
        .encode()
        .map(|byte| format!("{byte:02x}"))
        .concat();
    assert_eq!(hex, fs::read_to_string(&file).unwrap().trim());
    drop(counter);

    let id = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn it_explains_itself_and_its_faults() {
    let run = |flags: &[&str]| {
        let output = Program::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["sim", "opc-n3"])
            .args(flags)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, help) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
    for fault in FAULTS {
        assert!(
            help.contains(&format!("\n  {}", fault.name)),
            "{}",
            fault.name
        );
    }
    for (flags, expected) in [
        (&[][..], "--tty says where the counter is"),
        (&["--ty=/x"], "there is no flag --ty, did you mean --tty?"),
        (
            &["--tty=/x", "--busy=x"],
            "--busy takes a whole number, not \"x\"",
        ),
        (
            &["--tty=/x", "--fault=nak"],
            "has no fault \"nak\", did you mean nack?",
        ),
        (
            &["--tty=/x", "--period-factor=-1"],
            "--period-factor takes a number in 0..100",
        ),
    ] {
        let (code, text) = run(flags);
        assert_eq!(code, Some(2), "{flags:?}");
        assert!(text.contains(expected), "{flags:?}: {text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short.hex");
    fs::write(&short, "00\n").unwrap();
    let (code, text) = run(&["--tty=/x", "--replay", short.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    let digits = 2 * Histogram::LENGTH;
    assert!(
        text.contains(&format!(
            "line 1: a histogram is {digits} hexadecimal digits"
        )),
        "{text}"
    );
}
