//! What a camera's stream is asked to be, and what is made of the configuration it then has.
//!
//! | format | fourcc, modifier | layout |
//! |---|---|---|
//! | `S....12_CSI2P` | 12-bit, packed | [`Packing::Csi2p12`] |
//! | `S....12` | 12-bit, none | [`Packing::U16Low`] |
//! | `S....16` | 16-bit, none | [`Packing::U16High`] or [`Packing::U16Low`], as the board says |
//! | `...._PISP_COMP1` | 16-bit, compressed | refused: it is lossy |
//! | `NV12` | of libcamera's virtual camera | the bytes of plane 0, as if they were packed pixels |
//!
//! Fourccs and modifiers are those of hq-camera.md 8.

use std::fmt;

use crate::raw::{BayerOrder, Layout, LayoutError, Packing};

const CSI2_PACKED: u64 = 0x0b00_0000_0000_0001;
/// Vendor byte of the modifiers of Raspberry Pi's compressed formats.
const PISP_VENDOR: u64 = 0x0c;
/// NV12, 8-bit luminance in plane 0.
pub const NV12: DrmFormat = DrmFormat::new(*b"NV12", 0);

const ORDERS: [BayerOrder; 4] = [
    BayerOrder::Rggb,
    BayerOrder::Grbg,
    BayerOrder::Gbrg,
    BayerOrder::Bggr,
];

/// A pixel format as the kernel's graphics layer and libcamera name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrmFormat {
    /// Four characters, the first in the lowest byte.
    pub fourcc: u32,
    /// Vendor and variant of the layout; 0 is the plain one.
    pub modifier: u64,
}

/// What the stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Raw frames of a 12-bit Bayer sensor.
    Raw(RawWish),
    /// Frames of a camera without raw ones, such as libcamera's virtual camera.
    Viewfinder,
}

/// Raw format to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawWish {
    /// 12-bit CSI-2 packed.
    Packed12,
    /// 16-bit words, the sample `shift` bits above the lowest: 0 or 4.
    Unpacked16 {
        /// Bits below the sample.
        shift: u8,
    },
}

/// The stream to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamWish {
    /// The camera's model, `imx477`.
    pub model: String,
    /// What the stream is for.
    pub role: Role,
    /// Columns and rows; `None` takes what the camera offers first.
    pub size: Option<(u32, u32)>,
}

/// The stream's configuration as the camera will have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validated {
    /// Pixel format.
    pub format: DrmFormat,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride_bytes: u32,
    /// Bytes of a frame with all its planes.
    pub frame_bytes: u32,
}

/// Why a configuration is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamFormatError {
    /// The Pi 5 compresses.
    #[error(
        "the camera would deliver lossy compressed frames ({0}); the board profile must say raw = \"unpacked16\" and shift = 4"
    )]
    Compressed(DrmFormat),
    /// Sixteen bits where the board promised twelve: nobody knows where the sample stands in them.
    #[error(
        "the camera delivers 16-bit words ({0}) though the board profile says raw = \"packed12\"; it must say raw = \"unpacked16\" and shift"
    )]
    Unforeseen(DrmFormat),
    /// No raw format of 12 bits.
    #[error("the camera delivers frames of format {0}, which is none of those Outpost reads")]
    Unknown(DrmFormat),
    /// Another mode than the one asked for.
    #[error(
        "asked for frames of {wanted_width} x {wanted_height} pixels, the camera offers {width} x {height}"
    )]
    Size {
        /// Columns asked for.
        wanted_width: u32,
        /// Rows asked for.
        wanted_height: u32,
        /// Columns offered.
        width: u32,
        /// Rows offered.
        height: u32,
    },
    /// A sample that stands somewhere in the middle of its word.
    #[error(
        "the board profile says shift = {0}; samples stand at the lowest bit (0) or the highest (4)"
    )]
    Shift(u8),
    /// A geometry that cannot be.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Less memory than rows.
    #[error("a frame of {frame_bytes} bytes cannot hold {height} rows of {stride_bytes} bytes")]
    Short {
        /// Bytes of a frame.
        frame_bytes: u32,
        /// Rows.
        height: u32,
        /// Bytes from row to row.
        stride_bytes: u32,
    },
}

