//! The channels.

use std::fmt;

/// One channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Analogue channel A.
    A,
    /// Analogue channel B.
    B,
    /// Logic channel L0 to L7.
    Logic(u8),
}

impl Channel {
    /// The channel of a name: `A`, `B`, `L0` .. `L7`, in either case.
    pub fn parse(name: &str) -> Option<Self> {
        match *name.as_bytes() {
            [b'A' | b'a'] => Some(Self::A),
            [b'B' | b'b'] => Some(Self::B),
            [b'L' | b'l', digit @ b'0'..=b'7'] => Some(Self::Logic(digit - b'0')),
            _ => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A => f.write_str("A"),
            Self::B => f.write_str("B"),
            Self::Logic(index) => write!(f, "L{index}"),
        }
    }
}

/// Channels to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels {
    /// Analogue channel A.
    pub a: bool,
    /// Analogue channel B.
    pub b: bool,
    /// Bit i for logic channel Li.
    pub logic: u8,
}

impl Channels {
    /// The channels of these names; `L` is all of L0 to L7. `Err` holds the name that is none.
    ///
    /// # Errors
    /// The first name that is no channel.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, &'n str> {
        let mut channels = Self::default();
        for name in names {
            match Channel::parse(name) {
                Some(Channel::A) => channels.a = true,
                Some(Channel::B) => channels.b = true,
                Some(Channel::Logic(index)) => channels.logic |= 1 << index,
                None if name.eq_ignore_ascii_case("L") => channels.logic = 0xff,
                None => return Err(name),
            }
        }
        Ok(channels)
    }

    /// How many analogue ones.
    pub fn analogue_count(self) -> u8 {
        u8::from(self.a) + u8::from(self.b)
    }

    /// Analogue ones, A first.
    pub fn analogue(self) -> impl Iterator<Item = Channel> {
        let a = self.a.then_some(Channel::A);
        a.into_iter().chain(self.b.then_some(Channel::B))
    }

    /// Logic ones, the lowest first.
    pub fn logic(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |index| self.logic & (1 << index) != 0)
    }

    /// All of them in the order A, B, L0 .. L7.
    pub fn iter(self) -> impl Iterator<Item = Channel> {
        self.analogue().chain(self.logic().map(Channel::Logic))
    }
}
