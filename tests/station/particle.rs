//! The particle counter: its commands, and its rows as the older logger's tools read them.

use std::path::Path;
use std::process::Command;
use std::thread;

use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::Value;

use super::harness::{Client, Setup, Station, eventually};

/// The columns that the older tools select, with the types they expect.
const LEGACY: usize = 45;

impl Station {
    /// Waits until the particle counter counts.
    pub fn wait_for_particles(&self) -> Client {
        let mut client = self.client();
        eventually("the particle counter", || {
            client.json("PART:INFO?")["phase"] == "counting"
        });
        client
    }

    /// Waits for that many rows, and gives them, newest first.
    pub fn particle_rows(&self, count: usize) -> Vec<Value> {
        let mut client = self.client();
        let mut rows = Vec::new();
        eventually("rows", || {
            rows = client.json("PART:LOG:REC? 100").as_array().unwrap().clone();
            rows.len() >= count
        });
        rows
    }

    pub fn database(&self) -> Connection {
        open(&self.folder().join("data/readings.db"))
    }
}

pub fn open(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database
        .busy_timeout(std::time::Duration::from_secs(5))
        .unwrap();
    database
}

/// Numbers of a reply.
pub fn numbers(reply: &str) -> Vec<f64> {
    reply
        .split(',')
        .map(|number| number.parse().unwrap_or_else(|_| panic!("{reply}")))
        .collect()
}

/// Of the mantissa, zeros before it not counted.
fn digits(number: &str) -> usize {
    let mantissa = number.split(['E', 'e']).next().unwrap();
    let digits = mantissa.chars().filter(char::is_ascii_digit);
    digits.skip_while(|digit| *digit == '0').count()
}

pub fn health(client: &mut Client) -> Value {
    client.json("SYST:HEAL? opc")
}

pub fn counter(client: &mut Client, name: &str) -> u64 {
    let report = health(client);
    report["counters"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name}: {report}"))
}

/// They wait most of the time, so they run side by side. A thread that panics has the scenario's name, and fails the
/// test.
#[test]
fn a_station_with_a_counter() {
    let scenarios: [(&str, fn()); 5] = [
        ("commands", every_command_answers),
        ("settings", settings_are_checked_kept_and_reset),
        ("rows", rows_are_as_the_older_tools_read_them),
        (
            "no database",
            a_database_that_cannot_be_opened_does_not_stop_the_station,
        ),
        ("program", the_command_line_asks_the_running_station),
    ];
    thread::scope(|scope| {
        for (name, scenario) in scenarios {
            let thread = thread::Builder::new().name(name.into());
            thread.spawn_scoped(scope, scenario).unwrap();
        }
    });
}

