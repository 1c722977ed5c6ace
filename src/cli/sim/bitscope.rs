//! `outpost sim bitscope`: the oscilloscope on a pseudo-terminal, on TCP, or behind a bitscope-server.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use lexopt::ValueExt;

use super::{Failure, failed, faults, help, log_to_standard_error, number, print, read_flags};
use crate::base::clock::Clock;
use crate::bitscope::sim::{Config, FAULTS, NetworkFront, Protocol, plug_in};

const HEAD: &str = "\
Offer a simulated BitScope Micro oscilloscope.

Usage: outpost sim bitscope --tty LINK|--tcp ADDR:PORT|--udp ADDR:PORT [FLAGS]

Flags:
  --tty LINK          make LINK a serial port with the oscilloscope
  --tcp ADDR:PORT     serve it as a raw byte stream, one client at a time
                      (port 0 for any)
  --udp ADDR:PORT     serve it as a bitscope-server
  --seed N            choose where its clock begins (default 0)
  --fault NAME[=N]    have a fault from the start, may be repeated
  -h, --help          show this text

Faults:
";

const FLAGS: [&str; 6] = ["tty", "tcp", "udp", "seed", "fault", "help"];

/// Ticks of the device's clock between two seeds: about 0.1 s.
const SEED_TICKS: u32 = 4_000_037;

#[derive(Debug, Default)]
struct Options {
    tty: Option<PathBuf>,
    tcp: Option<SocketAddr>,
    udp: Option<SocketAddr>,
    seed: u32,
    faults: Vec<String>,
}

pub(super) fn run(flags: &[OsString]) -> Result<ExitCode, Failure> {
    let wrong = |text| Failure::Usage(format!("{text}\nTry 'outpost sim bitscope --help'."));
    let mut options = Options::default();
    if read_flags(flags, &FLAGS, |flag, value| options.set(flag, value)).map_err(wrong)? {
        return print(&help(HEAD, FAULTS)).map(|()| ExitCode::SUCCESS);
    }
    log_to_standard_error();
    let faults = faults(&options.faults).map_err(wrong)?;
    let config = Config::default();
    let config = Config {
        start_ticks: config
            .start_ticks
            .wrapping_add(options.seed.wrapping_mul(SEED_TICKS)),
        ..config
    };
    let clock = Clock::real();
    let mut signals = super::signals()?;
    let (protocol, word, address) = match (options.tty, options.tcp, options.udp) {
        (Some(link), None, None) => {
            let port = plug_in(clock, config, faults, &link).map_err(|error| failed(&error))?;
            let pts = port.pts().display();
            print(&format!("tty {} {pts}\nready\n", link.display()))?;
            block_on(signals.next());
            return Ok(ExitCode::SUCCESS);
        }
        (None, Some(address), None) => (Protocol::Tcp, "tcp", address),
        (None, None, Some(address)) => (Protocol::Udp, "udp", address),
        _ => {
            let text = "one of --tty, --tcp and --udp says where the oscilloscope is";
            return Err(wrong(text.into()));
        }
    };
    let front = NetworkFront::start(protocol, clock, config, faults, address)
        .map_err(|error| cannot(address, &error))?;
    print(&format!("{word} {}\nready\n", front.address()))?;
    block_on(signals.next());
    Ok(ExitCode::SUCCESS)
}

fn cannot(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot listen on {address}: {error}"))
}

/// The words that stand for numbers in the reference: `rev=BS001001`, `header=other`.
fn plain(fault: &str) -> String {
    fault
        .replace("rev=BS", "rev=")
        .replace("header=other", "header")
}

impl Options {
    fn set(&mut self, flag: &str, value: OsString) -> Result<(), String> {
        const WHERE: &str = "an address and port such as 127.0.0.1:15500";
        match flag {
            "tty" => self.tty = Some(value.into()),
            "tcp" => self.tcp = Some(number(flag, value, WHERE)?),
            "udp" => self.udp = Some(number(flag, value, WHERE)?),
            "seed" => self.seed = number(flag, value, "a whole number")?,
            _ => self
                .faults
                .push(plain(&value.string().map_err(|e| e.to_string())?)),
        }
        Ok(())
    }
}
