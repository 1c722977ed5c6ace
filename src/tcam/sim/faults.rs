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
    spec(
        "flip-byte",
        EVERY,
        ONCE,
        "an image has one byte changed; its JSON stays valid, its sum fails",
    ),
    spec(
        "drop-byte",
        EVERY,
        ONCE,
        "an image has lost a byte, the rest is shifted",
    ),
    spec(
        "transpose",
        EVERY,
        ONCE,
        "an image has two neighboring bytes exchanged, which no sum can see",
    ),
    spec(
        "wrong-checksum",
        EVERY,
        ONCE,
        "an image's checksum is wrong (SPI alone)",
    ),
    spec(
        "announce-n",
        EVERY,
        ONCE,
        "image_ready without the four bytes of the sum, as the documents say",
    ),
    spec("announce-zero", EVERY, ONCE, "image_ready says 0"),
    spec(
        "announce-huge",
        EVERY,
        ONCE,
        "image_ready says 60000, more than the camera's buffer",
    ),
    spec("announce-negative", EVERY, ONCE, "image_ready says -1"),
    spec(
        "announce-string",
        EVERY,
        ONCE,
        "image_ready says its number as a string",
    ),
    spec("no-arm", EVERY, ONCE, "image_ready without an image on SPI"),
    spec(
        "no-image",
        EVERY,
        1,
        "a due image never comes (without N: none comes until cleared)",
    ),
    spec("swallow-answer", EVERY, ONCE, "an answer is not sent"),
    spec("delay-answer", EVERY, ONCE, "an answer comes 3 s late"),
    spec(
        "unsolicited",
        EVERY,
        ONCE,
        "a cam_info 4 that nobody asked for comes before an answer",
    ),
    spec(
        "bad-utf8",
        EVERY,
        ONCE,
        "a packet that is not UTF-8 comes before an answer",
    ),
    spec(
        "glue",
        EVERY,
        ONCE,
        "an answer is sent together with the next packet, or 300 ms later",
    ),
    spec(
        "split",
        EVERY,
        ONCE,
        "a packet is sent byte by byte, an image on TCP in small pieces",
    ),
    spec(
        "junk",
        EVERY,
        ONCE,
        "bytes outside of any packet come before a packet",
    ),
    spec(
        "close",
        EVERY,
        ONCE,
        "the connection is closed in the middle of an image (TCP alone)",
    ),
    spec(
        "pause",
        EVERY,
        ONCE,
        "700 ms pass in the middle of an image, on UART of its announcement",
    ),
    spec(
        "spi-dead",
        "",
        ONCE,
        "cam_info 4 \"SPI Slave restart error\", and no image until cleared",
    ),
    spec(
        "reboot",
        MS,
        1500,
        "the camera restarts, silent for that long (default 1500), and forgets all",
    ),
    spec(
        "ffc-gap",
        MS,
        FFC_DURATION.as_millis() as u64,
        "a flat-field correction that takes that long (default 800)",
    ),
    spec(
        "vanish",
        MS,
        UNTIL_CLEARED,
        "unplugged, power included, for that long (default: until cleared)",
    ),
];

const fn spec(
    name: &'static str,
    argument: &'static str,
    default: u64,
    help: &'static str,
) -> FaultSpec {
    FaultSpec {
        name,
        argument,
        default,
        help,
    }
}

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
