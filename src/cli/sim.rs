//! `outpost sim`: one simulated instrument for other software.

mod bitscope;
mod msp1000;
mod opc;

use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use futures_lite::future::{block_on, or};
use lexopt::{Arg, ValueExt};

use super::{Arguments, Failure, arguments, print};
use crate::base::clock::Clock;
use crate::base::error::{Failure as Explained, Kind};
use crate::base::fault::{Fault, FaultSpec, Faults};
use crate::config::nearest;
use crate::tcam::sim::{
    self, Config, FAULTS, Hardware, Interface, Network, Scene, SpiSocket, camera,
};

const TCAM: &str = "\
Offer a simulated tCam-Mini thermal camera.

Usage: outpost sim tcam --listen ADDR:PORT [FLAGS]
       outpost sim tcam --uart LINK --spi SOCKET [FLAGS]

Flags:
  --listen ADDR:PORT  serve one client on TCP, as the camera does on Wi-Fi
                      (port 0 for any)
  --uart LINK         make LINK a serial port with the camera's UART
  --spi SOCKET        make SOCKET a UNIX socket with the camera's SPI slave:
                      send a byte count as little-endian u32, get as many bytes
  --seed N            choose noise and scene (default 1)
  --replay FILE       look at the pictures of a .tjsn or .tmjsn file
  --frame-ms N        time between frames (default 114; 0: as fast as taken)
  --spi-timing on|off whether SPI takes the time of a 7 MHz clock (default off)
  --spi-filler N      byte that SPI reads where no image is (default 255)
  --wifi-crash on|off whether get_wifi and set_wifi restart the camera on the
                      UART as they do a real one (default off: refused)
  --fault NAME[=N]    have a fault from the start, may be repeated
  -h, --help          show this text

Faults. With N every N-th time, without it the next time alone, unless the line
says otherwise:
";

/// Columns of a terminal.
const WIDTH: usize = 80;

#[derive(Debug, Default)]
struct Options {
    listen: Option<SocketAddr>,
    uart: Option<PathBuf>,
    spi: Option<PathBuf>,
    seed: Option<u64>,
    replay: Option<PathBuf>,
    frame_ms: Option<u64>,
    spi_timing: bool,
    filler: Option<u8>,
    wifi_crash: bool,
    faults: Vec<String>,
    help: bool,
}

const FLAGS: [&str; 11] = [
    "listen",
    "uart",
    "spi",
    "seed",
    "replay",
    "frame-ms",
    "spi-timing",
    "spi-filler",
    "wifi-crash",
    "fault",
    "help",
];

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match arguments.rest.split_first() {
        Some((instrument, flags)) if instrument == "tcam" => tcam(flags),
        Some((instrument, flags)) if instrument == "opc-n3" => opc::run(flags),
        Some((instrument, flags)) if instrument == "bitscope" => bitscope::run(flags),
        Some((instrument, flags)) if instrument == "msp1000" => msp1000::run(flags),
        Some((other, _)) => {
            let shown = other.to_string_lossy();
            Err(usage(format!(
                "there is no simulated instrument \"{}\": there are tcam, opc-n3, bitscope and msp1000",
                shown.escape_debug()
            )))
        }
        None => Err(usage("sim needs an instrument, such as tcam".into())),
    }
}

fn usage(text: String) -> Failure {
    arguments::usage(text, Some(arguments::Command::Sim))
}

fn tcam(flags: &[OsString]) -> Result<ExitCode, Failure> {
    let wrong = |text| Failure::Usage(format!("{text}\nTry 'outpost sim tcam --help'."));
    let options = Options::read(flags).map_err(wrong)?;
    if options.help {
        return print(&help(TCAM, FAULTS)).map(|()| ExitCode::SUCCESS);
    }
    log_to_standard_error();
    let faults = faults(&options.faults).map_err(wrong)?;
    let config = options.config()?;
    match (options.listen, options.uart, options.spi) {
        (Some(address), None, None) => serve_network(config, faults, address),
        (None, Some(uart), Some(spi)) => serve_hardware(config, faults, uart, spi),
        _ => Err(wrong(
            "either --listen, or both --uart and --spi, say where the camera is".into(),
        )),
    }?;
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn read(flags: &[OsString]) -> Result<Self, String> {
        let mut options = Self::default();
        options.help = read_flags(flags, &FLAGS, |flag, value| options.set(flag, value))?;
        Ok(options)
    }

    fn set(&mut self, flag: &str, value: OsString) -> Result<(), String> {
        match flag {
            "uart" => self.uart = Some(value.into()),
            "spi" => self.spi = Some(value.into()),
            "replay" => self.replay = Some(value.into()),
            "listen" => self.listen = Some(number(flag, value, "an address and a port")?),
            "seed" => self.seed = Some(number(flag, value, "a whole number")?),
            "frame-ms" => self.frame_ms = Some(number(flag, value, "milliseconds")?),
            "spi-filler" => self.filler = Some(number(flag, value, "a number in 0..255")?),
            "spi-timing" => self.spi_timing = switch(flag, value)?,
            "wifi-crash" => self.wifi_crash = switch(flag, value)?,
            _ => self.faults.push(value.string().map_err(|e| e.to_string())?),
        }
        Ok(())
    }

    fn config(&self) -> Result<Config, Failure> {
        // Each front end makes the interface its own.
        let plain = Config::new(Interface::Network, self.seed.unwrap_or(1));
        let scene = match &self.replay {
            Some(file) => Scene::replay(file).map_err(|error| failed(&error))?,
            None => plain.scene,
        };
        let period = self.frame_ms.map(Duration::from_millis);
        Ok(Config {
            scene,
            frame_period: period.unwrap_or(camera::FRAME_PERIOD),
            spi_timing: self.spi_timing,
            filler: self.filler.unwrap_or(plain.filler),
            wifi_crashes: self.wifi_crash,
            ..plain
        })
    }
}

