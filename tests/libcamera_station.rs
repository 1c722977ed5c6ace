//! A whole station on a board with libcamera's Virtual pipeline: the built program, its ports and files. And one on a
//! Pi's profile in a build without libcamera.

#[allow(dead_code, unused_imports, reason = "the harness serves larger suites")]
#[path = "station/client.rs"]
mod client;
#[allow(dead_code, unused_imports, reason = "the harness serves larger suites")]
#[path = "station/harness.rs"]
mod harness;

use std::fs;

#[cfg(feature = "libcamera")]
use harness::unpickle;
use harness::{Station, short_folder};

#[cfg(feature = "libcamera")]
const CONFIGURED: &str = "/usr/share/libcamera/pipeline/virtual/virtual.yaml";
#[cfg(feature = "libcamera")]
const BOARD: &str = "id = \"virtual\"\nname = \"Virtual\"\ndescription = \"libcamera without hardware\"\n\
    [camera]\npipeline = \"virtual\"\nraw = \"packed12\"\n[ramdisk]\nsize_mb = 256\n";

/// A station with that board, by name or path, and `camera` in its section. No other instrument.
fn start(board: &str, camera: &str) -> Station {
    let folder = short_folder();
    start_in(folder, board, camera)
}

fn start_in(folder: tempfile::TempDir, board: &str, camera: &str) -> Station {
    let configuration = format!(
        "board = \"{board}\"\n[scpi]\nbind = \"127.0.0.1\"\nport = 0\nlegacy_port = 0\n[http]\nport = 0\n\
         [discovery]\nenabled = false\n[camera]\n{camera}\n[tcam]\nenabled = false\n[opc]\nenabled = false\n\
         [msp1000]\nenabled = false\n[bitscope]\nenabled = false\n",
    );
    fs::write(folder.path().join("c.toml"), configuration).unwrap();
    Station::launch(folder)
}

/// A station on the Virtual pipeline, where there is one.
#[cfg(feature = "libcamera")]
fn start_virtual(camera: &str) -> Option<Station> {
    if !std::path::Path::new(CONFIGURED).exists() {
        println!("skipped: no Virtual camera, {CONFIGURED} is missing");
        return None;
    }
    let folder = short_folder();
    let board = folder.path().join("board.toml");
    fs::write(&board, BOARD).unwrap();
    Some(start_in(folder, &board.display().to_string(), camera))
}

#[cfg(not(feature = "libcamera"))]
#[test]
fn a_build_without_libcamera_says_so_on_a_pi() {
    for (board, camera) in [
        ("pi4b", ""),
        ("pi5", ""),
        ("sim", "backend = \"libcamera\""),
    ] {
        let station = start(board, camera);
        let log = station.log();
        assert!(
            log.contains("cargo feature `libcamera`") && log.contains("package `outpost`"),
            "{board}: {log}"
        );
        let mut client = station.client();
        assert_eq!(client.json("SYST:HEAL? camera")["state"], "unavailable");
        assert_eq!(client.refused("CAM:CONF:SS 5MS"), -241);
        assert_eq!(station.legacy_client().ask("CAM:CONF:SS 5000"), "nak");
        station.stop();
    }
}

/// The Virtual camera passes for an IMX477, but not for one with raw frames.
#[cfg(feature = "libcamera")]
#[test]
fn a_camera_that_cannot_be_had_is_named_and_tried_again() {
    for board in ["pi4b", "pi5"] {
        let station = start(board, "");
        let health = station.client().json("SYST:HEAL? camera");
        assert_eq!(health["state"], "failed", "{health}");
        let reason = health["reason"].as_str().unwrap();
        assert!(
            reason.contains("libcamera finds no camera") || reason.contains("no raw stream"),
            "{reason}"
        );
        // The tuning files are of libcamera's packages for Arm.
        let log = station.log();
        assert!(log.contains("tuning"), "{log}");
        assert_eq!(station.legacy_client().ask("CAM:CONF:SS 5000"), "nak");
        assert_eq!(
            station.client().query("*IDN?").split(',').next(),
            Some("Outpost")
        );
        station.stop();
    }
}

#[cfg(feature = "libcamera")]
#[test]
fn a_capture_goes_through_actor_worker_and_ram_disk() {
    let Some(station) = start_virtual("backend = \"libcamera\"") else {
        return;
    };
    let mut scpi = station.client();
    let health = scpi.json("SYST:HEAL? camera");
    assert_eq!(health["state"], "ready", "{health}\n{}", station.log());
    let mut client = station.legacy_client();
    assert_eq!(client.ask("CAM:CONF:SS 5000"), "ack");
    assert_eq!(client.ask("CAM:CONF:AG 2"), "ack");
    assert_eq!(client.ask("SRV:IMG:BCLP 2000:1000"), "ack");
    assert_eq!(client.ask("CAP:SEQFET V 1000:2000 3 0.2 1"), "ack");
    let files = station.files();
    assert_eq!(files.len(), 7, "{files:?}");
    let mut pictures = Vec::new();
    for name in files.iter().filter(|name| name.ends_with(".raw")) {
        let (rows, columns, values) = unpickle(&station.image(name));
        // Bytes of plane 0, widened: 2000 pixels of 12 bits are 3000 bytes.
        assert_eq!((rows, columns), (1000, 3000), "{name}");
        assert!(values.iter().all(|&value| value < 256), "{name}");
        assert!(values.iter().any(|&value| value != values[0]), "{name}");
        pictures.push(values);
    }
    let log = String::from_utf8(station.image("V_SSCapture.log")).unwrap();
    assert_eq!(log.lines().count(), 6);
    assert!(log.contains(";sSS:2000;iSS:2000;"), "{log}");
    let metadata = scpi.json("CAM:MET?");
    assert_eq!(metadata["analogue_gain"], 2.0, "{metadata}");
    station.stop();
}

#[cfg(feature = "libcamera")]
#[test]
fn the_board_s_pipeline_is_enough_and_settings_restart_nothing() {
    let Some(station) = start_virtual("fps = 20.0") else {
        return;
    };
    let mut client = station.legacy_client();
    for round in 0..5 {
        assert_eq!(client.ask("CAM:CONF:FR 10"), "ack");
        assert_eq!(client.ask("CAM:CONF:SS 0"), "ack");
        let capture = format!("CAP:SEQFET r{round} 1000 1 0.2 0");
        assert_eq!(client.ask(&capture), "ack");
    }
    assert_eq!(station.files().len(), 5);
    assert_eq!(station.counter("camera", "starts"), 1);
    assert_eq!(station.counter("camera", "hangs"), 0);
    let log = station.log();
    assert!(
        !log.contains("WARN outpost") && !log.contains("ERROR outpost"),
        "{log}"
    );
    // libcamera is told to keep quiet, which it reads from the environment.
    assert!(!log.contains("configuring streams"), "{log}");
    station.stop();
}
