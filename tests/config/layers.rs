//! Defaults, the documented file, and what covers what.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use outpost::config::keys::KEYS;
use outpost::config::{Config, ImageFormat, Origin, Trust};
use toml::{Table, Value};

use super::support::{load, origin_of, sources};

const FULL: &str = include_str!("../data/config/full.toml");

#[test]
fn the_documented_file_holds_every_key_with_its_default() {
    let documented: Table = toml::from_str(FULL).unwrap();
    let mut count = 0;
    for key in KEYS {
        let table = match key.section {
            "" => &documented,
            section => documented[section].as_table().unwrap(),
        };
        // Seconds are written without a fraction; the key takes one.
        let written = match (&table[key.name], key.default.value()) {
            (Value::Integer(number), Value::Float(_)) => Value::Float(*number as f64),
            (value, _) => value.clone(),
        };
        assert_eq!(written, key.default.value(), "{}", key.path());
        count += 1;
    }
    let sections: Vec<&Table> = documented.values().filter_map(Value::as_table).collect();
    let nested: usize = sections.iter().map(|section| section.len()).sum();
    assert_eq!(count, nested + documented.len() - sections.len());
}

#[test]
fn the_documented_file_says_what_an_empty_one_does() {
    let expected = Config {
        board: "sim".into(), // it stands on the command line
        ..Config::default()
    };
    assert_eq!(load(FULL).config, expected);
}

#[test]
fn built_in_defaults_are_those_of_the_documentation() {
    let config = Config::default();
    assert_eq!(config.scpi.bind, IpAddr::from([0, 0, 0, 0]));
    assert_eq!(
        (config.scpi.port, config.scpi.legacy_port, config.http.port),
        (5025, 5060, 8080)
    );
    assert_eq!(
        (
            config.tcam.serve_port,
            config.msp1000.serve_port,
            config.bitscope.serve_port
        ),
        (5001, 8000, 15500)
    );
    assert_eq!(config.storage.images, Path::new("/media/ramdisk/Captures"));
    assert_eq!(config.camera.fps, 10.0);
    assert_eq!(config.camera.formats, [ImageFormat::Raw]);
    assert_eq!(
        config.opc.database,
        Path::new("/var/lib/outpost/readings.db")
    );
    assert_eq!(config.tcam.uart, None);
    assert_eq!(config.msp1000.pin, Trust::FirstUse);
}

#[test]
fn the_simulated_board_stays_on_the_machine_and_in_the_users_folders() {
    let loaded = load("");
    let config = &loaded.config;
    assert_eq!(config.scpi.bind, IpAddr::from([127, 0, 0, 1]));
    assert_eq!(config.tcam.bind, config.scpi.bind);
    assert_eq!(config.storage.ramdisk, Path::new("/dev/shm/outpost"));
    assert_eq!(
        config.storage.data,
        Path::new("/home/somebody/.local/state/outpost")
    );
    assert!(!config.discovery.enabled);
    assert_eq!(origin_of(&loaded, "scpi.bind"), "board sim");
    assert_eq!(origin_of(&loaded, "tcam.bind"), "follows scpi.bind");
    assert_eq!(origin_of(&loaded, "camera.fps"), "default");
}

#[test]
fn each_layer_covers_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    fs::write(
        &file,
        "[scpi]\nbind = \"::1\"\n[storage]\ndata = \"/srv/data\"\n",
    )
    .unwrap();
    let mut sources = sources("sim");
    sources.config = Some(file.clone());
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(loaded.config.scpi.bind.to_string(), "::1");
    let expected = format!("{}:2", file.display());
    assert_eq!(origin_of(&loaded, "scpi.bind"), expected);
    assert_eq!(loaded.file, Some(file));

    sources.state_dir = Some(folder.path().join("trial"));
    let loaded = Config::load(&sources).unwrap();
    let storage = &loaded.config.storage;
    assert_eq!(storage.ramdisk, folder.path().join("trial/ramdisk"));
    assert_eq!(storage.images, folder.path().join("trial/ramdisk/Captures"));
    assert_eq!(storage.data, folder.path().join("trial/data"));
    assert_eq!(
        loaded.endpoints(),
        folder.path().join("trial/data/endpoints.json")
    );
    assert_eq!(origin_of(&loaded, "storage.data"), "--state-dir");
    assert_eq!(origin_of(&loaded, "board"), "--board");
}

#[test]
fn the_system_file_is_read_only_when_no_other_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let system = folder.path().join("system.toml");
    fs::write(&system, "[camera]\nfps = 5\n").unwrap();
    let other = folder.path().join("other.toml");
    fs::write(&other, "").unwrap();
    let mut sources = sources("sim");
    sources.system_config = system;
    assert_eq!(Config::load(&sources).unwrap().config.camera.fps, 5.0);
    sources.config = Some(other);
    assert_eq!(Config::load(&sources).unwrap().config.camera.fps, 10.0);
    sources.config = Some(folder.path().join("missing.toml"));
    let error = Config::load(&sources).unwrap_err().to_string();
    assert!(
        error.ends_with("missing.toml: cannot be read: No such file or directory (os error 2)"),
        "{error}"
    );
}

#[test]
fn the_board_of_the_file_counts_unless_a_flag_names_another() {
    let mut sources = sources("sim");
    let text = "board = \"pi5\"";
    assert_eq!(
        Config::from_text("f", text, &sources).unwrap().board.id,
        "sim"
    );
    sources.board = None;
    let loaded = Config::from_text("f", text, &sources).unwrap();
    assert_eq!(loaded.board.id, "pi5");
    assert_eq!(loaded.config.tcam.uart, Some("/dev/ttyAMA0".into()));
    assert_eq!(loaded.config.tcam.spi, Some("/dev/spidev0.0".into()));
    assert_eq!(origin_of(&loaded, "tcam.spi"), "board pi5");
    // "" means "that of the board", also when written out.
    let text = "board = \"pi5\"\n[tcam]\nuart = \"\"\nspi = \"/dev/spidev0.1\"";
    let loaded = Config::from_text("f", text, &sources).unwrap();
    assert_eq!(loaded.config.tcam.uart, Some("/dev/ttyAMA0".into()));
    assert_eq!(loaded.config.tcam.spi, Some("/dev/spidev0.1".into()));
}

#[test]
fn a_profile_can_be_a_file_and_bring_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = fs::read_to_string("boards/sim.toml").unwrap();
    let text = shipped.replace("id = \"sim\"", "id = \"bench\"")
        + "\n[defaults.camera]\nfps = 2\nreplay = \"frames\"\n";
    fs::write(folder.path().join("bench.toml"), text).unwrap();
    let file = folder.path().join("outpost.toml");
    fs::write(&file, "board = \"bench.toml\"\n").unwrap();
    let mut sources = sources("sim");
    sources.config = Some(file);
    sources.board = None;
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(loaded.board.id, "bench");
    assert_eq!(loaded.config.camera.fps, 2.0);
    assert_eq!(
        loaded.config.camera.replay,
        Some(folder.path().join("frames"))
    );
    assert_eq!(origin_of(&loaded, "camera.fps"), "board bench");
}

#[test]
fn origins_name_every_key_once_in_order() {
    let loaded = load("");
    let paths: Vec<String> = loaded
        .origins
        .iter()
        .map(|setting| setting.key.path())
        .collect();
    let expected: Vec<String> = KEYS.iter().map(|key| key.path()).collect();
    assert_eq!(paths, expected);
    assert!(loaded.origins.get("camera.nothing").is_none());
    let origin = &loaded.origins.get("camera.fps").unwrap().origin;
    assert_eq!(*origin, Origin::Default);
}
