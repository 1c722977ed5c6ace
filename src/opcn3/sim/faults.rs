//! What can go wrong with the simulated counter and the bridge in front of it, on demand.

use crate::base::fault::{self, FaultSpec, UNTIL_CLEARED};

const FRAMES: &str = "replies";

/// The faults of the simulated counter; the last ones are its bridge's.
///
/// A number is how often a fault strikes, 0 switches it off; `vanish` takes milliseconds.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::new(
        "flip-bit",
        FRAMES,
        1,
        "replies have one bit changed (default 1)",
    ),
    FaultSpec::new(
        "wrong-checksum",
        FRAMES,
        1,
        "histograms and PM have a wrong checksum (default 1)",
    ),
    FaultSpec::new(
        "drop-byte",
        FRAMES,
        1,
        "replies have lost a byte, the rest comes early (default 1)",
    ),
    FaultSpec::new(
        "extra-byte",
        FRAMES,
        1,
        "replies come a byte late, after another f3 (default 1)",
    ),
    FaultSpec::new(
        "nan-pm",
        FRAMES,
        1,
        "histograms have a PM that is no number, under a right checksum (default 1)",
    ),
    FaultSpec::new(
        "stay-busy",
        "polls",
        UNTIL_CLEARED,
        "polls are answered busy (default: until cleared)",
    ),
    FaultSpec::new(
        "bad-poll",
        "polls",
        1,
        "polls are answered e6, as with a loose SS wire (default 1)",
    ),
    FaultSpec::new(
        "wrong-echo",
        "bytes",
        1,
        "written bytes come back changed (default 1)",
    ),
    FaultSpec::new(
        "answer-ff",
        "bytes",
        UNTIL_CLEARED,
        "all bytes read ff: no power (default: until cleared)",
    ),
    FaultSpec::new(
        "answer-00",
        "bytes",
        UNTIL_CLEARED,
        "all bytes read 00: SDO torn off (default: until cleared)",
    ),
    FaultSpec::new(
        "ignore-power",
        "commands",
        UNTIL_CLEARED,
        "fan and laser do not obey (default: until cleared)",
    ),
    FaultSpec::new(
        "fan-stuck",
        FRAMES,
        UNTIL_CLEARED,
        "nothing flows and nothing is counted (default: until cleared)",
    ),
    FaultSpec::new(
        "weak-laser",
        FRAMES,
        UNTIL_CLEARED,
        "the laser status is 300 (default: until cleared)",
    ),
    FaultSpec::new(
        "power-cycle",
        "times",
        1,
        "the counter loses its power for a moment (default 1)",
    ),
    FaultSpec::new(
        "nack",
        "frames",
        1,
        "the bridge refuses transfers (default 1)",
    ),
    FaultSpec::new(
        "reset-bridge",
        "times",
        1,
        "the bridge forgets that it is an SPI master (default 1)",
    ),
    FaultSpec::new(
        "silent",
        "messages",
        UNTIL_CLEARED,
        "the bridge does not answer (default: until cleared)",
    ),
    FaultSpec::new(
        "short-answer",
        "messages",
        1,
        "the bridge's answers lack their last byte (default 1)",
    ),
    FaultSpec::new(
        "garbage",
        "messages",
        1,
        "the bridge answers with noise (default 1)",
    ),
    FaultSpec::new(
        "chunk",
        "messages",
        UNTIL_CLEARED,
        "the bridge's answers come byte by byte (default: until cleared)",
    ),
    FaultSpec::new(
        "other-module",
        "messages",
        UNTIL_CLEARED,
        "the bridge says it is a relay board (default: until cleared)",
    ),
    FaultSpec::new(
        "vanish",
        "ms",
        2000,
        "the bridge is unplugged at its next message, for that long (default 2000)",
    ),
];

/// Position of each of the counter's own fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    FlipBit,
    WrongChecksum,
    DropByte,
    ExtraByte,
    NanPm,
    StayBusy,
    BadPoll,
    WrongEcho,
    AnswerFf,
    Answer00,
    IgnorePower,
    FanStuck,
    WeakLaser,
    PowerCycle,
}

/// The present faults of the simulated particle counter.
pub type Faults = fault::Faults<Fault>;

impl fault::Fault for Fault {
    const DEVICE: &'static str = "simulated particle counter";
    const TABLE: &'static [FaultSpec] = FAULTS;

    fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_match_the_table() {
        for (fault, name) in [
            (Fault::FlipBit, "flip-bit"),
            (Fault::WrongChecksum, "wrong-checksum"),
            (Fault::DropByte, "drop-byte"),
            (Fault::ExtraByte, "extra-byte"),
            (Fault::NanPm, "nan-pm"),
            (Fault::StayBusy, "stay-busy"),
            (Fault::BadPoll, "bad-poll"),
            (Fault::WrongEcho, "wrong-echo"),
            (Fault::AnswerFf, "answer-ff"),
            (Fault::Answer00, "answer-00"),
            (Fault::IgnorePower, "ignore-power"),
            (Fault::FanStuck, "fan-stuck"),
            (Fault::WeakLaser, "weak-laser"),
            (Fault::PowerCycle, "power-cycle"),
        ] {
            assert_eq!(FAULTS[fault as usize].name, name);
        }
    }
}
