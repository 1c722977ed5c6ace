//! A board profile from its TOML, with every mistake named by its place.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::{
    CameraPath, GpioChip, HeaderLine, Line, Lines, Pipeline, Profile, Pull, RamdiskSize, RawPolicy,
    Reserved, SpiBus, SpiWiring, TcamWiring, Uart,
};
use crate::config::{ConfigErrors, Document, Found, Kind, Problem, Reader, read_layer};

const WORD: Kind = Kind::Text {
    what: "a word of letters and digits",
    check: check_word,
};
const SENTENCE: Kind = Kind::Text {
    what: "a text in quotes",
    check: check_sentence,
};
const DEVICE: Kind = Kind::Text {
    what: "a device node such as /dev/ttyAMA0",
    check: check_device,
};
const FOLDER: Kind = Kind::Text {
    what: "a folder by its full path such as /sys",
    check: check_folder,
};
const FRAGMENT: Kind = Kind::Text {
    what: "a file name without folders",
    check: check_fragment,
};
const GPIO: Kind = Kind::Integer {
    min: 0,
    max: 63,
    unit: "BCM line",
};
const HERTZ: Kind = Kind::Integer {
    min: 1_000,
    max: 500_000_000,
    unit: "hertz",
};

/// Reads one table: notes problems, gives plain values (defaults where something was wrong: then the profile is refused).
struct Fields<'d, 'p> {
    reader: Reader<'d>,
    problems: &'p mut Vec<Problem>,
}

/// Reads a whole profile; relative paths of its defaults start at `folder`.
pub(super) fn profile(document: &Document, folder: &Path) -> Result<Profile, ConfigErrors> {
    let table = document.parse()?;
    let mut problems = Vec::new();
    let mut root = Fields {
        reader: Reader::root(document, &table),
        problems: &mut problems,
    };
    let profile = Profile {
        id: root.text("id", &WORD),
        name: root.text("name", &SENTENCE),
        description: root.text("description", &SENTENCE),
        compatible: root.texts("compatible"),
        models: root.texts("models"),
        config_txt: root.optional_text("config_txt", &FRAGMENT),
        sysfs: root.optional_text("sysfs", &FOLDER).map(Into::into),
        uarts: root.each("uart", uart),
        spis: root.each("spi", spi_bus),
        reserved: root.each("reserved", reserved),
        gpio: root.inner("gpio", gpio_chip),
        header: header(&mut root),
        tcam: root.inner("tcam", tcam),
        opc: root.inner("opc", spi_wiring),
        lines: root.inner("lines", lines).unwrap_or_default(),
        camera: camera(&mut root),
        ramdisk: root
            .inner("ramdisk", ramdisk)
            .unwrap_or(RamdiskSize::PercentOfRam(25)),
        defaults: defaults(&mut root),
        folder: folder.to_owned(),
    };
    check_names(&profile, &mut root);
    root.finish();
    problems.sort();
    if problems.is_empty() {
        Ok(profile)
    } else {
        Err(ConfigErrors(problems))
    }
}

