//! Layers of settings: reading one, laying one over another, filling in what follows from other values.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::document::{Found, Place, Problem, Reader};
use super::keys::{KEYS, Key, index_of, sections};
use super::kind::Kind;
use super::settings::Config;
use super::values::is_loopback_url;
use crate::board::Profile;

/// What a path of a board profile or configuration may begin with, for the user's own state folder.
const STATE_HOME: &str = "$XDG_STATE_HOME";

/// Where an effective value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The profile of this board.
    Board(String),
    /// The configuration file.
    File(Place),
    /// This flag.
    Flag(&'static str),
    /// Not set itself; made from the value of this other key.
    Follows(&'static str),
}

/// One effective value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its key.
    pub key: &'static Key,
    /// The value, of the kind the key takes.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// Every key's effective value, in the order of [`KEYS`].
#[derive(Debug, Clone)]
pub struct Settings(Vec<Setting>);

/// Keys that stand for a place below another one while they are empty.
const BELOW: [(&str, &str, &str); 5] = [
    ("storage.images", "storage.ramdisk", "Captures"),
    ("opc.database", "storage.data", "readings.db"),
    (
        "tinycloud.gateway_key_file",
        "storage.data",
        "gateway_key.txt",
    ),
    ("tinycloud.pending_dir", "storage.data", "batches/pending"),
    ("tinycloud.uploaded_dir", "storage.data", "batches/uploaded"),
];

/// TCP listeners: section that switches them on (or ""), address, port.
const LISTENERS: [(&str, &str, &str); 5] = [
    ("", "scpi.bind", "scpi.port"),
    ("", "scpi.bind", "scpi.legacy_port"),
    ("", "http.bind", "http.port"),
    ("tcam", "tcam.bind", "tcam.serve_port"),
    ("msp1000", "msp1000.bind", "msp1000.serve_port"),
];

/// Reads every key of a table that has the shape of the configuration.
pub(crate) fn read_layer(mut root: Reader<'_>, problems: &mut Vec<Problem>) -> Vec<(usize, Found)> {
    let mut layer = Vec::new();
    for section in sections() {
        if section.is_empty() {
            read_keys(&mut root, section, problems, &mut layer);
        } else if let Some(mut table) = root.table(section, problems) {
            read_keys(&mut table, section, problems, &mut layer);
            table.finish(problems, |name| belongs(name, section));
        }
    }
    root.finish(problems, |name| belongs(name, ""));
    layer
}

fn read_keys(
    table: &mut Reader<'_>,
    section: &str,
    problems: &mut Vec<Problem>,
    layer: &mut Vec<(usize, Found)>,
) {
    for (index, key) in KEYS.iter().enumerate() {
        if key.section == section
            && let Some(found) = table.value(key.name, &key.kind, problems)
        {
            layer.push((index, found));
        }
    }
}

/// Names the section that a misplaced key belongs to, when there is exactly one.
fn belongs(name: &str, here: &str) -> Option<String> {
    let mut homes = KEYS
        .iter()
        .filter(|key| key.name == name && key.section != here)
        .map(|key| key.section);
    match (homes.next(), homes.next()) {
        (Some(""), None) => Some("it belongs above the first [section]".into()),
        (Some(section), None) => Some(format!("it belongs in [{section}]")),
        _ => None,
    }
}

/// Paths of a layer made absolute: relative ones start at `base`, `$XDG_STATE_HOME` is replaced.
pub(crate) fn make_absolute(
    mut layer: Vec<(usize, Found)>,
    base: &Path,
    state_home: &Path,
) -> Vec<(usize, Found)> {
    for (index, found) in &mut layer {
        if let (Kind::Path { .. }, Some(text)) = (KEYS[*index].kind, found.value.as_str())
            && !text.is_empty()
        {
            let path = match text.strip_prefix(STATE_HOME) {
                Some(rest) => state_home.join(rest.trim_start_matches('/')),
                None => base.join(text),
            };
            found.value = path_value(&path);
        }
    }
    layer
}

fn path_value(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

impl Settings {
    /// The built-in defaults.
    pub(super) fn built_in() -> Self {
        let setting = |key: &'static Key| Setting {
            key,
            value: key.default.value(),
            origin: Origin::Default,
        };
        Self(KEYS.iter().map(setting).collect())
    }

    /// Every setting in order.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    /// One setting by the full name of its key, such as `camera.fps`.
    pub fn get(&self, path: &str) -> Option<&Setting> {
        index_of(path).map(|index| &self.0[index])
    }

    pub(super) fn apply_board(&mut self, board: &Profile, state_home: &Path) {
        let origin = Origin::Board(board.id.clone());
        if let Some(wiring) = &board.tcam {
            let uart = board.uart(&wiring.uart).map(|uart| &uart.device);
            let device = board
                .spi(&wiring.spi.bus)
                .map(|bus| bus.device(wiring.spi.chip_select));
            let values = [
                ("tcam.uart", uart.map(|path| path_value(path))),
                ("tcam.spi", device.map(|path| path_value(&path))),
                (
                    "tcam.spi_mode",
                    Some(Value::Integer(wiring.spi.mode.into())),
                ),
                ("tcam.spi_hz", Some(Value::Integer(wiring.spi.hz.into()))),
            ];
            for (path, value) in values {
                if let Some(value) = value {
                    self.set(path, value, origin.clone());
                }
            }
        }
        for (index, found) in make_absolute(board.defaults.clone(), &board.folder, state_home) {
            self.put(index, found.value, origin.clone());
        }
    }

    pub(super) fn apply_file(&mut self, layer: Vec<(usize, Found)>) {
        for (index, found) in layer {
            // "" for a path of the board's wiring means "that of the board", which is already there.
            let from_board = matches!(self.0[index].origin, Origin::Board(_));
            let is_empty = found.value.as_str() == Some("");
            if !(from_board && is_empty && KEYS[index].section == "tcam") {
                self.put(index, found.value, Origin::File(found.place));
            }
        }
    }

    pub(super) fn apply_flags(&mut self, board: Option<&str>, state_dir: Option<&str>) {
        if let Some(board) = board {
            self.set(
                "board",
                Value::String(board.into()),
                Origin::Flag("--board"),
            );
        }
        if let Some(folder) = state_dir.map(PathBuf::from) {
            let below = [
                ("storage.ramdisk", "ramdisk"),
                ("storage.images", "ramdisk/Captures"),
                ("storage.data", "data"),
            ];
            for (path, name) in below {
                let value = path_value(&folder.join(name));
                self.set(path, value, Origin::Flag("--state-dir"));
            }
        }
    }

    /// Fills in every empty value that follows from another.
    pub(super) fn resolve(&mut self) {
        for (path, parent, name) in BELOW {
            if self.text(path).is_empty() {
                let value = path_value(&Path::new(self.text(parent)).join(name));
                self.set(path, value, Origin::Follows(parent));
            }
        }
        for section in sections() {
            let path = format!("{section}.bind");
            if self.get(&path).is_some() && self.text(&path).is_empty() {
                let value = Value::String(self.text("scpi.bind").into());
                self.set(&path, value, Origin::Follows("scpi.bind"));
            }
        }
    }

    /// Checks what no value can show by itself. A key that is wrong already is not blamed for more.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let wrong: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
        let sound = |paths: &[&str]| {
            paths
                .iter()
                .all(|path| !wrong.iter().any(|key| key == path))
        };
        let needs = [
            (
                "camera.backend",
                "replay",
                "camera.replay",
                "the folder with the recorded frames",
            ),
            ("tcam.link", "network", "tcam.host", "the camera's address"),
        ];
        for (key, word, needed, what) in needs {
            if self.text(key) == word && self.text(needed).is_empty() && sound(&[needed]) {
                problems.push(self.problem(key, format!("\"{word}\" needs {needed}, {what}")));
            }
        }
        if sound(&["tinycloud.api", "tinycloud.enabled", "tinycloud.allow_http"]) {
            self.check_upload(problems);
        }
        if sound(&LISTENERS.map(|(_, _, port)| port)) {
            self.check_ports(problems);
        }
    }

    fn check_upload(&self, problems: &mut Vec<Problem>) {
        let api = self.text("tinycloud.api");
        if self.flag("tinycloud.enabled") && api.is_empty() {
            let text = "true needs tinycloud.api, the address of the service";
            problems.push(self.problem("tinycloud.enabled", text.into()));
        }
        if api.starts_with("http://") && !is_loopback_url(api) && !self.flag("tinycloud.allow_http")
        {
            let text = "http:// sends the gateway key unencrypted: use https://, or set \
                        tinycloud.allow_http = true";
            problems.push(self.problem("tinycloud.api", text.into()));
        }
    }

    fn check_ports(&self, problems: &mut Vec<Problem>) {
        let mut taken: Vec<(&str, &str, i64)> = Vec::new();
        for (section, bind, port) in LISTENERS {
            let number = self.get(port).and_then(|port| port.value.as_integer());
            let number = number.unwrap_or(0);
            if number == 0 || (!section.is_empty() && !self.flag(&format!("{section}.enabled"))) {
                continue;
            }
            let address = self.text(bind);
            let clash = taken
                .iter()
                .find(|(_, other, used)| *used == number && overlap(other, address));
            if let Some((other, ..)) = clash {
                // Blame the one that the user wrote.
                let blamed = if self.place(port).is_some() {
                    port
                } else {
                    other
                };
                let rival = if blamed == port { other } else { port };
                let text = format!("port {number} is taken by {rival} as well");
                problems.push(self.problem(blamed, text));
            }
            taken.push((port, address, number));
        }
    }

    /// The typed configuration.
    pub(super) fn config(&self) -> Result<Config, Problem> {
        let mut root = Table::new();
        for Setting { key, value, .. } in &self.0 {
            let table = match key.section {
                "" => &mut root,
                section => root
                    .entry(section)
                    .or_insert_with(|| Value::Table(Table::new()))
                    .as_table_mut()
                    .expect("a section is a table because only this function inserts it"),
            };
            table.insert(key.name.into(), value.clone());
        }
        Config::deserialize(Value::Table(root))
            .map_err(|error| Problem::new(None, "", error.message().to_owned()))
    }

    fn problem(&self, path: &str, text: String) -> Problem {
        Problem::new(self.place(path), path, text)
    }

    fn place(&self, path: &str) -> Option<Place> {
        match &self.get(path)?.origin {
            Origin::File(place) => Some(place.clone()),
            _ => None,
        }
    }

    fn text(&self, path: &str) -> &str {
        let text = self.get(path).and_then(|setting| setting.value.as_str());
        text.unwrap_or_default()
    }

    fn flag(&self, path: &str) -> bool {
        let flag = self.get(path).and_then(|setting| setting.value.as_bool());
        flag.unwrap_or_default()
    }

    fn set(&mut self, path: &str, value: Value, origin: Origin) {
        if let Some(index) = index_of(path) {
            self.put(index, value, origin);
        }
    }

    fn put(&mut self, index: usize, value: Value, origin: Origin) {
        let setting = &mut self.0[index];
        setting.value = value;
        setting.origin = origin;
    }
}

/// Whether two listening addresses cannot share a port.
fn overlap(one: &str, other: &str) -> bool {
    let any = |text: &str| text.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    one == other || any(one) || any(other)
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => out.write_str("default"),
            Origin::Board(id) => write!(out, "board {id}"),
            Origin::File(place) => write!(out, "{}:{}", place.file, place.line),
            Origin::Flag(flag) => out.write_str(flag),
            Origin::Follows(path) => write!(out, "follows {path}"),
        }
    }
}
