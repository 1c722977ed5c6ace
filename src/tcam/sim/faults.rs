//! What can go wrong with the simulated camera, on demand.

use super::lepton::FFC_DURATION;
use crate::base::fault::{self, FaultSpec, ONCE, UNTIL_CLEARED};

const EVERY: &str = "every N-th";
const MS: &str = "ms";

/// The faults of the simulated camera.
///
/// The argument "every N-th" makes a fault strike again and again until it is cleared (1 strikes each time); without
/// a number it strikes once, unless its help says otherwise. 0 switches a fault off.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::new(
        "flip-byte",
        EVERY,
        ONCE,
        "an image has one byte changed; its JSON stays valid, its sum fails",
    ),
    FaultSpec::new(
        "drop-byte",
        EVERY,
        ONCE,
        "an image has lost a byte, the rest is shifted",
    ),
    FaultSpec::new(
        "transpose",
        EVERY,
        ONCE,
        "an image has two neighboring bytes exchanged, which no sum can see",
    ),
    FaultSpec::new(
        "wrong-checksum",
        EVERY,
        ONCE,
        "an image's checksum is wrong (SPI alone)",
    ),
    FaultSpec::new(
        "announce-n",
        EVERY,
        ONCE,
        "image_ready without the four bytes of the sum, as the documents say",
    ),
    FaultSpec::new("announce-zero", EVERY, ONCE, "image_ready says 0"),
    FaultSpec::new(
        "announce-huge",
        EVERY,
        ONCE,
        "image_ready says 60000, more than the camera's buffer",
    ),
    FaultSpec::new("announce-negative", EVERY, ONCE, "image_ready says -1"),
    FaultSpec::new(
        "announce-string",
        EVERY,
        ONCE,
        "image_ready says its number as a string",
    ),
    FaultSpec::new("no-arm", EVERY, ONCE, "image_ready without an image on SPI"),
    FaultSpec::new(
        "no-image",
        EVERY,
        1,
        "a due image never comes (without N: none comes until cleared)",
    ),
    FaultSpec::new("swallow-answer", EVERY, ONCE, "an answer is not sent"),
    FaultSpec::new("delay-answer", EVERY, ONCE, "an answer comes 3 s late"),
    FaultSpec::new(
        "unsolicited",
        EVERY,
        ONCE,
        "a cam_info 4 that nobody asked for comes before an answer",
    ),
    FaultSpec::new(
        "bad-utf8",
        EVERY,
        ONCE,
        "a packet that is not UTF-8 comes before an answer",
    ),
    FaultSpec::new(
        "glue",
        EVERY,
        ONCE,
        "an answer is sent together with the next packet, or 300 ms later",
    ),
    FaultSpec::new(
        "split",
        EVERY,
        ONCE,
        "a packet is sent byte by byte, an image on TCP in small pieces",
    ),
    FaultSpec::new(
        "junk",
        EVERY,
        ONCE,
        "bytes outside of any packet come before a packet",
    ),
    FaultSpec::new(
        "close",
        EVERY,
        ONCE,
        "the connection is closed in the middle of an image (TCP alone)",
    ),
    FaultSpec::new(
        "pause",
        EVERY,
        ONCE,
        "700 ms pass in the middle of an image, on UART of its announcement",
    ),
    FaultSpec::new(
        "spi-dead",
        "",
        ONCE,
        "cam_info 4 \"SPI Slave restart error\", and no image until cleared",
    ),
    FaultSpec::new(
        "reboot",
        MS,
        1500,
        "the camera restarts, silent for that long (default 1500), and forgets all",
    ),
    FaultSpec::new(
        "ffc-gap",
        MS,
        FFC_DURATION.as_millis() as u64,
        "a flat-field correction that takes that long (default 800)",
    ),
    FaultSpec::new(
        "vanish",
        MS,
        UNTIL_CLEARED,
        "unplugged, power included, for that long (default: until cleared)",
    ),
];

/// Position of each fault in [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
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
        ] {
            assert_eq!(FAULTS[fault as usize].name, name);
        }
    }
}
