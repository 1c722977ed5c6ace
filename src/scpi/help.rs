//! Texts made of the command table: `SYSTem:HELP:HEADers?`, `SYSTem:HELP:SYNTax?` and the table of the README.

use super::command::{Command, Kind, Need, Param, Range, Unit};

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
        let value = value_syntax(param);
        let (open, close) = match param.need.limits().0 {
            0 => ("[", "]"),
            _ => ("", ""),
        };
        let list = match param.need {
            Need::Once | Need::Optional => value,
            Need::Between(..) => format!("{value},..."),
            Need::OneOf(counts) => {
                let list = |&n: &usize| vec![value.as_str(); n].join(",");
                let lists: Vec<String> = counts.iter().map(list).collect();
                lists.join(" | ")
            }
        };
        text += &match i {
            0 => format!(" {open}{list}{close}"),
            _ => format!("{open},{list}{close}"),
        };
    }
    text
}

/// One row of the README's table: header, parameters, instrument, help.
pub fn table_row<H>(command: &Command<H>) -> String {
    let syntax = syntax(command);
    let params = syntax[command.header.len()..].trim().replace('|', "\\|");
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
    match param.kind {
        Kind::Integer { range, unit } | Kind::Real { range, unit } => {
            let words = match range {
                Range::Plain(..) => "",
                Range::Fixed { .. } | Range::Live => "|MIN|MAX|DEF",
                Range::LiveOrZero => "|0|MIN|MAX|DEF",
            };
            number_syntax(name, range, unit) + words
        }
        Kind::Bool => "ON|OFF".to_owned(),
        Kind::Choice(words) => words.join("|"),
        Kind::Name { .. } => format!("<{name}>"),
        Kind::Text { .. } => format!("\"{name}\""),
        Kind::Block { .. } => format!("<{name} block>"),
        Kind::NumberList { range, unit, .. } => {
            format!("({},...)", number_syntax(name, range, unit))
        }
        Kind::MinMaxDef => "MIN|MAX|DEF".to_owned(),
    }
}

/// Name, range and the unit of a bare number: `<exposure 0..250000 US>`.
fn number_syntax(name: &str, range: Range, unit: Option<Unit>) -> String {
    let limits = match range {
        Range::Fixed { min, max, .. } | Range::Plain(min, max) => format!(" {min}..{max}"),
        Range::Live | Range::LiveOrZero => String::new(),
    };
    let unit = unit.map_or(String::new(), |u| format!(" {}{}", prefix(u.scale), u.base));
    format!("<{name}{limits}{unit}>")
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
