//! The one table of configuration keys: name, kind, range and built-in default of each.
//!
//! Parsing, the allowed names of an error, `outpost check` and [`super::Config::default`] all come from it.

use toml::Value;

use super::kind::Kind;
use super::values::{
    BITSCOPE_FORMS, MSP1000_FORMS, check_api, check_bitscope, check_board, check_gadget, check_ip,
    check_ip_or_empty, check_log, check_msp1000, check_service_name, check_table, check_tcam_host,
    check_trust, check_word,
};

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// The table it stands in (`camera`), or "" at the top.
    pub section: &'static str,
    /// Its name in that table.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its built-in default.
    pub default: Literal,
}

/// A default as a constant.
#[derive(Debug, Clone, Copy)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(&'static str),
    /// A list with this one text.
    List(&'static str),
}

impl Key {
    /// The full name, `camera.fps`.
    pub fn path(&self) -> String {
        match self.section {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }
}

impl Literal {
    /// The default as TOML.
    pub fn value(self) -> Value {
        match self {
            Self::Bool(flag) => Value::Boolean(flag),
            Self::Integer(number) => Value::Integer(number),
            Self::Float(number) => Value::Float(number),
            Self::Text(text) => Value::String(text.into()),
            Self::List(text) => Value::Array(vec![Value::String(text.into())]),
        }
    }
}

const fn bool(section: &'static str, name: &'static str, default: bool) -> Key {
    Key {
        section,
        name,
        kind: Kind::Bool,
        default: Literal::Bool(default),
    }
}

const fn int(
    section: &'static str,
    name: &'static str,
    default: i64,
    (min, max): (i64, i64),
    unit: &'static str,
) -> Key {
    Key {
        section,
        name,
        kind: Kind::Integer { min, max, unit },
        default: Literal::Integer(default),
    }
}

const fn port(section: &'static str, name: &'static str, default: i64) -> Key {
    int(section, name, default, (0, 65535), "0 takes any free port")
}

const fn float(
    section: &'static str,
    name: &'static str,
    default: f64,
    (min, max): (f64, f64),
    unit: &'static str,
) -> Key {
    Key {
        section,
        name,
        kind: Kind::Float { min, max, unit },
        default: Literal::Float(default),
    }
}

const fn choice(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    words: &'static [&'static str],
) -> Key {
    Key {
        section,
        name,
        kind: Kind::Choice(words),
        default: Literal::Text(default),
    }
}

const fn text(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    what: &'static str,
    check: fn(&str) -> Result<(), String>,
) -> Key {
    Key {
        section,
        name,
        kind: Kind::Text { what, check },
        default: Literal::Text(default),
    }
}

const fn bind(section: &'static str) -> Key {
    text(
        section,
        "bind",
        "",
        "an IP address, or \"\" for that of scpi.bind",
        check_ip_or_empty,
    )
}

const fn path(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    empty: Option<&'static str>,
) -> Key {
    Key {
        section,
        name,
        kind: Kind::Path { empty },
        default: Literal::Text(default),
    }
}

