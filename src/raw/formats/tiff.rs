//! `.tiff`: 16-bit gray, one strip, uncompressed, with an EXIF directory. Also what DNG shares with it.

use std::io::{Seek, Write};

use tiff::encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKindStandard};
use tiff::tags::{Tag, Type};

use super::{FormatError, Picture, Tags, ascii};

/// More than header, directories and their values take; text tags are cut to [`TEXT_LIMIT`] for that.
pub(super) const DIRECTORY_BOUND_BYTES: u64 = 16 * 1024;

/// Longest text in a tag.
const TEXT_LIMIT: usize = 1024;

pub(super) type Directory<'a, W> = DirectoryEncoder<'a, W, TiffKindStandard>;

const PHOTOGRAPHIC_SENSITIVITY: Tag = Tag::Unknown(34855);
const SENSITIVITY_TYPE: Tag = Tag::Unknown(34864);
const RECOMMENDED_EXPOSURE_INDEX: Tag = Tag::Unknown(34866);
const EXPOSURE_TIME: Tag = Tag::Unknown(33434);
const FLASHPIX_VERSION: Tag = Tag::Unknown(40960);
const COLOR_SPACE: Tag = Tag::Unknown(40961);
const DATE_TIME_ORIGINAL: Tag = Tag::Unknown(36867);
const OFFSET_TIME_ORIGINAL: Tag = Tag::Unknown(36881);
const SUB_SEC_TIME_ORIGINAL: Tag = Tag::Unknown(37521);

const BLACK_IS_ZERO: u16 = 1;
const NO_RESOLUTION_UNIT: u16 = 1;

pub(super) fn write<W: Write + Seek>(
    picture: &Picture<'_>,
    out: &mut W,
) -> Result<(), FormatError> {
    let mut encoder = TiffEncoder::new(out)?;
    let exif = write_exif(&mut encoder, picture.tags)?;
    let mut directory = encoder.image_directory()?;
    write_image(&mut directory, picture, BLACK_IS_ZERO, exif)?;
    let unknown = || Rational { n: 1, d: 1 };
    directory.write_tag(Tag::XResolution, unknown())?;
    directory.write_tag(Tag::YResolution, unknown())?;
    directory.write_tag(Tag::ResolutionUnit, NO_RESOLUTION_UNIT)?;
    // Readers that know nothing else of levels stretch between these two.
    directory.write_tag(Tag::MinSampleValue, picture.black_level())?;
    directory.write_tag(Tag::MaxSampleValue, picture.white_level())?;
    Ok(directory.finish()?)
}

/// The EXIF directory; gives its offset for [`write_image`].
pub(super) fn write_exif<W: Write + Seek>(
    encoder: &mut TiffEncoder<W>,
    tags: &Tags,
) -> Result<u32, FormatError> {
    let mut exif = encoder.extra_directory()?;
    let exposure = Rational {
        n: tags.exposure_us,
        d: 1_000_000,
    };
    exif.write_tag(EXPOSURE_TIME, exposure)?;
    // A float turned into an integer saturates, so odd gains give 1 or 65535.
    let iso = (tags.analogue_gain * 100.0).round() as u16;
    exif.write_tag(PHOTOGRAPHIC_SENSITIVITY, iso.max(1))?;
    // 2 = recommended exposure index: nobody measured this camera's ISO speed.
    exif.write_tag(SENSITIVITY_TYPE, 2u16)?;
    exif.write_tag(RECOMMENDED_EXPOSURE_INDEX, u32::from(iso.max(1)))?;
    undefined(&mut exif, Tag::ExifVersion, b"0232")?;
    // Both belong to a complete EXIF directory; 65535 = uncalibrated, which raw values are.
    undefined(&mut exif, FLASHPIX_VERSION, b"0100")?;
    exif.write_tag(COLOR_SPACE, 65535u16)?;
    let captured = |format: &str| tags.captured_as(format);
    write_text(
        &mut exif,
        DATE_TIME_ORIGINAL,
        &captured("%Y:%m:%d %H:%M:%S"),
    )?;
    write_text(&mut exif, OFFSET_TIME_ORIGINAL, "+00:00")?;
    write_text(&mut exif, SUB_SEC_TIME_ORIGINAL, &captured("%6f"))?;
    Ok(exif.finish_with_offsets()?.offset)
}

