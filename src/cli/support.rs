//! `outpost support`: one archive with what somebody needs to help from afar.
//!
//! No secret goes in: of the settings only what `check` shows, of addresses no user name or password, of the card's own
//! file nothing. Whatever cannot be had is said so in its place, so that an archive always comes about.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::status::Report;
use super::{Arguments, Failure, print, target};
use crate::config::Config;

/// Longest part of a file, and of what a program says.
const LONGEST: u64 = 4 << 20;
/// Seconds that a program may take.
const PATIENCE_S: &str = "20";

/// Files of the machine, by their path.
const FILES: [&str; 12] = [
    "/etc/os-release",
    "/boot/firmware/outpost-errors.txt",
    "/proc/cmdline",
    "/proc/cpuinfo",
    "/proc/device-tree/compatible",
    "/proc/device-tree/model",
    "/proc/devices",
    "/proc/meminfo",
    "/proc/mounts",
    "/proc/uptime",
    "/proc/version",
    "/sys/module/spidev/parameters/bufsiz",
];

/// What programs say, by the name of the file it goes to.
const COMMANDS: [(&str, &[&str]); 9] = [
    (
        "journal.txt",
        &[
            "journalctl",
            "--no-pager",
            "--lines=5000",
            "--unit=outpost",
            "--unit=outpost-setup",
        ],
    ),
    (
        "kernel.txt",
        &["journalctl", "--no-pager", "--lines=2000", "--dmesg"],
    ),
    (
        "service.txt",
        &["systemctl", "--no-pager", "status", "outpost"],
    ),
    ("failed-units.txt", &["systemctl", "--no-pager", "--failed"]),
    ("clock.txt", &["timedatectl", "--no-pager"]),
    ("space.txt", &["df", "-h"]),
    (
        "devices.txt",
        &[
            "sh",
            "-c",
            "ls -l /dev/tty[AUS]* /dev/spidev* /dev/gpio* /dev/video* /dev/media* /dev/dma_heap/* /dev/serial/by-id/*",
        ],
    ),
    (
        "sensors.txt",
        &[
            "sh",
            "-c",
            "grep -s . /sys/class/hwmon/*/name /sys/class/hwmon/*/in*_alarm /sys/class/thermal/thermal_zone*/temp /sys/bus/platform/devices/*:firmware/get_throttled",
        ],
    ),
    (
        "processes.txt",
        &["ps", "-eo", "pid,user,rss,pcpu,stat,comm"],
    ),
];

/// Questions to the running station, by the name of the file.
const QUESTIONS: [(&str, &str); 6] = [
    ("identity.txt", "*IDN?"),
    ("health.json", "SYST:HEAL?"),
    ("board.json", "SYST:BOAR?"),
    ("jobs.json", "SYST:JOB:LIST?"),
    ("camera.json", "CAM:STAT?"),
    ("thermal.json", "THER:STAT?"),
];

