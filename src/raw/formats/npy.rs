//! `.npy`, version 1.0: a header that is a Python dict in text, padded to 128 bytes, then the values.

use std::io::Write;

use super::{FormatError, Picture, little_endian};

/// Bytes before the values: numpy pads to a multiple of 64, with room for growth that makes it 128 for every shape.
pub const HEADER_BYTES: u64 = 128;

/// The header for an array of `rows` x `columns` values of `<u2` in C order, as numpy itself writes it.
pub fn header(rows: usize, columns: usize) -> Vec<u8> {
    let dict =
        format!("{{'descr': '<u2', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // 118 bytes follow the magic, the version and this length.
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend_from_slice(dict.as_bytes());
    header.resize(HEADER_BYTES as usize - 1, b' ');
    header.push(b'\n');
    header
}

pub(super) fn write(picture: &Picture<'_>, out: &mut impl Write) -> Result<(), FormatError> {
    out.write_all(&header(picture.rows, picture.columns))?;
    Ok(out.write_all(&little_endian(picture.data))?)
}
