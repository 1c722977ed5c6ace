//! From bytes of a dump to samples, eight at a time.
//!
//! The program is built for size, without vectors: words, and tables that fit the processor's cache, are what makes
//! these loops about as fast as a copy of their output.

/// The lowest bit of each of eight bytes.
const LOWEST: u64 = 0x0101_0101_0101_0101;
/// Times eight such bits it has them side by side in its highest byte, the first byte's lowest. No two of the products
/// meet, so that nothing is carried.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// The levels of eight samples, bit k the level of sample k.
static LEVELS: [[f32; 8]; 256] = {
    let mut table = [[0.0; 8]; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut sample = 0;
        while sample < 8 {
            table[bits][sample] = (bits >> sample & 1) as f32;
            sample += 1;
        }
        bits += 1;
    }
    table
};

/// Volts of unsigned 8-bit samples: `base + sample/256*span`.
pub fn samples_8(bytes: &[u8], span: f64, base: f64) -> Vec<f32> {
    let (step, base) = ((span / 256.0) as f32, base as f32);
    let table: [f32; 256] = std::array::from_fn(|sample| sample as f32 * step + base);
    let volts = |word: u64| table[usize::from(word as u8)];
    eight_at_once(
        bytes,
        |word| {
            [
                volts(word),
                volts(word >> 8),
                volts(word >> 16),
                volts(word >> 24),
                volts(word >> 32),
                volts(word >> 40),
                volts(word >> 48),
                volts(word >> 56),
            ]
        },
        |byte| volts(byte.into()),
    )
}

/// Volts of signed 16-bit samples, the high byte first: `base + (sample + 32768)/65536*span`. An odd byte at the end is
/// left out.
pub fn samples_16(bytes: &[u8], span: f64, base: f64) -> Vec<f32> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let (step, base) = ((span / 65536.0) as f32, (base + span / 2.0) as f32);
    pairs
        .iter()
        .map(|pair| f32::from(i16::from_be_bytes(*pair)) * step + base)
        .collect()
}

/// Levels of logic channel `index`, 0 to 7: bit `index` of each byte as 0 or 1.
pub fn levels(bytes: &[u8], index: u8) -> Vec<f32> {
    let index = index & 7;
    eight_at_once(
        bytes,
        |word| {
            let bits = (word >> index & LOWEST).wrapping_mul(GATHER) >> 56;
            LEVELS[bits as usize]
        },
        |byte| f32::from(byte >> index & 1),
    )
}

/// A sample for each byte: of eight bytes by `word`, the first in its lowest byte, of those left over by `byte`.
fn eight_at_once(
    bytes: &[u8],
    word: impl Fn(u64) -> [f32; 8],
    byte: impl Fn(u8) -> f32,
) -> Vec<f32> {
    let mut samples = vec![0.0; bytes.len()];
    let (words, rest) = bytes.as_chunks();
    let (places, places_left) = samples.as_chunks_mut();
    for (place, bytes) in places.iter_mut().zip(words) {
        *place = word(u64::from_le_bytes(*bytes));
    }
    for (place, one) in places_left.iter_mut().zip(rest) {
        *place = byte(*one);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn samples_are_what_the_formula_says(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            low in -6.0..0.0_f64,
            span in 0.1..14.0_f64,
        ) {
            let volts = samples_8(&bytes, span, low);
            prop_assert_eq!(volts.len(), bytes.len());
            for (volts, byte) in volts.iter().zip(&bytes) {
                let expected = low + f64::from(*byte) / 256.0 * span;
                prop_assert!((f64::from(*volts) - expected).abs() < 3e-6);
            }
            let volts = samples_16(&bytes, span, low);
            prop_assert_eq!(volts.len(), bytes.len() / 2);
            for (volts, pair) in volts.iter().zip(bytes.chunks_exact(2)) {
                let sample = i32::from(pair[0] as i8) * 256 + i32::from(pair[1]);
                let expected = low + f64::from(sample + 32768) / 65536.0 * span;
                prop_assert!((f64::from(*volts) - expected).abs() < 3e-6);
            }
        }

        #[test]
        fn a_level_is_its_channels_bit(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for index in 0..8 {
                let expected: Vec<f32> =
                    bytes.iter().map(|byte| f32::from(byte >> index & 1)).collect();
                prop_assert_eq!(levels(&bytes, index), expected);
            }
        }
    }

    /// At every length around a word's, and at the ends of the range.
    #[test]
    fn nothing_is_lost_at_the_end() {
        for length in 0..40 {
            let bytes = vec![0x80; length];
            assert_eq!(levels(&bytes, 7), vec![1.0; length]);
            assert_eq!(levels(&bytes, 6), vec![0.0; length]);
            assert_eq!(samples_8(&bytes, 2.0, -1.0), vec![0.0; length]);
        }
        assert_eq!(samples_8(&[0, 255], 256.0, 0.0), [0.0, 255.0]);
        assert_eq!(
            samples_16(&[0x80, 0, 0x7f, 0xff, 9], 65536.0, 0.0),
            [0.0, 65535.0]
        );
    }
}
