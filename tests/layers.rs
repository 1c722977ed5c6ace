//! Who may know whom: the rules of the architecture, checked against every path the source names.

#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use source::scan;

/// Each top-level module and the others it may name. What is not here is not allowed; a new module gets its line.
const EDGES: &[(&str, &[&str])] = &[
    // Bytes and plain values: nothing of the station.
    ("scpi", &[]),
    ("raw", &[]),
    ("plot", &[]),
    // Common ground.
    ("base", &[]),
    // Two halves of one thing: a profile is a document like the configuration, and the configuration stands on it.
    ("board", &["config"]),
    // It warns of paths that no legacy reply can hold.
    ("config", &["board", "scpi"]),
    ("bus", &["base"]),
    // Records and files, no instrument.
    ("store", &["base"]),
    // Instruments never know each other.
    ("camera", &["base", "raw", "store"]),
    ("tcam", &["base", "bus", "plot", "raw"]),
    ("opcn3", &["base", "store"]),
    ("usbiss", &["base", "bus"]),
    // A schedule for the store's uploader.
    ("cloud", &["base", "store"]),
    // The driver keeps the fingerprints of certificates.
    ("msp1000", &["base", "plot", "store"]),
    ("bitscope", &["base", "bus", "plot"]),
    // Actor handles, the text protocol and the common ground.
    (
        "server",
        &[
            "base", "scpi", "raw", "plot", "store", "camera", "tcam", "opcn3", "cloud", "msp1000",
            "bitscope",
        ],
    ),
    ("app", ANY),
    ("cli", ANY),
];

/// The wiring and the command line may name everything.
const ANY: &[&str] = &["*"];

/// Modules that nobody may name, but for these.
const PRIVATE: &[(&str, &[&str])] = &[("app", &["cli", "main"]), ("cli", &["main"])];

/// Paths that only some modules may name: those below the prefixes given, or, after `=`, that module alone.
const RESERVED: &[(&str, &[&str])] = &[
    ("rppal", &["bus"]),
    ("spidev", &["bus"]),
    ("linux_embedded_hal", &["bus"]),
    ("tokio_serial", &["bus"]),
    ("async_compat", &["bus"]),
    ("tokio", &[]),
    ("libcamera", &["camera::libcamera"]),
    ("rusqlite", &["store"]),
    ("mdns_sd", &["app::discovery"]),
    ("hyper", &["server::http"]),
    ("async_tungstenite", &["server::http"]),
    // Drivers take what the wiring opened. A simulator stands behind a port of its own.
    (
        "crate::bus",
        &[
            "app",
            "bus",
            "cli",
            "tcam::sim::hardware",
            "usbiss::sim",
            "bitscope::sim",
        ],
    ),
    // `sim` never uses a driver, nor the actor above it: both sides share the codec alone.
    (
        "crate::tcam::driver",
        &["=tcam", "tcam::actor", "tcam::driver", "app"],
    ),
    (
        "crate::opcn3::driver",
        &["opcn3::actor", "opcn3::driver", "app", "cli"],
    ),
    ("crate::usbiss::driver", &["usbiss::driver", "app", "cli"]),
    (
        "crate::msp1000::driver",
        &[
            "=msp1000",
            "msp1000::options",
            "msp1000::actor",
            "msp1000::driver",
            "app",
        ],
    ),
    (
        "crate::bitscope::driver",
        &["=bitscope", "bitscope::actor", "bitscope::driver", "app"],
    ),
];

/// No sockets, files, clocks, tasks, processes or environment.
const WORLD: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::os",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::sync::mpsc",
    "std::future",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "smol",
    "futures_lite",
    "async_io",
    "async_signal",
    "rustix",
    "libc",
    "tracing",
    "jiff::Zoned",
    "jiff::Timestamp::now",
    "tempfile",
];

/// Modules of bytes and plain values, with what else they are forbidden. A codec named `proto` is one as well.
const PURE: &[(&str, &[&str])] = &[
    (
        "scpi",
        &["std::io::Read", "std::io::BufRead", "std::io::Seek"],
    ),
    ("raw", &["std::io::Read", "std::io::BufRead"]),
    ("plot", &["std::io::Read", "std::io::BufRead"]),
];

/// Where `unsafe` may stand.
const UNSAFE: &[&str] = &["raw::kernels", "bus", "camera::libcamera"];

/// A file of `src`, by the path of its module below `crate`.
struct File {
    name: String,
    module: Vec<String>,
    text: String,
}

