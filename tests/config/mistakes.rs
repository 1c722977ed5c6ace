//! The words of every refusal, and that nothing causes a panic.

use std::fs;
use std::path::{Path, PathBuf};

use outpost::config::Config;
use outpost::config::keys::KEYS;
use proptest::prelude::*;

use super::support::{errors_of, load, sources};

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
