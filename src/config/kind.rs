//! What kind of value a key takes: type, range, unit, and the words of a refusal.

use toml::Value;
use toml::de::DeValue;

use super::document::nearest;

/// Longest text a key may hold, in bytes.
const LONGEST_STRING: usize = 4096;
/// Longest part of a refused text that is shown back.
const LONGEST_SHOWN: usize = 60;

/// The type and range of a key's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, both limits included.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Unit in words, or "".
        unit: &'static str,
    },
    /// A number, both limits included; a whole number is taken as well.
    Float {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Unit in words, or "".
        unit: &'static str,
    },
    /// One word of a list.
    Choice(&'static [&'static str]),
    /// A list with at least one of these words, none of them twice.
    Choices(&'static [&'static str]),
    /// Any list of texts.
    Texts,
    /// A list of whole numbers, both limits included.
    Integers {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A text with its own rule; `what` says what is allowed, `check` refuses with a phrase that follows the value.
    Text {
        /// What the text may be, in words.
        what: &'static str,
        /// The rule.
        check: fn(&str) -> Result<(), String>,
    },
    /// A path; a relative one starts at the folder of the file that names it.
    Path {
        /// What "" stands for; `None` where "" is refused.
        empty: Option<&'static str>,
    },
}

impl Kind {
    /// What the key accepts, for people.
    pub fn allowed(&self) -> String {
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Integer { min, max, unit } => with_unit(format!("{min}..{max}"), unit),
            Kind::Float { min, max, unit } => with_unit(format!("{min}..{max}"), unit),
            Kind::Choice(words) => words.join(", "),
            Kind::Choices(words) => format!("a list of {}", words.join(", ")),
            Kind::Texts => "a list of texts in quotes".into(),
            Kind::Integers { min, max } => format!("a list of whole numbers in {min}..{max}"),
            Kind::Text { what, .. } => (*what).into(),
            Kind::Path { empty: None } => "a path in quotes".into(),
            Kind::Path { empty: Some(empty) } => {
                format!("a path in quotes, or \"\" for {empty}")
            }
        }
    }

    /// The value as plain TOML (a whole number given for a [`Kind::Float`] becomes one), or why it is refused.
    pub(crate) fn accept(&self, value: &DeValue<'_>) -> Result<Value, String> {
        match self {
            Kind::Bool => value
                .as_bool()
                .map(Value::Boolean)
                .ok_or_else(|| self.refuse(value, "not true or false")),
            Kind::Integer { min, max, .. } => match integer(value) {
                None => Err(self.refuse(value, "not a whole number")),
                Some(Some(number)) if (min..=max).contains(&&number) => Ok(Value::Integer(number)),
                Some(_) => Err(self.out_of_range(value)),
            },
            Kind::Float { min, max, .. } => match float(value) {
                None => Err(self.refuse(value, "not a number")),
                Some(number) if (min..=max).contains(&&number) => Ok(Value::Float(number)),
                Some(_) => Err(self.out_of_range(value)),
            },
            Kind::Choice(words) => {
                let text = self.text(value)?;
                one_of(text, words).map(|()| Value::String(text.into()))
            }
            Kind::Choices(words) => self.words(value, words),
            Kind::Texts => self.list(value, |item| Ok(Value::String(self.text(item)?.into()))),
            Kind::Integers { min, max } => {
                let (min, max, unit) = (*min, *max, "");
                let number = Kind::Integer { min, max, unit };
                self.list(value, |item| number.accept(item))
            }
            Kind::Text { check, .. } => {
                let text = self.text(value)?;
                check(text).map_err(|refusal| format!("{} {refusal}", quoted(text)))?;
                Ok(Value::String(text.into()))
            }
            Kind::Path { empty } => match self.text(value)? {
                "" if empty.is_none() => Err("a path is needed here".into()),
                text => Ok(Value::String(text.into())),
            },
        }
    }

    fn text<'v>(&self, value: &'v DeValue<'_>) -> Result<&'v str, String> {
        let text = value
            .as_str()
            .ok_or_else(|| self.refuse(value, "not a text in quotes"))?;
        if text.len() > LONGEST_STRING {
            return Err(format!(
                "{} bytes of text, at most {LONGEST_STRING} are allowed",
                text.len()
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("{} holds a control character", quoted(text)));
        }
        Ok(text)
    }

    fn words(&self, value: &DeValue<'_>, words: &[&str]) -> Result<Value, String> {
        let list = self.list(value, |item| Ok(Value::String(self.text(item)?.into())))?;
        let items: Vec<&str> = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if items.is_empty() {
            return Err(format!("the list is empty (allowed: {})", self.allowed()));
        }
        for (index, item) in items.iter().enumerate() {
            one_of(item, words)?;
            if items[..index].contains(item) {
                return Err(format!("{} is listed twice", quoted(item)));
            }
        }
        Ok(list)
    }

    fn list(
        &self,
        value: &DeValue<'_>,
        accept: impl Fn(&DeValue<'_>) -> Result<Value, String>,
    ) -> Result<Value, String> {
        let items = value
            .as_array()
            .ok_or_else(|| self.refuse(value, "not a list: put it in [ ]"))?;
        let items: Result<Vec<Value>, String> =
            items.iter().map(|item| accept(item.get_ref())).collect();
        items.map(Value::Array)
    }

    fn refuse(&self, value: &DeValue<'_>, why: &str) -> String {
        let shown = shown(value);
        match self {
            Kind::Bool => format!("{shown} is {why}"),
            _ => format!("{shown} is {why} (allowed: {})", self.allowed()),
        }
    }

    fn out_of_range(&self, value: &DeValue<'_>) -> String {
        match self {
            Kind::Integer { min, max, unit } => range_text(value, min, max, unit),
            Kind::Float { min, max, unit } => range_text(value, min, max, unit),
            _ => self.refuse(value, "out of range"),
        }
    }
}

fn range_text<T: std::fmt::Display>(value: &DeValue<'_>, min: T, max: T, unit: &str) -> String {
    let text = format!("{} is not in {min}..{max}", shown(value));
    if unit.is_empty() {
        text
    } else {
        format!("{text} ({unit})")
    }
}

fn with_unit(range: String, unit: &str) -> String {
    if unit.is_empty() {
        range
    } else {
        format!("{range}, {unit}")
    }
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    let near = nearest(text, words)
        .map(|near| format!(", did you mean \"{near}\"?"))
        .unwrap_or_default();
    Err(format!(
        "{} is not one of the allowed words{near} (allowed: {})",
        quoted(text),
        words.join(", ")
    ))
}

/// `None`: not a whole number. `Some(None)`: one, but wider than 64 bits.
fn integer(value: &DeValue<'_>) -> Option<Option<i64>> {
    let number = value.as_integer()?;
    Some(i64::from_str_radix(number.as_str(), number.radix()).ok())
}

fn float(value: &DeValue<'_>) -> Option<f64> {
    if let Some(number) = value.as_float() {
        return number.as_str().parse().ok();
    }
    let number = integer(value)?.unwrap_or(i64::MAX);
    // Every range ends far below 2^53, where the conversion stops being exact.
    Some(number as f64)
}

/// A value as a message quotes it: short, printable, on one line.
pub(crate) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => shortened(&number.to_string()),
        DeValue::Float(number) => shortened(number.as_str()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(&text.escape_debug().to_string()))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}
