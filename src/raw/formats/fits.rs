//! `.fits`: one primary image of 16-bit values (FITS 4.0).
//!
//! Cards of 80 characters in blocks of 2880, then big-endian signed values with `BZERO` 32768, padded to 2880.
//! FITS viewers traditionally show the first row at the bottom. Rows are stored here in the order of the sensor,
//! first row first, and `ROWORDER = 'TOP-DOWN'` says so: array libraries (astropy) then index the same pixel by the
//! same numbers as in the other formats, and `BAYERPAT` means the first two rows stored.

use std::io::Write;

use super::{FormatError, Picture, Tags, ascii, seconds};

const BLOCK_BYTES: usize = 2880;
/// More header blocks than the cards below take.
const HEADER_BLOCKS: u64 = 2;
/// Values converted at a time.
const CHUNK_VALUES: usize = 16 * 1024;

pub(super) fn size_bound(payload: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    let data = payload.div_ceil(block).saturating_mul(block);
    data.saturating_add(HEADER_BLOCKS * block)
}

/// The header, a multiple of 2880 bytes.
pub fn header(picture: &Picture<'_>) -> Vec<u8> {
    let mut cards = Cards(Vec::with_capacity(2 * BLOCK_BYTES));
    cards.value("SIMPLE", "T", "FITS 4.0");
    cards.value("BITPIX", "16", "bits of a stored value");
    cards.value("NAXIS", "2", "");
    cards.value("NAXIS1", picture.columns, "columns");
    cards.value("NAXIS2", picture.rows, "rows");
    cards.value("BSCALE", "1", "value = stored * BSCALE + BZERO");
    cards.value("BZERO", "32768", "unsigned 16-bit values");
    cards.text(
        "ROWORDER",
        "TOP-DOWN",
        "first row is the top of the picture",
    );
    exposure(&mut cards, picture.tags);
    geometry(&mut cards, picture);
    origin(&mut cards, picture.tags);
    cards.end()
}

fn exposure(cards: &mut Cards, tags: &Tags) {
    let date = tags.captured_as("%Y-%m-%dT%H:%M:%S%.6f");
    cards.text("DATE-OBS", &date, "time of capture");
    cards.text("TIMESYS", "UTC", "time scale of DATE-OBS");
    cards.value("EXPTIME", tags.exposure_s(), "[s] exposure time");
    // FITS has no notation for infinities and NaN.
    if tags.analogue_gain.is_finite() {
        cards.value(
            "GAIN",
            format!("{:.4}", tags.analogue_gain),
            "analogue gain, factor",
        );
    }
    let duration = seconds(tags.frame_duration_us);
    cards.value("FRAMEDUR", duration, "[s] frame duration");
    cards.value("SENSTIME", tags.sensor_timestamp_ns, "[ns] monotonic clock");
}

fn geometry(cards: &mut Cards, picture: &Picture<'_>) {
    let block = picture.mode.block();
    cards.value("BLKLEVEL", picture.black_level(), "[adu] black level");
    cards.value("SATURATE", picture.white_level(), "[adu] white level");
    cards.value("XBINNING", block, "pixels summed, columns");
    cards.value("YBINNING", block, "pixels summed, rows");
    // Offsets in binned pixels, as programs that wrote these cards first have it.
    let Tags { window, bayer, .. } = picture.tags;
    cards.value(
        "XORGSUBF",
        window.x / block,
        "first column in binned pixels",
    );
    cards.value("YORGSUBF", window.y / block, "first row in binned pixels");
    if picture.bayer().is_some() {
        cards.text("BAYERPAT", bayer.name(), "color filters, first two rows");
        cards.value("XBAYROFF", 0, "");
        cards.value("YBAYROFF", 0, "");
    }
}

fn origin(cards: &mut Cards, tags: &Tags) {
    cards.text("INSTRUME", &tags.camera_model, "camera");
    cards.text("BOARDSER", &tags.board_serial, "serial number of the board");
    cards.text("CREATOR", &tags.software, "");
}

struct Cards(Vec<u8>);

impl Cards {
    fn value(&mut self, keyword: &str, value: impl std::fmt::Display, comment: &str) {
        let value = value.to_string();
        self.card(format!("{keyword:<8}= {value:>20}"), comment);
    }

    /// A string value: printable ASCII, quotes doubled, at least 8 characters, cut to what one card holds.
    fn text(&mut self, keyword: &str, text: &str, comment: &str) {
        let mut quoted = String::new();
        for c in ascii(text).trim_end().chars() {
            let room = if c == '\'' { 2 } else { 1 };
            if quoted.len() + room > 68 {
                break;
            }
            quoted.push(c);
            if c == '\'' {
                quoted.push(c);
            }
        }
        let quoted = format!("'{quoted:<8}'");
        self.card(format!("{keyword:<8}= {quoted:<20}"), comment);
    }

    /// One card; a comment that does not fit is left out.
    fn card(&mut self, mut card: String, comment: &str) {
        if !comment.is_empty() && card.len() + 3 + comment.len() <= 80 {
            card.push_str(" / ");
            card.push_str(comment);
        }
        self.0.extend_from_slice(format!("{card:<80}").as_bytes());
    }

    fn end(mut self) -> Vec<u8> {
        self.card("END".into(), "");
        let blocks = self.0.len().div_ceil(BLOCK_BYTES);
        self.0.resize(blocks * BLOCK_BYTES, b' ');
        self.0
    }
}

pub(super) fn write(picture: &Picture<'_>, out: &mut impl Write) -> Result<(), FormatError> {
    out.write_all(&header(picture))?;
    let mut bytes = Vec::with_capacity(2 * CHUNK_VALUES);
    for values in picture.data.chunks(CHUNK_VALUES) {
        bytes.clear();
        // Minus 32768 and flipping the top bit are the same in two's complement.
        bytes.extend(values.iter().flat_map(|v| (v ^ 0x8000).to_be_bytes()));
        out.write_all(&bytes)?;
    }
    let last = 2 * picture.data.len() % BLOCK_BYTES;
    if last > 0 {
        out.write_all(&[0; BLOCK_BYTES][last..])?;
    }
    Ok(())
}
