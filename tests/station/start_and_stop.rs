//! Starting, refusing to start, stopping in order and being killed (design.md 2.2, 3, 4).

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Output, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::clients::fill;
use super::harness::{Setup, Station, eventually, names_in, number, serve, short_folder, unpickle};

/// Starts what must not start; gives standard error.
fn refused(folder: &TempDir, more: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = serve(folder.path()).args(more).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(!String::from_utf8_lossy(&stdout).contains("ready"));
    assert!(!folder.path().join("data/endpoints.json").exists());
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

#[test]
fn endpoints_are_told_before_ready() {
    let folder = short_folder();
    Setup::small().write(folder.path());
    let mut child = serve(folder.path()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let told: Vec<String> = (0..6).map(|_| next()).collect();
    assert_eq!(next(), "ready");
    let json = fs::read(folder.path().join("data/endpoints.json")).unwrap();
    let endpoints: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let names = ["scpi", "legacy", "tcam", "msp1000", "http", "bitscope"];
    let written = names.map(|name| format!("{name} {}", endpoints[name].as_str().unwrap()));
    assert_eq!(told, written);
    let scpi = &told[0];
    assert!(scpi.starts_with("scpi 127.0.0.1:") && !scpi.ends_with(":0"));
    for folder in ["ramdisk/Captures", "data"].map(|name| folder.path().join(name)) {
        assert!(folder.is_dir());
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!folder.path().join("data/endpoints.json").exists());
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (ports, key) in [([port, 0], "scpi.port"), ([0, port], "scpi.legacy_port")] {
        let folder = short_folder();
        Setup::small().ports(ports).write(folder.path());
        let said = refused(&folder, &[]);
        assert!(
            said.contains(&format!("127.0.0.1:{port}")) && said.contains(key),
            "{said}"
        );
        assert!(said.to_lowercase().contains("in use"), "{said}");
    }
}

#[test]
fn a_second_station_on_the_same_ports_does_not_disturb_the_first() {
    let first = Setup::small().start();
    let folder = short_folder();
    Setup::small()
        .ports([first.scpi.port(), first.legacy.port()])
        .write(folder.path());
    refused(&folder, &[]);
    assert_eq!(first.legacy_client().ask("IDN?"), "PiCam2");
    first.stop();
}

#[test]
fn an_impossible_ram_disk_is_named() {
    for (file, named) in [
        ("ramdisk", "ramdisk"),
        ("ramdisk/Captures", "Captures"),
        ("data", "data"),
    ] {
        let folder = short_folder();
        Setup::small().write(folder.path());
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "a file where a folder belongs").unwrap();
        let said = refused(&folder, &[]);
        assert!(
            said.contains(named) && said.contains(folder.path().to_str().unwrap()),
            "{said}"
        );
    }
}

#[test]
fn a_malformed_configuration_is_told_with_its_place() {
    for (text, place, named) in [
        ("[scpi]\nprot = 1\n", ":2:1", "port"),
        ("[scpi]\nport = \"x\"\n", ":2:8", "port"),
        ("log = \"info\"\n[camera\n", ":2:", "table"),
        ("[camera]\nfps = -1\n", ":2:7", "fps"),
    ] {
        let folder = short_folder();
        let config = folder.path().join("c.toml");
        fs::write(&config, text).unwrap();
        let said = refused(&folder, &[]);
        assert!(
            said.contains(&format!("{}{place}", config.display())),
            "{said}"
        );
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn a_malformed_board_profile_is_told_with_its_place() {
    let folder = short_folder();
    Setup::small().write(folder.path());
    let board = folder.path().join("board.toml");
    fs::write(&board, "id = \"mine\"\nnme = \"My board\"\n").unwrap();
    // The flag stands in for the configuration's own board.
    let said = refused(&folder, &["--board", board.to_str().unwrap()]);
    assert!(said.contains(&format!("{}:", board.display())), "{said}");
    assert!(said.contains("nme"), "{said}");
    let said = refused(&folder, &["--board", "no-such-board"]);
    assert!(
        said.contains("no-such-board") && said.contains("pi4b"),
        "{said}"
    );
}

#[test]
fn a_camera_that_is_not_there_is_told_and_found_when_it_comes() {
    let folder = short_folder();
    Setup::small().write(folder.path());
    let (replay, away) = (folder.path().join("replay"), folder.path().join("away"));
    fs::rename(&replay, &away).unwrap();
    let station = Station::launch(folder);
    let (mut client, mut idle) = (station.client(), station.client());
    let mut health = serde_json::Value::Null;
    eventually("the failure", || {
        health = client.json("SYST:HEAL? camera");
        health["state"] == "failed"
    });
    assert!(
        health["reason"].as_str().unwrap().contains("replay"),
        "{health}"
    );
    assert!(
        health["retry_at"].as_str().unwrap().ends_with('Z'),
        "{health}"
    );
    client.send("CAM:STAT?\n");
    let errors: Vec<i32> = client.errors().iter().map(|e| number(e)).collect();
    assert!(errors.contains(&-241), "{errors:?}");
    // Who came after the first try is not told at each further one.
    let first = health["retry_at"].clone();
    eventually("the next try", || {
        health = client.json("SYST:HEAL? camera");
        health["state"] == "failed" && health["retry_at"] != first
    });
    assert_eq!(idle.query("SYST:ERR:COUN?"), "0");
    eventually("the questionable bit", || {
        client.query("STAT:QUES:COND?").parse::<u32>().unwrap() & 2048 == 2048
    });
    eventually("a failed self-test", || client.query("*TST?") == "1");
    fs::rename(&away, &replay).unwrap();
    eventually("the camera", || {
        client.json("SYST:HEAL? camera")["state"] == "ready"
    });
    assert_eq!(client.query("*TST?;:STAT:QUES:COND?"), "0;0");
    assert_eq!(
        station.legacy_client().ask("CAP:SEQFET A 1000 1 0.2 0"),
        "ack"
    );
    station.stop();
}

/// Every picture in the image folder that a client can list is whole, and nothing else is left.
fn assert_only_whole_pictures(folder: &TempDir) -> usize {
    let images = folder.path().join("ramdisk/Captures");
    let names = names_in(&images);
    for name in &names {
        assert!(!name.starts_with('.'), "{name}");
        if name.ends_with(".raw") {
            unpickle(&fs::read(images.join(name)).unwrap());
        }
    }
    names.len()
}

#[test]
fn sigterm_in_the_middle_of_a_capture_leaves_whole_pictures() {
    let station = Setup::slow().start();
    let mut client = station.client();
    client.command("CAP:SEQFET 'T',(1000),1000,0,1");
    station.wait_for_files(2);
    let folder = station.stop();
    assert!(assert_only_whole_pictures(&folder) >= 2);
    assert!(!folder.path().join("data/endpoints.json").exists());
    assert_eq!(client.rest(), b"");
}

#[test]
fn sigterm_answers_the_program_that_waits_for_its_capture() {
    let station = Setup::slow().start();
    let mut client = station.legacy_client();
    client.send("CAP:SEQFET T 1000 1000 0.2 1");
    station.wait_for_files(1);
    let folder = station.stop();
    assert_eq!(client.rest(), b"nak");
    assert_only_whole_pictures(&folder);
}

#[test]
fn idle_clients_see_the_end_of_the_station() {
    let station = Setup::small().start();
    let (mut scpi, mut legacy) = (station.client(), station.legacy_client());
    assert_eq!(scpi.query("*ESE?"), "0");
    assert_eq!(legacy.ask("IDN?"), "PiCam2");
    station.stop();
    assert_eq!(scpi.rest(), b"");
    assert_eq!(legacy.rest(), b"");
}

#[test]
fn a_client_that_takes_no_output_does_not_keep_the_station() {
    let station = Setup::small().start();
    let deaf = station.client();
    fill(deaf.stream(), b"SYST:HELP:HEAD?\n");
    fs::write(station.images().join("large.bin"), vec![0; 32 << 20]).unwrap();
    let mut slow = station.client();
    slow.send("MMEM:DATA? 'large.bin'\n");
    assert_eq!(slow.take(2), b"#8");
    let folder = station.stop();
    let said = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!said.contains("did not end in time"), "{said}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut station = Setup::small().start();
    // A client that does not read has two seconds to take its replies.
    let deaf = station.client();
    let message = format!("SYST:ECHO? \"{}\"\n", "x".repeat(4000));
    fill(deaf.stream(), message.as_bytes());
    station.terminate();
    eventually("the first signal to be seen", || {
        station.log().contains("stopping")
    });
    station.terminate();
    assert!(!station.wait().success());
}

#[test]
fn killed_in_the_middle_of_a_capture_it_finds_order_again() {
    let station = Setup::simulated().start();
    let mut client = station.client();
    client.command("CAP:SEQFET 'K',(1000),60,0,0");
    station.wait_for_files(2);
    let folder = station.kill();
    let (images, ramdisk) = (
        folder.path().join("ramdisk/Captures"),
        folder.path().join("ramdisk"),
    );
    assert!(folder.path().join("data/endpoints.json").exists());
    let listed = |name: &String| !name.starts_with('.');
    for name in names_in(&images).iter().filter(|name| listed(name)) {
        unpickle(&fs::read(images.join(name)).unwrap());
    }
    // Whatever it was at: an unfinished file surely lies about.
    fs::write(images.join(".K_ss=1000_0900.raw.900.tmp"), "unfinished").unwrap();
    fs::write(ramdisk.join(".a.tar.gz.901.tmp"), "unfinished").unwrap();
    let station = Setup::small().start_in(folder);
    assert!(station.files().len() >= 2);
    assert_eq!(station.legacy_client().ask("IDN?"), "PiCam2");
    let folder = station.stop();
    assert_only_whole_pictures(&folder);
    assert_eq!(names_in(&ramdisk), ["Captures"]);
}

#[test]
fn a_capture_that_still_waits_is_answered_when_the_station_stops() {
    let mut station = Setup::paced().start();
    let (mut first, mut second) = (station.legacy_client(), station.legacy_client());
    let mut other = station.client();
    first.send("CAP:SEQFET A 1000 60 0.2 0");
    eventually("the first capture runs", || {
        other.query("STAT:OPER:COND?") == "16"
    });
    second.send("CAP:SEQFET B 1000 1 0.2 0");
    eventually("the second capture waits", || {
        other.json("SYST:JOB:LIST?").as_array().unwrap().len() == 2
    });
    station.terminate();
    assert_eq!(second.take(3), b"nak");
    assert_eq!(first.take(3), b"nak");
    assert_eq!(station.wait().code(), Some(0));
}
