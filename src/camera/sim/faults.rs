//! What can go wrong with the simulated camera, on demand.

use crate::base::fault::{self, FaultSpec, UNTIL_CLEARED};

/// The faults of the simulated camera.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::new(
        "hang",
        "streams",
        UNTIL_CLEARED,
        "no frame completes; a restart cures it after that many streams (default: until cleared)",
    ),
    FaultSpec::new(
        "drop-frame",
        "frames",
        1,
        "frames are lost: a gap in the sequence, and the request ends as damaged (default 1)",
    ),
    FaultSpec::new(
        "bad-status",
        "frames",
        1,
        "frames complete as damaged (default 1)",
    ),
    FaultSpec::new(
        "refuse-start",
        "starts",
        UNTIL_CLEARED,
        "the stream does not start (default: until cleared)",
    ),
    FaultSpec::new(
        "late-control",
        "frames",
        3,
        "controls show that many frames later than they should, until cleared (default 3)",
    ),
    FaultSpec::new(
        "wrong-exposure",
        "frames",
        1,
        "frames are exposed for another time than asked (default 1)",
    ),
];

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Hang,
    DropFrame,
    BadStatus,
    RefuseStart,
    LateControl,
    WrongExposure,
}

/// The present faults of the simulated camera.
pub type Faults = fault::Faults<Fault>;

impl fault::Fault for Fault {
    const DEVICE: &'static str = "simulated camera";
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
            (Fault::Hang, "hang"),
            (Fault::DropFrame, "drop-frame"),
            (Fault::BadStatus, "bad-status"),
            (Fault::RefuseStart, "refuse-start"),
            (Fault::LateControl, "late-control"),
            (Fault::WrongExposure, "wrong-exposure"),
        ] {
            assert_eq!(FAULTS[fault as usize].name, name);
        }
    }
}
