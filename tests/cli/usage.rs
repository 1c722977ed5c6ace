//! Help, version, and what is said to who calls it wrongly.

use super::support::{run, said};

const COMMANDS: [&str; 10] = [
    "serve", "check", "boards", "query", "status", "sim", "opc", "cloud", "setup", "support",
];

#[test]
fn every_command_has_a_help_text_that_fits_a_terminal() {
    let (code, overview, err) = run(&["--help"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for command in COMMANDS {
        assert!(
            overview.contains(&format!("\n  {command:8}  ")),
            "{command}"
        );
        let (code, help, err) = run(&[command, "--help"]);
        assert_eq!((code, err.as_str()), (0, ""), "{command}");
        assert!(help.contains("Usage: outpost "), "{help}");
        assert!(help.contains(command), "{help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        assert_eq!(run(&[command, "-h"]), said(0, &help, ""));
        assert_eq!(run(&["help", command]), said(0, &help, ""));
        assert_eq!(run(&["--help", command]), said(0, &help, ""));
    }
    assert_eq!(run(&["-h"]), said(0, &overview, ""));
    assert_eq!(run(&["help"]), said(0, &overview, ""));
    assert!(overview.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn every_flag_that_a_help_text_names_is_taken() {
    for command in ["serve", "check", "boards", "query", "status", "cloud"] {
        let (_, help, _) = run(&[command, "--help"]);
        let rows = help.lines().filter(|line| line.starts_with("  -"));
        let words = rows
            .flat_map(|row| row.split(|char: char| !char.is_ascii_alphanumeric() && char != '-'));
        for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            let value = format!("{flag}=1");
            let flag = if ["--help", "--version"].contains(&flag) {
                flag
            } else {
                &value
            };
            let (code, ..) = run(&[command, flag, "--help"]);
            assert_eq!(code, 0, "outpost {command} {flag}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = concat!("outpost ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&["--version"]), said(0, version, ""));
    assert_eq!(run(&["-V"]), said(0, version, ""));
    assert_eq!(run(&["check", "--version"]), said(0, version, ""));
}

#[test]
fn wrong_usage_is_explained_and_exits_with_2() {
    let cases: [(&[&str], &str); 15] = [
        (
            &["frob"],
            "there is no command \"frob\"\nTry 'outpost --help'.",
        ),
        (
            &["chekc"],
            "there is no command \"chekc\", did you mean check?\nTry 'outpost --help'.",
        ),
        (
            &["--bord", "sim"],
            "there is no flag --bord, did you mean --board?\nTry 'outpost --help'.",
        ),
        (
            &["check", "-x"],
            "there is no flag -x\nTry 'outpost check --help'.",
        ),
        (
            &["check", "--port", "1"],
            "there is no flag --port\nTry 'outpost check --help'.",
        ),
        (
            &["--port", "1"],
            "--port is no flag of serve\nTry 'outpost --help'.",
        ),
        (
            &["--port", "1", "boards"],
            "--port is no flag of boards\nTry 'outpost boards --help'.",
        ),
        (
            &["check", "--config"],
            "--config needs a value\nTry 'outpost check --help'.",
        ),
        (
            &["check", "now"],
            "there is nothing to do with \"now\"\nTry 'outpost check --help'.",
        ),
        (
            &["query", "--port=0", "*IDN?"],
            "--port takes a number in 1..65535, not \"0\"\nTry 'outpost query --help'.",
        ),
        (
            &["query", "--timeout=never", "*IDN?"],
            "--timeout takes seconds in 0.001..86400, not \"never\"\nTry 'outpost query --help'.",
        ),
        (
            &["query"],
            "query needs a SCPI message, such as '*IDN?'\nTry 'outpost query --help'.",
        ),
        (
            &["opc"],
            "opc needs to know what: test, read or recent\nTry 'outpost opc --help'.",
        ),
        (
            &["opc", "recent", "0"],
            "recent takes a number of rows from 1 to 500, not \"0\"\nTry 'outpost opc --help'.",
        ),
        (
            &["opc", "clean"],
            "opc cannot \"clean\": it can test, read and recent\nTry 'outpost opc --help'.",
        ),
    ];
    for (arguments, text) in cases {
        let expected = said(2, "", &format!("outpost: {text}\n"));
        assert_eq!(run(arguments), expected, "{arguments:?}");
    }
}