/// Flags whose value is empty unless given after `=`.
const WITHOUT_VALUE: [&str; 2] = ["announce", "plain"];

/// Hands each of the `known` flags with its value to `set`; tells whether help is wanted instead.
fn read_flags(
    flags: &[OsString],
    known: &[&str],
    mut set: impl FnMut(&str, OsString) -> Result<(), String>,
) -> Result<bool, String> {
    let mut help = false;
    let mut parser = lexopt::Parser::from_args(flags);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let flag = match argument {
            Arg::Short('h') | Arg::Long("help") => {
                help = true;
                continue;
            }
            Arg::Long(flag) => flag.to_owned(),
            Arg::Short(letter) => return Err(format!("there is no flag -{letter}")),
            Arg::Value(word) => {
                let shown = word.to_string_lossy();
                return Err(format!(
                    "there is nothing to do with \"{}\"",
                    shown.escape_debug()
                ));
            }
        };
        if !known.contains(&flag.as_str()) {
            let near = nearest(&flag, known).map(|near| format!(", did you mean --{near}?"));
            let near = near.unwrap_or_default();
            return Err(format!("there is no flag --{}{near}", flag.escape_debug()));
        }
        let value = match WITHOUT_VALUE.contains(&flag.as_str()) {
            true => parser.optional_value().unwrap_or_default(),
            false => parser
                .value()
                .map_err(|_| format!("--{flag} needs a value"))?,
        };
        set(&flag, value)?;
    }
    Ok(help)
}

fn number<T: std::str::FromStr>(flag: &str, value: OsString, what: &str) -> Result<T, String> {
    let shown = value.to_string_lossy();
    shown
        .parse()
        .map_err(|_| format!("--{flag} takes {what}, not \"{}\"", shown.escape_debug()))
}

fn switch(flag: &str, value: OsString) -> Result<bool, String> {
    match value.to_str() {
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        _ => {
            let shown = value.to_string_lossy();
            Err(format!(
                "--{flag} takes on or off, not \"{}\"",
                shown.escape_debug()
            ))
        }
    }
}

/// The faults that `texts` name, each `NAME` or `NAME=N`.
fn faults<F: Fault>(texts: &[String]) -> Result<Faults<F>, String> {
    let faults = Faults::none();
    for text in texts {
        let (name, n) = match text.split_once('=') {
            Some((name, n)) => {
                let n = n.parse().map_err(|_| {
                    format!("--fault takes NAME=N, not \"{}\"", text.escape_debug())
                })?;
                (name, Some(n))
            }
            None => (text.as_str(), None),
        };
        faults.set(name, n).map_err(|error| {
            let names: Vec<&str> = F::TABLE.iter().map(|fault| fault.name).collect();
            let near = nearest(name, &names).map(|near| format!(", did you mean {near}?"));
            format!("{error}{}", near.unwrap_or_default())
        })?;
    }
    Ok(faults)
}

/// The help text with the table of faults, words wrapped.
fn help(head: &str, faults: &[FaultSpec]) -> String {
    let mut text = head.to_owned();
    for fault in faults {
        let name = match fault.argument {
            "" => fault.name.to_owned(),
            "ms" => format!("{}[=MS]", fault.name),
            _ => format!("{}[=N]", fault.name),
        };
        let mut line = format!("  {name:21}");
        for word in fault.help.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                let _ = writeln!(text, "{line}");
                line = " ".repeat(23);
            }
            let _ = write!(line, " {word}");
        }
        let _ = writeln!(text, "{line}");
    }
    text
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(Explained::from_error(Kind::Internal, error).message)
}

fn serve_network(config: Config, faults: sim::Faults, address: SocketAddr) -> Result<(), Failure> {
    let camera = Network::start(Clock::real(), config, faults, address)
        .map_err(|error| Failure::Failed(format!("cannot listen on {address}: {error}")))?;
    let mut signals = signals()?;
    print(&format!("tcp {}\nready\n", camera.address()))?;
    block_on(signals.next());
    Ok(())
}

fn serve_hardware(
    config: Config,
    faults: sim::Faults,
    uart: PathBuf,
    spi: PathBuf,
) -> Result<(), Failure> {
    let mut signals = signals()?;
    let socket = SpiSocket::bind(&spi)
        .map_err(|error| Failure::Failed(format!("no socket at {}: {error}", spi.display())))?;
    let camera =
        Hardware::start(Clock::real(), config, faults, &uart).map_err(|error| failed(&error))?;
    print(&format!(
        "tty {} {}\nspi {}\nready\n",
        uart.display(),
        camera.pts().display(),
        spi.display()
    ))?;
    let stop = async {
        signals.next().await;
        Ok(())
    };
    block_on(or(stop, socket.serve(camera.spi_port())))
        .map_err(|error| Failure::Failed(format!("the SPI socket fails: {error}")))
}

fn log_to_standard_error() {
    // Another logger can only be there in tests, and then it is welcome.
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .try_init();
}

fn signals() -> Result<Signals, Failure> {
    Signals::new([Signal::Term, Signal::Int])
        .map_err(|error| Failure::Failed(format!("no signal handling: {error}")))
}
