//! `outpost cloud import`: the settings of batonopc in the words of this station.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::cli::{Failure, complain};

/// No settings file is longer.
const LONGEST_BYTES: u64 = 64 * 1024;
const KEY_FILE: &str = "gateway_key.txt";

/// What becomes of a key of the older program.
enum Meaning {
    Text(&'static str, &'static str),
    /// A file or folder; a relative one starts where the settings are.
    Path(&'static str, &'static str),
    Seconds(&'static [(&'static str, &'static str)]),
    Bool(&'static str, &'static str),
    /// Nothing here depends on it.
    Ignored,
}

const INTERVALS: &[(&str, &str)] = &[
    ("tinycloud", "batch_interval_s"),
    ("tinycloud", "upload_interval_s"),
];

const KEYS: &[(&str, Meaning)] = &[
    ("GADGET_ID", Meaning::Text("opc", "gadget_id")),
    (
        "LOGGING_INTERVAL_SECS",
        Meaning::Seconds(&[("opc", "interval_s")]),
    ),
    ("DBNAME", Meaning::Path("opc", "database")),
    ("DB_TABLE", Meaning::Text("opc", "table")),
    ("API", Meaning::Text("tinycloud", "api")),
    ("UPLOAD_INTERVAL_SECS", Meaning::Seconds(INTERVALS)),
    ("BATCH_MODE", Meaning::Text("tinycloud", "batch_mode")),
    ("BATCH_TYPE", Meaning::Text("tinycloud", "batch_type")),
    (
        "BATCH_DIR_PENDING",
        Meaning::Path("tinycloud", "pending_dir"),
    ),
    (
        "BATCH_DIR_UPLOADED",
        Meaning::Path("tinycloud", "uploaded_dir"),
    ),
    (
        "DELETE_BATCH_ON_UPLOAD",
        Meaning::Bool("tinycloud", "delete_batch_on_upload"),
    ),
    (
        "DELETE_READING_ON_ZIP",
        Meaning::Bool("tinycloud", "delete_reading_on_zip"),
    ),
    ("BATCH_DBNAME", Meaning::Ignored),
    ("BATCH_TABLE", Meaning::Ignored),
    ("GADGET_TYPE", Meaning::Ignored),
    ("GASCLOUD_KEY", Meaning::Ignored),
];

/// The settings as TOML. What cannot be taken over is told on standard error.
pub(super) fn import(file: &Path) -> Result<String, Failure> {
    let failed = |what: &str| Failure::Failed(format!("{}: {what}", file.display()));
    let size = fs::metadata(file).map_err(|error| failed(&error.to_string()))?;
    if size.len() > LONGEST_BYTES {
        return Err(failed("too long for settings"));
    }
    let text = fs::read_to_string(file).map_err(|error| failed(&error.to_string()))?;
    let folder = std::path::absolute(file)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let (entries, remarks) = translate(&text, folder);
    for remark in remarks {
        complain(&format!("outpost: {}: {remark}", file.display()));
    }
    if entries.is_empty() {
        return Err(failed("no settings of batonopc in it"));
    }
    let key_file = Some(folder.join(KEY_FILE)).filter(|path| path.exists());
    Ok(written(&entries, key_file))
}

type Entry = (&'static str, &'static str, Value);

/// The settings that have a meaning here, and remarks on those that have none.
fn translate(text: &str, folder: &Path) -> (Vec<Entry>, Vec<String>) {
    let (mut entries, mut remarks) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let Some((key, value)) = pair(line) else {
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                remarks.push(format!("left out: {}", line.trim().escape_debug()));
            }
            continue;
        };
        let known = KEYS.iter().find(|(name, _)| *name == key);
        let taken = match known.map(|(_, meaning)| meaning) {
            None => Err("no such setting here"),
            Some(meaning) => value_of(meaning, &value, folder),
        };
        match taken {
            Ok(taken) => entries.extend(taken),
            Err(why) => remarks.push(format!("{}: left out, {why}", key.escape_debug())),
        }
    }
    (entries, remarks)
}

fn value_of(meaning: &Meaning, value: &str, folder: &Path) -> Result<Vec<Entry>, &'static str> {
    match meaning {
        Meaning::Text(section, name) => {
            Ok(vec![(*section, *name, Value::String(value.to_owned()))])
        }
        Meaning::Path(section, name) => {
            // Without the "./" that such settings begin with.
            let path: PathBuf = folder.join(value).components().collect();
            let path = path.to_str().ok_or("its path is no text")?;
            Ok(vec![(*section, *name, Value::String(path.to_owned()))])
        }
        Meaning::Seconds(keys) => {
            let seconds: u32 = value.parse().map_err(|_| "it is no number of seconds")?;
            let entry = |&(section, name)| (section, name, Value::Integer(seconds.into()));
            Ok(keys.iter().map(entry).collect())
        }
        Meaning::Bool(section, name) => match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(vec![(*section, *name, Value::Boolean(true))]),
            "false" | "no" | "off" => Ok(vec![(*section, *name, Value::Boolean(false))]),
            _ => Err("it is neither true nor false"),
        },
        Meaning::Ignored => Ok(Vec::new()),
    }
}

/// `KEY: value` of a flat YAML file, quotes and comments gone.
fn pair(line: &str) -> Option<(&str, String)> {
    let (key, rest) = line.split_once(':')?;
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if key.is_empty() || !key.chars().all(plain) {
        return None;
    }
    let rest = rest.trim();
    for quote in ['\'', '"'] {
        if let Some(inner) = rest.strip_prefix(quote)
            && let Some((value, _)) = inner.split_once(quote)
        {
            return Some((key, value.to_owned()));
        }
    }
    let value = rest.split(" #").next().unwrap_or_default();
    Some((key, value.trim_end().to_owned()))
}

fn written(entries: &[Entry], key_file: Option<PathBuf>) -> String {
    let mut text = String::new();
    for section in ["opc", "tinycloud"] {
        let _ = writeln!(text, "[{section}]");
        if section == "tinycloud" {
            text.push_str("enabled = true\n");
            if let Some(path) = key_file.as_deref().and_then(Path::to_str) {
                let _ = writeln!(
                    text,
                    "gateway_key_file = {}",
                    Value::String(path.to_owned())
                );
            }
        }
        for (_, name, value) in entries.iter().filter(|(of, ..)| *of == section) {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_are_no_part_of_a_value() {
        for (line, wanted) in [
            ("GADGET_ID: TST_001", Some("TST_001")),
            ("GADGET_ID: 'a # b'  # c", Some("a # b")),
            ("GADGET_ID: \"x\"", Some("x")),
            ("GADGET_ID: x # y", Some("x")),
            ("GADGET_ID: http://h:1/#x", Some("http://h:1/#x")),
            ("# GADGET_ID: x", None),
            ("- x", None),
            ("", None),
        ] {
            assert_eq!(pair(line).map(|(_, value)| value).as_deref(), wanted);
        }
    }

    #[test]
    fn what_cannot_be_taken_over_is_told() {
        let text = "UPLOAD_INTERVAL_SECS: often\nDELETE_BATCH_ON_UPLOAD: maybe\nNEW: 1\n  nested: 2\nBATCH_TABLE: B\n";
        let (entries, remarks) = translate(text, Path::new("/home/pi"));
        assert!(entries.is_empty());
        assert_eq!(remarks.len(), 4, "{remarks:?}");
    }
}
