//! What can go wrong with the simulated instrument, on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smol::channel;

use crate::base::fault::FaultSpec;

/// The faults of the simulated spectrometer. 0 switches a fault off.
pub const FAULTS: &[FaultSpec] = &[
    fault(
        "chunk",
        "bytes",
        "replies are written in pieces of N bytes, 2 ms apart (default 1000)",
    ),
    fault(
        "eol",
        "form",
        "text replies end with lf (1) or none (2, default) instead of crlf",
    ),
    fault(
        "frame-end",
        "form",
        "frames end with crlf (1) or none (2, default) instead of lf",
    ),
    fault("answer-set", "", "set commands are answered with a line"),
    fault("greedy", "", "every connection may set (also greedy=off)"),
    fault(
        "delay-ms",
        "ms",
        "replies come that much later (default 500)",
    ),
    fault(
        "drop-after",
        "commands",
        "the connection that sends the N-th command from now is closed without a notice (default 1)",
    ),
    fault("lamp", "", "the lamp is off (also lamp=off)"),
    fault(
        "tls",
        "",
        "TLS 1.2 is spoken, 1.3 is not (also tls=1.2only)",
    ),
    fault(
        "new-cert",
        "",
        "each new connection is shown a certificate made for it",
    ),
    fault("long-cal", "", "calibrations have a fifth coefficient"),
    fault(
        "old-tls",
        "",
        "handshakes end as with an instrument of TLS 1.0",
    ),
    fault("silent", "", "commands are obeyed, nothing is answered"),
    fault(
        "cut-frame",
        "times",
        "the connection is closed in the middle of a frame (default 1)",
    ),
    fault(
        "junk",
        "times",
        "a line of noise comes before a reply (default: until cleared)",
    ),
    fault(
        "bad-number",
        "times",
        "exposure and calibration are answered with words (default 1)",
    ),
    fault(
        "vanish",
        "ms",
        "unplugged for that long, connections and port are closed (default 2000)",
    ),
];

const fn fault(name: &'static str, argument: &'static str, help: &'static str) -> FaultSpec {
    FaultSpec {
        name,
        argument,
        help,
    }
}

const FOR_EVER: u64 = u64::MAX;

/// What each fault is set to when no number is given, in the order of [`FAULTS`].
const DEFAULTS: [u64; FAULTS.len()] = [
    1000, 2, 2, 1, 1, 500, 1, 1, 1, 1, 1, 1, 1, 1, FOR_EVER, 1, 2000,
];

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

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
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

/// A fault that the spectrometer does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulated spectrometer has no fault {0:?}")]
pub struct UnknownFault(pub String);

/// The present faults, shared by the instrument and whoever commands them. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: [AtomicU64; FAULTS.len()],
    changed: channel::Sender<()>,
    change: channel::Receiver<()>,
}

impl Faults {
    /// No fault at all.
    pub fn none() -> Self {
        let (changed, change) = channel::bounded(1);
        Self(Arc::new(Inner {
            settings: Default::default(),
            changed,
            change,
        }))
    }

    /// Switches the fault `name` of [`FAULTS`] on, `n` being its argument; 0 switches it off.
    ///
    /// # Errors
    /// [`UnknownFault`].
    pub fn set(&self, name: &str, n: Option<u64>) -> Result<(), UnknownFault> {
        let index = FAULTS
            .iter()
            .position(|fault| fault.name == name)
            .ok_or_else(|| UnknownFault(name.to_owned()))?;
        self.0.settings[index].store(n.unwrap_or(DEFAULTS[index]), Ordering::SeqCst);
        // A full queue already holds a wake-up that has not been looked at.
        let _ = self.0.changed.try_send(());
        Ok(())
    }

    /// The number of a word that the documents use as the argument of a fault.
    pub fn word(name: &str, word: &str) -> Option<u64> {
        let found = WORDS
            .iter()
            .find(|(fault, w, _)| (*fault, *w) == (name, word));
        found.map(|(_, _, n)| *n)
    }

    /// Ends every fault.
    pub fn clear(&self) {
        for setting in &self.0.settings {
            setting.store(0, Ordering::SeqCst);
        }
        let _ = self.0.changed.try_send(());
    }

    /// The present setting, 0 for none.
    pub(super) fn setting(&self, fault: Fault) -> u64 {
        self.0.settings[fault as usize].load(Ordering::SeqCst)
    }

    /// Whether the fault is on.
    pub(super) fn is_on(&self, fault: Fault) -> bool {
        self.setting(fault) != 0
    }

    /// Whether the fault strikes now; uses up one of what is left.
    pub(super) fn strike(&self, fault: Fault) -> bool {
        self.count_down(fault).is_some()
    }

    /// Whether this is the last of so many.
    pub(super) fn is_last(&self, fault: Fault) -> bool {
        self.count_down(fault) == Some(1)
    }

    /// Takes a fault that happens as soon as it is set.
    pub(super) fn take(&self, fault: Fault) -> u64 {
        self.0.settings[fault as usize].swap(0, Ordering::SeqCst)
    }

    /// Waits until some fault was switched on or off. Only the simulator's own thread may call it.
    pub(super) async fn changed(&self) {
        // The sender lives as long as the receiver, so this cannot fail.
        let _ = self.0.change.recv().await;
    }

    /// How many were left.
    fn count_down(&self, fault: Fault) -> Option<u64> {
        self.0.settings[fault as usize]
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                0 => None,
                FOR_EVER => Some(FOR_EVER),
                finite => Some(finite - 1),
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_match_the_table() {
        let all = [
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
        ];
        assert_eq!(all.len(), FAULTS.len());
        for (fault, name) in all {
            assert_eq!(FAULTS[fault as usize].name, name);
        }
        for (name, _, _) in WORDS {
            assert!(FAULTS.iter().any(|fault| fault.name == *name), "{name}");
        }
    }

    #[test]
    fn a_fault_strikes_as_often_as_told() {
        let faults = Faults::none();
        assert!(!faults.strike(Fault::CutFrame));
        faults.set("cut-frame", Some(2)).unwrap();
        assert!(faults.strike(Fault::CutFrame) && faults.strike(Fault::CutFrame));
        assert!(!faults.strike(Fault::CutFrame));
        faults.set("drop-after", Some(2)).unwrap();
        assert!(!faults.is_last(Fault::DropAfter) && faults.is_last(Fault::DropAfter));
        assert!(!faults.is_last(Fault::DropAfter));
        faults.set("junk", None).unwrap();
        assert!((0..9).all(|_| faults.strike(Fault::Junk)));
        faults.clear();
        assert!(!faults.is_on(Fault::Junk));
        assert_eq!(Faults::word("eol", "lf"), Some(1));
        assert_eq!(
            faults.set("melt", None).unwrap_err().to_string(),
            "the simulated spectrometer has no fault \"melt\""
        );
    }
}
