//! The little YAML a batch needs: mappings of plain or single-quoted scalars, as the older tool's library writes them.

/// Appends `key: value`.
pub(super) fn push_entry(out: &mut String, key: &str, value: &str) {
    out.push_str(key);
    out.push_str(": ");
    push_scalar(out, value);
    out.push('\n');
}

/// Appends `- value`, an item of the list begun before.
pub(super) fn push_item(out: &mut String, value: &str) {
    out.push_str("- ");
    push_scalar(out, value);
    out.push('\n');
}

fn push_scalar(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    if !text.chars().any(|c| c.is_control()) {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether a reader takes the bare text for this very text.
fn is_plain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_./:,@+- ".contains(c);
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '/';
    text.starts_with(first)
        && text.chars().all(allowed)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !is_other_type(text)
}

/// Whether a reader would see a number, a truth value, a date or nothing in the bare text.
fn is_other_type(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf",
    ];
    let digits = text.replace('_', "");
    let sexagesimal =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let date: Vec<&str> = text.split('-').collect();
    WORDS.contains(&text.to_ascii_lowercase().as_str())
        || digits.parse::<f64>().is_ok()
        || digits.starts_with("0x")
        || digits.starts_with("0b")
        || digits.split(':').all(sexagesimal)
        || (date.len() == 3 && date[0].len() == 4 && date[0].bytes().all(|b| b.is_ascii_digit()))
            && date[2].bytes().take(2).all(|b| b.is_ascii_digit())
            && !date[2].contains('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_read_as_something_else_is_quoted() {
        let cases = [
            ("2026-11-20_07:30_1", "2026-11-20_07:30_1"),
            ("0123456789abcdef0123", "0123456789abcdef0123"),
            ("1.3 Dec 2020", "1.3 Dec 2020"),
            ("a.csv,a.yaml", "a.csv,a.yaml"),
            ("12345678901234567890", "'12345678901234567890'"),
            ("1e5", "'1e5'"),
            ("12:30:45", "'12:30:45'"),
            ("2026-11-20", "'2026-11-20'"),
            ("no", "'no'"),
            ("", "''"),
            ("O'Brien: x", "'O''Brien: x'"),
            ("a\nb", "\"a\\u000ab\""),
            ("- a", "'- a'"),
        ];
        for (text, written) in cases {
            let mut out = String::new();
            push_scalar(&mut out, text);
            assert_eq!(out, written);
        }
    }
}