impl<'d> Fields<'d, '_> {
    fn value(&mut self, name: &'static str, kind: &Kind) -> Option<Value> {
        let found = self.reader.value(name, kind, self.problems);
        found.map(|found| found.value)
    }

    fn text(&mut self, name: &'static str, kind: &Kind) -> String {
        let found = self.reader.needed(name, kind, self.problems);
        found.map(|found| string(found.value)).unwrap_or_default()
    }

    fn optional_text(&mut self, name: &'static str, kind: &Kind) -> Option<String> {
        self.value(name, kind).map(string)
    }

    fn texts(&mut self, name: &'static str) -> Vec<String> {
        match self.value(name, &Kind::Texts) {
            Some(Value::Array(texts)) => texts.into_iter().map(string).collect(),
            _ => Vec::new(),
        }
    }

    /// A needed number; the kind's range keeps the conversion lossless.
    fn number<T: TryFrom<i64> + Default>(&mut self, name: &'static str, kind: &Kind) -> T {
        let found = self.reader.needed(name, kind, self.problems);
        let number = found.and_then(|found| found.value.as_integer());
        number
            .and_then(|number| T::try_from(number).ok())
            .unwrap_or_default()
    }

    fn numbers(&mut self, name: &'static str, (min, max): (i64, i64)) -> Vec<u8> {
        match self.value(name, &Kind::Integers { min, max }) {
            Some(Value::Array(numbers)) => numbers
                .iter()
                .filter_map(|number| u8::try_from(number.as_integer()?).ok())
                .collect(),
            _ => Vec::new(),
        }
    }

    fn inner<T>(&mut self, name: &'static str, read: fn(&mut Fields<'d, '_>) -> T) -> Option<T> {
        let reader = self.reader.table(name, self.problems)?;
        Some(self.enter(reader, read))
    }

    fn each<T>(&mut self, name: &'static str, read: fn(&mut Fields<'d, '_>) -> T) -> Vec<T> {
        let readers = self.reader.tables(name, self.problems);
        readers
            .into_iter()
            .map(|reader| self.enter(reader, read))
            .collect()
    }

    fn enter<T>(&mut self, reader: Reader<'d>, read: fn(&mut Fields<'d, '_>) -> T) -> T {
        let mut fields = Fields {
            reader,
            problems: &mut *self.problems,
        };
        let value = read(&mut fields);
        fields.finish();
        value
    }

    fn finish(self) {
        self.reader.finish(self.problems, |_| None);
    }

    fn problem(&mut self, name: &str, text: impl Into<String>) {
        let place = Some(self.reader.place_near(name));
        let problem = Problem::new(place, &self.reader.key(name), text);
        self.problems.push(problem);
    }

    /// A problem with one key of an inner table; said only once, by whichever check found it first.
    fn problem_in(&mut self, table: &str, name: &str, text: String) {
        if let Some(place) = self.reader.place_of(table, name) {
            let key = format!("{table}.{name}");
            if self.problems.iter().all(|problem| problem.key != key) {
                self.problems.push(Problem::new(Some(place), &key, text));
            }
        }
    }
}

fn uart(fields: &mut Fields<'_, '_>) -> Uart {
    Uart {
        name: fields.text("name", &WORD),
        device: fields.text("device", &DEVICE).into(),
        fallback: fields.optional_text("fallback", &DEVICE).map(Into::into),
        tx: fields.number("tx", &GPIO),
        rx: fields.number("rx", &GPIO),
        shared_with: fields.texts("shared_with"),
        config_txt: fields.texts("config_txt"),
    }
}

fn spi_bus(fields: &mut Fields<'_, '_>) -> SpiBus {
    SpiBus {
        name: fields.text("name", &WORD),
        path: fields.text("path", &DEVICE),
        max_hz: fields.number("max_hz", &HERTZ),
        sclk: fields.number("sclk", &GPIO),
        mosi: fields.number("mosi", &GPIO),
        miso: fields.number("miso", &GPIO),
        chip_selects: fields.numbers("chip_selects", (0, 63)),
        config_txt: fields.texts("config_txt"),
    }
}

fn reserved(fields: &mut Fields<'_, '_>) -> Reserved {
    Reserved {
        device: fields.text("device", &DEVICE).into(),
        reason: fields.text("reason", &SENTENCE),
    }
}

fn gpio_chip(fields: &mut Fields<'_, '_>) -> GpioChip {
    GpioChip {
        label: fields.text("label", &SENTENCE),
        node: fields.text("node", &DEVICE).into(),
        lines: fields.number("lines", &GPIO),
    }
}

fn header(root: &mut Fields<'_, '_>) -> BTreeMap<u8, HeaderLine> {
    let mut lines: BTreeMap<u8, HeaderLine> = BTreeMap::new();
    let Some(table) = root.reader.table("header", root.problems) else {
        return lines;
    };
    for (name, reader) in table.entries(root.problems) {
        let mut fields = Fields {
            reader,
            problems: &mut *root.problems,
        };
        let pin = Kind::Integer {
            min: 1,
            max: 40,
            unit: "header pin",
        };
        let line = HeaderLine {
            pin: fields.number("pin", &pin),
            functions: fields.texts("functions"),
            reserved: fields.optional_text("reserved", &SENTENCE),
        };
        let taken = lines.iter().find(|(_, other)| other.pin == line.pin);
        if let Some((other, _)) = taken.filter(|_| line.pin != 0) {
            fields.problem("pin", format!("pin {} is GPIO {other} already", line.pin));
        }
        match name.parse().ok().filter(|gpio| *gpio < 64) {
            Some(gpio) if lines.contains_key(&gpio) => {
                fields.problem("", format!("GPIO {gpio} is listed twice"));
            }
            Some(gpio) => drop(lines.insert(gpio, line)),
            None => fields.problem("", "is not a BCM line (allowed: 0..63)"),
        }
        fields.finish();
    }
    lines
}

