//! `outpost sim msp1000`: the spectrometer on a TCP port.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use lexopt::ValueExt;

use super::{Failure, failed, faults, help, log_to_standard_error, number, print, read_flags};
use crate::base::certificate::Identity;
use crate::base::clock::Clock;
use crate::msp1000::proto::Announcement;
use crate::msp1000::sim::{Announce, Config, FAULTS, Simulator, fault_word};

const HEAD: &str = "\
Offer a simulated MSP1000 spectrometer.

Usage: outpost sim msp1000 --listen ADDR:PORT [FLAGS]

Flags:
  --listen ADDR:PORT  serve clients on TCP with TLS (port 0 for any)
  --announce[=ADDR:PORT]
                      send the announcement once a second to that address
                      (default 127.0.0.1:12345)
  --interface NAME    what the announcement calls the interface (default eth0)
  --serial TEXT       what it calls the instrument
                      (default 81985529216486895)
  --plain             no TLS
  --cert FILE         show the certificate in this PEM file
                      (default: one is made at the start)
  --key FILE          and this is its private key
  --seed N            choose the noise (default 1)
  --fault NAME[=N]    have a fault from the start, may be repeated
  -h, --help          show this text

Faults. They last until cleared, unless the line says otherwise:
";

const FLAGS: [&str; 10] = [
    "listen",
    "announce",
    "interface",
    "serial",
    "plain",
    "cert",
    "key",
    "seed",
    "fault",
    "help",
];

#[derive(Debug, Default)]
struct Options {
    listen: Option<SocketAddr>,
    announce: Option<SocketAddr>,
    interface: Option<String>,
    serial: Option<String>,
    plain: bool,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    seed: Option<u64>,
    faults: Vec<String>,
}

pub(super) fn run(flags: &[OsString]) -> Result<ExitCode, Failure> {
    let wrong = |text| Failure::Usage(format!("{text}\nTry 'outpost sim msp1000 --help'."));
    let mut options = Options::default();
    if read_flags(flags, &FLAGS, |flag, value| options.set(flag, value)).map_err(wrong)? {
        return print(&help(HEAD, FAULTS)).map(|()| ExitCode::SUCCESS);
    }
    log_to_standard_error();
    let faults = faults(&options.faults).map_err(wrong)?;
    let listen = options.listen;
    let listen = listen.ok_or_else(|| wrong("--listen says where the spectrometer is".into()))?;
    let config = options.config().map_err(wrong)??;
    let mut signals = super::signals()?;
    let spectrometer =
        Simulator::start(Clock::real(), config, faults, listen).map_err(|error| failed(&error))?;
    print(&format!("tcp {}\nready\n", spectrometer.address()))?;
    block_on(signals.next());
    Ok(ExitCode::SUCCESS)
}

/// Some faults are settings that have words.
fn numbered(fault: &str) -> String {
    let word = fault.split_once('=');
    match word.and_then(|(name, word)| Some((name, fault_word(name, word)?))) {
        Some((name, number)) => format!("{name}={number}"),
        None => fault.to_owned(),
    }
}

impl Options {
    fn set(&mut self, flag: &str, value: OsString) -> Result<(), String> {
        let text = |value: OsString| value.string().map_err(|error| error.to_string());
        match flag {
            "listen" => self.listen = Some(number(flag, value, "an address and a port")?),
            "announce" if value.is_empty() => self.announce = Some(Announce::new().to),
            "announce" => self.announce = Some(number(flag, value, "an address and a port")?),
            "interface" => self.interface = Some(text(value)?),
            "serial" => self.serial = Some(text(value)?),
            "plain" if value.is_empty() => self.plain = true,
            "plain" => return Err("--plain takes no value".into()),
            "cert" => self.certificate = Some(value.into()),
            "key" => self.key = Some(value.into()),
            "seed" => self.seed = Some(number(flag, value, "a whole number")?),
            _ => self.faults.push(numbered(&text(value)?)),
        }
        Ok(())
    }

    /// Outside what is wrong with the flags, inside what is wrong with the files they name.
    fn config(self) -> Result<Result<Config, Failure>, String> {
        let identity = match (&self.certificate, &self.key) {
            (Some(_), Some(_)) if self.plain => {
                return Err("--plain shows no certificate: leave --cert and --key out".into());
            }
            (Some(certificate), Some(key)) => match Identity::load(certificate, key) {
                Ok(identity) => Some(identity),
                Err(error) => return Ok(Err(failed(&error))),
            },
            (None, None) => None,
            _ => return Err("--cert and --key go together".into()),
        };
        let default = Announce::new().announcement;
        let announcement = Announcement {
            interface: self.interface.unwrap_or(default.interface),
            serial: self.serial.unwrap_or(default.serial),
        };
        if Announcement::parse(&announcement.encode()).as_ref() != Ok(&announcement) {
            return Err("--interface and --serial take up to 64 letters and digits".into());
        }
        Ok(Ok(Config {
            seed: self.seed.unwrap_or(1),
            plain: self.plain,
            identity,
            announce: self.announce.map(|to| Announce { to, announcement }),
        }))
    }
}
