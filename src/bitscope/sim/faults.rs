//! What can go wrong with the simulated oscilloscope, on demand.

use crate::base::fault::{self, FaultSpec, UNTIL_CLEARED};

/// The faults of the simulated oscilloscope. 0 switches one off.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::new(
        "drop",
        "bytes",
        1,
        "the N-th byte from now that it sends is lost, once (default 1)",
    ),
    FaultSpec::new(
        "noise",
        "resets",
        UNTIL_CLEARED,
        "eight odd bytes come before the echo of a reset (default: until cleared)",
    ),
    FaultSpec::new(
        "silent",
        "bytes",
        UNTIL_CLEARED,
        "it swallows N bytes without an echo (default: until cleared)",
    ),
    FaultSpec::new(
        "udp-loss",
        "datagrams",
        1,
        "N of the next reply datagrams are lost, every other one (default 1)",
    ),
    FaultSpec::new(
        "udp-reorder",
        "datagrams",
        UNTIL_CLEARED,
        "reply datagrams of one answer change places in pairs, N times (default: until cleared)",
    ),
    FaultSpec::new(
        "udp-double",
        "datagrams",
        UNTIL_CLEARED,
        "reply datagrams come twice, N times (default: until cleared)",
    ),
    FaultSpec::new(
        "header",
        "other",
        1,
        "the Cmd_ID is the first byte of a reply's header, then Data_Seq and LIA_ID (any N)",
    ),
    FaultSpec::new(
        "rev",
        "revision",
        1001,
        "its revision is BS and the six digits of N (default 1001: BS001001)",
    ),
    FaultSpec::new(
        "slow-writes",
        "bytes",
        7,
        "it sends N bytes at a time (default 7)",
    ),
    FaultSpec::new(
        "vanish",
        "ms",
        2000,
        "it is unplugged when the next byte comes, for that long (default 2000)",
    ),
];

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
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

/// The present faults of the simulated oscilloscope.
pub type Faults = fault::Faults<Fault>;

impl fault::Fault for Fault {
    const DEVICE: &'static str = "simulated oscilloscope";
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
    }
}
