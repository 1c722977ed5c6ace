//! The help texts, in full.

use super::Command;

/// The help text of a subcommand, or the overview.
pub(super) fn of(command: Option<Command>) -> &'static str {
    match command {
        None | Some(Command::Help) => OVERVIEW,
        Some(Command::Serve) => SERVE,
        Some(Command::Check) => CHECK,
        Some(Command::Boards) => BOARDS,
        Some(Command::Query) => QUERY,
        Some(Command::Status) => STATUS,
        Some(Command::Sim) => SIM,
        Some(Command::Opc) => OPC,
        Some(Command::Cloud) => CLOUD,
        Some(Command::Setup) => SETUP,
        Some(Command::Support) => SUPPORT,
    }
}

const OVERVIEW: &str = "\
Outpost turns a headless Raspberry Pi into a networked measuring station.
On any other machine it runs the same station with simulated instruments.

Usage: outpost [COMMAND] [FLAGS]

Commands:
  serve     run the station in the foreground (also without a COMMAND)
  check     show every setting with its origin, the wiring, and what conflicts
  boards    list the board profiles and mark the one of this machine
  query     send SCPI messages to a running station and print the replies
  status    show the health of a running station, one line an instrument
  sim       offer a simulated instrument to other software
  opc       test and read the particle counter, show its readings
  cloud     register, make batches of readings, upload them
  setup     apply the outpost.toml of the SD card (the card does it at start)
  support   write logs, settings and facts of this machine to one archive
  help      show the help of a command: outpost help query

Flags of every command:
  -h, --help       show this text, or the help of the COMMAND
  -V, --version    show the version

Settings are read from /etc/outpost/outpost.toml, if it exists.
Exit codes: 0 good, 1 failed, 2 wrong usage.

Try it without any hardware:
  outpost serve --board sim --state-dir /tmp/outpost
  outpost query --state-dir /tmp/outpost '*IDN?'
";

const SERVE: &str = "\
Run the station in the foreground.

Usage: outpost [serve] [FLAGS]

Flags:
  --config FILE      settings to use instead of /etc/outpost/outpost.toml
  --board NAME|FILE  use this board profile instead of the one detected
                     (names: outpost boards)
  --state-dir DIR    keep RAM disk, images and data below DIR: for trials
  -h, --help         show this text
  -V, --version      show the version

Prints one line for each port it listens on, then \"ready\". The same addresses
are written to endpoints.json in the data folder. Logs go to standard error.
SIGTERM or Ctrl-C stops it in order; a second one stops it at once.
";

const CHECK: &str = "\
Check settings and board without starting anything.

Usage: outpost check [FLAGS]

Flags:
  --config FILE      settings to use instead of /etc/outpost/outpost.toml
  --board NAME|FILE  check for this board profile instead of the one detected
                     (names: outpost boards)
  --state-dir DIR    as for outpost serve
  -h, --help         show this text
  -V, --version      show the version

Shows every setting with its value and where the value came from, what to wire
to which header pin, and every pin or bus that is used twice or is not there.
Mistakes in the file are reported as FILE:LINE:COLUMN, all of them at once.
Exit code 0 if all is well, 1 on a mistake or a conflict.
";

const BOARDS: &str = "\
List the board profiles; a * marks the one of this machine.

Usage: outpost boards

Flags:
  -h, --help       show this text
  -V, --version    show the version

A profile says which buses and pins a board has and how the instruments are
wired to them. Use another one with --board NAME, or your own with --board FILE.
";

const QUERY: &str = "\
Send SCPI messages to a running station and print the replies.

Usage: outpost query [FLAGS] 'MESSAGE'...

Flags:
  --host HOST        station to ask (default: the one on this machine)
  --port PORT        its SCPI port (default: 5025)
  --timeout SECONDS  longest wait for a reply (default: 10)
  --config FILE, --board NAME|FILE, --state-dir DIR
                     ask the station on this machine that runs with these flags
  -h, --help         show this text
  -V, --version      show the version

Every MESSAGE is sent by itself, then the error queue is read. Replies go to
standard output, errors to standard error; exit code 1 if there was any.
Binary data is written as it is when the output is a file or a pipe:

  outpost query '*IDN?' 'SYST:HEAL?'
  outpost query --host outpost.local 'CAM:CONF:SS 10MS'
  outpost query --timeout 60 'CAM:FRAM? FITS' > frame.fits
";

const STATUS: &str = "\
Show the health of a running station, one line an instrument.

Usage: outpost status [FLAGS]

