//! The loops without vector instructions: for what is left at the end of the others, and for targets without a set.

use super::{Summary, ZERO_CELSIUS_CK};

/// For targets without a set of their own.
#[allow(dead_code)]
pub(super) const SET: super::Set = super::Set {
    byte_sum,
    summary,
    celsius,
};

pub(super) fn byte_sum(bytes: &[u8]) -> u32 {
    let add = |sum: u32, &byte| sum.wrapping_add(u32::from(byte));
    bytes.iter().fold(0, add)
}

pub(super) fn summary(counts: &[u16]) -> Summary {
    let one = |&count| Summary {
        least: count,
        greatest: count,
        sum: u32::from(count),
    };
    counts.iter().map(one).fold(Summary::EMPTY, Summary::and)
}

/// Products and differences are exact, so only the division rounds.
pub(super) fn celsius(counts: &[u16], centikelvin: f32, out: &mut [[u8; 4]]) {
    let zero = f32::from(ZERO_CELSIUS_CK);
    for (out, &count) in out.iter_mut().zip(counts) {
        let celsius = (f32::from(count) * centikelvin - zero) / 100.0;
        *out = celsius.to_ne_bytes();
    }
}
