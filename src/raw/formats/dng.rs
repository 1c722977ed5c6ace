//! `.dng`: the color filter array as raw converters read it (DNG 1.4, one directory, uncompressed).
//!
//! Tag set verified with libraw, dcraw and exiftool; see the reference on crates, section 4.

use std::io::{Seek, Write};

use tiff::encoder::{Rational, SRational, TiffEncoder};
use tiff::tags::Tag;

use super::tiff::{write_exif, write_image, write_text};
use super::{FormatError, Picture, Tags};

const COLOR_FILTER_ARRAY: u16 = 32803;
const CFA_REPEAT_PATTERN_DIM: Tag = Tag::Unknown(33421);
const CFA_PATTERN: Tag = Tag::Unknown(33422);
const DNG_VERSION: Tag = Tag::Unknown(50706);
const DNG_BACKWARD_VERSION: Tag = Tag::Unknown(50707);
const UNIQUE_CAMERA_MODEL: Tag = Tag::Unknown(50708);
const BLACK_LEVEL: Tag = Tag::Unknown(50714);
const WHITE_LEVEL: Tag = Tag::Unknown(50717);
const COLOR_MATRIX_1: Tag = Tag::Unknown(50721);
const AS_SHOT_NEUTRAL: Tag = Tag::Unknown(50728);
const CALIBRATION_ILLUMINANT_1: Tag = Tag::Unknown(50778);

/// Daylight, 6504 K.
const D65: u16 = 21;

/// CIE XYZ to camera color at D65, in 1/10000. Computed from the IMX477's color correction matrices and white points
/// in libcamera's tuning file (interpolated to 6504 K): the inverse of sRGB-to-XYZ x correction x white balance.
const XYZ_TO_CAMERA: [i32; 9] = [4283, -947, -36, -1852, 8642, 2864, 881, 585, 5278];

/// Camera color of daylight white, in 1/10000: that matrix times the white point.
const DAYLIGHT_NEUTRAL: [u32; 3] = [3085, 10000, 7169];

pub(super) fn write<W: Write + Seek>(
    picture: &Picture<'_>,
    out: &mut W,
) -> Result<(), FormatError> {
    let tags = picture.tags;
    let mut encoder = TiffEncoder::new(out)?;
    let exif = write_exif(&mut encoder, tags)?;
    let mut directory = encoder.image_directory()?;
    write_image(&mut directory, picture, COLOR_FILTER_ARRAY, exif)?;
    directory.write_tag(CFA_REPEAT_PATTERN_DIM, &[2u16, 2][..])?;
    directory.write_tag(CFA_PATTERN, &tags.bayer.cfa_pattern()[..])?;
    directory.write_tag(DNG_VERSION, &[1u8, 4, 0, 0][..])?;
    directory.write_tag(DNG_BACKWARD_VERSION, &[1u8, 1, 0, 0][..])?;
    let model = format!("Raspberry Pi {}", tags.camera_model);
    write_text(&mut directory, UNIQUE_CAMERA_MODEL, &model)?;
    directory.write_tag(BLACK_LEVEL, picture.black_level())?;
    directory.write_tag(WHITE_LEVEL, picture.white_level())?;
    let matrix = XYZ_TO_CAMERA.map(|n| SRational { n, d: 10000 });
    directory.write_tag(COLOR_MATRIX_1, &matrix[..])?;
    let neutral = as_shot_neutral(tags).map(|n| Rational { n, d: 10000 });
    directory.write_tag(AS_SHOT_NEUTRAL, &neutral[..])?;
    directory.write_tag(CALIBRATION_ILLUMINANT_1, D65)?;
    Ok(directory.finish()?)
}

/// What was white, in 1/10000 of green: the inverse of the gains in use, or daylight where they are not known.
fn as_shot_neutral(tags: &Tags) -> [u32; 3] {
    let inverse = |gain: f32| (10000.0 / gain).round() as u32;
    match tags.colour_gains {
        Some((red, blue)) if (0.01..100.0).contains(&red) && (0.01..100.0).contains(&blue) => {
            [inverse(red), 10000, inverse(blue)]
        }
        _ => DAYLIGHT_NEUTRAL,
    }
}
