//! The README's command table is made from the command table of the source.

use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- commands -->\n";
const END: &str = "<!-- /commands -->";

/// The README with the table put between its markers.
fn with_table(readme: &str, table: &str) -> String {
    let once = |marker: &str| {
        assert_eq!(
            readme.matches(marker).count(),
            1,
            "README.md needs {marker:?} once"
        );
        readme.split_once(marker).unwrap()
    };
    let ((before, _), (_, after)) = (once(BEGIN), once(END));
    format!("{before}{BEGIN}\n{}\n\n{END}{after}", table.trim_end())
}

#[test]
fn the_command_table_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let wanted = with_table(&readme, &outpost::server::help_rows());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (is, wanted) = (lines(&readme), lines(&wanted));
    let differs = is.iter().zip(&wanted).position(|(is, wanted)| is != wanted);
    assert!(
        is == wanted,
        "README.md line {} does not match the source; UPDATE=1 cargo test --test readme rewrites the table",
        differs.unwrap_or(is.len().min(wanted.len())) + 1
    );
}

#[test]
fn the_table_is_one_that_markdown_shows() {
    let table = outpost::server::help_rows();
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    for row in table.lines() {
        assert!(row.starts_with('|') && row.ends_with('|'), "{row}");
        assert_eq!(cells(row), 5, "{row}");
    }
    assert!(table.contains("| `*IDN?` |"));
}
