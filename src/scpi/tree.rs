//! The command tree: finds the command of a header in a few comparisons, path rule included.
//!
//! Built once from the tables. Every pattern is spelled out for its optional nodes; every node answers to its short
//! and its long form. Names are compared as packed capitals, so a look-up neither allocates nor folds case.

use super::args::{Args, Live, check};
use super::command::{Command, short_form};
use super::error::Error;
use super::grammar::{Header, MAX_MNEMONIC, Node, Unit};

/// Numeric suffixes of a header, in the order of the nodes that take one.
pub const MAX_SUFFIXES: usize = 4;

/// Where a relative header is looked up: below the last tree header of the same message.
///
/// Start every message with `PathState::default()`, the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathState {
    node: usize,
    suffixes: Suffixes,
}

/// The numeric suffixes of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suffixes {
    values: [u32; MAX_SUFFIXES],
    len: usize,
}

impl Suffixes {
    /// The suffix of the node that is the `index`-th to take one; 1 where it was left out.
    pub fn get(&self, index: usize) -> u32 {
        self.values[..self.len].get(index).copied().unwrap_or(1)
    }

    fn push(&mut self, value: u32) {
        self.values[self.len] = value;
        self.len += 1;
    }
}

/// A header that was found.
#[derive(Debug)]
pub struct Match<H: 'static> {
    /// The row of the table.
    pub command: &'static Command<H>,
    /// The numeric suffixes of the header.
    pub suffixes: Suffixes,
}

/// All commands of a server.
#[derive(Debug)]
pub struct Tree<H: 'static> {
    nodes: Vec<TreeNode<H>>,
    tables: Vec<&'static [Command<H>]>,
}

#[derive(Debug)]
struct TreeNode<H: 'static> {
    /// Packed name and node, in rising order.
    children: Vec<(Name, usize)>,
    /// How the table spells this node; the root has no name.
    pattern: Option<Pattern>,
    command: Option<&'static Command<H>>,
    query: Option<&'static Command<H>>,
}

/// Capitals packed into an integer, first character lowest.
type Name = u128;

const ROOT: usize = 0;

impl<H> Tree<H> {
    /// Builds the tree.
    ///
    /// # Panics
    /// On a mistake in the tables: a malformed pattern, two rows with one header, two nodes that share a form, a
    /// list that is not last, a value that must be given after one that need not.
    pub fn new(tables: &[&'static [Command<H>]]) -> Self {
        let mut tree = Self {
            nodes: vec![TreeNode::new(None)],
            tables: tables.to_vec(),
        };
        for command in tables.iter().copied().flatten() {
            check_params(command);
            for nodes in spellings(command.header) {
                tree.insert(command, &nodes);
            }
        }
        tree
    }

    /// Every row, table after table.
    pub fn commands(&self) -> impl Iterator<Item = &'static Command<H>> + Clone + '_ {
        self.tables.iter().copied().flatten()
    }

    /// Finds the command of a header and moves the path.
    ///
    /// # Errors
    /// -112 for an unknown word of more than 12 characters, -113 for an unknown header or a form (command, query) it
    /// does not have, -114 for a wrong numeric suffix. The path stays where it was.
    pub fn find(&self, path: &mut PathState, header: &Header<'_>) -> Result<Match<H>, Error> {
        let mut at = if header.is_common() || header.is_absolute() {
            PathState::default()
        } else {
            *path
        };
        let mut parent = at;
        for node in header.nodes() {
            parent = at;
            at = self
                .descend(at, node)
                .map_err(|e| e.with(header.to_string()))?;
        }
        let found = &self.nodes[at.node];
        let command = if header.is_query() {
            found.query
        } else {
            found.command
        };
        let command = command.ok_or_else(|| Error::new(-113).with(header.to_string()))?;
        if !header.is_common() {
            *path = parent;
        }
        Ok(Match {
            command,
            suffixes: at.suffixes,
        })
    }

    /// The command and the query that answer to `header` from the root, written with or without question mark.
    pub fn forms(
        &self,
        header: &str,
    ) -> (Option<&'static Command<H>>, Option<&'static Command<H>>) {
        let Ok((header, [])) = Header::parse(header.trim().as_bytes()) else {
            return (None, None);
        };
        let end = header
            .nodes()
            .try_fold(PathState::default(), |at, node| self.descend(at, node));
        end.map_or((None, None), |at| {
            let node = &self.nodes[at.node];
            (node.command, node.query)
        })
    }

    /// Finds the command of a unit and checks its parameters.
    ///
    /// # Errors
    /// As [`Tree::find`] and [`check`].
    pub fn resolve<'a>(
        &self,
        path: &mut PathState,
        unit: &Unit<'a>,
        live: Live<'_, H>,
    ) -> Result<(Match<H>, Args<'a>), Error> {
        let found = self.find(path, &unit.header)?;
        let args = check(found.command, unit.params(), live)?;
        Ok((found, args))
    }

    fn descend(&self, at: PathState, node: Node<'_>) -> Result<PathState, Error> {
        let mut next = at;
        // A mnemonic of the table may itself end in digits.
        if let Some(child) = self.child(at.node, node.text) {
            next.node = child;
            if self.nodes[child].suffix().is_some() {
                next.suffixes.push(1);
            }
            return Ok(next);
        }
        let (Some(suffix), Some(child)) = (node.suffix, self.child(at.node, node.name)) else {
            return Err(Error::new(match node.name.len() {
                ..=MAX_MNEMONIC => -113,
                // Words of the table are as long as they are: `CONFiguration` has 13 letters.
                _ => -112,
            }));
        };
        let (least, most) = self.nodes[child].suffix().ok_or(Error::new(-113))?;
        if !(least..=most).contains(&suffix) {
            return Err(Error::new(-114));
        }
        next.node = child;
        next.suffixes.push(suffix);
        Ok(next)
    }

