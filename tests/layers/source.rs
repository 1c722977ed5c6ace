//! Reads Rust source far enough to know every path it names, wherever it names it.

use std::collections::{BTreeMap, BTreeSet};

/// A path as the source names it, resolved as far as `crate`, `self` and `super` go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Line, from 1.
    pub line: usize,
    /// Segments; the first is `crate` for a path of this package, otherwise a crate or something local. A glob ends in `*`.
    pub path: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Mark(char),
}

/// All paths that `text` names, and the lines that hold the words of `unsafe` code.
///
/// `module` is the path of the file's own module below `crate`; `modules` holds all modules that are files.
pub fn scan(
    text: &str,
    module: &[String],
    modules: &BTreeSet<Vec<String>>,
) -> (Vec<Named>, Vec<usize>) {
    let tokens = tokens(text);
    let unsafe_lines = tokens
        .iter()
        .filter(|(_, token)| matches!(token, Token::Word(word) if word == "unsafe" || word == "unsafe_code"))
        .map(|&(line, _)| line)
        .collect();
    let mut scanner = Scanner {
        tokens: &tokens,
        at: 0,
        modules,
        scopes: vec![],
        module: module.to_vec(),
        found: vec![],
        imported: BTreeMap::new(),
    };
    scanner.run();
    let imported = scanner.imported;
    for named in &mut scanner.found {
        // What a `use` item brought into scope is named in full.
        if let Some(path) = imported.get(&named.path[0]) {
            named.path.splice(..1, path.iter().cloned());
        }
    }
    (scanner.found, unsafe_lines)
}

struct Scanner<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    modules: &'a BTreeSet<Vec<String>>,
    /// For each open brace, whether it opened an inline module.
    scopes: Vec<bool>,
    module: Vec<String>,
    found: Vec<Named>,
    /// Names that `use` items bring into scope, anywhere in the file, with their paths.
    imported: BTreeMap<String, Vec<String>>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some((line, token)) = self.tokens.get(self.at) {
            match token {
                Token::Word(word) if word == "use" && self.mark(1) != Some('<') => {
                    self.at += 1;
                    self.use_tree(&[]);
                }
                Token::Word(word) if word == "mod" && self.mark(2) == Some('{') => {
                    if let Some(name) = self.word(1) {
                        self.module.push(name.to_owned());
                        self.scopes.push(true);
                    }
                    self.at += 3;
                }
                Token::Word(_) => self.expression_path(*line),
                Token::Mark('{') => {
                    self.scopes.push(false);
                    self.at += 1;
                }
                Token::Mark('}') => {
                    if self.scopes.pop() == Some(true) {
                        self.module.pop();
                    }
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead) {
            Some((_, Token::Word(word))) => Some(word),
            _ => None,
        }
    }

    fn mark(&self, ahead: usize) -> Option<char> {
        match self.tokens.get(self.at + ahead) {
            Some((_, Token::Mark(mark))) => Some(*mark),
            _ => None,
        }
    }

    fn separator(&self, ahead: usize) -> bool {
        matches!(
            self.tokens.get(self.at + ahead),
            Some((_, Token::PathSeparator))
        )
    }

    /// `a::b::c` outside a `use`. Fields, methods and the tails of `<T as U>::x` name nothing by themselves.
    fn expression_path(&mut self, line: usize) {
        let before = self.at.checked_sub(1).map(|at| &self.tokens[at].1);
        let tail = match before {
            Some(Token::Mark('.')) => true,
            Some(Token::PathSeparator) => {
                self.at >= 2 && matches!(self.tokens[self.at - 2].1, Token::Mark('>'))
            }
            _ => false,
        };
        let mut path = vec![];
        while let Some(word) = self.word(0) {
            path.push(word.to_owned());
            self.at += 1;
            if !(self.separator(0) && self.word(1).is_some()) {
                break;
            }
            self.at += 1;
        }
        if !tail
            && path.len() > 1
            && let Some(path) = self.resolve(path)
        {
            self.found.push(Named { line, path });
        }
    }

    /// One tree of a `use` item below `prefix`.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut line = self.tokens.get(self.at).map_or(0, |token| token.0);
        let mut alias = None;
        loop {
            match self.tokens.get(self.at) {
                Some((_, Token::Word(word))) if word == "as" => {
                    alias = self.word(1).map(str::to_owned);
                    self.at += 2;
                }
                Some((at, Token::Word(word))) => {
                    line = *at;
                    path.push(word.clone());
                    self.at += 1;
                }
                Some((_, Token::PathSeparator)) => self.at += 1,
                Some((_, Token::Mark('{'))) => return self.use_group(&path),
                Some((at, Token::Mark('*'))) => {
                    line = *at;
                    path.push("*".into());
                    self.at += 1;
                }
                _ => break,
            }
        }
        // `{self}` of a group is the group's own path.
        if path.len() > 1 && path.last().is_some_and(|word| word == "self") {
            path.pop();
        }
        let Some(path) = self.resolve(path) else {
            return;
        };
        let name = alias.as_ref().or(path.last());
        if let Some(name) = name.filter(|name| *name != &path[0] && *name != "*") {
            self.imported.insert(name.clone(), path.clone());
        }
        self.found.push(Named { line, path });
    }

    fn use_group(&mut self, prefix: &[String]) {
        self.at += 1;
        while let Some((_, token)) = self.tokens.get(self.at) {
            match token {
                Token::Mark('}') => {
                    self.at += 1;
                    return;
                }
                Token::Mark(',') => self.at += 1,
                Token::Word(_) | Token::PathSeparator | Token::Mark('{' | '*') => {
                    self.use_tree(prefix)
                }
                Token::Mark(_) => return,
            }
        }
    }

    fn resolve(&self, path: Vec<String>) -> Option<Vec<String>> {
        let first = path.first()?.as_str();
        let absolute = |base: &[String], rest: &[String]| {
            let head = std::iter::once("crate".to_owned());
            head.chain(base.iter().cloned())
                .chain(rest.iter().cloned())
                .collect()
        };
        let mut here = self.module.clone();
        Some(match first {
            "crate" => path,
            "outpost" => absolute(&[], &path[1..]),
            "self" => absolute(&here, &path[1..]),
            "super" => {
                let supers = path.iter().take_while(|word| *word == "super").count();
                here.truncate(here.len().checked_sub(supers)?);
                absolute(&here, &path[supers..])
            }
            _ => {
                here.push(first.to_owned());
                match self.modules.contains(&here) {
                    true => absolute(&here, &path[1..]),
                    false => path,
                }
            }
        })
    }
}

