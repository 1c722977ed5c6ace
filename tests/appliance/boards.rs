//! `boards/README.md` lists exactly the keys that the program takes, in its words for what is needed.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// A profile with a key that nobody knows in every table: the refusals list what is allowed there.
const NOBODY_KNOWS: &str = "zzz = 1
uart = [{ zzz = 1 }]
spi = [{ zzz = 1 }]
reserved = [{ zzz = 1 }]
gpio = { zzz = 1 }
header = { 2 = { zzz = 1 } }
tcam = { zzz = 1 }
opc = { zzz = 1 }
lines = { zzz = 1, status_led = { zzz = 1 } }
camera = { zzz = 1 }
ramdisk = { zzz = 1 }
";

/// What the program says of that profile: for each table its keys, and those that are needed.
fn of_the_program() -> BTreeMap<String, Vec<(String, bool)>> {
    // A table that is needed is missed only where it is not.
    let said = refusal(NOBODY_KNOWS) + &refusal("");
    let mut tables = BTreeMap::new();
    for line in said.lines() {
        let Some((start, allowed)) = line.split_once(": unknown key (allowed: ") else {
            continue;
        };
        let key = start.rsplit(": ").next().unwrap();
        let table = key.trim_end_matches("zzz").trim_end_matches('.');
        let keys = allowed.trim_end_matches(')').split(", ").map(|name| {
            let full = match table {
                "" => name.to_owned(),
                table => format!("{table}.{name}"),
            };
            (
                name.to_owned(),
                said.contains(&format!(" {full}: is missing")),
            )
        });
        let keys: Vec<_> = keys.collect();
        tables.insert(title(table), keys);
    }
    tables
}

/// What is wrong with a profile.
fn refusal(profile: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.toml");
    fs::write(&path, profile).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["check", "--board"])
        .arg(&path)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// The heading of a table in the document.
fn title(table: &str) -> String {
    match table {
        "" => "The profile".into(),
        "header.2" => "header".into(),
        "lines.status_led" => "lines.*".into(),
        table => table.trim_end_matches("[0]").into(),
    }
}

fn of_the_document() -> BTreeMap<String, Vec<(String, bool)>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/boards/README.md");
    let text = fs::read_to_string(path).unwrap();
    let mut tables: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    let mut heading = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            heading = name;
        }
        if let Some(row) = line.strip_prefix("| `") {
            let (name, rest) = row.split_once('`').unwrap();
            let value = rest.split('|').nth(1).unwrap();
            let keys = tables.entry(heading.to_owned()).or_default();
            keys.push((name.to_owned(), value.contains("needed")));
        }
    }
    tables
}

#[test]
fn the_document_of_the_profiles_lists_every_key() {
    let program = of_the_program();
    assert_eq!(program.len(), 12, "{program:?}");
    let sorted = |keys: &Vec<(String, bool)>| {
        let mut keys = keys.clone();
        keys.sort();
        keys
    };
    let document = of_the_document();
    for (table, keys) in &program {
        let described = document.get(table).unwrap_or_else(|| panic!("{table}"));
        assert_eq!(sorted(described), sorted(keys), "{table}");
    }
    assert_eq!(document.len(), program.len());
}
