//! The table of rows: CRLF, comma, quotes only where needed, numbers as the older tool's language prints them.

use std::fmt::Write;

use crate::store::readings::{LEGACY_COLUMNS, StoredReading};

/// The line of the 45 names.
pub(super) fn heading() -> String {
    let mut line = LEGACY_COLUMNS.map(|(name, _)| name).join(",");
    line.push_str("\r\n");
    line
}

/// Appends one row.
pub(super) fn push_row(out: &mut String, row: &StoredReading) {
    push_number(out, row.rdg_no);
    out.push(',');
    push_text(out, &row.timestamp);
    out.push(',');
    push_text(out, row.gadget_id.as_deref().unwrap_or_default());
    for value in &row.values {
        out.push(',');
        if let Some(number) = value {
            // The shortest digits that read back as the same number, with `.0` for whole ones.
            write!(out, "{number:?}").expect("writing to a string cannot fail because it grows");
        }
    }
    out.push_str("\r\n");
}

fn push_number(out: &mut String, number: i64) {
    out.push_str(&number.to_string());
}

fn push_text(out: &mut String, text: &str) {
    if text.contains([',', '"', '\r', '\n']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        for (text, written) in [
            ("O'Brien", "O'Brien"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
        ] {
            let mut out = String::new();
            push_text(&mut out, text);
            assert_eq!(out, written);
        }
    }
}
