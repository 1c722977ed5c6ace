//! The configuration: defaults, layers, and the words of every refusal.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use outpost::config::keys::KEYS;
use outpost::config::{
    BitscopeUrl, CameraBackend, Config, HostPort, ImageFormat, Loaded, Msp1000Address, Origin,
    Sources, Trust,
};
use proptest::prelude::*;
use toml::{Table, Value};

const FULL: &str = include_str!("data/config/full.toml");

/// Sources that do not depend on the machine that runs the test.
fn sources(board: &str) -> Sources {
    Sources {
        board: Some(board.into()),
        system_config: "/nonexistent/outpost.toml".into(),
        state_home: "/home/somebody/.local/state".into(),
        ..Sources::from_environment()
    }
}

fn load(text: &str) -> Loaded {
    Config::from_text("/etc/outpost/outpost.toml", text, &sources("sim"))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors of a text, one a line, without the file's name.
fn errors_of(text: &str) -> String {
    let result = Config::from_text("f", text, &sources("sim"));
    let errors = result.expect_err("the text should be refused").to_string();
    errors.replace("f:", "")
}

fn origin_of(loaded: &Loaded, path: &str) -> String {
    let setting = loaded.origins.get(path);
    setting.map_or("no such key".into(), |setting| setting.origin.to_string())
}

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
fn relative_paths_start_at_the_folder_of_the_file() {
    let loaded = load("[camera]\nreplay = \"frames\"\n[storage]\ndata = \"$XDG_STATE_HOME/x\"\n");
    let config = loaded.config;
    assert_eq!(config.camera.replay, Some("/etc/outpost/frames".into()));
    assert_eq!(
        config.storage.data,
        Path::new("/home/somebody/.local/state/x")
    );
    assert_eq!(
        config.tinycloud.pending_dir,
        Path::new("/home/somebody/.local/state/x/batches/pending")
    );
}

#[test]
fn whole_numbers_are_taken_for_fractional_keys_and_every_port_may_be_zero() {
    let ports = "[scpi]\nport = 0\nlegacy_port = 0\n[http]\nport = 0\n[tcam]\nserve_port = 0\n\
                 [msp1000]\nserve_port = 0\n[bitscope]\nserve_port = 0\n\
                 [camera]\nfps = 25\nanalogue_gain = 4\nhang_timeout_s = 1\n[opc]\ninterval_s = 60\n";
    let config = load(ports).config;
    assert_eq!((config.scpi.port, config.scpi.legacy_port), (0, 0));
    assert_eq!(config.camera.fps, 25.0);
    assert_eq!(config.opc.interval_s, 60.0);
}

#[test]
fn forms_of_addresses() {
    let address = |text: &str| {
        load(&format!("[msp1000]\naddress = \"{text}\""))
            .config
            .msp1000
            .address
    };
    let host = |host: &str, port| HostPort {
        host: host.into(),
        port,
    };
    assert_eq!(address("discover"), Msp1000Address::Discover);
    assert_eq!(
        address("spectro.local"),
        Msp1000Address::Host(host("spectro.local", 8000))
    );
    assert_eq!(
        address("10.0.0.7:9000"),
        Msp1000Address::Host(host("10.0.0.7", 9000))
    );
    assert_eq!(
        address("[fe80::1]:9000"),
        Msp1000Address::Host(host("fe80::1", 9000))
    );
    assert_eq!(
        address("fe80::1"),
        Msp1000Address::Host(host("fe80::1", 8000))
    );
    assert_eq!(
        address("msp1000-plain://127.0.0.1:9"),
        Msp1000Address::Plain("127.0.0.1:9".parse().unwrap())
    );
    let url = |text: &str| {
        load(&format!("[bitscope]\nurl = \"{text}\""))
            .config
            .bitscope
            .url
    };
    let serial = BitscopeUrl::Serial("/dev/ttyUSB0".into());
    assert_eq!(url("/dev/ttyUSB0"), serial);
    assert_eq!(url("file:/dev/ttyUSB0"), serial);
    assert_eq!(url("socket:///dev/ttyUSB0"), serial);
    assert_eq!(url("socket://scope:9"), BitscopeUrl::Tcp(host("scope", 9)));
    assert_eq!(
        url("bitscope-server://192.168.20.25:15500"),
        BitscopeUrl::Server(host("192.168.20.25", 15500))
    );
    let pin = |text: &str| {
        load(&format!("[msp1000]\npin = \"{text}\""))
            .config
            .msp1000
            .pin
    };
    let mut hash = [0xAB; 32];
    hash[0] = 0x01;
    assert_eq!(pin(&format!("01{}", "ab".repeat(31))), Trust::Sha256(hash));
    assert_eq!(pin(&format!("01{}", ":AB".repeat(31))), Trust::Sha256(hash));
    assert_eq!(
        pin("ca:/etc/ca.pem"),
        Trust::Authority("/etc/ca.pem".into())
    );
    assert_eq!(pin("none"), Trust::None);
    let tcam = load("[tcam]\nlink = \"network\"\nhost = \"tcam-mini-51a0.local\"")
        .config
        .tcam;
    assert_eq!(tcam.host, Some(host("tcam-mini-51a0.local", 5001)));
}

#[test]
fn the_formats_keep_their_order() {
    let formats = load("[camera]\nformats = [\"fits\", \"raw\"]")
        .config
        .camera
        .formats;
    assert_eq!(formats, [ImageFormat::Fits, ImageFormat::Raw]);
    for format in ImageFormat::ALL {
        let text = format!("[camera]\nformats = [\"{}\"]", format.name());
        assert_eq!(load(&text).config.camera.formats, [format]);
    }
}

#[test]
fn every_broken_file_gets_all_its_messages() {
    let folder = Path::new("tests/data/config/broken");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        let errors = Config::from_text(&name, &text, &sources("sim")).unwrap_err();
        assert_eq!(errors.to_string(), expected.trim_end(), "{name}");
        count += 1;
    }
    assert!(count >= 6, "only {count} broken files were found");
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        errors_of("[discovery]\nname = \"Größe µ\" # µ\n[camera]\n\"µ\" = 1\nfps = 0\n"),
        "4:1: camera.µ: unknown key (allowed: enabled, backend, replay, fps, analogue_gain, formats, \
         hang_timeout_s, sim_paced, sim_seed)\n\
         5:7: camera.fps: 0 is not in 0.002..120 (frames per second)"
    );
    assert_eq!(
        errors_of("tcam = { enabled = true, emissivity = 0 }"),
        "1:39: tcam.emissivity: 0 is not in 1..100 (percent)"
    );
}

