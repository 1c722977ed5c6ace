//! The board's own health: supply and temperature, from a folder that stands for `/sys`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::harness::{Setup, eventually, number, short_folder};

const ALARM: &str = "class/hwmon/hwmon0/in0_lcrit_alarm";

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The simulated board with sensors of a Pi.
fn with_sensors(folder: &Path) -> Setup {
    put(folder, "sys/class/hwmon/hwmon0/name", "rpi_volt\n");
    put(&folder.join("sys"), ALARM, "0\n");
    put(
        folder,
        "sys/class/thermal/thermal_zone0/type",
        "cpu-thermal\n",
    );
    put(folder, "sys/class/thermal/thermal_zone0/temp", "48312\n");
    let profile = fs::read_to_string("boards/sim.toml").unwrap();
    let sysfs = folder.join("sys").display().to_string();
    put(folder, "b.toml", &format!("sysfs = \"{sysfs}\"\n{profile}"));
    Setup::small().board(&folder.join("b.toml"))
}

#[test]
fn a_weak_supply_is_told_once_and_shown_everywhere() {
    let folder = short_folder();
    let setup = with_sensors(folder.path());
    let station = setup.start_in(folder);
    let mut client = station.client();
    eventually("the board's health", || {
        client.json("SYST:HEAL?").to_string().contains("\"board\"")
    });
    let health = client.json("SYST:HEAL? board");
    assert_eq!(health["state"], "ready", "{health}");
    assert_eq!(health["values"]["temperature_c"], 48.3);
    assert_eq!(client.query("STAT:QUES:COND?"), "0");
    client.command("*CLS;STAT:QUES:ENAB 1");

    put(&station.folder().join("sys"), ALARM, "1\n");
    eventually("the alarm", || client.query("STAT:QUES:COND?") == "1");
    let errors = client.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(number(&errors[0]), -240);
    assert!(
        errors[0].contains("supply voltage is too low"),
        "{errors:?}"
    );
    assert_eq!(client.query("*STB?"), "8");
    assert_eq!(client.query("STAT:QUES?"), "1");
    assert_eq!(client.query("STAT:QUES?"), "0");
    let health = client.json("SYST:HEAL? board");
    assert_eq!(health["state"], "degraded", "{health}");
    assert_eq!(health["counters"]["under_voltages"], 1);

    let port = station.scpi.port().to_string();
    let status = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["status", "--port", &port])
        .output()
        .unwrap();
    let said = String::from_utf8(status.stdout).unwrap();
    let line = said
        .lines()
        .find(|line| line.starts_with("board "))
        .unwrap();
    assert!(line.contains("supply voltage is too low"), "{line}");
    assert!(line.contains("temperature_c 48.3"), "{line}");
    station.stop();
}

#[test]
fn a_board_without_sensors_has_no_such_part() {
    let station = Setup::small().start();
    let mut client = station.client();
    let parts = client.block("SYST:HEAL?");
    let parts: serde_json::Value = serde_json::from_slice(&parts).unwrap();
    let parts = parts.as_array().unwrap();
    assert!(parts.iter().all(|part| part["instrument"] != "board"));
    assert_eq!(client.refused("SYST:HEAL? board"), -241);
    station.stop();
}