Flags:
  --host HOST        station to ask (default: the one on this machine)
  --port PORT        its SCPI port (default: 5025)
  --timeout SECONDS  longest wait for the reply (default: 10)
  --config FILE, --board NAME|FILE, --state-dir DIR
                     ask the station on this machine that runs with these flags
  -h, --help         show this text
  -V, --version      show the version

States: ready, connecting, degraded, failed, disabled, unavailable.
Exit code 1 if an instrument has failed or the station does not answer.
";

const SIM: &str = "\
Offer one simulated instrument to other software.

Usage: outpost sim INSTRUMENT [FLAGS]

Instruments:
  tcam             the tCam-Mini thermal camera, on TCP or on UART and SPI
  opc-n3           the OPC-N3 particle counter behind its USB-ISS bridge
  bitscope         the BitScope Micro oscilloscope
  msp1000          the MSP1000 spectrometer on TCP, with TLS

Flags:
  -h, --help       show this text, or the help of the INSTRUMENT with its flags
                   and faults: outpost sim tcam --help

Prints one line for each port, then \"ready\", and runs until SIGTERM or Ctrl-C.
The simulated board has the same instruments inside the station:
outpost serve --board sim
";

const OPC: &str = "\
Test and read the particle counter.

Usage: outpost opc ACTION [FLAGS]

Actions:
  test         what bridge and counter say of themselves, and one reading with
               its histogram
  read         one reading as one line: temperature in C, relative humidity in
               %, PM1, PM2.5 and PM10 in ug/m3
  recent [N]   the newest N rows of the database (10, at most 500), newest
               first, each as one line of JSON

Flags:
  --config FILE, --board NAME|FILE, --state-dir DIR
                   the station that runs with these flags
  -h, --help       show this text
  -V, --version    show the version

A running station is asked, and goes on with its work. Without one, the counter
is started here, which takes about 10 s, and fan and laser are off afterwards.
Nothing is stored by 'read'. Exit code 1 if there is no counter.

  outpost opc test
  outpost opc recent 3
";

const CLOUD: &str = "\
Bring readings to Tinycloud: in batches, each reading once.

Usage: outpost cloud ACTION [FLAGS]

Actions:
  register [PIN]   exchange a pin of the cloud's web page for the station's key;
                   asks for the pin when none is given
  batch            put the readings that are in no batch yet into batches, and
                   print their files, or 'nothing to do'
  upload           upload every batch that waits, one line each
  status           what waits, what was uploaded, and when it goes on
  requeue BATCH    upload a batch again that the server rejected
  import FILE      print the settings.yaml of batonopc as settings for
                   outpost.toml
  mark-sent        count every reading that is in no batch yet as sent; only
                   while no station runs

Flags:
  --config FILE, --board NAME|FILE, --state-dir DIR
                   the station that runs with these flags
  -h, --help       show this text
  -V, --version    show the version

A running station does the work; without one it is done here, with the same
settings. A running station with tinycloud.enabled does all this by itself, at
tinycloud.batch_interval_s and upload_interval_s. Batches can be made without
it; register needs tinycloud.api, upload needs tinycloud.enabled as well.
Exit code 1 if anything failed, also if it was one batch of several.

  outpost cloud register 4711
  outpost cloud batch && outpost cloud upload
";

const SETUP: &str = "\
Apply the outpost.toml of the SD card: host name, SSH, WiFi, network, settings.

Usage: outpost setup [FLAGS]

Flags:
  --root DIR       find and write everything below DIR: for trials
  -h, --help       show this text
  -V, --version    show the version

The SD card runs it at every start. It reads /boot/firmware/outpost.toml and
writes what follows from it to /run/outpost-setup, as the system is read-only.
What is wrong in the file is left out, the last good value stays, and
outpost-errors.txt beside the file says where and why. Good values are kept in
/data/setup, so that a damaged file changes nothing.
";

const SUPPORT: &str = "\
Write one archive with what somebody needs to help from afar.

Usage: outpost support [FILE] [FLAGS]

Flags:
  --host HOST        station to ask (default: the one on this machine)
  --port PORT        its SCPI port (default: 5025)
  --timeout SECONDS  longest wait for a reply (default: 10)
  --config FILE, --board NAME|FILE, --state-dir DIR
                     ask the station on this machine that runs with these flags
  -h, --help         show this text
  -V, --version      show the version

FILE is outpost-support-<time>.tar.gz in this folder if none is named; it must
not exist. It holds the settings without secrets, health and boards of the
running station, logs, versions, and facts of the machine. What cannot be had
is said so in its place. With sudo it holds more of the logs.
";
