//! What can go wrong with the simulated instrument, on demand.

use crate::base::fault::{self, FaultSpec, UNTIL_CLEARED};

/// The faults of the simulated spectrometer. 0 switches a fault off.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::new(
        "chunk",
        "bytes",
        1000,
        "replies are written in pieces of N bytes, 2 ms apart (default 1000)",
    ),
    FaultSpec::new(
        "eol",
        "form",
        2,
        "text replies end with lf (1) or none (2, default) instead of crlf",
    ),
    FaultSpec::new(
        "frame-end",
        "form",
        2,
        "frames end with crlf (1) or none (2, default) instead of lf",
    ),
    FaultSpec::new("answer-set", "", 1, "set commands are answered with a line"),
    FaultSpec::new(
        "greedy",
        "",
        1,
        "every connection may set (also greedy=off)",
    ),
    FaultSpec::new(
        "delay-ms",
        "ms",
        500,
        "replies come that much later (default 500)",
    ),
    FaultSpec::new(
        "drop-after",
        "commands",
        1,
        "the connection that sends the N-th command from now is closed without a notice (default 1)",
    ),
    FaultSpec::new("lamp", "", 1, "the lamp is off (also lamp=off)"),
    FaultSpec::new(
        "tls",
        "",
        1,
        "TLS 1.2 is spoken, 1.3 is not (also tls=1.2only)",
    ),
    FaultSpec::new(
        "new-cert",
        "",
        1,
        "each new connection is shown a certificate made for it",
    ),
    FaultSpec::new("long-cal", "", 1, "calibrations have a fifth coefficient"),
    FaultSpec::new(
        "old-tls",
        "",
        1,
        "handshakes end as with an instrument of TLS 1.0",
    ),
    FaultSpec::new("silent", "", 1, "commands are obeyed, nothing is answered"),
    FaultSpec::new(
        "cut-frame",
        "times",
        1,
        "the connection is closed in the middle of a frame (default 1)",
    ),
    FaultSpec::new(
        "junk",
        "times",
        UNTIL_CLEARED,
        "a line of noise comes before a reply (default: until cleared)",
    ),
    FaultSpec::new(
        "bad-number",
        "times",
        1,
        "exposure and calibration are answered with words (default 1)",
    ),
    FaultSpec::new(
        "vanish",
        "ms",
        2000,
        "unplugged for that long, connections and port are closed (default 2000)",
    ),
];

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Chunk,
    Eol,
    FrameEnd,
    AnswerSet,
    Greedy,
    DelayMs,
    DropAfter,
    Lamp,
    Tls,
    NewCert,
    LongCal,
    OldTls,
    Silent,
    CutFrame,
    Junk,
    BadNumber,
    Vanish,
}

/// The present faults of the simulated spectrometer.
pub type Faults = fault::Faults<Fault>;

impl fault::Fault for Fault {
    const DEVICE: &'static str = "simulated spectrometer";
    const TABLE: &'static [FaultSpec] = FAULTS;

    fn index(self) -> usize {
        self as usize
    }
}

/// What the documents call some settings: fault, word, number.
const WORDS: &[(&str, &str, u64)] = &[
    ("eol", "crlf", 0),
    ("eol", "lf", 1),
    ("eol", "none", 2),
    ("frame-end", "lf", 0),
    ("frame-end", "crlf", 1),
    ("frame-end", "none", 2),
    ("answer-set", "on", 1),
    ("answer-set", "off", 0),
    ("greedy", "off", 1),
    ("greedy", "on", 0),
    ("lamp", "off", 1),
    ("lamp", "on", 0),
    ("tls", "1.2only", 1),
];

/// The number of a word that the documents use as the argument of a fault.
pub fn fault_word(name: &str, word: &str) -> Option<u64> {
    let found = WORDS
        .iter()
        .find(|(fault, w, _)| (*fault, *w) == (name, word));
    found.map(|(_, _, n)| *n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_match_the_table() {
        for (fault, name) in [
            (Fault::Chunk, "chunk"),
            (Fault::Eol, "eol"),
            (Fault::FrameEnd, "frame-end"),
            (Fault::AnswerSet, "answer-set"),
            (Fault::Greedy, "greedy"),
            (Fault::DelayMs, "delay-ms"),
            (Fault::DropAfter, "drop-after"),
            (Fault::Lamp, "lamp"),
            (Fault::Tls, "tls"),
            (Fault::NewCert, "new-cert"),
            (Fault::LongCal, "long-cal"),
            (Fault::OldTls, "old-tls"),
            (Fault::Silent, "silent"),
            (Fault::CutFrame, "cut-frame"),
            (Fault::Junk, "junk"),
            (Fault::BadNumber, "bad-number"),
            (Fault::Vanish, "vanish"),
        ] {
            assert_eq!(FAULTS[fault as usize].name, name);
        }
    }
}
