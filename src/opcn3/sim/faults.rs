//! What can go wrong with the simulated counter and the bridge in front of it, on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::fault::FaultSpec;

/// The faults of the simulated counter; the last ones are its bridge's.
///
/// A number is how often a fault strikes, 0 switches it off; `vanish` takes milliseconds.
pub const FAULTS: &[FaultSpec] = &[
    fault(
        "flip-bit",
        FRAMES,
        "replies have one bit changed (default 1)",
    ),
    fault(
        "wrong-checksum",
        FRAMES,
        "histograms and PM have a wrong checksum (default 1)",
    ),
    fault(
        "drop-byte",
        FRAMES,
        "replies have lost a byte, the rest comes early (default 1)",
    ),
    fault(
        "extra-byte",
        FRAMES,
        "replies come a byte late, after another f3 (default 1)",
    ),
    fault(
        "nan-pm",
        FRAMES,
        "histograms have a PM that is no number, under a right checksum (default 1)",
    ),
    fault(
        "stay-busy",
        "polls",
        "polls are answered busy (default: until cleared)",
    ),
    fault(
        "bad-poll",
        "polls",
        "polls are answered e6, as with a loose SS wire (default 1)",
    ),
    fault(
        "wrong-echo",
        "bytes",
        "written bytes come back changed (default 1)",
    ),
    fault(
        "answer-ff",
        "bytes",
        "all bytes read ff: no power (default: until cleared)",
    ),
    fault(
        "answer-00",
        "bytes",
        "all bytes read 00: SDO torn off (default: until cleared)",
    ),
    fault(
        "ignore-power",
        "commands",
        "fan and laser do not obey (default: until cleared)",
    ),
    fault(
        "fan-stuck",
        FRAMES,
        "nothing flows and nothing is counted (default: until cleared)",
    ),
    fault(
        "weak-laser",
        FRAMES,
        "the laser status is 300 (default: until cleared)",
    ),
    fault(
        "power-cycle",
        "times",
        "the counter loses its power for a moment (default 1)",
    ),
    fault("nack", "frames", "the bridge refuses transfers (default 1)"),
    fault(
        "reset-bridge",
        "times",
        "the bridge forgets that it is an SPI master (default 1)",
    ),
    fault(
        "silent",
        "messages",
        "the bridge does not answer (default: until cleared)",
    ),
    fault(
        "short-answer",
        "messages",
        "the bridge's answers lack their last byte (default 1)",
    ),
    fault(
        "garbage",
        "messages",
        "the bridge answers with noise (default 1)",
    ),
    fault(
        "chunk",
        "messages",
        "the bridge's answers come byte by byte (default: until cleared)",
    ),
    fault(
        "other-module",
        "messages",
        "the bridge says it is a relay board (default: until cleared)",
    ),
    fault(
        "vanish",
        "ms",
        "the bridge is unplugged at its next message, for that long (default 2000)",
    ),
];

const FRAMES: &str = "replies";
const FOR_EVER: u64 = u64::MAX;

const fn fault(name: &'static str, argument: &'static str, help: &'static str) -> FaultSpec {
    FaultSpec {
        name,
        argument,
        help,
    }
}

/// How far each fault goes when no number is given, in the order of [`FAULTS`].
const DEFAULTS: [u64; FAULTS.len()] = [
    1, 1, 1, 1, 1, FOR_EVER, 1, 1, FOR_EVER, FOR_EVER, FOR_EVER, FOR_EVER, FOR_EVER, 1, 1, 1,
    FOR_EVER, 1, 1, FOR_EVER, FOR_EVER, 2000,
];

/// Position of each of the counter's own faults in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
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

/// A fault that the counter does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulated particle counter has no fault {0:?}")]
pub struct UnknownFault(pub String);

/// The present faults, shared by counter, bridge and whoever commands them. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Faults(Arc<[AtomicU64; FAULTS.len()]>);

impl Faults {
    /// No fault at all.
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Switches the fault `name` of [`FAULTS`] on, for `n` of its argument's unit; 0 switches it off.
    ///
    /// # Errors
    /// [`UnknownFault`].
    pub fn set(&self, name: &str, n: Option<u64>) -> Result<(), UnknownFault> {
        let index = position(name).ok_or_else(|| UnknownFault(name.to_owned()))?;
        self.0[index].store(n.unwrap_or(DEFAULTS[index]), Ordering::SeqCst);
        Ok(())
    }

    /// Ends every fault.
    pub fn clear(&self) {
        for left in self.0.iter() {
            left.store(0, Ordering::SeqCst);
        }
    }

    /// Whether the fault `name` strikes now, for devices that this module does not know. Uses up one of what is left;
    /// `vanish` gives its milliseconds and is over. `None` also for an unknown name.
    pub fn strike_named(&self, name: &str) -> Option<u64> {
        let index = position(name)?;
        if FAULTS[index].argument == "ms" {
            let ms = self.0[index].swap(0, Ordering::SeqCst);
            return (ms > 0).then_some(ms);
        }
        self.strike_at(index).then_some(1)
    }

    /// Whether the fault strikes now; uses up one of what is left.
    pub(super) fn strike(&self, fault: Fault) -> bool {
        self.strike_at(fault as usize)
    }

    fn strike_at(&self, index: usize) -> bool {
        self.0[index]
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                0 => None,
                FOR_EVER => Some(FOR_EVER),
                finite => Some(finite - 1),
            })
            .is_ok()
    }
}

fn position(name: &str) -> Option<usize> {
    FAULTS.iter().position(|fault| fault.name == name)
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

    #[test]
    fn a_fault_strikes_as_often_as_told() {
        let faults = Faults::none();
        assert!(!faults.strike(Fault::FlipBit));
        faults.set("flip-bit", Some(2)).unwrap();
        assert!(faults.strike(Fault::FlipBit) && faults.strike(Fault::FlipBit));
        assert!(!faults.strike(Fault::FlipBit));
        faults.set("stay-busy", None).unwrap();
        assert!((0..100).all(|_| faults.strike(Fault::StayBusy)));
        faults.set("vanish", None).unwrap();
        assert_eq!(faults.strike_named("vanish"), Some(2000));
        assert_eq!(faults.strike_named("vanish"), None);
        faults.set("nack", Some(1)).unwrap();
        assert_eq!(faults.strike_named("nack"), Some(1));
        assert_eq!(faults.strike_named("nack"), None);
        faults.clear();
        assert!(!faults.strike(Fault::StayBusy));
        assert_eq!(
            faults.set("melt", None).unwrap_err().to_string(),
            "the simulated particle counter has no fault \"melt\""
        );
    }
}
