//! `/metrics`: state, counters and storage in the text format of Prometheus (version 0.0.4).

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
    let Identity {
        model,
        serial,
        version,
        ..
    } = measured.identity;
    text.head("outpost_info", "gauge", "What this station is.");
    let who = [
        ("model", model.as_str()),
        ("serial", serial),
        ("version", version),
    ];
    text.sample("outpost_info", &who, 1);
    text.head(
        "outpost_part_state",
        "gauge",
        "1 for the state a part of the station is in.",
    );
    for report in measured.health {
        for state in STATES {
            let labels = [("part", report.instrument), ("state", state)];
            let is_it = state == state_word(&report.state);
            text.sample("outpost_part_state", &labels, u8::from(is_it));
        }
    }
    text.head(
        "outpost_events_total",
        "counter",
        "Events of each part since the start.",
    );
    for report in measured.health {
        for (event, count) in &report.counters {
            let labels = [("part", report.instrument), ("event", *event)];
            text.sample("outpost_events_total", &labels, count);
        }
    }
    if measured.health.iter().any(|part| !part.values.is_empty()) {
        text.head(
            "outpost_value",
            "gauge",
            "What a part of the station measures of itself.",
        );
    }
    for report in measured.health {
        for (value, number) in &report.values {
            let labels = [("part", report.instrument), ("value", *value)];
            text.sample("outpost_value", &labels, number);
        }
    }
    text.head(
        "outpost_unfinished_jobs",
        "gauge",
        "Long operations queued or running.",
    );
    text.sample("outpost_unfinished_jobs", &[], measured.unfinished_jobs);
    if let Some(Usage { used, free }) = measured.storage {
        text.head(
            "outpost_ramdisk_used_bytes",
            "gauge",
            "Bytes that files take on the RAM disk.",
        );
        text.sample("outpost_ramdisk_used_bytes", &[], used);
        text.head(
            "outpost_ramdisk_free_bytes",
            "gauge",
            "Bytes that may still be written there.",
        );
        text.sample("outpost_ramdisk_free_bytes", &[], free);
    }
    if let Some(bytes) = measured.resident_bytes {
        text.head(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory of this process.",
        );
        text.sample("process_resident_memory_bytes", &[], bytes);
    }
    text.0
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