impl DrmFormat {
    /// From its four characters and modifier.
    pub const fn new(fourcc: [u8; 4], modifier: u64) -> Self {
        Self {
            fourcc: u32::from_le_bytes(fourcc),
            modifier,
        }
    }

    fn is_compressed(self) -> bool {
        self.modifier >> 56 == PISP_VENDOR
    }
}

impl fmt::Display for DrmFormat {
    /// `RG12`, and the modifier where there is one: `RGB6/0x0c00000000000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fourcc.to_le_bytes().escape_ascii())?;
        match self.modifier {
            0 => Ok(()),
            modifier => write!(f, "/{modifier:#018x}"),
        }
    }
}

impl RawWish {
    /// The format to ask a sensor of this Bayer order for. The camera corrects the order if it is not the sensor's.
    ///
    /// # Errors
    /// [`StreamFormatError::Shift`].
    pub fn format(self, order: BayerOrder) -> Result<DrmFormat, StreamFormatError> {
        let [twelve, sixteen] = fourccs(order);
        match self {
            RawWish::Packed12 => Ok(DrmFormat::new(twelve, CSI2_PACKED)),
            RawWish::Unpacked16 { shift: 0 } => Ok(DrmFormat::new(twelve, 0)),
            RawWish::Unpacked16 { shift: 4 } => Ok(DrmFormat::new(sixteen, 0)),
            RawWish::Unpacked16 { shift } => Err(StreamFormatError::Shift(shift)),
        }
    }
}

/// Bayer order of a raw format, whatever its packing.
pub fn bayer_order(format: DrmFormat) -> Option<BayerOrder> {
    ORDERS
        .into_iter()
        .find(|&order| bits(format, order).is_some())
}

/// The fourccs of a Bayer order: 12 bits, and 16 bits or compressed.
fn fourccs(order: BayerOrder) -> [[u8; 4]; 2] {
    match order {
        BayerOrder::Rggb => [*b"RG12", *b"RGB6"],
        BayerOrder::Grbg => [*b"BA12", *b"GR16"],
        BayerOrder::Gbrg => [*b"GB12", *b"GB16"],
        BayerOrder::Bggr => [*b"BG12", *b"BYR2"],
    }
}

/// Bits of a sample as the fourcc has it; `None` where it is none of this order.
fn bits(format: DrmFormat, order: BayerOrder) -> Option<u32> {
    let [twelve, sixteen] = fourccs(order).map(u32::from_le_bytes);
    match format.fourcc {
        fourcc if fourcc == twelve => Some(12),
        fourcc if fourcc == sixteen => Some(16),
        _ => None,
    }
}

/// The verdict on a configuration: how its frames lie in memory, if they are what was wished for.
///
/// # Errors
/// [`StreamFormatError`].
pub fn layout(wish: &StreamWish, validated: &Validated) -> Result<Layout, StreamFormatError> {
    let Validated {
        format,
        width,
        height,
        stride_bytes,
        frame_bytes,
    } = *validated;
    if format.is_compressed() {
        return Err(StreamFormatError::Compressed(format));
    }
    if let Some((wanted_width, wanted_height)) = wish.size
        && (wanted_width, wanted_height) != (width, height)
    {
        return Err(StreamFormatError::Size {
            wanted_width,
            wanted_height,
            width,
            height,
        });
    }
    let (packing, bayer, columns) = match wish.role {
        Role::Raw(raw) => {
            let order = bayer_order(format).ok_or(StreamFormatError::Unknown(format))?;
            (packing(raw, format, order)?, order, width as usize)
        }
        // As many packed pixels as fill the bytes of a row; they have no colors.
        Role::Viewfinder if format == NV12 => {
            (Packing::Csi2p12, BayerOrder::Rggb, width as usize / 3 * 2)
        }
        Role::Viewfinder => return Err(StreamFormatError::Unknown(format)),
    };
    let layout = Layout {
        width: columns,
        height: height as usize,
        stride_bytes: stride_bytes as usize,
        packing,
        bayer,
    };
    layout.validate()?;
    if layout.frame_bytes() > frame_bytes as usize {
        return Err(StreamFormatError::Short {
            frame_bytes,
            height,
            stride_bytes,
        });
    }
    Ok(layout)
}