fn every_command_answers() {
    let station = Setup::small().opc("interval_s = 4").start();
    let mut client = station.wait_for_particles();
    assert_eq!(client.query("PART:STAT?"), "1");
    assert_eq!(
        client.query("PART:LOG:STAT?;INT?;INT? MIN;INT? MAX;INT? DEF"),
        "1;4;1;86400;10"
    );
    assert!(
        client
            .query("*OPT?")
            .split(',')
            .any(|option| option == "particles")
    );

    let reading = numbers(&client.query("PART:READ?"));
    let [
        celsius,
        humidity,
        pm1,
        pm25,
        pm10,
        total,
        period,
        flow,
        laser,
    ] = reading[..]
    else {
        panic!("{reading:?}");
    };
    assert!((15.0..30.0).contains(&celsius) && (20.0..60.0).contains(&humidity));
    assert!(0.0 < pm1 && pm1 <= pm25 && pm25 <= pm10);
    assert!(total > 0.0);
    // At least a second was counted, by a clock of hundredths.
    assert!((0.9..6.0).contains(&period), "{period}");
    assert_eq!((flow, laser), (3.69, 608.0));

    let counts = numbers(&client.query("PART:HIST?"));
    assert_eq!(counts.len(), 24);
    assert!(
        counts[0] > counts[12],
        "small particles are the most: {counts:?}"
    );
    assert!(counts.iter().all(|count| count.fract() == 0.0));
    assert_eq!(numbers(&client.query("PART:HIST? CONC")).len(), 24);
    assert_eq!(numbers(&client.query("PART:HIST? DIST")).len(), 24);
    let pm = numbers(&client.query("PART:PM?"));
    assert!(pm.len() == 3 && pm.is_sorted(), "{pm:?}");

    for query in [
        "PART:READ?",
        "PART:PM?",
        "PART:HIST? CONC",
        "PART:HIST? DIST",
    ] {
        let reply = client.query(query);
        let longest = reply.split(',').map(digits).max();
        assert!(
            longest <= Some(9),
            "more digits than the counter's numbers have: {reply}"
        );
    }

    let info = client.json("PART:INFO?");
    for name in [
        "temperature_celsius",
        "humidity_percent",
        "concentration_per_cm3",
    ] {
        let number = info["reading"][name].to_string();
        assert!(digits(&number) <= 9, "{name}: {number}");
    }
    assert_eq!(info["firmware"], "1.17a");
    assert_eq!(info["serial"], "OPC-N3 177290411");
    assert_eq!(info["link"], "sim");
    assert_eq!(info["reading"]["laser_status"], 608);
    let configuration = client.json("PARTICLE:CONFIGURATION?");
    assert_eq!(client.json("PART:CONF?"), configuration);
    assert_eq!(configuration["bin_edges_um"][24], 40.0);
    assert_eq!(configuration["pm_diameters_um"][1], 2.5);
    station.stop();
}

fn settings_are_checked_kept_and_reset() {
    let station = Setup::small().opc("interval_s = 20").start();
    let mut client = station.wait_for_particles();
    assert_eq!(client.refused("PART:LOG:INT 0.9"), -222);
    assert_eq!(client.refused("PART:LOG:INT 86401"), -222);
    assert_eq!(client.refused("PART:LOG:REC? 501"), -222);
    assert_eq!(client.refused("PART:LOG:REC? 0"), -222);
    assert_eq!(client.refused("PART:HIST? ALL"), -224);
    client.command("PART:LOG:INT 30 S;STAT OFF");
    assert_eq!(client.query("PART:LOG:INT?;STAT?"), "30;0");

    client.command("PART:STAT OFF");
    assert_eq!(client.query("PART:STAT?"), "0");
    eventually("fan and laser off", || {
        client.json("PART:INFO?")["phase"] == "off"
    });
    assert_eq!(client.refused("PART:READ?"), -221);
    assert_eq!(health(&mut client)["state"], "ready");

    client.command("*RST");
    assert_eq!(client.query("PART:STAT?;LOG:INT?;STAT?"), "1;20;1");
    eventually("the counter", || {
        client.json("PART:INFO?")["phase"] == "counting"
    });
    client.query("PART:PM?");
    station.stop();
}