/// The values as one strip and the tags that every kind of picture has.
pub(super) fn write_image<W: Write + Seek>(
    directory: &mut Directory<'_, W>,
    picture: &Picture<'_>,
    photometric: u16,
    exif: u32,
) -> Result<(), FormatError> {
    let too_large = |_| FormatError::TooLarge {
        format: super::Format::Tiff,
        rows: picture.rows,
        columns: picture.columns,
    };
    let rows = u32::try_from(picture.rows).map_err(too_large)?;
    let columns = u32::try_from(picture.columns).map_err(too_large)?;
    let strip_bytes = u32::try_from(2 * picture.data.len()).map_err(too_large)?;
    let strip = u32::try_from(directory.write_data(picture.data)?).map_err(too_large)?;
    directory.write_tag(Tag::NewSubfileType, 0u32)?;
    directory.write_tag(Tag::ImageWidth, columns)?;
    directory.write_tag(Tag::ImageLength, rows)?;
    directory.write_tag(Tag::BitsPerSample, 16u16)?;
    directory.write_tag(Tag::Compression, 1u16)?;
    directory.write_tag(Tag::PhotometricInterpretation, photometric)?;
    directory.write_tag(Tag::StripOffsets, strip)?;
    directory.write_tag(Tag::Orientation, 1u16)?;
    directory.write_tag(Tag::SamplesPerPixel, 1u16)?;
    directory.write_tag(Tag::RowsPerStrip, rows)?;
    directory.write_tag(Tag::StripByteCounts, strip_bytes)?;
    directory.write_tag(Tag::PlanarConfiguration, 1u16)?;
    directory.write_tag(Tag::ExifDirectory, exif)?;
    write_texts(directory, picture)
}

fn write_texts<W: Write + Seek>(
    directory: &mut Directory<'_, W>,
    picture: &Picture<'_>,
) -> Result<(), FormatError> {
    let tags = picture.tags;
    let captured = tags.captured_as("%Y:%m:%d %H:%M:%S");
    let description = picture.description();
    let texts = [
        (Tag::ImageDescription, description.as_str()),
        (Tag::Make, "Raspberry Pi"),
        (Tag::Model, tags.camera_model.as_str()),
        (Tag::Software, tags.software.as_str()),
        (Tag::DateTime, captured.as_str()),
        (Tag::HostComputer, tags.board_serial.as_str()),
    ];
    for (tag, text) in texts {
        write_text(directory, tag, text)?;
    }
    Ok(())
}

/// One text tag, and a byte to keep offsets even as TIFF wants them.
pub(super) fn write_text<W: Write + Seek>(
    directory: &mut Directory<'_, W>,
    tag: Tag,
    text: &str,
) -> Result<(), FormatError> {
    let text = tag_text(text);
    directory.write_tag(tag, text.as_str())?;
    let stored_bytes = text.len() + 1;
    if stored_bytes > 4 && !stored_bytes.is_multiple_of(2) {
        directory.write_data(0u8)?;
    }
    Ok(())
}

fn undefined<W: Write + Seek>(
    directory: &mut Directory<'_, W>,
    tag: Tag,
    bytes: &[u8],
) -> Result<(), FormatError> {
    let entry = directory.write_entry_bytes(Type::UNDEFINED, bytes)?;
    let mut entries = tiff::Directory::empty();
    entries.extend([(tag, entry)]);
    directory.extend_from(&entries);
    Ok(())
}

/// Text as tags hold it: printable ASCII of bounded length.
fn tag_text(text: &str) -> String {
    let mut text = ascii(text);
    text.truncate(TEXT_LIMIT);
    text
}
