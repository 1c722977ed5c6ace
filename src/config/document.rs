//! A TOML text whose every complaint can name file, line and column.
//!
//! [`Document`] keeps the text, [`Reader`] walks one of its tables: each key is asked for once with the [`Kind`] of value it
//! takes, and [`Reader::finish`] reports the keys nobody asked for. Problems are collected, not returned one at a time, so
//! that a user repairs a file in one go.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::{Kind, shown};

/// Longest configuration or profile text that is read.
const LONGEST_TEXT: u64 = 1 << 20;

/// A position in a text file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One thing wrong with the configuration or a board profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where, if it came from a file.
    pub place: Option<Place>,
    /// The key it is about (`camera.fps`), or "" where no key is to blame.
    pub key: String,
    /// What is wrong and what would be right.
    pub text: String,
}

/// Everything wrong that was found, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

/// A text and the name to show for it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    file: Arc<str>,
    text: String,
}

/// One table of a document while its keys are asked for.
pub(crate) struct Reader<'d> {
    document: &'d Document,
    path: String,
    table: &'d DeTable<'d>,
    at: usize,
    asked: Vec<&'static str>,
}

/// A value that passed its [`Kind`], and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) value: toml::Value,
    pub(crate) place: Place,
}

impl Problem {
    pub(crate) fn new(place: Option<Place>, key: &str, text: impl Into<String>) -> Self {
        Self {
            place,
            key: key.to_owned(),
            text: text.into(),
        }
    }
}

