//! What can go wrong with the simulated oscilloscope, on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::fault::FaultSpec;

/// The faults of the simulated oscilloscope. 0 switches one off.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec {
        name: "drop",
        argument: "bytes",
        help: "the N-th byte from now that it sends is lost, once (default 1)",
    },
    FaultSpec {
        name: "noise",
        argument: "resets",
        help: "eight odd bytes come before the echo of a reset (default: until cleared)",
    },
    FaultSpec {
        name: "silent",
        argument: "bytes",
        help: "it swallows N bytes without an echo (default: until cleared)",
    },
    FaultSpec {
        name: "udp-loss",
        argument: "datagrams",
        help: "N of the next reply datagrams are lost, every other one (default 1)",
    },
    FaultSpec {
        name: "udp-reorder",
        argument: "datagrams",
        help: "reply datagrams of one answer change places in pairs, N times (default: until cleared)",
    },
    FaultSpec {
        name: "udp-double",
        argument: "datagrams",
        help: "reply datagrams come twice, N times (default: until cleared)",
    },
    FaultSpec {
        name: "header",
        argument: "other",
        help: "the Cmd_ID is the first byte of a reply's header, then Data_Seq and LIA_ID (any N)",
    },
    FaultSpec {
        name: "rev",
        argument: "revision",
        help: "its revision is BS and the six digits of N (default 1001: BS001001)",
    },
    FaultSpec {
        name: "slow-writes",
        argument: "bytes",
        help: "it sends N bytes at a time (default 7)",
    },
    FaultSpec {
        name: "vanish",
        argument: "ms",
        help: "it is unplugged when the next byte comes, for that long (default 2000)",
    },
];

const FOR_EVER: u64 = u64::MAX;

/// What each fault gets when no number is given, in the order of [`FAULTS`].
const DEFAULTS: [u64; FAULTS.len()] = [
    1, FOR_EVER, FOR_EVER, 1, FOR_EVER, FOR_EVER, 1, 1001, 7, 2000,
];

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Drop,
    Noise,
    Silent,
    UdpLoss,
    UdpReorder,
    UdpDouble,
    Header,
    Rev,
    SlowWrites,
    Vanish,
}

/// A fault that the oscilloscope does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulated oscilloscope has no fault {0:?}")]
pub struct UnknownFault(pub String);

/// The present faults, shared by the device, its front end and whoever commands them. Cheap to clone, usable from any
/// thread.
#[derive(Debug, Clone)]
pub struct Faults(Arc<[AtomicU64; FAULTS.len()]>);

impl Faults {
    /// No fault at all.
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Switches the fault `name` of [`FAULTS`] on, with its number; 0 switches it off.
    ///
    /// # Errors
    /// [`UnknownFault`].
    pub fn set(&self, name: &str, n: Option<u64>) -> Result<(), UnknownFault> {
        let index = FAULTS.iter().position(|fault| fault.name == name);
        let index = index.ok_or_else(|| UnknownFault(name.to_owned()))?;
        self.0[index].store(n.unwrap_or(DEFAULTS[index]), Ordering::SeqCst);
        Ok(())
    }

    /// Ends every fault.
    pub fn clear(&self) {
        for left in self.0.iter() {
            left.store(0, Ordering::SeqCst);
        }
    }

    /// Its number, 0 for none.
    pub(super) fn number(&self, fault: Fault) -> u64 {
        self.0[fault as usize].load(Ordering::SeqCst)
    }

    /// Takes its number away.
    pub(super) fn take(&self, fault: Fault) -> u64 {
        self.0[fault as usize].swap(0, Ordering::SeqCst)
    }

    /// Whether the fault strikes now; uses up one of what is left.
    pub(super) fn strike(&self, fault: Fault) -> bool {
        self.count_down(fault).is_some()
    }

    /// Whether a fault that counts down reaches its end now.
    pub(super) fn strike_last(&self, fault: Fault) -> bool {
        self.count_down(fault) == Some(1)
    }

    /// What was left, if anything.
    fn count_down(&self, fault: Fault) -> Option<u64> {
        self.0[fault as usize]
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
        for (fault, name) in [
            (Fault::Drop, "drop"),
            (Fault::Noise, "noise"),
            (Fault::Silent, "silent"),
            (Fault::UdpLoss, "udp-loss"),
            (Fault::UdpReorder, "udp-reorder"),
            (Fault::UdpDouble, "udp-double"),
            (Fault::Header, "header"),
            (Fault::Rev, "rev"),
            (Fault::SlowWrites, "slow-writes"),
            (Fault::Vanish, "vanish"),
        ] {
            assert_eq!(FAULTS[fault as usize].name, name);
        }
        let faults = Faults::none();
        faults.set("drop", Some(3)).unwrap();
        let strikes: Vec<bool> = (0..5).map(|_| faults.strike_last(Fault::Drop)).collect();
        assert_eq!(strikes, [false, false, true, false, false]);
        assert_eq!(
            faults.set("melt", None).unwrap_err().to_string(),
            "the simulated oscilloscope has no fault \"melt\""
        );
    }
}
