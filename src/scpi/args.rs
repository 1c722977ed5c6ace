//! Parameters checked against their declaration: count, type and range, all before any effect.

use std::borrow::Cow;

use super::command::{Command, Kind, Limit, Need, NumericRange, Param, Range, Unit, matches_word};
use super::error::Error;
use super::token::{Number, Params, Token};

/// Tells the limits of a [`Range::Live`] parameter: called with the command and the index of the parameter in
/// its declaration.
pub type Live<'f, H> = &'f dyn Fn(&Command<H>, usize) -> NumericRange;

/// One checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Of [`Kind::Integer`], in the unit of a bare number.
    Integer(i64),
    /// Of [`Kind::Real`], in the unit of a bare number.
    Real(f64),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Choice`]: the index of the word.
    Choice(usize),
    /// Of [`Kind::Text`].
    Text(Cow<'a, str>),
    /// Of [`Kind::Block`].
    Block(&'a [u8]),
    /// Of [`Kind::NumberList`], in the unit of bare numbers.
    List(Vec<f64>),
    /// Of [`Kind::MinMaxDef`].
    Limit(Limit),
}

/// The values of one unit, as its command declares them.
///
/// The typed getters take the position of a value and panic when the declaration has no such value there: that is a
/// mistake in the table or the handler, which any call of the command shows. Use the `optional_` getters where
/// the declaration makes a value optional.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args<'a> {
    values: Vec<Value<'a>>,
}

impl<'a> Args<'a> {
    /// Number of values given.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when no value was given.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value at `index`, if given.
    pub fn get(&self, index: usize) -> Option<&Value<'a>> {
        self.values.get(index)
    }

    /// All values in order.
    pub fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// The integer at `index`.
    pub fn integer(&self, index: usize) -> i64 {
        self.optional_integer(index)
            .expect("an integer because the command declares one here")
    }

    /// The number at `index`.
    pub fn real(&self, index: usize) -> f64 {
        self.optional_real(index)
            .expect("a number because the command declares one here")
    }

    /// The boolean at `index`.
    pub fn bool(&self, index: usize) -> bool {
        self.optional_bool(index)
            .expect("a boolean because the command declares one here")
    }

    /// The index of the word at `index` among the declared words.
    pub fn choice(&self, index: usize) -> usize {
        self.optional_choice(index)
            .expect("a word because the command declares one here")
    }

    /// The string at `index`.
    pub fn text(&self, index: usize) -> &str {
        self.optional_text(index)
            .expect("a string because the command declares one here")
    }

    /// The block at `index`.
    pub fn block(&self, index: usize) -> &'a [u8] {
        match self.get(index) {
            Some(Value::Block(data)) => data,
            _ => panic!("no block at {index}, though the command should declare one here"),
        }
    }

    /// The number list at `index`.
    pub fn list(&self, index: usize) -> &[f64] {
        match self.get(index) {
            Some(Value::List(list)) => list,
            _ => panic!("no list at {index}, though the command should declare one here"),
        }
    }

    /// The integer at `index`, if given.
    pub fn optional_integer(&self, index: usize) -> Option<i64> {
        match self.get(index) {
            Some(&Value::Integer(value)) => Some(value),
            _ => None,
        }
    }

    /// The number at `index`, if given; an integer counts.
    pub fn optional_real(&self, index: usize) -> Option<f64> {
        match self.get(index) {
            Some(&Value::Real(value)) => Some(value),
            Some(&Value::Integer(value)) => Some(value as f64),
            _ => None,
        }
    }

    /// The boolean at `index`, if given.
    pub fn optional_bool(&self, index: usize) -> Option<bool> {
        match self.get(index) {
            Some(&Value::Bool(value)) => Some(value),
            _ => None,
        }
    }

    /// The index of the word at `index`, if given.
    pub fn optional_choice(&self, index: usize) -> Option<usize> {
        match self.get(index) {
            Some(&Value::Choice(value)) => Some(value),
            _ => None,
        }
    }

    /// The string at `index`, if given.
    pub fn optional_text(&self, index: usize) -> Option<&str> {
        match self.get(index) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// `MIN`, `MAX` or `DEF` at `index`, if given.
    pub fn optional_limit(&self, index: usize) -> Option<Limit> {
        match self.get(index) {
            Some(&Value::Limit(limit)) => Some(limit),
            _ => None,
        }
    }
}

/// Checks the parameters of a unit against the declaration of its command.
///
/// # Errors
/// The first fault in order of the parameters: malformed (-101 to -171), too many (-108), of a wrong type (-104, -128,
/// -148, -158, -168, -178, -131, -138), out of range (-222, -223, -224); then too few (-109) or a wrong number of them (-115).
pub fn check<'a, H>(
    command: &Command<H>,
    params: Params<'a>,
    live: Live<'_, H>,
) -> Result<Args<'a>, Error> {
    let mut values = Vec::new();
    let (mut index, mut count) = (0, 0);
    for token in params {
        let token = token?;
        while let Some(param) = command.params.get(index)
            && count >= param.need.limits().1
        {
            (index, count) = (index + 1, 0);
        }
        let Some(param) = command.params.get(index) else {
            return Err(Error::new(-108).with(command.short_header()));
        };
        let checker = Checker {
            command,
            param,
            index,
            live,
        };
        values.push(checker.value(token)?);
        count += 1;
    }
    for (at, param) in command.params.iter().enumerate().skip(index) {
        let given = if at == index { count } else { 0 };
        check_count(param, given).map_err(|e| {
            let detail = format!("{} {}", command.short_header(), param.name);
            e.with(detail)
        })?;
    }
    Ok(Args { values })
}

fn check_count(param: &Param, given: usize) -> Result<(), Error> {
    match param.need {
        Need::OneOf(counts) if counts.contains(&given) => Ok(()),
        Need::OneOf(counts) if counts.first().is_some_and(|&least| given > least) => {
            Err(Error::new(-115))
        }
        need if given < need.limits().0 => Err(Error::new(-109)),
        _ => Ok(()),
    }
}

/// One parameter under check.
struct Checker<'c, 'f, H: 'static> {
    command: &'c Command<H>,
    param: &'c Param,
    index: usize,
    live: Live<'f, H>,
}

impl<H> Checker<'_, '_, H> {
    fn value<'a>(&self, token: Token<'a>) -> Result<Value<'a>, Error> {
        match (self.param.kind, token) {
            (Kind::Integer { range, unit }, token) => {
                self.integer(range, unit, &token).map(Value::Integer)
            }
            (Kind::Real { range, unit }, token) => self.real(range, unit, &token).map(Value::Real),
            (Kind::Bool, token) => self.boolean(&token).map(Value::Bool),
            (Kind::Choice(words), Token::Word(word)) => words
                .iter()
                .position(|pattern| matches_word(pattern, word))
                .map(Value::Choice)
                .ok_or_else(|| self.error(-224, words.join("|"))),
            (Kind::MinMaxDef, Token::Word(word)) => limit(word)
                .map(Value::Limit)
                .ok_or_else(|| self.error(-224, "MIN|MAX|DEF")),
            (Kind::Name { max }, Token::Word(name) | Token::Name(name)) if name.len() <= max => {
                Ok(Value::Text(Cow::Borrowed(name)))
            }
            (Kind::Name { max } | Kind::Text { max }, Token::Str(bytes)) => {
                self.text(bytes, max).map(Value::Text)
            }
            (Kind::Block { max }, Token::Block(data)) => match data.len() > max {
                true => Err(self.error(-223, format!("at most {max} bytes"))),
                false => Ok(Value::Block(data)),
            },
            (
                Kind::NumberList {
                    range,
                    unit,
                    max,
                    integer,
                },
                Token::Expression(text),
            ) => self.list(range, unit, max, integer, text).map(Value::List),
            (
                Kind::NumberList {
                    range,
                    unit,
                    integer,
                    ..
                },
                token @ (Token::Number(_) | Token::NonDecimal(_)),
            ) => self
                .element(range, unit, integer, &token)
                .map(|number| Value::List(vec![number])),
            (_, token) => Err(self.wrong_type(&token)),
        }
    }

    fn integer(&self, range: Range, unit: Option<Unit>, token: &Token<'_>) -> Result<i64, Error> {
        let limits = self.limits(range);
        let value = match token {
            Token::Number(number) => number.integer(self.scale(number, unit)?),
            Token::NonDecimal(value) => i64::try_from(*value).ok(),
            Token::Word(word) => Some(self.word(range, limits, word)?.round() as i64),
            other => return Err(self.wrong_type(other)),
        };
        value
            .filter(|&v| {
                (limits.min..=limits.max).contains(&(v as f64))
                    || (v == 0 && range == Range::LiveOrZero)
            })
            .ok_or_else(|| self.out_of_range(limits))
    }

    fn real(&self, range: Range, unit: Option<Unit>, token: &Token<'_>) -> Result<f64, Error> {
        let limits = self.limits(range);
        let value = match token {
            Token::Number(number) => number.value(self.scale(number, unit)?),
            Token::NonDecimal(value) => *value as f64,
            Token::Word(word) => self.word(range, limits, word)?,
            other => return Err(self.wrong_type(other)),
        };
        match value.is_finite() && (limits.min..=limits.max).contains(&value) {
            true => Ok(value),
            false => Err(self.out_of_range(limits)),
        }
    }

    fn boolean(&self, token: &Token<'_>) -> Result<bool, Error> {
        match token {
            Token::Number(number) => {
                let scale = self.scale(number, None)?;
                Ok(number.integer(scale) != Some(0))
            }
            Token::NonDecimal(value) => Ok(*value != 0),
            Token::Word(word) if word.eq_ignore_ascii_case("ON") => Ok(true),
            Token::Word(word) if word.eq_ignore_ascii_case("OFF") => Ok(false),
            Token::Word(_) => Err(self.error(-224, "ON|OFF")),
            other => Err(self.wrong_type(other)),
        }
    }

    fn text<'a>(&self, bytes: Cow<'a, [u8]>, max: usize) -> Result<Cow<'a, str>, Error> {
        if bytes.len() > max {
            return Err(self.error(-223, format!("at most {max} bytes")));
        }
        let invalid = || self.error(-151, "not UTF-8");
        match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| invalid()),
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .map(Cow::Owned)
                .map_err(|_| invalid()),
        }
    }

    fn list(
        &self,
        range: Range,
        unit: Option<Unit>,
        max: usize,
        integer: bool,
        text: &str,
    ) -> Result<Vec<f64>, Error> {
        let mut list = Vec::new();
        for token in Params::new(text.as_bytes()) {
            if list.len() == max {
                return Err(self.error(-223, format!("at most {max} numbers")));
            }
            let token = token.map_err(|e| Error::new(-171).with(e.text()))?;
            list.push(self.element(range, unit, integer, &token)?);
        }
        if list.is_empty() {
            return Err(self.error(-171, "empty list"));
        }
        Ok(list)
    }

    fn element(
        &self,
        range: Range,
        unit: Option<Unit>,
        integer: bool,
        token: &Token<'_>,
    ) -> Result<f64, Error> {
        match integer {
            true => self.integer(range, unit, token).map(|value| value as f64),
            false => self.real(range, unit, token),
        }
    }

    fn limits(&self, range: Range) -> NumericRange {
        match range {
            Range::Fixed { min, max, default } => NumericRange { min, max, default },
            Range::Plain(min, max) => NumericRange {
                min,
                max,
                default: min,
            },
            Range::Live | Range::LiveOrZero => (self.live)(self.command, self.index),
        }
    }

    /// The number that `MIN`, `MAX` or `DEF` stands for.
    fn word(&self, range: Range, limits: NumericRange, word: &str) -> Result<f64, Error> {
        match limit(word) {
            Some(limit) if !matches!(range, Range::Plain(..)) => Ok(limits.at(limit)),
            _ => Err(self.error(-104, word)),
        }
    }

    /// The power of ten that brings a number to the unit of a bare one.
    fn scale(&self, number: &Number<'_>, unit: Option<Unit>) -> Result<i32, Error> {
        match (number.suffix, unit) {
            (None, _) => Ok(0),
            (Some(suffix), None) => Err(self.error(-138, suffix)),
            (Some(suffix), Some(unit)) => unit
                .exponent(suffix)
                .ok_or_else(|| self.error(-131, suffix)),
        }
    }

    fn out_of_range(&self, limits: NumericRange) -> Error {
        self.error(-222, format!("{}..{}", limits.min, limits.max))
    }

    fn wrong_type(&self, token: &Token<'_>) -> Error {
        let number = match token {
            Token::Number(_) | Token::NonDecimal(_) => -128,
            Token::Word(_) => -148,
            Token::Name(_) => -141,
            Token::Str(_) => -158,
            Token::Block(_) => -168,
            Token::Expression(_) => -178,
        };
        Error::new(number).with(self.place())
    }

    fn error(&self, number: i16, detail: impl AsRef<str>) -> Error {
        Error::new(number).with(format!("{} {}", self.place(), detail.as_ref()))
    }

    /// Header, and name of the parameter where the command has several.
    fn place(&self) -> String {
        let header = self.command.short_header();
        match self.command.params {
            [_] => header,
            _ => format!("{header} {}", self.param.name),
        }
    }
}

fn limit(word: &str) -> Option<Limit> {
    [
        ("MINimum", Limit::Min),
        ("MAXimum", Limit::Max),
        ("DEFault", Limit::Default),
    ]
    .into_iter()
    .find(|(pattern, _)| matches_word(pattern, word))
    .map(|(_, limit)| limit)
}