/// Every key, in the order of the documentation. Keys of one section stand together.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    text("", "board", "auto", "auto, a profile's name, or the path of a profile", check_board),
    text("", "log", "info", "error, warn, info, debug, trace, or a filter such as \"info,outpost::camera=debug\"", check_log),

    path("storage", "ramdisk", "/media/ramdisk", None),
    path("storage", "images", "", Some("<ramdisk>/Captures")),
    path("storage", "sdcard", "/home/pi/Pictures/Captures", None),
    path("storage", "data", "/var/lib/outpost", None),
    int("storage", "ramdisk_limit_mb", 0, (0, 1_048_576), "MB; 0 is all the file system offers"),

    text("scpi", "bind", "0.0.0.0", "an IP address", check_ip),
    port("scpi", "port", 5025),
    port("scpi", "legacy_port", 5060),
    int("scpi", "legacy_settle_ms", 5, (0, 200), "milliseconds"),
    bool("scpi", "legacy_close_stops_service", false),
    int("scpi", "max_clients", 64, (1, 1024), "connections per port"),

    bind("http"),
    port("http", "port", 8080),

    bool("discovery", "enabled", true),
    text("discovery", "name", "", "a name of at most 63 bytes", check_service_name),
    bool("discovery", "loopback_only", false),

    bool("camera", "enabled", true),
    choice("camera", "backend", "auto", &["auto", "libcamera", "sim", "replay"]),
    path("camera", "replay", "", Some("no folder")),
    float("camera", "fps", 10.0, (0.002, 120.0), "frames per second"),
    float("camera", "analogue_gain", 1.0, (1.0, 22.26), ""),
    Key {
        section: "camera",
        name: "formats",
        kind: Kind::Choices(&["raw", "npy", "fits", "tiff", "dng", "png"]),
        default: Literal::List("raw"),
    },
    float("camera", "hang_timeout_s", 3.0, (0.1, 3600.0), "seconds"),
    bool("camera", "sim_paced", true),
    int("camera", "sim_seed", 1, (0, i64::MAX), ""),

    bool("tcam", "enabled", true),
    choice("tcam", "link", "auto", &["auto", "hardware", "network", "sim"]),
    path("tcam", "uart", "", Some("that of the board")),
    path("tcam", "spi", "", Some("that of the board")),
    int("tcam", "spi_mode", 3, (0, 3), "SPI mode"),
    int("tcam", "spi_hz", 7_000_000, (10_000, 125_000_000), "hertz"),
    text("tcam", "host", "", "HOST or HOST:PORT", check_tcam_host),
    bool("tcam", "agc", false),
    int("tcam", "emissivity", 98, (1, 100), "percent"),
    choice("tcam", "gain_mode", "high", &["high", "low", "auto"]),
    bind("tcam"),
    port("tcam", "serve_port", 5001),

    bool("opc", "enabled", true),
    choice("opc", "link", "auto", &["auto", "usb-iss", "spi", "sim"]),
    path("opc", "tty", "", Some("the bridge found by its USB id")),
    bool("opc", "logging", true),
    float("opc", "interval_s", 10.0, (1.0, 86_400.0), "seconds"),
    int("opc", "restart_after_zeros", 0, (0, 1_000_000), "readings; 0 is never"),
    text("opc", "gadget_id", "OPC_1", "an id of 1 to 128 bytes", check_gadget),
    path("opc", "database", "", Some("<data>/readings.db")),
    text("opc", "table", "Readings", "letters, digits and _", check_table),

    bool("msp1000", "enabled", true),
    text("msp1000", "address", "auto", MSP1000_FORMS, check_msp1000),
    text("msp1000", "pin", "", "\"\" for trust on first use, a SHA-256 in hexadecimal, ca:FILE, none", check_trust),
    choice("msp1000", "listen_discovery", "on", &["on", "off", "on-demand"]),
    bool("msp1000", "announce", false),
    int("msp1000", "discovery_port", 12345, (1, 65_535), "a UDP port"),
    int("msp1000", "control_idle_s", 300, (0, 86_400), "seconds; 0 is never"),
    bind("msp1000"),
    port("msp1000", "serve_port", 8000),

    bool("bitscope", "enabled", true),
    text("bitscope", "url", "auto", BITSCOPE_FORMS, check_bitscope),
    bind("bitscope"),
    port("bitscope", "serve_port", 15500),

    bool("tinycloud", "enabled", false),
    text("tinycloud", "api", "", "a URL https://HOST/...", check_api),
    path("tinycloud", "gateway_key_file", "", Some("<data>/gateway_key.txt")),
    int("tinycloud", "batch_interval_s", 3600, (1, 2_678_400), "seconds"),
    text("tinycloud", "batch_type", "OPC", "a word of 1 to 64 letters, digits, _ - or .", check_word),
    choice("tinycloud", "batch_mode", "PASS", &["LIVE", "TEST", "PASS"]),
    path("tinycloud", "pending_dir", "", Some("<data>/batches/pending")),
    path("tinycloud", "uploaded_dir", "", Some("<data>/batches/uploaded")),
    bool("tinycloud", "delete_batch_on_upload", false),
    bool("tinycloud", "delete_reading_on_zip", false),
    int("tinycloud", "max_rows", 10_000, (1, 1_000_000), "rows"),
    choice("tinycloud", "scp", "legacy", &["legacy", "sftp"]),
    int("tinycloud", "upload_interval_s", 3600, (1, 2_678_400), "seconds"),
    int("tinycloud", "retention_days", 0, (0, 36_500), "days; 0 keeps everything"),
    path("tinycloud", "ca_file", "", Some("the built-in authorities")),
    bool("tinycloud", "allow_http", false),
];

/// The position of a key in [`KEYS`] by its full name.
pub(crate) fn index_of(path: &str) -> Option<usize> {
    let (section, name) = path.split_once('.').unwrap_or(("", path));
    KEYS.iter()
        .position(|key| key.section == section && key.name == name)
}

/// The sections in the order of the table, "" first.
pub(crate) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(|key| key.section).collect();
    sections.dedup();
    sections
}
