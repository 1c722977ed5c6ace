//! `outpost check`: every setting with its origin, the wiring, conflicts and warnings.

use std::fmt::Write;
use std::process::ExitCode;

use super::boards::widest;
use super::{Arguments, Failure, print};
use crate::board::Conflict;
use crate::config::{Config, Loaded, Origin, SYSTEM_CONFIG};

/// What the thermal camera's hardware link needs beyond pins and `config.txt`.
const TCAM_NOTES: &str = "\
The kernel command line needs: spidev.bufsiz=65536, and no console=serial0,115200
On the tCam-Mini, jumper MODE to the GND beside it; wire everything before applying power.
";

/// Columns wider than this are not aligned any further.
const WIDEST_COLUMN: usize = 44;

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let loaded = Config::load(&arguments.sources())?;
    let conflicts = loaded.board.conflicts(&loaded.config);
    let mut text = heading(&loaded);
    text.push_str(&settings(&loaded));
    text.push_str(&wiring(&loaded));
    text.push_str(&verdict(&loaded, &conflicts));
    print(&text)?;
    Ok(match conflicts.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn heading(loaded: &Loaded) -> String {
    let file = match &loaded.file {
        Some(path) => path.display().to_string(),
        None => format!("none ({SYSTEM_CONFIG} does not exist)"),
    };
    let board = &loaded.board;
    let chosen = match loaded.origins.get("board") {
        Some(setting) if setting.value.as_str() != Some("auto") => match &setting.origin {
            Origin::Default => "default".to_owned(),
            origin => format!("chosen by {origin}"),
        },
        _ => match &loaded.detected.model {
            Some(model) => format!("detected: {}", model.escape_debug()),
            None => "this machine is not a Raspberry Pi".to_owned(),
        },
    };
    format!(
        "Configuration: {file}\nBoard:         {}, {} ({chosen})\n",
        board.id, board.name
    )
}

fn settings(loaded: &Loaded) -> String {
    let rows = loaded.origins.iter().map(|setting| {
        vec![
            setting.key.path(),
            setting.value.to_string(),
            setting.origin.to_string(),
        ]
    });
    let head = ["setting", "value", "origin"].map(String::from).to_vec();
    table("Settings", std::iter::once(head).chain(rows).collect())
}

fn wiring(loaded: &Loaded) -> String {
    let wires = loaded.board.wiring(&loaded.config);
    if wires.is_empty() {
        return "\nWiring: nothing is connected to header pins.\n".into();
    }
    let rows = wires.into_iter().map(|wire| {
        vec![
            format!("{:>3}", wire.pin),
            wire.line,
            wire.function,
            wire.to,
        ]
    });
    let head = ["pin", "line", "function", "connect to"]
        .map(String::from)
        .to_vec();
    let title = "Wiring (pins of the 40-pin header, 3.3 V signals)";
    let mut text = table(title, std::iter::once(head).chain(rows).collect());
    let lines = loaded.board.config_txt_lines(&loaded.config);
    if !lines.is_empty() {
        let _ = writeln!(text, "\nconfig.txt needs: {}", lines.join(", "));
    }
    if loaded.board.tcam_on_header(&loaded.config) {
        text.push_str(TCAM_NOTES);
    }
    text
}

fn verdict(loaded: &Loaded, conflicts: &[Conflict]) -> String {
    let mut text = String::from("\n");
    for warning in &loaded.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for conflict in conflicts {
        let _ = writeln!(text, "conflict: {conflict}");
    }
    match conflicts.len() {
        0 => text.push_str("No conflicts.\n"),
        1 => text.push_str("1 conflict.\n"),
        count => {
            let _ = writeln!(text, "{count} conflicts.");
        }
    }
    text
}

/// Rows with aligned columns under a title; the first row is the head.
fn table(title: &str, rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| widest(rows.iter().filter_map(|row| row.get(column))).min(WIDEST_COLUMN))
        .collect();
    let mut text = format!("\n{title}\n");
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(text, "  {}", line.join("  ").trim_end());
    }
    text
}
