//! What can go wrong with the simulated camera, on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smol::channel;

use crate::base::fault::FaultSpec;

/// The faults of the simulated camera.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec {
        name: "hang",
        argument: "streams",
        help: "no frame completes; a restart cures it after that many streams (default: until cleared)",
    },
    FaultSpec {
        name: "drop-frame",
        argument: "frames",
        help: "frames are lost: a gap in the sequence, and the request ends as damaged (default 1)",
    },
    FaultSpec {
        name: "bad-status",
        argument: "frames",
        help: "frames complete as damaged (default 1)",
    },
    FaultSpec {
        name: "refuse-start",
        argument: "starts",
        help: "the stream does not start (default: until cleared)",
    },
    FaultSpec {
        name: "late-control",
        argument: "frames",
        help: "controls show that many frames later than they should, until cleared (default 3)",
    },
    FaultSpec {
        name: "wrong-exposure",
        argument: "frames",
        help: "frames are exposed for another time than asked (default 1)",
    },
];

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Hang,
    DropFrame,
    BadStatus,
    RefuseStart,
    LateControl,
    WrongExposure,
}

/// How far each fault goes when no number is given, in the order of [`FAULTS`].
const DEFAULTS: [u64; FAULTS.len()] = [FOR_EVER, 1, 1, FOR_EVER, 3, 1];

const FOR_EVER: u64 = u64::MAX;

/// A fault that the camera does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulated camera has no fault {0:?}")]
pub struct UnknownFault(pub String);

/// The present faults, shared by the camera and whoever commands them. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    left: [AtomicU64; FAULTS.len()],
    changed: channel::Sender<()>,
    change: channel::Receiver<()>,
}

impl Faults {
    /// No fault at all.
    pub fn none() -> Self {
        let (changed, change) = channel::bounded(1);
        Self(Arc::new(Inner {
            left: Default::default(),
            changed,
            change,
        }))
    }

    /// Switches the fault `name` of [`FAULTS`] on, for `n` of its argument's unit; 0 switches it off.
    pub fn set(&self, name: &str, n: Option<u64>) -> Result<(), UnknownFault> {
        let index = FAULTS
            .iter()
            .position(|fault| fault.name == name)
            .ok_or_else(|| UnknownFault(name.to_owned()))?;
        self.0.left[index].store(n.unwrap_or(DEFAULTS[index]), Ordering::SeqCst);
        self.wake();
        Ok(())
    }

    /// Ends every fault; a hung camera goes on at once.
    pub fn clear(&self) {
        for left in &self.0.left {
            left.store(0, Ordering::SeqCst);
        }
        self.wake();
    }

    /// How much of a fault is left.
    pub(super) fn left(&self, fault: Fault) -> u64 {
        self.0.left[fault as usize].load(Ordering::SeqCst)
    }

    /// Whether the fault strikes now; uses up one of what is left.
    pub(super) fn strike(&self, fault: Fault) -> bool {
        self.0.left[fault as usize]
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                0 => None,
                FOR_EVER => Some(FOR_EVER),
                finite => Some(finite - 1),
            })
            .is_ok()
    }

    /// Waits while the camera hangs.
    pub(super) async fn hang(&self) {
        while self.left(Fault::Hang) > 0 {
            // The sender lives as long as the receiver, so this cannot fail.
            let _ = self.0.change.recv().await;
        }
    }

    fn wake(&self) {
        // A full queue already holds a wake-up that has not been looked at.
        let _ = self.0.changed.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_indices_match() {
        let at = |fault: Fault| FAULTS[fault as usize].name;
        assert_eq!(at(Fault::Hang), "hang");
        assert_eq!(at(Fault::DropFrame), "drop-frame");
        assert_eq!(at(Fault::BadStatus), "bad-status");
        assert_eq!(at(Fault::RefuseStart), "refuse-start");
        assert_eq!(at(Fault::LateControl), "late-control");
        assert_eq!(at(Fault::WrongExposure), "wrong-exposure");
    }

    #[test]
    fn a_fault_strikes_as_often_as_told() {
        let faults = Faults::none();
        assert!(!faults.strike(Fault::BadStatus));
        faults.set("bad-status", Some(2)).unwrap();
        assert!(faults.strike(Fault::BadStatus));
        assert!(faults.strike(Fault::BadStatus));
        assert!(!faults.strike(Fault::BadStatus));
        faults.set("refuse-start", None).unwrap();
        assert!((0..100).all(|_| faults.strike(Fault::RefuseStart)));
        faults.set("refuse-start", Some(0)).unwrap();
        assert!(!faults.strike(Fault::RefuseStart));
        assert_eq!(
            faults.set("melt", None).unwrap_err().to_string(),
            "the simulated camera has no fault \"melt\""
        );
    }

    #[test]
    fn clearing_ends_a_hang() {
        let faults = Faults::none();
        smol::block_on(faults.hang());
        faults.set("hang", None).unwrap();
        let mut hung = Box::pin(faults.hang());
        assert!(smol::block_on(futures_lite::future::poll_once(&mut hung)).is_none());
        faults.set("drop-frame", None).unwrap();
        assert!(smol::block_on(futures_lite::future::poll_once(&mut hung)).is_none());
        let other = faults.clone();
        let clearing = std::thread::spawn(move || other.clear());
        smol::block_on(hung);
        clearing.join().unwrap();
        assert_eq!(faults.left(Fault::DropFrame), 0);
    }
}
