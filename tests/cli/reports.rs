//! What it tells without a station: the particle counter, boards, the check of the settings.

use std::fs;
use std::path::Path;

use super::support::{run, said};

#[test]
fn the_particle_counter_is_asked_without_a_station() {
    let folder = tempfile::tempdir().unwrap();
    let place = [
        "--board",
        "sim",
        "--state-dir",
        folder.path().to_str().unwrap(),
    ];
    let opc = |words: &[&str]| run(&[&["opc"], words, &place[..]].concat());
    assert_eq!(opc(&["recent"]), said(0, "no readings yet\n", ""));
    let database = folder.path().join("data/readings.db");
    assert!(!database.exists(), "looking made a database");
    let (code, text, err) = opc(&["test"]);
    assert_eq!((code, err.as_str()), (0, ""), "{text}");
    let head = "Asked by: this command, as no station is running\nLink: sim\nBridge: USB-ISS ";
    assert!(text.starts_with(head), "{text}");
    for line in [
        "Counter: OPC-N3 ",
        "Key: Bin 23 Value: ",
        "Key: Laser status Value: 608 (healthy)",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let (code, line, _) = opc(&["read"]);
    let numbers: Vec<f64> = line
        .strip_prefix("logging OPC_1 t:")
        .unwrap_or_else(|| panic!("{code} {line}"))
        .replace(" rh: ", "")
        .replace(" pms: ", "")
        .trim_end()
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert_eq!(numbers.len(), 5, "{line}");
    assert!(
        numbers[2] <= numbers[3] && numbers[3] <= numbers[4],
        "{line}"
    );
    assert!(!database.exists(), "reading stores nothing");
}

#[test]
fn a_particle_counter_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("outpost.toml");
    fs::write(&settings, "board = \"sim\"\n[opc]\nenabled = false\n").unwrap();
    let state = folder.path().to_str().unwrap();
    let flags = ["--config", settings.to_str().unwrap(), "--state-dir", state];
    let (code, out, err) = run(&[&["opc", "read"][..], &flags[..]].concat());
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "outpost: opc.enabled is off in the settings\n");
}

#[test]
fn boards_lists_every_profile_and_marks_one() {
    let (code, list, _) = run(&["boards"]);
    assert_eq!(code, 0);
    let ids: Vec<&str> = list
        .lines()
        .filter_map(|line| line[2..].split(' ').next())
        .collect();
    assert_eq!(ids, ["sim", "pi3b", "pi4b", "pi5", "zero2w", "cm4"]);
    let marked = list.lines().filter(|line| line.starts_with("* ")).count();
    assert_eq!(marked, 1, "{list}");
}

#[test]
fn check_shows_values_with_origin_wiring_and_what_is_not_there_yet() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    fs::write(&file, "[camera]\nfps = 5\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, report, err) = run(&["check", "--board=pi5", "--config", file, "--state-dir=/s"]);
    assert_eq!((code, err.as_str()), (0, ""), "{report}");
    let has = |line: &str| {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            report.lines().any(|other| squeezed(other) == line),
            "{line}\n{report}"
        );
    };
    has(&format!("Configuration: {file}"));
    has("Board: pi5, Raspberry Pi 5 (chosen by --board)");
    has("setting value origin");
    has(&format!("camera.fps 5.0 {file}:2"));
    has("storage.data \"/s/data\" --state-dir");
    has("tcam.uart \"/dev/ttyAMA0\" board pi5");
    has("tcam.bind \"0.0.0.0\" follows scpi.bind");
    has("scpi.port 5025 default");
    has("8 GPIO14 uart0 TX thermal camera RX");
    has(
        "config.txt needs: dtparam=uart0=on, dtparam=spi=on, dtoverlay=nospi10, dtoverlay=gpio-shutdown,gpio_pin=27,active_low=1,gpio_pull=up",
    );
    has("No conflicts.");
}

#[test]
fn check_reports_conflicts_and_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    let text =
        "[tcam]\nspi_hz = 8000000\n[storage]\nsdcard = \"/media/a-card-with-a-rather-long-name\"\n";
    fs::write(&file, text).unwrap();
    let (code, report, err) = run(&["check", "--board=pi4b", "--config", file.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (1, ""));
    let verdict: Vec<&str> = report.lines().rev().take(3).collect();
    assert_eq!(
        verdict,
        [
            "1 conflict.",
            "conflict: tcam.spi_hz: 8000000 is above the 7200000 hertz that the thermal camera bears",
            "warning: storage.sdcard: /media/a-card-with-a-rather-long-name is 37 bytes long; \
             FE-PyCam2 clients see only the first 31 bytes of a path",
        ]
    );
}

#[test]
fn check_reports_every_mistake_by_its_place() {
    let broken = Path::new("tests/data/config/broken/ranges.toml");
    let (code, out, err) = run(&["check", "--config", broken.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (1, ""));
    let expected = fs::read_to_string(broken.with_extension("txt")).unwrap();
    let folder = broken.parent().unwrap().to_str().unwrap();
    assert_eq!(err.replace(&format!("{folder}/"), ""), expected);
    assert_eq!(
        run(&["check", "--config", "/nonexistent.toml"]),
        said(
            1,
            "",
            "/nonexistent.toml: cannot be read: No such file or directory (os error 2)\n"
        )
    );
}