fn tcam(fields: &mut Fields<'_, '_>) -> TcamWiring {
    TcamWiring {
        uart: fields.text("uart", &WORD),
        spi: spi_wiring(fields),
    }
}

fn spi_wiring(fields: &mut Fields<'_, '_>) -> SpiWiring {
    let small = Kind::Integer {
        min: 0,
        max: 3,
        unit: "",
    };
    SpiWiring {
        bus: fields.text("spi", &WORD),
        chip_select: fields.number("chip_select", &small),
        mode: fields.number("mode", &small),
        hz: fields.number("hz", &HERTZ),
        max_hz: fields.number("max_hz", &HERTZ),
    }
}

fn lines(fields: &mut Fields<'_, '_>) -> Lines {
    Lines {
        tcam_power: fields.inner("tcam_power", line),
        tcam_reset: fields.inner("tcam_reset", line),
        opc_supply: fields.inner("opc_supply", line),
        status_led: fields.inner("status_led", line),
        shutdown_button: fields.inner("shutdown_button", line),
    }
}

fn line(fields: &mut Fields<'_, '_>) -> Line {
    let pull = fields.optional_text("pull", &Kind::Choice(&["none", "up", "down"]));
    let active = fields.optional_text("active", &Kind::Choice(&["high", "low"]));
    Line {
        gpio: fields.number("gpio", &GPIO),
        active_low: active.as_deref() == Some("low"),
        pull: match pull.as_deref() {
            Some("up") => Pull::Up,
            Some("down") => Pull::Down,
            _ => Pull::None,
        },
    }
}

fn camera(root: &mut Fields<'_, '_>) -> CameraPath {
    let read = |fields: &mut Fields<'_, '_>| CameraPath {
        pipeline: pipeline(fields),
        raw: raw_policy(fields),
    };
    let camera = root.inner("camera", read);
    if camera.is_none() {
        let text = "is missing (allowed: a table with pipeline and raw)";
        root.problem("camera", text);
    }
    camera.unwrap_or(CameraPath {
        pipeline: Pipeline::Sim,
        raw: RawPolicy::Packed12,
    })
}

fn pipeline(fields: &mut Fields<'_, '_>) -> Pipeline {
    let pipelines = Kind::Choice(&["vc4", "pisp", "virtual", "sim"]);
    match fields.text("pipeline", &pipelines).as_str() {
        "vc4" => Pipeline::Vc4,
        "pisp" => Pipeline::Pisp,
        "virtual" => Pipeline::Virtual,
        _ => Pipeline::Sim,
    }
}

fn raw_policy(fields: &mut Fields<'_, '_>) -> RawPolicy {
    let raw = fields.text("raw", &Kind::Choice(&["packed12", "unpacked16"]));
    let kind = Kind::Integer {
        min: 0,
        max: 4,
        unit: "bits",
    };
    let shift = fields.value("shift", &kind);
    let shift = shift.and_then(|shift| u8::try_from(shift.as_integer()?).ok());
    if raw == "unpacked16" {
        let shift = shift.unwrap_or(0);
        return RawPolicy::Unpacked16 { shift };
    }
    if shift.is_some() {
        fields.problem("shift", "only unpacked16 has a shift");
    }
    RawPolicy::Packed12
}

fn ramdisk(fields: &mut Fields<'_, '_>) -> RamdiskSize {
    let megabytes = Kind::Integer {
        min: 16,
        max: 65_536,
        unit: "MB",
    };
    let percent = Kind::Integer {
        min: 1,
        max: 75,
        unit: "percent of the RAM",
    };
    let megabytes = fields
        .value("size_mb", &megabytes)
        .and_then(|size| size.as_integer());
    let percent = fields
        .value("size_percent", &percent)
        .and_then(|size| size.as_integer());
    match (megabytes, percent) {
        (Some(size), None) => RamdiskSize::Megabytes(u32::try_from(size).unwrap_or(16)),
        (None, Some(size)) => RamdiskSize::PercentOfRam(u8::try_from(size).unwrap_or(25)),
        _ => {
            fields.problem("", "needs one of size_mb and size_percent");
            RamdiskSize::PercentOfRam(25)
        }
    }
}

