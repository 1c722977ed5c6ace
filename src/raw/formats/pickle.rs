//! `.raw`: a Python pickle of one numpy array, as FE-PyCam2's tools read it.
//!
//! Protocol 3, 131 bytes of opcodes, the values as little-endian bytes, 3 bytes of opcodes. It loads under numpy 1.x
//! and 2.x without warnings as a writable, C-contiguous array of `<u2`: the old module name
//! `numpy.core.multiarray` is the one that every version knows.

use std::io::Write;

use super::{FormatError, Picture, little_endian};

/// Bytes before and after the values.
pub const OVERHEAD_BYTES: u64 = 134;

/// What follows the values: make a tuple, give it to the array, stop.
pub const TRAILER: [u8; 3] = *b"tb.";

const BEFORE_SHAPE: &[u8] =
    b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01";
const AFTER_SHAPE: &[u8] = b"\x86cnumpy\ndtype\nX\x02\x00\x00\x00u2\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89B";

/// What precedes the values of an array of `rows` x `columns`, or `None` if that is beyond 32 bits.
///
/// A file is `header`, [`little_endian`] values, [`TRAILER`]: three slices for one vectored write.
pub fn header(rows: usize, columns: usize) -> Option<Vec<u8>> {
    let payload = rows.checked_mul(columns)?.checked_mul(2)?;
    let mut header = Vec::with_capacity(131);
    header.extend_from_slice(BEFORE_SHAPE);
    for size in [rows, columns] {
        header.push(b'J');
        header.extend_from_slice(&i32::try_from(size).ok()?.to_le_bytes());
    }
    header.extend_from_slice(AFTER_SHAPE);
    header.extend_from_slice(&u32::try_from(payload).ok()?.to_le_bytes());
    Some(header)
}

pub(super) fn write(picture: &Picture<'_>, out: &mut impl Write) -> Result<(), FormatError> {
    let (rows, columns) = (picture.rows, picture.columns);
    let header = header(rows, columns).ok_or(FormatError::TooLarge {
        format: super::Format::Raw,
        rows,
        columns,
    })?;
    out.write_all(&header)?;
    out.write_all(&little_endian(picture.data))?;
    Ok(out.write_all(&TRAILER)?)
}
