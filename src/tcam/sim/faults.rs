//! What can go wrong with the simulated camera, on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smol::channel;

use crate::base::fault::FaultSpec;

const EVERY: &str = "every N-th";
const MS: &str = "ms";

/// The faults of the simulated camera.
///
/// The argument "every N-th" makes a fault strike again and again until it is cleared (1 strikes each time); without
/// a number it strikes once, unless its help says otherwise. 0 switches a fault off.
pub const FAULTS: &[FaultSpec] = &[
    fault(
        "flip-byte",
        EVERY,
        "an image has one byte changed; its JSON stays valid, its sum fails",
    ),
    fault(
        "drop-byte",
        EVERY,
        "an image has lost a byte, the rest is shifted",
    ),
    fault(
        "transpose",
        EVERY,
        "an image has two neighboring bytes exchanged, which no sum can see",
    ),
    fault(
        "wrong-checksum",
        EVERY,
        "an image's checksum is wrong (SPI alone)",
    ),
    fault(
        "announce-n",
        EVERY,
        "image_ready without the four bytes of the sum, as the documents say",
    ),
    fault("announce-zero", EVERY, "image_ready says 0"),
    fault(
        "announce-huge",
        EVERY,
        "image_ready says 60000, more than the camera's buffer",
    ),
    fault("announce-negative", EVERY, "image_ready says -1"),
    fault(
        "announce-string",
        EVERY,
        "image_ready says its number as a string",
    ),
    fault("no-arm", EVERY, "image_ready without an image on SPI"),
    fault(
        "no-image",
        EVERY,
        "a due image never comes (without N: none comes until cleared)",
    ),
    fault("swallow-answer", EVERY, "an answer is not sent"),
    fault("delay-answer", EVERY, "an answer comes 3 s late"),
    fault(
        "unsolicited",
        EVERY,
        "a cam_info 4 that nobody asked for comes before an answer",
    ),
    fault(
        "bad-utf8",
        EVERY,
        "a packet that is not UTF-8 comes before an answer",
    ),
    fault(
        "glue",
        EVERY,
        "an answer is sent together with the next packet, or 300 ms later",
    ),
    fault(
        "split",
        EVERY,
        "a packet is sent byte by byte, an image on TCP in small pieces",
    ),
    fault(
        "junk",
        EVERY,
        "bytes outside of any packet come before a packet",
    ),
    fault(
        "close",
        EVERY,
        "the connection is closed in the middle of an image (TCP alone)",
    ),
    fault(
        "pause",
        EVERY,
        "700 ms pass in the middle of an image, on UART of its announcement",
    ),
    fault(
        "spi-dead",
        "",
        "cam_info 4 \"SPI Slave restart error\", and no image until cleared",
    ),
    fault(
        "reboot",
        MS,
        "the camera restarts, silent for that long (default 1500), and forgets all",
    ),
    fault(
        "ffc-gap",
        MS,
        "a flat-field correction that takes that long (default 800)",
    ),
    fault(
        "vanish",
        MS,
        "unplugged, power included, for that long (default: until cleared)",
    ),
];

const fn fault(name: &'static str, argument: &'static str, help: &'static str) -> FaultSpec {
    FaultSpec {
        name,
        argument,
        help,
    }
}

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    FlipByte,
    DropByte,
    Transpose,
    WrongChecksum,
    AnnounceN,
    AnnounceZero,
    AnnounceHuge,
    AnnounceNegative,
    AnnounceString,
    NoArm,
    NoImage,
    SwallowAnswer,
    DelayAnswer,
    Unsolicited,
    BadUtf8,
    Glue,
    Split,
    Junk,
    Close,
    Pause,
    SpiDead,
    Reboot,
    FfcGap,
    Vanish,
}

/// A setting that is used up when it strikes.
const ONCE: u64 = u64::MAX;

/// A fault that the camera does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulated camera has no fault {0:?}")]
pub struct UnknownFault(pub String);

/// The present faults, shared by the camera and whoever commands them. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    switches: [Switch; FAULTS.len()],
    changed: channel::Sender<()>,
    change: channel::Receiver<()>,
}

#[derive(Debug, Default)]
struct Switch {
    /// 0 off, [`ONCE`], or every so many.
    setting: AtomicU64,
    chances: AtomicU64,
}