fn defaults(root: &mut Fields<'_, '_>) -> Vec<(usize, Found)> {
    let Some(reader) = root.reader.table("defaults", root.problems) else {
        return Vec::new();
    };
    let layer = read_layer(reader, root.problems);
    if let Some(place) = root.reader.place_of("defaults", "board") {
        let text = "a profile cannot choose the board";
        root.problems
            .push(Problem::new(Some(place), "defaults.board", text));
    }
    layer
}

/// Names of buses are unique, and an instrument's bus exists with that chip-select.
fn check_names(profile: &Profile, root: &mut Fields<'_, '_>) {
    let uarts: Vec<&str> = profile.uarts.iter().map(|uart| &*uart.name).collect();
    let spis: Vec<&str> = profile.spis.iter().map(|bus| &*bus.name).collect();
    for (key, names) in [("uart", &uarts), ("spi", &spis)] {
        let twice = (1..names.len()).find(|index| names[..*index].contains(&names[*index]));
        if let Some(index) = twice {
            root.problem(key, format!("two are named \"{}\"", names[index]));
        }
    }
    if let Some(tcam) = &profile.tcam {
        if !uarts.contains(&&*tcam.uart) {
            let text = format!(
                "there is no uart \"{}\" (allowed: {})",
                tcam.uart,
                listed(&uarts)
            );
            root.problem_in("tcam", "uart", text);
        }
        check_wiring("tcam", &tcam.spi, profile, root);
    }
    if let Some(wiring) = &profile.opc {
        check_wiring("opc", wiring, profile, root);
    }
}

fn check_wiring(table: &str, wiring: &SpiWiring, profile: &Profile, root: &mut Fields<'_, '_>) {
    let Some(bus) = profile.spi(&wiring.bus) else {
        let spis: Vec<&str> = profile.spis.iter().map(|bus| &*bus.name).collect();
        let text = format!(
            "there is no spi \"{}\" (allowed: {})",
            wiring.bus,
            listed(&spis)
        );
        return root.problem_in(table, "spi", text);
    };
    let count = bus.chip_selects.len();
    if usize::from(wiring.chip_select) >= count {
        let text = format!(
            "{} has {count} chip-select{}, so {} is not one of them",
            bus.name,
            if count == 1 { "" } else { "s" },
            wiring.chip_select
        );
        root.problem_in(table, "chip_select", text);
    }
    for (limit, what) in [(bus.max_hz, &*bus.name), (wiring.max_hz, "the device")] {
        if wiring.hz > limit {
            let text = format!("{} hertz is above the {limit} hertz of {what}", wiring.hz);
            root.problem_in(table, "hz", text);
        }
    }
}

fn listed(names: &[&str]) -> String {
    match names.is_empty() {
        true => "none".into(),
        false => names.join(", "),
    }
}

fn string(value: Value) -> String {
    match value {
        Value::String(text) => text,
        _ => String::new(),
    }
}

fn check_word(text: &str) -> Result<(), String> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match plain && (1..=32).contains(&text.len()) {
        true => Ok(()),
        false => Err("is not a word of 1 to 32 letters, digits, - or _".into()),
    }
}

fn check_sentence(text: &str) -> Result<(), String> {
    match text.trim().is_empty() {
        true => Err("says nothing".into()),
        false => Ok(()),
    }
}

fn check_device(text: &str) -> Result<(), String> {
    match text.len() > 1 && text.starts_with('/') {
        true => Ok(()),
        false => Err("is not a full path such as /dev/ttyAMA0".into()),
    }
}

fn check_folder(text: &str) -> Result<(), String> {
    match text.starts_with('/') {
        true => Ok(()),
        false => Err("is not a full path such as /sys".into()),
    }
}

fn check_fragment(text: &str) -> Result<(), String> {
    match text.is_empty() || text.contains('/') {
        true => Err("is not a file name without folders".into()),
        false => Ok(()),
    }
}
