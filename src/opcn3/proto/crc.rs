//! CRC-16/MODBUS: initial 0xFFFF, reflected polynomial 0xA001, no final XOR, low byte first on the wire.

use super::FrameError;

/// The checksum of `bytes`.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            let shifted = crc >> 1;
            if crc & 1 == 1 {
                shifted ^ 0xa001
            } else {
                shifted
            }
        })
    })
}

/// Checks a frame that ends in its checksum.
pub(super) fn check(frame: &[u8]) -> Result<(), FrameError> {
    let (data, sum) = frame.split_last_chunk().ok_or(FrameError::Length {
        expected: 2,
        got: frame.len(),
    })?;
    let (received, computed) = (u16::from_le_bytes(*sum), crc16(data));
    if received == computed {
        Ok(())
    } else {
        Err(FrameError::Checksum { received, computed })
    }
}

/// Puts the checksum into the last two bytes of a frame.
pub(super) fn seal(frame: &mut [u8]) {
    if let Some((data, sum)) = frame.split_last_chunk_mut() {
        *sum = crc16(data).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_reference() {
        assert_eq!(crc16(b"123456789"), 0x4b37);
        assert_eq!(crc16(b""), 0xffff);
        assert_eq!(crc16(&[0; 84]), 0x1dd2);
        assert_eq!(crc16(&[0; 12]), 0x0264);
        assert_eq!(crc16(&[0xff; 84]), 0x9119);
        assert_eq!(crc16(b"123456789\x37\x4b"), 0);
    }
}
