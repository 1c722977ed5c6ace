//! Texts made of the command table: `SYSTem:HELP:HEADers?`, `SYSTem:HELP:SYNTax?` and the table of the README.

use std::fmt::Write;

use super::command::{Command, Kind, Need, Param, Range};

/// All headers, one a line, as SCPI-1999 lists them: `:SYSTem:ERRor[:NEXT]?/qonly/`, `*CLS/nquery/`, and the bare
/// header where both forms exist.
pub fn headers<'t, H: 'static>(commands: impl Iterator<Item = &'t Command<H>> + Clone) -> String {
    let mut list = String::new();
    for command in commands.clone() {
        let name = command.header.trim_end_matches('?');
        let other = commands
            .clone()
            .any(|c| c.is_query() != command.is_query() && c.header.trim_end_matches('?') == name);
        let colon = if name.starts_with(['*', ':', '[']) {
            ""
        } else {
            ":"
        };
        match (command.is_query(), other) {
            (true, false) => list += &format!("{colon}{name}?/qonly/\n"),
            (false, false) => list += &format!("{colon}{name}/nquery/\n"),
            (false, true) => list += &format!("{colon}{name}\n"),
            (true, true) => {}
        }
    }
    list
}

/// Header and parameters of one row: `CAMera:CONFigure:SS <exposure S>|MIN|MAX|DEF`.
pub fn syntax<H>(command: &Command<H>) -> String {
    let mut text = command.header.to_owned();
    for (i, param) in command.params.iter().enumerate() {
        let separator = if i == 0 { " " } else { "," };
        let value = value_syntax(param);
        text += &match param.need {
            Need::Once => format!("{separator}{value}"),
            Need::Optional => format!("[{separator}{value}]"),
            Need::Between(0, _) => format!("[{separator}{value},...]"),
            Need::Between(..) => format!("{separator}{value},..."),
            Need::OneOf(counts) => {
                let lists: Vec<String> = counts
                    .iter()
                    .map(|&n| vec![value.clone(); n].join(","))
                    .collect();
                format!("{separator}{}", lists.join(" | "))
            }
        };
    }
    text
}

/// One row of the README's table: header, parameters, instrument, help.
pub fn table_row<H>(command: &Command<H>) -> String {
    let syntax = syntax(command);
    let params = syntax[command.header.len()..].trim().replace('|', "\\\\|");
    let params = if params.is_empty() {
        params
    } else {
        format!("`{params}`")
    };
    format!(
        "| `{}` | {params} | {} | {} |",
        command.header, command.instrument, command.help
    )
}

/// The whole table in Markdown.
pub fn markdown_table<'t, H: 'static>(commands: impl Iterator<Item = &'t Command<H>>) -> String {
    let mut table =
        String::from("| header | parameters | instrument | what it does |\n|---|---|---|---|\n");
    for command in commands {
        table += &table_row(command);
        table += "\n";
    }
    table
}

fn value_syntax(param: &Param) -> String {
    let name = param.name;
    let mut text = String::new();
    match param.kind {
        Kind::Integer { range, unit } | Kind::Real { range, unit } => {
            text += &format!("<{name}");
            if let Range::Fixed { min, max, .. } | Range::Plain(min, max) = range {
                let _ = write!(text, " {min}..{max}");
            }
            if let Some(unit) = unit {
                let _ = write!(text, " {}{}", prefix(unit.scale), unit.base);
            }
            text += ">";
            if range == Range::LiveOrZero {
                text += "|0";
            }
            if !matches!(range, Range::Plain(..)) {
                text += "|MIN|MAX|DEF";
            }
        }
        Kind::Bool => text += "ON|OFF|1|0",
        Kind::Choice(words) => text += &words.join("|"),
        Kind::Name { .. } => text += &format!("<{name}>"),
        Kind::Text { .. } => text += &format!("\"{name}\""),
        Kind::Block { .. } => text += &format!("<{name} block>"),
        Kind::NumberList { unit, .. } => {
            let unit = unit.map_or(String::new(), |u| format!(" {}{}", prefix(u.scale), u.base));
            text += &format!("(<{name}{unit}>,...)");
        }
        Kind::MinMaxDef => text += "MIN|MAX|DEF",
    }
    text
}

/// The multiplier of a bare number's unit, as a suffix is written.
fn prefix(scale: i32) -> &'static str {
    match scale {
        -9 => "N",
        -6 => "U",
        -3 => "M",
        3 => "K",
        _ => "",
    }
}