impl Faults {
    /// No fault at all.
    pub fn none() -> Self {
        let (changed, change) = channel::bounded(1);
        Self(Arc::new(Inner {
            switches: Default::default(),
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
        let lasts = index == Fault::NoImage as usize;
        let switch = &self.0.switches[index];
        switch.chances.store(0, Ordering::SeqCst);
        let setting = n.unwrap_or(if lasts { 1 } else { ONCE });
        switch.setting.store(setting, Ordering::SeqCst);
        self.wake();
        Ok(())
    }

    /// Ends every fault.
    pub fn clear(&self) {
        for switch in &self.0.switches {
            switch.setting.store(0, Ordering::SeqCst);
        }
        self.wake();
    }

    /// Whether the fault is on.
    pub(super) fn is_on(&self, fault: Fault) -> bool {
        self.switch(fault).setting.load(Ordering::SeqCst) != 0
    }

    /// Whether the fault strikes at this chance.
    pub(super) fn strike(&self, fault: Fault) -> bool {
        let switch = self.switch(fault);
        match switch.setting.load(Ordering::SeqCst) {
            0 => false,
            ONCE => {
                let used =
                    switch
                        .setting
                        .compare_exchange(ONCE, 0, Ordering::SeqCst, Ordering::SeqCst);
                used.is_ok()
            }
            every => (switch.chances.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(every),
        }
    }

    /// Takes a fault that happens as soon as it is set: how long it is to last.
    pub(super) fn take(&self, fault: Fault, default: Duration) -> Option<Duration> {
        match self.switch(fault).setting.swap(0, Ordering::SeqCst) {
            0 => None,
            ONCE => Some(default),
            ms => Some(Duration::from_millis(ms)),
        }
    }

    /// How long the camera is to be unplugged: not at all, or `None` within for until cleared.
    pub(super) fn absence(&self) -> Option<Option<Duration>> {
        match self.switch(Fault::Vanish).setting.load(Ordering::SeqCst) {
            0 => None,
            ONCE => Some(None),
            ms => Some(Some(Duration::from_millis(ms))),
        }
    }

    /// The fault is over.
    pub(super) fn end(&self, fault: Fault) {
        self.switch(fault).setting.store(0, Ordering::SeqCst);
    }

    /// Waits until some fault was switched on or off. Only the camera's own front end may call it.
    pub(super) async fn changed(&self) {
        // The sender lives as long as the receiver, so this cannot fail.
        let _ = self.0.change.recv().await;
    }

    fn switch(&self, fault: Fault) -> &Switch {
        &self.0.switches[fault as usize]
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
    fn indices_match_the_table() {
        let all = [
            (Fault::FlipByte, "flip-byte"),
            (Fault::DropByte, "drop-byte"),
            (Fault::Transpose, "transpose"),
            (Fault::WrongChecksum, "wrong-checksum"),
            (Fault::AnnounceN, "announce-n"),
            (Fault::AnnounceZero, "announce-zero"),
            (Fault::AnnounceHuge, "announce-huge"),
            (Fault::AnnounceNegative, "announce-negative"),
            (Fault::AnnounceString, "announce-string"),
            (Fault::NoArm, "no-arm"),
            (Fault::NoImage, "no-image"),
            (Fault::SwallowAnswer, "swallow-answer"),
            (Fault::DelayAnswer, "delay-answer"),
            (Fault::Unsolicited, "unsolicited"),
            (Fault::BadUtf8, "bad-utf8"),
            (Fault::Glue, "glue"),
            (Fault::Split, "split"),
            (Fault::Junk, "junk"),
            (Fault::Close, "close"),
            (Fault::Pause, "pause"),
            (Fault::SpiDead, "spi-dead"),
            (Fault::Reboot, "reboot"),
            (Fault::FfcGap, "ffc-gap"),
            (Fault::Vanish, "vanish"),
        ];
        assert_eq!(all.len(), FAULTS.len());
        for (fault, name) in all {
            assert_eq!(FAULTS[fault as usize].name, name);
        }
    }

    #[test]
    fn a_fault_strikes_once_or_every_so_often() {
        let faults = Faults::none();
        let strikes = |count| {
            (0..count)
                .map(|_| faults.strike(Fault::Glue))
                .collect::<Vec<_>>()
        };
        assert_eq!(strikes(2), [false, false]);
        faults.set("glue", None).unwrap();
        assert_eq!(strikes(3), [true, false, false]);
        faults.set("glue", Some(3)).unwrap();
        assert_eq!(strikes(6), [false, false, true, false, false, true]);
        faults.set("glue", Some(0)).unwrap();
        assert_eq!(strikes(3), [false; 3]);
        faults.set("no-image", None).unwrap();
        assert!((0..9).all(|_| faults.strike(Fault::NoImage)));
        faults.clear();
        assert!(!faults.strike(Fault::NoImage));
        assert_eq!(
            faults.set("melt", None).unwrap_err().to_string(),
            "the simulated camera has no fault \"melt\""
        );
    }
}