fn rows_are_as_the_older_tools_read_them() {
    let station = Setup::small()
        .opc("interval_s = 1")
        .opc("gadget_id = \"CLEANROOM_7\"")
        .start();
    station.particle_rows(3);
    let database = station.database();
    // As recent_readings has it.
    let mut statement = database
        .prepare("SELECT * FROM Readings ORDER BY rdg_no DESC LIMIT 10")
        .unwrap();
    let columns = statement.column_count();
    let rows: Vec<Vec<Cell>> = statement
        .query_map([], |row| {
            (0..columns).map(|column| row.get(column)).collect()
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut seconds = Vec::new();
    for row in &rows {
        assert!(matches!(row[0], Cell::Integer(_)));
        let Cell::Text(timestamp) = &row[1] else {
            panic!("{row:?}")
        };
        assert_eq!(row[2], Cell::Text("CLEANROOM_7".into()));
        let stamp: jiff::Timestamp = format!("{}Z", timestamp.replace(' ', "T")).parse().unwrap();
        seconds.push(stamp.as_second());
        assert!(
            row[3..LEGACY]
                .iter()
                .all(|value| matches!(value, Cell::Real(_))),
            "{row:?}"
        );
    }
    // Newest first, a second apart, on whole seconds.
    assert!(
        seconds.windows(2).all(|pair| pair[0] == pair[1] + 1),
        "{seconds:?}"
    );
    let odd: i64 = database
        .query_row(
            "SELECT count(*) FROM Readings WHERE utc_ms % 1000 <> 0 OR n_frames <> 1 OR flags <> 1
             OR abs(bin_0 * volume_ml - count_0) > 1e-6 OR last_status <> 608 OR boot IS NULL
             OR abs(volume_ml - sample_flow_rate * sampling_period) > 1e-6
             OR abs(sampling_period - 1) > 0.6 AND rdg_no > 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(odd, 0);
    let (mode, count): (String, i64) = database
        .query_row(
            "SELECT (SELECT journal_mode FROM pragma_journal_mode), count(*) FROM Readings",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(mode, "wal");
    assert!(count >= 3);
    // What was acknowledged is there after an orderly end, and the file is whole.
    let last = station.particle_rows(3)[0]["rdg_no"].as_i64().unwrap();
    let folder = station.stop();
    let database = open(&folder.path().join("data/readings.db"));
    let (newest, whole): (i64, String) = database
        .query_row(
            "SELECT (SELECT max(rdg_no) FROM Readings), integrity_check FROM pragma_integrity_check",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(newest >= last);
    assert_eq!(whole, "ok");
}

#[test]
fn a_counter_that_is_disabled_is_absent() {
    let station = Setup::small().opc("enabled = false").start();
    let mut client = station.client();
    assert_eq!(health(&mut client)["state"], "disabled");
    for query in [
        "PART:READ?",
        "PART:STAT?",
        "PART:INFO?",
        "PART:LOG:REC?",
        "PART:STAT ON",
    ] {
        assert_eq!(client.refused(query), -241, "{query}");
    }
    assert!(!client.query("*OPT?").contains("particles"));
    assert!(!station.folder().join("data/readings.db").exists());
    station.stop();
}

fn a_database_that_cannot_be_opened_does_not_stop_the_station() {
    let station = Setup::small()
        .opc("interval_s = 1")
        .opc("database = \"/proc/nowhere/readings.db\"")
        .start();
    let mut client = station.wait_for_particles();
    client.query("PART:PM?");
    assert_eq!(client.refused("PART:LOG:REC?"), -250);
    eventually("rows that wait", || {
        client.json("SYST:HEAL? readings")["counters"]["waiting"].as_u64() >= Some(1)
    });
    let report = client.json("SYST:HEAL? readings");
    assert_eq!(report["state"], "failed");
    assert!(
        report["reason"]
            .as_str()
            .unwrap()
            .contains("wait in memory"),
        "{report}"
    );
    station.stop();
}

fn the_command_line_asks_the_running_station() {
    let station = Setup::small().opc("interval_s = 1").start();
    station.wait_for_particles();
    station.particle_rows(2);
    let folder = station.folder().to_str().unwrap();
    let opc = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .arg("opc")
            .args(words)
            .args(["--board", "sim", "--state-dir", folder])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && error.is_empty(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let rows = opc(&["recent", "2"]);
    assert_eq!(rows.lines().count(), 2, "{rows}");
    for line in rows.lines() {
        assert!(
            line.starts_with("{\"rdg_no\": ") && line.contains(", \"timestamp\": \""),
            "{line}"
        );
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["gadget_id"], "OPC_1");
    }
    assert!(opc(&["read"]).starts_with("logging OPC_1 t:"));
    assert!(opc(&["test"]).starts_with("Asked by: the running station\nLink: sim\n"));
}