impl From<Problem> for ConfigErrors {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Document {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            text: text.to_owned(),
        }
    }

    /// Reads a file of at most 1 MiB of UTF-8.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let file: Arc<str> = path.display().to_string().into();
        let failed = |text: String| Problem::new(None, &file, text);
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST_TEXT + 1).read_to_end(&mut bytes))
            .map_err(|error| failed(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > LONGEST_TEXT {
            return Err(failed(format!("is longer than {LONGEST_TEXT} bytes")));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { file, text }),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let place = Self { file, text }.place(valid);
                Err(Problem::new(Some(place), "", "not UTF-8 text"))
            }
        }
    }

    pub(crate) fn parse(&self) -> Result<Spanned<DeTable<'_>>, Problem> {
        DeTable::parse(&self.text).map_err(|error| {
            let message = error.message().trim().replace('\n', ", ");
            let text = format!("not valid TOML: {message}");
            match error.span() {
                Some(span) => Problem::new(Some(self.place(span.start)), "", text),
                None => Problem::new(None, &self.file, text),
            }
        })
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl<'d> Reader<'d> {
    /// A reader of the whole document; `table` is what [`Document::parse`] gave.
    pub(crate) fn root(document: &'d Document, table: &'d Spanned<DeTable<'d>>) -> Self {
        Self::below(document, String::new(), table.get_ref(), table.span())
    }

    fn below(
        document: &'d Document,
        path: String,
        table: &'d DeTable<'d>,
        span: Range<usize>,
    ) -> Self {
        Self {
            document,
            path,
            table,
            at: span.start,
            asked: Vec::new(),
        }
    }

    /// Where this table begins.
    pub(crate) fn place(&self) -> Place {
        self.document.place(self.at)
    }

    /// Where the value of `name` stands, or this table if it has none.
    pub(crate) fn place_near(&self, name: &str) -> Place {
        let value = self.table.get(name);
        value.map_or(self.place(), |value| {
            self.document.place(value.span().start)
        })
    }

    /// The full name of a key of this table.
    pub(crate) fn key(&self, name: &str) -> String {
        match (self.path.as_str(), name) {
            ("", name) => name.to_owned(),
            (path, "") => path.to_owned(),
            (path, name) => format!("{path}.{name}"),
        }
    }

    /// Where the value of `name` in the inner table `table` stands, if it is there.
    pub(crate) fn place_of(&self, table: &str, name: &str) -> Option<Place> {
        let value = self.table.get(table)?.get_ref().as_table()?.get(name)?;
        Some(self.document.place(value.span().start))
    }

    /// The value of `name`, or `None` when it is absent or wrong (then a problem is noted).
    pub(crate) fn value(
        &mut self,
        name: &'static str,
        kind: &Kind,
        problems: &mut Vec<Problem>,
    ) -> Option<Found> {
        self.asked.push(name);
        let value = self.table.get(name)?;
        let place = self.document.place(value.span().start);
        match kind.accept(value.get_ref()) {
            Ok(value) => Some(Found { value, place }),
            Err(text) => {
                problems.push(Problem::new(Some(place), &self.key(name), text));
                None
            }
        }
    }

    /// As [`Reader::value`] for a key that must be there.
    pub(crate) fn needed(
        &mut self,
        name: &'static str,
        kind: &Kind,
        problems: &mut Vec<Problem>,
    ) -> Option<Found> {
        if !self.table.contains_key(name) {
            let text = format!("is missing (allowed: {})", kind.allowed());
            problems.push(Problem::new(Some(self.place()), &self.key(name), text));
        }
        self.value(name, kind, problems)
    }

    /// The table of that name, if there is one.
    pub(crate) fn table(
        &mut self,
        name: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Option<Reader<'d>> {
        self.asked.push(name);
        let (key, value) = self.table.get_key_value(name)?;
        self.enter(self.key(name), value, key.span(), problems)
    }

    /// The tables of an array `[[name]]`; empty when there is none.
    pub(crate) fn tables(
        &mut self,
        name: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Vec<Reader<'d>> {
        self.asked.push(name);
        let Some(value) = self.table.get(name) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            let place = self.document.place(value.span().start);
            let text = format!("is not a list of tables: write [[{}]]", self.key(name));
            problems.push(Problem::new(Some(place), &self.key(name), text));
            return Vec::new();
        };
        let path = self.key(name);
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                self.enter(format!("{path}[{index}]"), item, item.span(), problems)
            })
            .collect()
    }

    /// Every entry of this table as a table, with its name, in the order of the file: for tables whose keys are data.
    pub(crate) fn entries(&self, problems: &mut Vec<Problem>) -> Vec<(String, Reader<'d>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name.get_ref().to_string();
                let path = self.key(&name.escape_debug().to_string());
                let reader = self.enter(path, value, value.span(), problems)?;
                Some((name, reader))
            })
            .collect()
    }

    fn enter(
        &self,
        path: String,
        value: &'d Spanned<DeValue<'d>>,
        span: Range<usize>,
        problems: &mut Vec<Problem>,
    ) -> Option<Reader<'d>> {
        match value.get_ref().as_table() {
            Some(table) => Some(Self::below(self.document, path, table, span)),
            None => {
                let place = self.document.place(value.span().start);
                let text = format!(
                    "{} is not a table: write [{path}] on a line of its own",
                    shown(value.get_ref())
                );
                problems.push(Problem::new(Some(place), &path, text));
                None
            }
        }
    }

    /// Notes every key that was not asked for; `hint` may know where such a key belongs.
    pub(crate) fn finish(self, problems: &mut Vec<Problem>, hint: impl Fn(&str) -> Option<String>) {
        for name in self.table.keys() {
            let found = name.get_ref().as_ref();
            if self.asked.contains(&found) {
                continue;
            }
            let near = hint(found).or_else(|| {
                nearest(found, &self.asked).map(|near| format!("did you mean \"{near}\"?"))
            });
            let near = near.map(|near| format!(", {near}")).unwrap_or_default();
            let text = format!("unknown key{near} (allowed: {})", self.asked.join(", "));
            let place = self.document.place(name.span().start);
            let key = self.key(&found.escape_debug().to_string());
            problems.push(Problem::new(Some(place), &key, text));
        }
    }
}

/// The name of `names` that a typing error, another case or an abbreviation could have turned into `typed`.
pub(crate) fn nearest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    if !(1..=64).contains(&typed.len()) {
        return None;
    }
    let typed = typed.to_lowercase();
    let distance = |name: &str| {
        let name = name.to_lowercase();
        match typed.len() >= 3 && name.starts_with(&typed) {
            true => 1,
            false => strsim::damerau_levenshtein(&typed, &name),
        }
    };
    names
        .iter()
        .map(|name| (distance(name), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 5)
        .min()
        .map(|(_, name)| name)
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(out, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        out.write_str(&self.text)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