#[test]
fn not_a_number_and_infinity_are_out_of_range() {
    for word in ["nan", "inf", "-inf", "1e999"] {
        let errors = errors_of(&format!("[camera]\nfps = {word}"));
        assert!(errors.starts_with("2:7: "), "{word}: {errors}");
    }
}

#[test]
fn deep_nesting_is_refused_and_names_the_file() {
    assert_eq!(
        errors_of(&format!("a = {}", "[".repeat(100_000))),
        "1:85: not valid TOML: cannot recurse further; max recursion depth met"
    );
    let errors = Config::from_text("f", &format!("[{}a]", "a.".repeat(10_000)), &sources("sim"));
    assert_eq!(
        errors.unwrap_err().to_string(),
        "f: not valid TOML: recursion limit"
    );
}

#[test]
fn a_file_that_is_not_text_is_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    fs::write(&file, b"log = \"info\"\n# caf\xe9\n").unwrap();
    let mut sources = sources("sim");
    sources.config = Some(file.clone());
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}:2:6: not UTF-8 text", file.display())
    );
    fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: is longer than 1048576 bytes", file.display())
    );
}

#[test]
fn an_unknown_board_is_refused_where_it_is_named() {
    let mut sources = sources("pi6");
    let error = Config::from_text("f", "", &sources)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "--board: there is no board profile \"pi6\", did you mean \"pi5\"? (allowed: auto, sim, \
         pi3b, pi4b, pi5, zero2w, cm4, or the path of a profile)"
    );
    sources.board = None;
    let error = Config::from_text("f", "\nboard = \"beagle\"", &sources).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f:2:9: board: there is no board profile \"beagle\" (allowed: auto, sim, pi3b, pi4b, pi5, \
         zero2w, cm4, or the path of a profile)"
    );
}