fn files(folder: &Path, module: &[String], found: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut inner = module.to_vec();
        if path.is_dir() {
            inner.push(stem);
            files(&path, &inner, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // `mod.rs` and `lib.rs` are their folder's own module.
            if !["mod", "lib"].contains(&stem.as_str()) {
                inner.push(stem);
            }
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            found.push(File {
                name,
                module: inner,
                text,
            });
        }
    }
}

/// Whether `path` is `prefix` or lies below it.
fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a path names what is forbidden, or a glob brings it into scope.
fn reaches(path: &str, forbidden: &str) -> bool {
    let opened = path.strip_suffix("::*");
    below(path, forbidden) || opened.is_some_and(|opened| below(forbidden, opened))
}

/// What is wrong with a file: line and rule.
fn violations(
    text: &str,
    module: &[String],
    modules: &BTreeSet<Vec<String>>,
) -> Vec<(usize, String)> {
    let (named, unsafe_lines) = scan(text, module, modules);
    let here = module.join("::");
    let top = module.first().map_or("lib", String::as_str);
    let mut wrong = vec![];
    for named in &named {
        let path = named.path.join("::");
        let mut forbid = |rule: String| wrong.push((named.line, format!("{path}: {rule}")));
        if named.path[0] == "crate" {
            match named.path.get(1).map(String::as_str) {
                None | Some("*") if top != "lib" => {
                    forbid("brings the whole crate into scope".into())
                }
                Some(to) => edge(top, to).into_iter().for_each(&mut forbid),
                None => {}
            }
        }
        for (reserved, users) in RESERVED {
            let may = |user: &&str| match user.strip_prefix('=') {
                Some(module) => here == module,
                None => below(&here, user),
            };
            if below(&path, reserved) && !users.iter().any(may) {
                forbid(format!("{reserved} belongs to {users:?}"));
            }
        }
        for forbidden in forbidden_world(module) {
            if reaches(&path, forbidden) {
                forbid(format!(
                    "{here} knows bytes and plain values, not {forbidden}"
                ));
            }
        }
    }
    for line in unsafe_lines {
        if !UNSAFE.iter().any(|place| below(&here, place)) {
            wrong.push((line, format!("unsafe code belongs to {UNSAFE:?}")));
        }
    }
    wrong
}

/// The rule that an edge breaks.
fn edge(from: &str, to: &str) -> Option<String> {
    let known = |name: &str| EDGES.iter().find(|(module, _)| *module == name);
    if from == to || known(to).is_none() || from == "lib" {
        // The last case names a public item of the crate root; there is none but modules.
        return None;
    }
    if let Some((_, users)) = PRIVATE.iter().find(|(module, _)| *module == to) {
        return (!users.contains(&from)).then(|| format!("only {users:?} may name {to}"));
    }
    match known(from) {
        None if from == "main" => Some("main names cli alone".into()),
        None => Some(format!("{from} has no line in EDGES of tests/layers.rs")),
        Some((_, to_any)) if *to_any == ANY => None,
        Some((_, allowed)) => {
            (!allowed.contains(&to)).then(|| format!("{from} may name {allowed:?}, not {to}"))
        }
    }
}

fn forbidden_world(module: &[String]) -> Vec<&'static str> {
    let top = module.first().map_or("", String::as_str);
    let more = PURE
        .iter()
        .find(|(pure, _)| *pure == top)
        .map(|(_, more)| *more);
    let codec = module.iter().any(|name| name == "proto").then_some(&[][..]);
    match more.or(codec) {
        Some(more) => WORLD.iter().chain(more).copied().collect(),
        None => vec![],
    }
}

