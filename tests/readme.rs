//! The README's tables are made from the source: commands, header, boards.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use outpost::board::{self, Profile};
use outpost::config::{Config, Loaded, Sources};

/// The README with `text` put between the markers of `name`.
fn with_part(readme: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let once = |marker: &str| {
        assert_eq!(
            readme.matches(marker).count(),
            1,
            "README.md needs {marker:?} once"
        );
        readme.split_once(marker).unwrap()
    };
    let ((before, _), (_, after)) = (once(&begin), once(&end));
    format!("{before}{begin}\n{}\n\n{end}{after}", text.trim_end())
}

#[test]
fn the_readme_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let parts = [
        ("commands", outpost::server::help_rows()),
        ("header", header()),
        ("boards", boards()),
    ];
    let wanted = parts.iter().fold(readme.clone(), |readme, (name, text)| {
        with_part(&readme, name, text)
    });
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (is, wanted) = (lines(&readme), lines(&wanted));
    let differs = is.iter().zip(&wanted).position(|(is, wanted)| is != wanted);
    assert!(
        is == wanted,
        "README.md line {} does not match the source; UPDATE=1 cargo test --test readme rewrites it",
        differs.unwrap_or(is.len().min(wanted.len())) + 1
    );
}

#[test]
fn the_command_table_is_one_that_markdown_shows() {
    let table = outpost::server::help_rows();
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    for row in table.lines() {
        assert!(row.starts_with('|') && row.ends_with('|'), "{row}");
        assert_eq!(cells(row), 5, "{row}");
    }
    assert!(table.contains("| `*IDN?` |"));
}

/// A board with these settings, away from those of the machine.
fn load(board: &str, settings: &str) -> Loaded {
    let sources = Sources {
        config: None,
        board: Some(board.into()),
        state_dir: None,
        system_config: PathBuf::from("none"),
        ..Sources::from_environment()
    };
    Config::from_text("outpost.toml", settings, &sources).unwrap()
}

fn real_boards() -> impl Iterator<Item = Profile> {
    Profile::shipped()
        .map(Result::unwrap)
        .filter(|board| !board.is_simulated())
}

/// What is wired to each pin: `GPIO14 - tCam-Mini RX`.
fn wired(board: &str, settings: &str) -> BTreeMap<u8, String> {
    let loaded = load(board, settings);
    let wires = loaded.board.wiring(&loaded.config).into_iter();
    wires.map(|wire| (wire.pin, wire.to)).collect()
}

/// Pins that no profile speaks of.
const POWER: &[(u8, &str)] = &[
    (1, "3.3 V"),
    (2, "5 V"),
    (4, "5 V"),
    (6, "GND"),
    (9, "GND"),
    (14, "GND"),
    (17, "3.3 V"),
    (20, "GND"),
    (25, "GND"),
    (30, "GND"),
    (34, "GND"),
    (39, "GND"),
];

const OPC_ON_SPI: &str = "opc.link = \"spi\"";

/// The header from above, with everything that can be on it; it is the same for all boards.
fn header() -> String {
    let boards: Vec<Profile> = real_boards().collect();
    let (all, first) = (wired(&boards[0].id, OPC_ON_SPI), &boards[0]);
    for board in &boards {
        assert_eq!(wired(&board.id, OPC_ON_SPI), all, "{}", board.id);
    }
    let mut names: BTreeMap<u8, String> = POWER
        .iter()
        .map(|(pin, name)| (*pin, (*name).into()))
        .collect();
    for (gpio, line) in &first.header {
        names.insert(line.pin, format!("GPIO{gpio}"));
    }
    assert_eq!(names.len(), 40);
    let wire = |pin: u8| all.get(&pin).map_or("", String::as_str);
    let mut text = String::from("```text\n");
    for left in (1..40).step_by(2) {
        let right = left + 1;
        let row = format!(
            "{:>44}  {:>6}  {left:>2} o o {right:<2}  {:<6}  {}",
            wire(left),
            names[&left],
            names[&right],
            wire(right)
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text.push_str("```\n");
    text
}

/// What the boards call the header's buses, and what their `config.txt` needs.
fn boards() -> String {
    let mut text = String::from(
        "| board | thermal camera | native counter | GPIO chip | `config.txt` needs |\n|---|---|---|---|---|\n",
    );
    for board in real_boards() {
        let loaded = load(&board.id, OPC_ON_SPI);
        let tcam = &loaded.config.tcam;
        let shown = |path: &Option<PathBuf>| format!("`{}`", path.as_ref().unwrap().display());
        let counter = board.opc.as_ref().unwrap();
        let counter = board.spi(&counter.bus).unwrap().device(counter.chip_select);
        let lines = board.config_txt_lines(&loaded.config);
        let lines: Vec<String> = lines.iter().map(|line| format!("`{line}`")).collect();
        let _ = writeln!(
            text,
            "| `{}` {} | {}, {} | `{}` | `{}` | {} |",
            board.id,
            board.name,
            shown(&tcam.uart),
            shown(&tcam.spi),
            counter.display(),
            board.gpio.as_ref().unwrap().label,
            lines.join(" ")
        );
    }
    text
}

#[test]
fn every_board_is_in_the_readme() {
    assert_eq!(real_boards().count() + 1, board::names().len());
    for board in real_boards() {
        assert!(boards().contains(&format!("| `{}` ", board.id)));
    }
}