#[test]
fn paths_that_old_clients_cannot_see_are_warned_of() {
    let fits = "/srv/abcdefghijklmnopqrstuvwxyz";
    assert_eq!(fits.len(), 31);
    let loaded = load(&format!("[storage]\nramdisk = \"/r\"\nsdcard = \"{fits}\""));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let loaded = load(&format!(
        "[storage]\nramdisk = \"/r\"\nsdcard = \"{fits}z\""
    ));
    assert_eq!(
        loaded.warnings,
        [format!(
            "storage.sdcard: {fits}z is 32 bytes long; FE-PyCam2 clients see only the first 31 \
             bytes of a path"
        )]
    );
}

#[test]
fn a_replay_folder_that_is_not_there_is_warned_of() {
    let loaded = load("[camera]\nbackend = \"replay\"\nreplay = \"/nonexistent\"");
    assert_eq!(loaded.config.camera.backend, CameraBackend::Replay);
    assert_eq!(
        loaded.warnings,
        ["camera.replay: /nonexistent is not a folder"]
    );
}

#[test]
fn ports_clash_only_between_listeners_that_run_on_one_address() {
    assert_eq!(
        errors_of("[tcam]\nserve_port = 5025"),
        "2:14: tcam.serve_port: port 5025 is taken by scpi.port as well"
    );
    assert_eq!(
        errors_of("[scpi]\nport = 8000"),
        "2:8: scpi.port: port 8000 is taken by msp1000.serve_port as well"
    );
    load("[tcam]\nserve_port = 5025\nenabled = false");
    load("[tcam]\nserve_port = 5025\nbind = \"127.0.0.2\"");
    // UDP and TCP do not meet.
    load("[bitscope]\nserve_port = 5025");
}

#[test]
fn sections_that_are_not_there_yet_are_named_when_enabled() {
    assert_eq!(load("").unavailable(), ["http", "msp1000", "bitscope"]);
    let off = "tcam.enabled = false\nopc.enabled = false\nmsp1000.enabled = false\n\
               bitscope.enabled = false\ndiscovery.enabled = true";
    assert_eq!(load(off).unavailable(), ["http", "discovery"]);
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

/// Lines that look enough like a configuration to get past the TOML parser.
fn plausible() -> impl Strategy<Value = String> {
    let key = (0..KEYS.len()).prop_map(|index| KEYS[index].path());
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0..200i64).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}").replace("NaN", "nan")),
        any::<bool>().prop_map(|flag| flag.to_string()),
        "[a-z:/.0-9]{0,12}".prop_map(|text| format!("\"{text}\"")),
        Just("[\"raw\", \"png\"]".to_owned()),
        Just("{ a = 1 }".to_owned()),
    ];
    prop::collection::vec((key, value), 0..6).prop_map(|lines| {
        let lines = lines.iter().map(|(key, value)| format!("{key} = {value}"));
        lines.collect::<Vec<_>>().join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Config::from_text("f", &text, &sources("sim"));
    }

    #[test]
    fn effective_values_read_back_as_themselves(text in plausible()) {
        match Config::from_text("/f", &text, &sources("sim")) {
            Ok(loaded) => {
                let lines = loaded.origins.iter();
                let lines = lines.map(|setting| format!("{} = {}\n", setting.key.path(), setting.value));
                let again = load(&lines.collect::<String>());
                prop_assert_eq!(again.config, loaded.config);
            }
            Err(errors) => {
                let lines = text.lines().count();
                for problem in &errors.0 {
                    if let Some(place) = &problem.place {
                        prop_assert!((1..=lines).contains(&place.line), "{problem}");
                    }
                }
            }
        }
    }
}