/// An archive that is being written.
struct Archive(tar::Builder<GzEncoder<File>>);

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let path = match arguments.words.first() {
        Some(name) => PathBuf::from(name),
        None => {
            let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
            PathBuf::from(format!("outpost-support-{now}.tar.gz"))
        }
    };
    // It is for sending away, but not for others on this machine to read before that.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let failed = |error| Failure::Failed(format!("cannot write {}: {error}", path.display()));
    let file = File::create_new(&path).map_err(failed)?;
    let mut archive = Archive(tar::Builder::new(GzEncoder::new(
        file,
        Compression::default(),
    )));
    archive.fill(arguments).map_err(failed)?;
    archive.finish().map_err(failed)?;
    print(&format!(
        "{}\nIt holds logs, settings without secrets, and facts of this machine. Look at it before you send it away.\n",
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

impl Archive {
    fn fill(&mut self, arguments: &Arguments) -> std::io::Result<()> {
        self.add(
            "version.txt",
            concat!("outpost ", env!("CARGO_PKG_VERSION"), "\n"),
        )?;
        self.add("settings.txt", &settings(arguments))?;
        for (name, answer) in answers(arguments) {
            self.add(&format!("station/{name}"), &answer)?;
        }
        for path in FILES {
            self.add(&format!("machine{path}"), &content(Path::new(path)))?;
        }
        for (name, command) in COMMANDS {
            self.add(name, &output(command))?;
        }
        Ok(())
    }

    fn add(&mut self, name: &str, text: &str) -> std::io::Result<()> {
        let text = without_credentials(text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0));
        let name = format!("outpost-support/{name}");
        self.0.append_data(&mut header, name, text.as_bytes())
    }

    fn finish(self) -> std::io::Result<()> {
        self.0.into_inner()?.finish()?.sync_all()
    }
}

/// Every setting with its origin, or what is wrong with them.
fn settings(arguments: &Arguments) -> String {
    match Config::load(&arguments.sources()) {
        Ok(loaded) => {
            let lines = loaded.origins.iter().map(|setting| {
                let value = &setting.value;
                format!("{} = {value}    # {}\n", setting.key.path(), setting.origin)
            });
            let conflicts = loaded.board.conflicts(&loaded.config);
            let conflicts = conflicts
                .iter()
                .map(|conflict| format!("conflict: {}\n", conflict.text));
            let warnings = loaded
                .warnings
                .iter()
                .map(|warning| format!("warning: {warning}\n"));
            lines.chain(warnings).chain(conflicts).collect()
        }
        Err(errors) => format!("{errors}\n"),
    }
}

/// The text with no user or password between `://` and `@`, whoever wrote the address: settings, errors, logs.
fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        let ends = |c: char| c.is_whitespace() || "/\"'".contains(c);
        let end = rest.find(ends).unwrap_or(rest.len());
        let kept = rest[..end].rfind('@').map_or(rest, |at| &rest[at..]);
        let mask = if kept.len() < rest.len() { "***" } else { "" };
        shown += &format!("://{mask}{kept}");
    }
    shown
}

/// What the running station says; one that does not run says so once.
fn answers(arguments: &Arguments) -> Vec<(&'static str, String)> {
    let mut client = match target::connect(arguments) {
        Ok(client) => client,
        Err(failure) => return vec![("absent.txt", format!("{failure}\n"))],
    };
    let mut answers = Vec::new();
    for (name, question) in QUESTIONS {
        let mut block = Report::default();
        let text = match client.exchange(question, &mut block) {
            Ok(exchange) => {
                let reply = exchange.line.unwrap_or_default();
                format!(
                    "{}{}\n{}",
                    String::from_utf8_lossy(&reply),
                    String::from_utf8_lossy(&block.0),
                    exchange.errors.join("\n")
                )
            }
            Err(error) => {
                answers.push((name, format!("{error}\n")));
                break;
            }
        };
        answers.push((name, text));
    }
    answers
}

fn content(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).replace('\0', "\n"),
        Err(error) => format!("({error})\n"),
    }
}

fn output(command: &[&str]) -> String {
    let run = Command::new("timeout")
        .arg(PATIENCE_S)
        .args(command)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    match run {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            let longest = usize::try_from(LONGEST).unwrap_or(usize::MAX);
            String::from_utf8_lossy(&text[..text.len().min(longest)]).into_owned()
        }
        Err(error) => format!("({} cannot be run: {error})\n", command.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn an_address_loses_who_and_with_what() {
        for (given, shown) in [
            (
                "\"https://me:pw@cloud.example/api\"",
                "\"https://***@cloud.example/api\"",
            ),
            (
                "\"https://cloud.example/a@b\"",
                "\"https://cloud.example/a@b\"",
            ),
            ("\"https://a@b@c\"", "\"https://***@c\""),
            ("\"sim\"", "\"sim\""),
            ("x://u:p@h, y://h2 z@k", "x://***@h, y://h2 z@k"),
        ] {
            assert_eq!(without_credentials(given), shown);
        }
    }
}
