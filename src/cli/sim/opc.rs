//! `outpost sim opc-n3`: the particle counter behind its USB bridge, on a pseudo-terminal.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use lexopt::ValueExt;

use super::{Failure, failed, faults, help, log_to_standard_error, number, print, read_flags};
use crate::app::particle_sim;
use crate::base::clock::Clock;
use crate::opcn3::proto::Histogram;
use crate::opcn3::sim::{FAULTS, SimConfig};

const HEAD: &str = "\
Offer a simulated OPC-N3 particle counter behind a simulated USB-ISS bridge.

Usage: outpost sim opc-n3 --tty LINK [FLAGS]

Flags:
  --tty LINK          make LINK a serial port with the bridge
  --seed N            choose the counts (default 1)
  --busy N            busy answers to each command beyond the first (default 0)
  --prepare-ms N      busy at least this long (default 0)
  --period-factor X   the counter's clock by the host's (default 1)
  --serial TEXT       second word of the serial string (default 177290411)
  --replay FILE       send the histograms of FILE in turn: a line of 172
                      hexadecimal digits each
  --fault NAME[=N]    have a fault from the start, may be repeated
  -h, --help          show this text

Faults. N is how often a fault strikes, milliseconds for vanish:
";

const FLAGS: [&str; 9] = [
    "tty",
    "seed",
    "busy",
    "prepare-ms",
    "period-factor",
    "serial",
    "replay",
    "fault",
    "help",
];

#[derive(Debug, Default)]
struct Options {
    tty: Option<PathBuf>,
    replay: Option<PathBuf>,
    faults: Vec<String>,
    config: SimConfig,
}

pub(super) fn run(flags: &[OsString]) -> Result<ExitCode, Failure> {
    let wrong = |text| Failure::Usage(format!("{text}\nTry 'outpost sim opc-n3 --help'."));
    let mut options = Options::default();
    if read_flags(flags, &FLAGS, |flag, value| options.set(flag, value)).map_err(wrong)? {
        return print(&help(HEAD, FAULTS)).map(|()| ExitCode::SUCCESS);
    }
    log_to_standard_error();
    let faults = faults(&options.faults).map_err(wrong)?;
    let tty = options.tty;
    let tty = tty.ok_or_else(|| wrong("--tty says where the counter is".into()))?;
    if let Some(file) = &options.replay {
        options.config.script = script(file).map_err(Failure::Failed)?;
    }
    let mut signals = super::signals()?;
    let port = particle_sim::start(Clock::real(), options.config, faults, &tty)
        .map_err(|error| failed(&error))?;
    let pts = port.pts().display();
    print(&format!("tty {} {pts}\nready\n", tty.display()))?;
    block_on(signals.next());
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn set(&mut self, flag: &str, value: OsString) -> Result<(), String> {
        let config = &mut self.config;
        match flag {
            "tty" => self.tty = Some(value.into()),
            "replay" => self.replay = Some(value.into()),
            "seed" => config.seed = number(flag, value, "a whole number")?,
            "busy" => config.busy_polls = number(flag, value, "a whole number")?,
            "prepare-ms" => {
                config.preparation = Duration::from_millis(number(flag, value, "milliseconds")?);
            }
            "period-factor" => {
                let factor: f64 = number(flag, value, "a number")?;
                if !(0.0..=100.0).contains(&factor) {
                    return Err(format!("--{flag} takes a number in 0..100, not {factor}"));
                }
                config.period_factor = factor;
            }
            "serial" => config.serial_number = value.string().map_err(|e| e.to_string())?,
            _ => self.faults.push(value.string().map_err(|e| e.to_string())?),
        }
        Ok(())
    }
}

/// Histograms as a file holds them. Their checksums are not looked at: wrong ones are worth sending too.
fn script(file: &Path) -> Result<Vec<[u8; Histogram::LENGTH]>, String> {
    let shown = file.display();
    let text =
        fs::read_to_string(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let mut script = Vec::new();
    for (index, line) in lines {
        let frame = frame(line.trim());
        let number = index + 1;
        let digits = 2 * Histogram::LENGTH;
        script.push(frame.ok_or_else(|| {
            format!("{shown}, line {number}: a histogram is {digits} hexadecimal digits")
        })?);
    }
    match script.is_empty() {
        true => Err(format!("{shown} holds no histogram")),
        false => Ok(script),
    }
}

fn frame(line: &str) -> Option<[u8; Histogram::LENGTH]> {
    let mut frame = [0; Histogram::LENGTH];
    let digits = line.as_bytes();
    if digits.len() != 2 * frame.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, digits) in frame.iter_mut().zip(digits.chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(frame)
}