/// Words and marks with their lines; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let bytes = text.as_bytes();
    let (mut at, mut line, mut found) = (0, 1, vec![]);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest {
            [b'/', b'/', ..] => until_line_end(rest),
            [b'/', b'*', ..] => block_comment(rest),
            [b':', b':', ..] => {
                found.push((line, Token::PathSeparator));
                2
            }
            [b'"', ..] => string(rest),
            [b'\'', ..] => character_or_lifetime(rest),
            [first, ..] if is_word(*first) => match literal_prefix(rest) {
                Some(length) => length,
                None => {
                    let raw = usize::from(rest.starts_with(b"r#")) * 2;
                    let length = raw
                        + rest[raw..]
                            .iter()
                            .take_while(|&&byte| is_word(byte))
                            .count();
                    let word = String::from_utf8_lossy(&rest[raw..length]).into_owned();
                    found.push((line, Token::Word(word)));
                    length
                }
            },
            [first, ..] => {
                if !first.is_ascii_whitespace() {
                    found.push((line, Token::Mark(char::from(*first))));
                }
                1
            }
            [] => break,
        };
        line += rest[..length].iter().filter(|&&byte| byte == b'\n').count();
        at += length;
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn until_line_end(rest: &[u8]) -> usize {
    rest.iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

/// A string that begins with its quote.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `'a'`, `'\n'` and `'a` without an end.
fn character_or_lifetime(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let end = rest.iter().skip(3).position(|&byte| byte == b'\'');
        return end.map_or(rest.len(), |end| end + 4);
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(8)]).into_owned();
    let first = text.chars().next().map_or(0, char::len_utf8);
    match rest.get(1 + first) {
        Some(b'\'') => first + 2,
        _ => 1 + rest[1..].iter().take_while(|&&byte| is_word(byte)).count(),
    }
}

/// Length of a literal with a prefix: `b"..."`, `r#"..."#`, `b'x'`, `c"..."`.
fn literal_prefix(rest: &[u8]) -> Option<usize> {
    let letters = rest
        .iter()
        .take_while(|&&byte| byte.is_ascii_alphabetic())
        .count();
    let prefix = &rest[..letters];
    if !matches!(prefix, b"b" | b"r" | b"c" | b"br" | b"cr") {
        return None;
    }
    let after = &rest[letters..];
    if prefix.ends_with(b"r") {
        let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
        if after.get(hashes) != Some(&b'"') {
            return None;
        }
        let end: Vec<u8> = std::iter::once(b'"')
            .chain(std::iter::repeat_n(b'#', hashes))
            .collect();
        let body = &after[hashes + 1..];
        let close = body.windows(end.len()).position(|window| window == end)?;
        return Some(letters + hashes + 1 + close + end.len());
    }
    match after.first()? {
        b'"' => Some(letters + string(after)),
        b'\'' if prefix == b"b" => Some(letters + character_or_lifetime(after)),
        _ => None,
    }
}