#[test]
fn the_source_keeps_to_its_layers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![];
    files(&src, &[], &mut found);
    assert!(found.len() > 60, "{} files", found.len());
    let modules: BTreeSet<Vec<String>> = found.iter().map(|file| file.module.clone()).collect();
    let mut wrong = vec![];
    for file in &found {
        if let Some(top) = file.module.first()
            && top != "main"
            && !EDGES.iter().any(|(module, _)| module == top)
        {
            wrong.push(format!("{}: {top} has no line in EDGES", file.name));
        }
        for (line, rule) in violations(&file.text, &file.module, &modules) {
            wrong.push(format!("{}:{line}: {rule}", file.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn path(text: &str) -> Vec<String> {
    text.split("::").map(str::to_owned).collect()
}

/// The paths of a small sample as `line path`.
fn named(text: &str, module: &str, modules: &[&str]) -> Vec<String> {
    let modules = modules.iter().map(|module| path(module)).collect();
    let (named, _) = scan(text, &path(module), &modules);
    named
        .iter()
        .map(|named| format!("{} {}", named.line, named.path.join("::")))
        .collect()
}

#[test]
fn the_scanner_sees_paths_wherever_they_stand() {
    let sample = r####"//! use crate::comment;
use std::{fs::{self, File}, net as wire, time::{Duration, Instant as Now}};
pub(crate) use super::{actor::Actor, super::store::*};
/* crate::a /* crate::b */ crate::c */
fn run(text: &'static str) -> impl Sized + use<'static> {
    let _ = "crate::text \" crate::more"; let _ = r#"crate::raw " crate::raw"#; let _ = b'"'; let _ = '"'; let _ = '\'';
    crate::camera::Camera::new(self::inner::x, text.bus::<u8>(), <u8 as crate::base::Own>::tail());
    let r#type = codec::decode(::spidev::open());
}
mod tests {
    use super::*;
    mod deep { fn f() { super::super::super::raw::g() } }
}
fn after() { super::link::h() }
"####;
    assert_eq!(
        named(sample, "camera::sim", &["camera::sim::codec", "camera"]),
        [
            "2 std::fs",
            "2 std::fs::File",
            "2 std::net",
            "2 std::time::Duration",
            "2 std::time::Instant",
            "3 crate::camera::actor::Actor",
            "3 crate::store::*",
            "7 crate::camera::Camera::new",
            "7 crate::camera::sim::inner::x",
            "7 crate::base::Own",
            "8 crate::camera::sim::codec::decode",
            "8 spidev::open",
            "11 crate::camera::sim::*",
            "12 crate::camera::raw::g",
            "14 crate::camera::link::h",
        ]
    );
}

/// Modules, what they may not contain, and the complaint.
const FORBIDDEN: &str = r#"
scpi::tree | \nuse crate::{base::{clock}, store}; | 2 crate::base::clock
camera::sim | fn f() { crate::tcam::x() } | camera may name
msp1000::actor | use super::super::bitscope; | msp1000 may name
store::folder | fn f(x: crate::camera::Camera) {} | store may name
server::session | use crate::app::serve; | only ["cli", "main"] may name app
camera::sim | use crate as everything; | whole crate
camera::sim | use super::super::*; | whole crate
store | use outpost::app; | only
camera::actor | let x = rppal::gpio::Gpio::new(); | rppal belongs to
camera::backend | use libcamera::camera::Camera; | libcamera belongs to
server::listener | use {tokio::net}; | tokio belongs to
tcam::sim | use super::driver::Driver; | crate::tcam::driver belongs to
scpi::status | use std::time; fn f() { time::Instant::now() } | std::time::Instant
raw::layout | use std::*; | std::fs
raw::formats::png | use std::io as i; fn f(x: impl i::Read) {} | std::io::Read
opcn3::proto | fn f() { std::fs::read(p) } | std::fs
scpi::reply | use crate::base::clock as c; fn f() { c::now() } | crate::base::clock::now
camera::link | fn f() { unsafe { g() } } | unsafe code belongs
store::folder | #![allow(unsafe_code)] | unsafe code belongs"#;

/// Modules, and what they may contain.
const PERMITTED: &str = r#"
raw::formats::npy | use std::time::Duration; use std::io::{Write, Seek};
camera::actor | use crate::{base::clock::Clock, raw::Mode, store::RamDisk}; use super::link;
bus::gpio | use rppal::gpio; #![allow(unsafe_code)] unsafe {}
server::commands::camera | use crate::{camera::Camera, scpi::Error, raw, store, base};
main | fn main() { outpost::cli::main() }
scpi | // unsafe, crate::app\nconst X: &str = "unsafe crate::app";"#;

/// The rows of such a table; `\n` in it is a line's end.
fn samples(table: &str) -> impl Iterator<Item = Vec<String>> {
    let rows = table.lines().filter(|row| !row.is_empty());
    rows.map(|row| {
        row.split(" | ")
            .map(|cell| cell.replace("\\n", "\n"))
            .collect()
    })
}

#[test]
fn each_rule_catches_what_it_is_for() {
    let rules = |text: &str, module: &str| -> Vec<String> {
        let wrong = violations(text, &path(module), &BTreeSet::new());
        let line = |(line, rule)| format!("{line} {rule}");
        wrong.into_iter().map(line).collect()
    };
    for row in samples(FORBIDDEN) {
        let wrong = rules(&row[1], &row[0]);
        assert!(
            wrong.iter().any(|wrong| wrong.contains(&row[2])),
            "{row:?}: {wrong:?}"
        );
    }
    for row in samples(PERMITTED) {
        assert_eq!(rules(&row[1], &row[0]), Vec::<String>::new(), "{row:?}");
    }
}
