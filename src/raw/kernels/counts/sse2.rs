//! The loops with SSE2, which is part of every x86-64 target.

use std::arch::x86_64::*;

use zerocopy::transmute;

use super::{Set, Summary, ZERO_CELSIUS_CK, plain};

pub(super) const SET: Set = Set {
    byte_sum,
    summary,
    celsius,
};

#[target_feature(enable = "sse2")]
fn byte_sum(bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<16>();
    let zero = _mm_setzero_si128();
    // Two sums of 64 bits, each of every other 8 bytes.
    let mut sums = zero;
    for block in blocks {
        sums = _mm_add_epi64(sums, _mm_sad_epu8(transmute!(*block), zero));
    }
    let [low, high]: [u64; 2] = transmute!(sums);
    plain::byte_sum(rest).wrapping_add((low + high) as u32)
}

/// SSE2 compares and multiplies 16 bits with a sign only, so counts are taken less 32 768.
#[target_feature(enable = "sse2")]
fn summary(counts: &[u16]) -> Summary {
    let (blocks, rest) = counts.as_chunks::<8>();
    let bias = _mm_set1_epi16(i16::MIN);
    let ones = _mm_set1_epi16(1);
    let mut least = _mm_set1_epi16(i16::MAX);
    let mut greatest = bias;
    let mut sums = _mm_setzero_si128();
    for block in blocks {
        let biased = _mm_xor_si128(transmute!(*block), bias);
        least = _mm_min_epi16(least, biased);
        greatest = _mm_max_epi16(greatest, biased);
        sums = _mm_add_epi32(sums, _mm_madd_epi16(biased, ones));
    }
    let least: [u16; 8] = transmute!(_mm_xor_si128(least, bias));
    let greatest: [u16; 8] = transmute!(_mm_xor_si128(greatest, bias));
    let sums: [u32; 4] = transmute!(sums);
    let taken = (blocks.len() as u32).wrapping_mul(8 * 32_768);
    let lanes = Summary {
        least: least.into_iter().fold(u16::MAX, u16::min),
        greatest: greatest.into_iter().fold(0, u16::max),
        sum: sums.into_iter().fold(taken, u32::wrapping_add),
    };
    lanes.and(plain::summary(rest))
}

/// Steps and rounding are those of [`plain::celsius`].
#[target_feature(enable = "sse2")]
fn celsius(counts: &[u16], centikelvin: f32, out: &mut [[u8; 4]]) {
    let len = counts.len().min(out.len());
    let (blocks, rest) = counts[..len].as_chunks::<8>();
    let (out_blocks, out_rest) = out[..len].as_chunks_mut::<8>();
    let scale = _mm_set1_ps(centikelvin);
    let zero = _mm_set1_ps(f32::from(ZERO_CELSIUS_CK));
    let hundred = _mm_set1_ps(100.0);
    let convert = |counts| {
        let centikelvins = _mm_mul_ps(_mm_cvtepi32_ps(counts), scale);
        _mm_div_ps(_mm_sub_ps(centikelvins, zero), hundred)
    };
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        let counts: __m128i = transmute!(*block);
        // Widened to 32 bits by zeros.
        let low = convert(_mm_unpacklo_epi16(counts, _mm_setzero_si128()));
        let high = convert(_mm_unpackhi_epi16(counts, _mm_setzero_si128()));
        *out = transmute!([low, high]);
    }
    plain::celsius(rest, centikelvin, out_rest);
}
