//! The loops with NEON, which is part of every aarch64 target this builds for.

use std::arch::aarch64::*;

use zerocopy::transmute;

use super::{Set, Summary, ZERO_CELSIUS_CK, plain};

pub(super) const SET: Set = Set {
    byte_sum,
    summary,
    celsius,
};

#[target_feature(enable = "neon")]
fn byte_sum(bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<16>();
    let mut sums = vdupq_n_u32(0);
    for block in blocks {
        sums = vpadalq_u16(sums, vpaddlq_u8(transmute!(*block)));
    }
    plain::byte_sum(rest).wrapping_add(vaddvq_u32(sums))
}

#[target_feature(enable = "neon")]
fn summary(counts: &[u16]) -> Summary {
    let (blocks, rest) = counts.as_chunks::<8>();
    let mut least = vdupq_n_u16(u16::MAX);
    let mut greatest = vdupq_n_u16(0);
    let mut sums = vdupq_n_u32(0);
    for block in blocks {
        let counts: uint16x8_t = transmute!(*block);
        least = vminq_u16(least, counts);
        greatest = vmaxq_u16(greatest, counts);
        sums = vpadalq_u16(sums, counts);
    }
    let lanes = Summary {
        least: vminvq_u16(least),
        greatest: vmaxvq_u16(greatest),
        sum: vaddvq_u32(sums),
    };
    lanes.and(plain::summary(rest))
}

/// Steps and rounding are those of [`plain::celsius`].
#[target_feature(enable = "neon")]
fn celsius(counts: &[u16], centikelvin: f32, out: &mut [[u8; 4]]) {
    let len = counts.len().min(out.len());
    let (blocks, rest) = counts[..len].as_chunks::<8>();
    let (out_blocks, out_rest) = out[..len].as_chunks_mut::<8>();
    let zero = vdupq_n_f32(f32::from(ZERO_CELSIUS_CK));
    let hundred = vdupq_n_f32(100.0);
    let convert = |counts| {
        let centikelvins = vmulq_n_f32(vcvtq_f32_u32(counts), centikelvin);
        vdivq_f32(vsubq_f32(centikelvins, zero), hundred)
    };
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        let counts: uint16x8_t = transmute!(*block);
        let low = convert(vmovl_u16(vget_low_u16(counts)));
        let high = convert(vmovl_high_u16(counts));
        *out = transmute!([low, high]);
    }
    plain::celsius(rest, centikelvin, out_rest);
}