    fn child(&self, parent: usize, name: &str) -> Option<usize> {
        let name = pack(name)?;
        let children = &self.nodes[parent].children;
        let at = children.binary_search_by_key(&name, |child| child.0).ok()?;
        Some(children[at].1)
    }

    fn insert(&mut self, command: &'static Command<H>, nodes: &[Pattern]) {
        let header = command.header;
        let mut at = ROOT;
        let mut suffixes = 0;
        for pattern in nodes {
            at = self.grow(at, pattern, header);
            suffixes += usize::from(pattern.suffix.is_some());
        }
        assert!(suffixes <= MAX_SUFFIXES, "too many suffixes in {header}");
        let node = &mut self.nodes[at];
        let place = if command.is_query() {
            &mut node.query
        } else {
            &mut node.command
        };
        assert!(
            place.replace(command).is_none(),
            "{header} is in the table twice"
        );
    }

    /// The child of `parent` for `pattern`, made if there is none.
    fn grow(&mut self, parent: usize, pattern: &Pattern, header: &str) -> usize {
        let long = pack(pattern.long).unwrap_or_else(|| panic!("bad node in {header}"));
        let short =
            pack(short_form(pattern.long)).unwrap_or_else(|| panic!("bad node in {header}"));
        let known = |name| {
            let found = self.nodes[parent].children.iter().find(|c| c.0 == name);
            found.map(|c| c.1)
        };
        match (known(long), known(short)) {
            // The same spelling everywhere, so that no node is short for two.
            (Some(child), Some(_)) if self.nodes[child].pattern == Some(*pattern) => child,
            (None, None) => {
                let child = self.nodes.len();
                self.nodes.push(TreeNode::new(Some(*pattern)));
                let children = &mut self.nodes[parent].children;
                children.push((long, child));
                if short != long {
                    children.push((short, child));
                }
                children.sort_unstable();
                child
            }
            _ => panic!(
                "{} of {header} is a node of another row in other words",
                pattern.long
            ),
        }
    }
}

impl<H> TreeNode<H> {
    fn new(pattern: Option<Pattern>) -> Self {
        Self {
            children: Vec::new(),
            pattern,
            command: None,
            query: None,
        }
    }

    /// The numeric suffixes this node takes.
    fn suffix(&self) -> Option<(u32, u32)> {
        self.pattern.and_then(|pattern| pattern.suffix)
    }
}

/// One node of a header pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pattern {
    long: &'static str,
    suffix: Option<(u32, u32)>,
}

/// Every way to write `header` with and without its optional nodes.
fn spellings(header: &'static str) -> Vec<Vec<Pattern>> {
    let body = header.strip_suffix('?').unwrap_or(header);
    let mut all = vec![Vec::new()];
    for (part, optional) in parts(body) {
        let nodes: Vec<Pattern> = part
            .split(':')
            .filter(|name| !name.is_empty())
            .map(|name| node_pattern(name, header))
            .collect();
        let longer: Vec<Vec<Pattern>> = all
            .iter()
            .map(|start| [start.as_slice(), nodes.as_slice()].concat())
            .collect();
        if optional {
            all.extend(longer);
        } else {
            all = longer;
        }
    }
    assert!(
        all.iter().all(|nodes| !nodes.is_empty()),
        "{header:?} has no nodes"
    );
    all
}

/// The parts of a pattern inside and outside brackets, with a flag for those inside.
fn parts(body: &'static str) -> impl Iterator<Item = (&'static str, bool)> {
    body.split('[').enumerate().flat_map(|(i, piece)| {
        let (inside, outside) = match piece.split_once(']') {
            Some((inside, outside)) if i > 0 => (inside, outside),
            _ => ("", piece),
        };
        [(inside, true), (outside, false)]
            .into_iter()
            .filter(|(part, _)| !part.is_empty())
    })
}

fn node_pattern(text: &'static str, header: &str) -> Pattern {
    let (long, range) = match text.split_once('<') {
        Some((long, range)) => (long, range.strip_suffix('>')),
        None => (text, Some("")),
    };
    let bounds = range.and_then(|range| match range.split_once("..") {
        Some((least, most)) => Some(Some((least.parse().ok()?, most.parse().ok()?))),
        None => range.is_empty().then_some(None),
    });
    let suffix = bounds.unwrap_or_else(|| panic!("bad suffix range in {header}"));
    let name = long.strip_prefix('*').unwrap_or(long);
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= size_of::<Name>()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    assert!(well_formed, "bad node {text:?} in {header}");
    Pattern { long, suffix }
}

fn check_params<H>(command: &Command<H>) {
    let header = command.header;
    let mut optional = false;
    for (i, param) in command.params.iter().enumerate() {
        let (least, most) = param.need.limits();
        let last = i + 1 == command.params.len();
        assert!(
            least <= most,
            "{} of {header} takes no number of values",
            param.name
        );
        assert!(
            most <= 1 || last,
            "{} of {header} is a list and not last",
            param.name
        );
        assert!(
            least == 0 || !optional,
            "{} of {header} follows an optional one",
            param.name
        );
        optional |= least == 0;
    }
}

/// `name` in capitals, packed; `None` for names longer than any in a table.
fn pack(name: &str) -> Option<Name> {
    if name.len() > size_of::<Name>() {
        return None;
    }
    let mut bytes = [0; size_of::<Name>()];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from.to_ascii_uppercase();
    }
    Some(Name::from_le_bytes(bytes))
}
