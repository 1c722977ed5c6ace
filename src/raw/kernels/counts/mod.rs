//! Loops over every byte or count of a thermal image.
//!
//! A release built for size vectorizes no loop by itself, so these are written with the vector instructions that each
//! processor of the target has: nothing is looked up at run time. Results are those of the plain loops to the last bit.

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod plain;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
use neon::SET;
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little")
)))]
use plain::SET;
#[cfg(target_arch = "x86_64")]
use sse2::SET;

/// The loops in one instruction set.
///
/// Unsafe because it may be one of an extension, although [`SET`] is one that the whole target has.
struct Set {
    byte_sum: unsafe fn(&[u8]) -> u32,
    summary: unsafe fn(&[u16]) -> Summary,
    celsius: unsafe fn(&[u16], f32, &mut [[u8; 4]]),
}

/// 0 degrees Celsius in hundredths of a kelvin.
pub const ZERO_CELSIUS_CK: u16 = 27_315;

/// Extremes and sum of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The least count, 65 535 if there is none.
    pub least: u16,
    /// The greatest count, 0 if there is none.
    pub greatest: u16,
    /// The sum of all counts, modulo 2^32.
    pub sum: u32,
}

impl Summary {
    /// Of no counts.
    const EMPTY: Self = Self {
        least: u16::MAX,
        greatest: 0,
        sum: 0,
    };

    /// Of the counts of both.
    fn and(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            greatest: self.greatest.max(other.greatest),
            sum: self.sum.wrapping_add(other.sum),
        }
    }
}

/// The sum of all bytes, modulo 2^32.
pub fn byte_sum(bytes: &[u8]) -> u32 {
    // SAFETY: the whole target has the instructions of `SET`.
    unsafe { (SET.byte_sum)(bytes) }
}

/// Extremes and sum.
pub fn summary(counts: &[u16]) -> Summary {
    // SAFETY: the whole target has the instructions of `SET`.
    unsafe { (SET.summary)(counts) }
}

/// Counts of `centikelvin` hundredths of a kelvin each to degrees Celsius, as f32 in the machine's byte order; as many as
/// both slices hold. Each is the f32 nearest to the exact value if products are whole numbers below 2^24.
pub fn celsius(counts: &[u16], centikelvin: f32, out: &mut [[u8; 4]]) {
    // SAFETY: the whole target has the instructions of `SET`.
    unsafe { (SET.celsius)(counts, centikelvin, out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random numbers of a fixed sequence (xorshift).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        /// Up to 699 counts in a random part of their range, which may be a single value.
        fn counts(&mut self) -> Vec<u16> {
            let len = self.next() % 700;
            let (low, span) = (self.next() as u16, self.next() >> 48 >> (self.next() % 17));
            let count = |random: u64| low.saturating_add((random % (span + 1)) as u16);
            (0..len).map(|_| count(self.next())).collect()
        }
    }

    #[test]
    fn sums_and_extremes_are_those_of_an_oracle_in_64_bits() {
        let mut random = Random(0x1234_5678_9abc_def1);
        for _ in 0..2000 {
            let counts = random.counts();
            let wide = || counts.iter().map(|&count| u64::from(count));
            let expected = Summary {
                least: wide().min().unwrap_or(65_535) as u16,
                greatest: wide().max().unwrap_or(0) as u16,
                sum: wide().sum::<u64>() as u32,
            };
            assert_eq!(summary(&counts), expected, "{counts:?}");
            assert_eq!(plain::summary(&counts), expected, "{counts:?}");

            // From an odd address every other time.
            let bytes: Vec<u8> = counts.iter().map(|&count| count as u8).collect();
            let bytes = &bytes[bytes.len().min(random.next() as usize % 2)..];
            let expected = bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>() as u32;
            assert_eq!(byte_sum(bytes), expected, "{bytes:?}");
            assert_eq!(plain::byte_sum(bytes), expected, "{bytes:?}");
        }
    }

    /// More than any sum of 16 or 32 bits with a sign holds.
    #[test]
    fn full_input_overflows_no_lane() {
        let counts = vec![u16::MAX; 65_537];
        assert_eq!(summary(&counts).sum, u32::MAX);
        assert_eq!(summary(&counts[1..]).sum, 65_536 * 65_535);
        assert_eq!(byte_sum(&[0xff; 100_001]), 100_001 * 255);
    }

    #[test]
    fn every_count_is_the_nearest_f32() {
        let counts: Vec<u16> = (0..=u16::MAX).collect();
        let mut out = vec![[0; 4]; counts.len()];
        for centikelvin in [1u16, 10] {
            celsius(&counts, f32::from(centikelvin), &mut out);
            for (&count, &got) in counts.iter().zip(&out) {
                let exact = i32::from(count) * i32::from(centikelvin) - 27_315;
                let expected = (f64::from(exact) / 100.0) as f32;
                assert_eq!(got, expected.to_ne_bytes(), "{count} x {centikelvin}");
            }
        }
    }

    /// Remainders of every vector, and slices of different length.
    #[test]
    fn conversion_ends_with_the_shorter_slice() {
        let mut random = Random(77);
        for _ in 0..1000 {
            let counts = random.counts();
            let mut out = vec![[0xa5; 4]; (random.next() % 700) as usize];
            celsius(&counts, 1.0, &mut out);
            for (index, got) in out.iter().enumerate() {
                let expected = match counts.get(index) {
                    Some(&count) => ((f64::from(count) - 27_315.0) / 100.0) as f32,
                    None => f32::from_ne_bytes([0xa5; 4]),
                };
                assert_eq!(*got, expected.to_ne_bytes(), "value {index}");
            }
        }
    }
}
