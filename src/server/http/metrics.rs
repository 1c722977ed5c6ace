//! `/metrics`: state, counters and storage in the text format of Prometheus (version 0.0.4).

use std::borrow::Borrow;
use std::fmt::{Display, Write};

use crate::base::health::{Report, State};
use crate::server::services::Identity;
use crate::store::Usage;

/// The kind of content that scrapers expect.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// States in the order of [`state_word`].
const STATES: [&str; 6] = [
    "disabled",
    "unavailable",
    "connecting",
    "ready",
    "degraded",
    "failed",
];

/// What is measured.
pub(super) struct Measured<'a> {
    pub(super) identity: &'a Identity,
    pub(super) health: &'a [Report],
    /// `None` when the RAM disk cannot be read.
    pub(super) storage: Option<Usage>,
    /// Jobs queued or running.
    pub(super) unfinished_jobs: usize,
    /// `None` where the system does not tell.
    pub(super) resident_bytes: Option<u64>,
}

/// The whole text.
pub(super) fn text(measured: &Measured<'_>) -> String {
    let mut text = Text::default();
    identity(&mut text, measured.identity);
    parts(&mut text, measured.health);
    station(&mut text, measured);
    text.0
}

fn identity(text: &mut Text, identity: &Identity) {
    let who = [
        ("model", identity.model.as_str()),
        ("serial", &identity.serial),
        ("version", &identity.version),
    ];
    text.head("outpost_info", "gauge", "What this station is.");
    text.sample("outpost_info", &who, 1);
}

/// What each part's entry in the health book says.
fn parts(text: &mut Text, health: &[Report]) {
    text.of_parts(
        ("outpost_part_state", "gauge", "state"),
        "1 for the state a part of the station is in.",
        health,
        |part| STATES.map(|state| (state, u8::from(state == state_word(&part.state)))),
    );
    text.of_parts(
        ("outpost_events_total", "counter", "event"),
        "Events of each part since the start.",
        health,
        |part| &part.counters,
    );
    if health.iter().any(|part| !part.values.is_empty()) {
        text.of_parts(
            ("outpost_value", "gauge", "value"),
            "What a part of the station measures of itself.",
            health,
            |part| &part.values,
        );
    }
}

/// Single numbers of the station as a whole, where they are known.
fn station(text: &mut Text, measured: &Measured<'_>) {
    let Measured { storage, .. } = measured;
    for (name, help, value) in [
        (
            "outpost_unfinished_jobs",
            "Long operations queued or running.",
            Some(measured.unfinished_jobs as u64),
        ),
        (
            "outpost_ramdisk_used_bytes",
            "Bytes that files take on the RAM disk.",
            storage.map(|storage| storage.used),
        ),
        (
            "outpost_ramdisk_free_bytes",
            "Bytes that may still be written there.",
            storage.map(|storage| storage.free),
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory of this process.",
            measured.resident_bytes,
        ),
    ] {
        if let Some(value) = value {
            text.head(name, "gauge", help);
            text.sample(name, &[], value);
        }
    }
}

fn state_word(state: &State) -> &'static str {
    match state {
        State::Disabled => "disabled",
        State::Unavailable => "unavailable",
        State::Connecting => "connecting",
        State::Ready => "ready",
        State::Degraded { .. } => "degraded",
        State::Failed { .. } => "failed",
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A metric with a sample for each of what `samples` finds in a part: the word of the metric's label, and the value.
    fn of_parts<'a, S, W, V>(
        &mut self,
        (name, kind, label): (&str, &str, &str),
        help: &str,
        health: &'a [Report],
        samples: impl Fn(&'a Report) -> S,
    ) where
        S: IntoIterator<Item = (W, V)>,
        W: Borrow<&'static str>,
        V: Display,
    {
        self.head(name, kind, help);
        for part in health {
            for (word, value) in samples(part) {
                let labels = [("part", part.instrument), (label, *word.borrow())];
                self.sample(name, &labels, value);
            }
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escape(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// A label's value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn example() -> String {
        let identity = Identity {
            maker: "Outpost".into(),
            model: "Station-\"x\\\n".into(),
            serial: "0".into(),
            version: "0.1.0".into(),
        };
        let report = |instrument, state, counters: &[(&'static str, u64)]| Report {
            instrument,
            state,
            counters: counters.iter().copied().collect(),
            values: [("temperature_c", 54.2)].into(),
            errors: vec![],
        };
        text(&Measured {
            identity: &identity,
            health: &[
                report("camera", State::Ready, &[("frames", 7), ("restarts", 0)]),
                report("tcam", State::Disabled, &[]),
            ],
            storage: Some(Usage { used: 1, free: 2 }),
            unfinished_jobs: 3,
            resident_bytes: Some(4),
        })
    }

    #[test]
    fn samples_say_what_was_measured() {
        let text = example();
        for line in [
            "outpost_info{model=\"Station-\\\"x\\\\\\n\",serial=\"0\",version=\"0.1.0\"} 1",
            "outpost_part_state{part=\"camera\",state=\"ready\"} 1",
            "outpost_part_state{part=\"camera\",state=\"failed\"} 0",
            "outpost_part_state{part=\"tcam\",state=\"disabled\"} 1",
            "outpost_events_total{part=\"camera\",event=\"frames\"} 7",
            "outpost_value{part=\"tcam\",value=\"temperature_c\"} 54.2",
            "outpost_unfinished_jobs 3",
            "outpost_ramdisk_free_bytes 2",
            "process_resident_memory_bytes 4",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }

    /// The rules of the exposition format that scrapers insist on.
    #[test]
    fn the_text_keeps_to_the_format() {
        let text = example();
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
        let mut kinds = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut last = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["gauge", "counter"].contains(&kind), "{line}");
                assert!(
                    kinds.insert(name, kind).is_none(),
                    "one TYPE a metric: {line}"
                );
                last = name;
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.insert(series), "twice: {line}");
                let name = series.split('{').next().unwrap();
                assert_eq!(name, last, "samples stand together below their TYPE");
                assert!(
                    name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                    "{line}"
                );
                assert_eq!(kinds[name] == "counter", name.ends_with("_total"), "{line}");
            }
        }
    }
}