fn packing(
    wish: RawWish,
    format: DrmFormat,
    order: BayerOrder,
) -> Result<Packing, StreamFormatError> {
    match (bits(format, order), format.modifier, wish) {
        (Some(12), CSI2_PACKED, _) => Ok(Packing::Csi2p12),
        (Some(12), 0, _) => Ok(Packing::U16Low),
        (Some(16), 0, RawWish::Unpacked16 { shift: 0 }) => Ok(Packing::U16Low),
        (Some(16), 0, RawWish::Unpacked16 { shift: 4 }) => Ok(Packing::U16High),
        (Some(16), 0, RawWish::Unpacked16 { shift }) => Err(StreamFormatError::Shift(shift)),
        (Some(16), 0, RawWish::Packed12) => Err(StreamFormatError::Unforeseen(format)),
        _ => Err(StreamFormatError::Unknown(format)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PI5: RawWish = RawWish::Unpacked16 { shift: 4 };

    fn wish(raw: RawWish) -> StreamWish {
        StreamWish {
            model: "imx477".into(),
            role: Role::Raw(raw),
            size: Some((4056, 3040)),
        }
    }

    fn validated(fourcc: u32, modifier: u64, stride_bytes: u32) -> Validated {
        Validated {
            format: DrmFormat { fourcc, modifier },
            width: 4056,
            height: 3040,
            stride_bytes,
            frame_bytes: stride_bytes * 3040,
        }
    }

    /// hq-camera.md 8, the table of identifiers.
    #[test]
    fn identifiers_are_those_of_the_kernel() {
        use BayerOrder::*;
        let packed = |order| RawWish::Packed12.format(order).unwrap();
        for (order, fourcc) in [
            (Rggb, 0x3231_4752),
            (Grbg, 0x3231_4142),
            (Gbrg, 0x3231_4247),
            (Bggr, 0x3231_4742),
        ] {
            let modifier = 0x0b00_0000_0000_0001;
            assert_eq!(packed(order), DrmFormat { fourcc, modifier });
            let low = RawWish::Unpacked16 { shift: 0 }.format(order).unwrap();
            assert_eq!((low.fourcc, low.modifier), (fourcc, 0));
        }
        for (order, fourcc) in [
            (Rggb, 0x3642_4752),
            (Bggr, 0x3252_5942),
            (Grbg, 0x3631_5247),
            (Gbrg, 0x3631_4247),
        ] {
            let modifier = 0;
            assert_eq!(PI5.format(order), Ok(DrmFormat { fourcc, modifier }));
        }
        let odd = RawWish::Unpacked16 { shift: 2 };
        assert_eq!(odd.format(Rggb), Err(StreamFormatError::Shift(2)));
    }

    #[test]
    fn a_pi_4_gives_packed_rows_of_6112_bytes() {
        let given = validated(0x3231_4742, 0x0b00_0000_0000_0001, 6112);
        assert_eq!(
            layout(&wish(RawWish::Packed12), &given),
            Ok(Layout {
                width: 4056,
                height: 3040,
                stride_bytes: 6112,
                packing: Packing::Csi2p12,
                bayer: BayerOrder::Bggr,
            })
        );
        // A pipeline that cannot pack says so by its format.
        let unpacked = layout(&wish(RawWish::Packed12), &validated(0x3231_4752, 0, 8128));
        let unpacked = unpacked.unwrap();
        assert_eq!(
            (unpacked.packing, unpacked.bayer),
            (Packing::U16Low, BayerOrder::Rggb)
        );
    }

    #[test]
    fn a_pi_5_gives_words_aligned_as_its_profile_says() {
        let given = validated(0x3642_4752, 0, 8128);
        let high = layout(&wish(PI5), &given).unwrap();
        assert_eq!(
            (high.packing, high.bayer, high.frame_bytes()),
            (Packing::U16High, BayerOrder::Rggb, 24_709_120)
        );
        let low = layout(&wish(RawWish::Unpacked16 { shift: 0 }), &given).unwrap();
        assert_eq!(low.packing, Packing::U16Low);
        let packed = layout(&wish(RawWish::Packed12), &given).unwrap_err();
        assert_eq!(packed, StreamFormatError::Unforeseen(given.format));
    }

    #[test]
    fn compressed_frames_are_refused_in_every_order() {
        for fourcc in [0x3642_4752, 0x3252_5942, 0x3631_5247, 0x3631_4247] {
            for raw in [PI5, RawWish::Packed12] {
                let given = validated(fourcc, 0x0c00_0000_0000_0001, 4096);
                let error = layout(&wish(raw), &given).unwrap_err();
                assert_eq!(error, StreamFormatError::Compressed(given.format));
            }
        }
        let error = StreamFormatError::Compressed(DrmFormat::new(*b"RGB6", 0x0c << 56 | 1));
        let message = error.to_string();
        assert!(
            message.contains("RGB6/0x0c00000000000001") && message.contains("unpacked16"),
            "{message}"
        );
    }

    #[test]
    fn whatever_else_was_adjusted_is_named() {
        let good = validated(0x3231_4742, 0x0b00_0000_0000_0001, 6112);
        let wish = wish(RawWish::Packed12);
        let refused = |given: Validated| layout(&wish, &given).unwrap_err();
        let smaller = Validated {
            width: 2028,
            height: 1520,
            ..good
        };
        assert!(matches!(
            refused(smaller),
            StreamFormatError::Size {
                wanted_width: 4056,
                width: 2028,
                ..
            }
        ));
        let ten_bits = Validated {
            format: DrmFormat::new(*b"BG10", CSI2_PACKED),
            ..good
        };
        assert!(matches!(refused(ten_bits), StreamFormatError::Unknown(_)));
        let narrow = Validated {
            stride_bytes: 6083,
            ..good
        };
        assert!(matches!(refused(narrow), StreamFormatError::Layout(_)));
        let short = Validated {
            frame_bytes: 6112 * 3040 - 1,
            ..good
        };
        assert!(matches!(refused(short), StreamFormatError::Short { .. }));
    }

    #[test]
    fn plane_0_of_a_virtual_camera_counts_as_packed_bytes() {
        let wish = StreamWish {
            role: Role::Viewfinder,
            size: None,
            ..wish(RawWish::Packed12)
        };
        let given = |width: u32, height: u32| Validated {
            format: NV12,
            width,
            height,
            stride_bytes: width,
            frame_bytes: width * height * 3 / 2,
        };
        let full = layout(&wish, &given(4056, 3040)).unwrap();
        assert_eq!(
            (full.width, full.row_bytes(), full.stride_bytes),
            (2704, 4056, 4056)
        );
        // 64 is no multiple of 3: the last byte of a row is padding.
        let small = layout(&wish, &given(64, 48)).unwrap();
        assert_eq!((small.width, small.row_bytes()), (42, 63));
        let other = Validated {
            format: DrmFormat::new(*b"YUYV", 0),
            ..given(64, 48)
        };
        assert!(matches!(
            layout(&wish, &other),
            Err(StreamFormatError::Unknown(_))
        ));
    }
}
