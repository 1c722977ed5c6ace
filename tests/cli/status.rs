//! `outpost status`: the health of the station that is found.

use std::fs;
use std::thread::JoinHandle;

use super::support::{block, run, said, station};

const HEALTH: &str = r#"[
{"instrument":"camera","state":"ready","reason":"","counters":{"frames":12,"dropped":0},"errors":[]},
{"instrument":"tcam","state":"STATE","reason":"no answer","counters":{},"errors":["a","time out"]},
{"instrument":"opc","state":"unavailable"}]"#;

fn health(state: &str) -> (String, JoinHandle<Vec<String>>) {
    let reply = block(HEALTH.replace("STATE", state).as_bytes());
    station(move |message| match message {
        "SYST:HEAL?" => Ok(Some(reply.clone())),
        _ => Err("-113,\"Undefined header\""),
    })
}

#[test]
fn status_says_one_line_an_instrument() {
    let (port, station) = health("degraded");
    assert_eq!(
        run(&["status", "--port", &port]),
        said(
            0,
            "camera  ready        dropped 0, frames 12\n\
             tcam    degraded     no answer; last error: time out\n\
             opc     unavailable\n",
            ""
        )
    );
    station.join().unwrap();
    let (port, station) = health("failed");
    let (code, out, _) = run(&["status", "--port", &port]);
    assert_eq!(code, 1, "{out}");
    station.join().unwrap();
}

#[test]
fn status_fails_on_a_station_without_health() {
    let (port, station) = station(|_| Err("-113,\"Undefined header\""));
    let expected = said(
        1,
        "",
        "SYST:HEAL?: error -113,\"Undefined header\"\n\
         outpost: the station does not report its health (SYST:HEAL? gave no block)\n",
    );
    assert_eq!(run(&["status", "--port", &port]), expected);
    station.join().unwrap();
}

#[test]
fn status_finds_the_station_by_its_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let (port, station) = health("ready");
    let endpoints = format!("{{\"scpi\":\"0.0.0.0:{port}\",\"legacy\":\"0.0.0.0:1\"}}");
    fs::write(data.join("endpoints.json"), endpoints).unwrap();
    let folder = folder.path().to_str().unwrap();
    let (code, out, err) = run(&["status", "--board=sim", "--state-dir", folder]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 3);
    station.join().unwrap();
}

#[test]
fn status_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    fs::write(&file, "[scpi]\nport = 0\n").unwrap();
    let config = file.to_str().unwrap();
    let folder = folder.path().to_str().unwrap();
    assert_eq!(
        run(&["status", "--config", config, "--state-dir", folder]),
        said(
            1,
            "",
            &format!(
                "outpost: no station runs here: {folder}/data/endpoints.json does not exist or \
                 names no scpi address\n"
            )
        )
    );
}
