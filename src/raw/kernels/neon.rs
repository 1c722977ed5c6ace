//! Kernels for aarch64, where NEON is always there.
//!
//! Packed rows: one de-interleaving load gives the high bytes of 16 even pixels, those of 16 odd pixels and their
//! nibbles as three byte vectors. Sums are taken of high bytes and nibbles apart, so most work is on bytes.
//! A pixel is 4095 when its high byte is 255 and its nibble 15, that is `high & (nibble | 0xf0) == 255`.
//!
//! Every loop is written with vector instructions, the simplest too: a release built for size vectorizes none by itself.
//!
//! What is left at the end of a row goes through the plain kernels.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{RowKernels, SATURATED_PIXEL, Table, plain};

pub(super) static TABLE: Table = Table {
    name: "neon",
    csi2p12: RowKernels {
        bytes: csi2p12_bytes,
        pixels: csi2p12_pixels,
        bin: csi2p12_bin::<false>,
        bin_add: csi2p12_bin::<true>,
    },
    u16_low: RowKernels {
        bytes: u16_bytes::<false>,
        pixels: u16_pixels::<false>,
        bin: u16_bin::<false, false>,
        bin_add: u16_bin::<false, true>,
    },
    u16_high: RowKernels {
        bytes: u16_bytes::<true>,
        pixels: u16_pixels::<true>,
        bin: u16_bin::<true, false>,
        bin_add: u16_bin::<true, true>,
    },
    halve,
};

/// Asks for the cache line `ahead` bytes after the start of `bytes`.
#[inline(always)]
fn prefetch(bytes: &[u8], ahead: usize) {
    let address = bytes.as_ptr().wrapping_add(ahead);
    // SAFETY: a prefetch reads nothing and never faults, whatever the address.
    unsafe {
        std::arch::asm!("prfm pldl1strm, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

/// 16 bytes each of high bytes of even pixels, of odd pixels, and of nibbles.
#[inline(always)]
fn load_groups(bytes: &[u8; 48]) -> uint8x16x3_t {
    // SAFETY: the load takes 48 bytes and has no alignment.
    unsafe { vld3q_u8(bytes.as_ptr()) }
}

/// 16 samples, 12-bit values; even and odd pixels apart.
#[inline(always)]
fn load_samples<const HIGH: bool>(bytes: &[u8; 32]) -> uint16x8x2_t {
    // SAFETY: the load takes 32 bytes and has no alignment.
    let uint16x8x2_t(even, odd) = unsafe { vld2q_u16(bytes.as_ptr().cast()) };
    uint16x8x2_t(value::<HIGH>(even), value::<HIGH>(odd))
}

/// 12-bit values of 8 samples.
#[inline(always)]
fn value<const HIGH: bool>(samples: uint16x8_t) -> uint16x8_t {
    // SAFETY: NEON is part of every aarch64 target this builds for.
    unsafe {
        if HIGH {
            vshrq_n_u16::<4>(samples)
        } else {
            vandq_u16(samples, vdupq_n_u16(0x0fff))
        }
    }
}

#[inline(always)]
fn store<const ADD: bool>(out: &mut [u16; 8], sum: uint16x8_t) {
    // SAFETY: `out` is one vector of 8 values; load and store need no more alignment than u16.
    unsafe {
        let sum = if ADD {
            vqaddq_u16(sum, vld1q_u16(out.as_ptr()))
        } else {
            sum
        };
        vst1q_u16(out.as_mut_ptr(), sum);
    }
}

#[target_feature(enable = "neon")]
fn csi2p12_bytes(row: &[u8], out: &mut [u16], ahead: usize) {
    let row = &row[..out.len()];
    let (blocks, rest) = row.as_chunks::<32>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<32>();
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        prefetch(block, ahead);
        // SAFETY: `block` is 32 bytes and `out` 32 values: two vectors loaded and four stored, which need no more
        // alignment than u16.
        unsafe {
            let uint8x16x2_t(a, b) = vld1q_u8_x2(block.as_ptr());
            let low = |bytes| vmovl_u8(vget_low_u8(bytes));
            let wide = uint16x8x4_t(low(a), vmovl_high_u8(a), low(b), vmovl_high_u8(b));
            vst1q_u16_x4(out.as_mut_ptr(), wide);
        }
    }
    plain::csi2p12_bytes(rest, out_rest, ahead);
}

#[target_feature(enable = "neon")]
fn csi2p12_pixels(row: &[u8], out: &mut [u16], ahead: usize) {
    let row = &row[..out.len() / 2 * 3];
    let (blocks, rest) = row.as_chunks::<48>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<32>();
    let low = vdupq_n_u8(15);
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        prefetch(block, ahead);
        let uint8x16x3_t(even, odd, nibbles) = load_groups(block);
        let (even_low, odd_low) = (vandq_u8(nibbles, low), vshrq_n_u8::<4>(nibbles));
        let first = uint16x8x2_t(
            vaddw_u8(vshll_n_u8::<4>(vget_low_u8(even)), vget_low_u8(even_low)),
            vaddw_u8(vshll_n_u8::<4>(vget_low_u8(odd)), vget_low_u8(odd_low)),
        );
        let second = uint16x8x2_t(
            vaddw_high_u8(vshll_high_n_u8::<4>(even), even_low),
            vaddw_high_u8(vshll_high_n_u8::<4>(odd), odd_low),
        );
        // SAFETY: `out` is 32 values, two interleaved stores of 16, which need no more alignment than u16.
        unsafe {
            vst2q_u16(out.as_mut_ptr(), first);
            vst2q_u16(out.as_mut_ptr().add(16), second);
        }
    }
    plain::csi2p12_pixels(rest, out_rest, ahead);
}

#[target_feature(enable = "neon")]
fn csi2p12_bin<const ADD: bool>(top: &[u8], bottom: &[u8], out: &mut [u16], ahead: usize) {
    let (top, bottom) = (&top[..3 * out.len()], &bottom[..3 * out.len()]);
    let (tops, top_rest) = top.as_chunks::<48>();
    let (bottoms, bottom_rest) = bottom.as_chunks::<48>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<16>();
    for ((out, top), bottom) in out_blocks.iter_mut().zip(tops).zip(bottoms) {
        prefetch(top, ahead);
        prefetch(bottom, ahead);
        let ((first, second), marked) = cell_sums(load_groups(top), load_groups(bottom));
        // A mark is 0xff; widened with its sign it sets all bits of the sum.
        let marked = vreinterpretq_s8_u8(marked);
        let first_mark = vreinterpretq_u16_s16(vmovl_s8(vget_low_s8(marked)));
        let second_mark = vreinterpretq_u16_s16(vmovl_high_s8(marked));
        let (halves, _) = out.as_chunks_mut::<8>();
        store::<ADD>(&mut halves[0], vorrq_u16(first, first_mark));
        store::<ADD>(&mut halves[1], vorrq_u16(second, second_mark));
    }
    plain::csi2p12_bin::<ADD>(top_rest, bottom_rest, out_rest, ahead);
}

/// Sums of 16 cells (first eight, second eight) and 0xff for each cell with a saturated pixel.
#[target_feature(enable = "neon")]
#[inline]
fn cell_sums(top: uint8x16x3_t, bottom: uint8x16x3_t) -> ((uint16x8_t, uint16x8_t), uint8x16_t) {
    let low = vdupq_n_u8(0x0f);
    let high = vdupq_n_u8(0xf0);
    let nibbles = |n| vaddq_u8(vandq_u8(n, low), vshrq_n_u8::<4>(n));
    // At most 4 * 15, so bytes hold it.
    let nibble_sum = vaddq_u8(nibbles(top.2), nibbles(bottom.2));
    let first = vaddq_u16(
        vaddl_u8(vget_low_u8(top.0), vget_low_u8(top.1)),
        vaddl_u8(vget_low_u8(bottom.0), vget_low_u8(bottom.1)),
    );
    let second = vaddq_u16(
        vaddl_high_u8(top.0, top.1),
        vaddl_high_u8(bottom.0, bottom.1),
    );
    let first = vaddw_u8(vshlq_n_u16::<4>(first), vget_low_u8(nibble_sum));
    let second = vaddw_high_u8(vshlq_n_u16::<4>(second), nibble_sum);
    let fullest = |g: uint8x16x3_t| {
        vmaxq_u8(
            vandq_u8(g.0, vorrq_u8(g.2, high)),
            vandq_u8(g.1, vorrq_u8(g.2, low)),
        )
    };
    let marked = vceqq_u8(vmaxq_u8(fullest(top), fullest(bottom)), vdupq_n_u8(255));
    ((first, second), marked)
}

#[target_feature(enable = "neon")]
fn u16_bytes<const HIGH: bool>(row: &[u8], out: &mut [u16], ahead: usize) {
    let row = &row[..out.len() / 3 * 4];
    let (blocks, rest) = row.as_chunks::<32>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<24>();
    let low = vdupq_n_u16(15);
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        prefetch(block, ahead);
        let uint16x8x2_t(even, odd) = load_samples::<HIGH>(block);
        let nibbles = vorrq_u16(vandq_u16(even, low), vshlq_n_u16::<4>(vandq_u16(odd, low)));
        let groups = uint16x8x3_t(vshrq_n_u16::<4>(even), vshrq_n_u16::<4>(odd), nibbles);
        // SAFETY: `out` is 24 values, one interleaved store, which needs no more alignment than u16.
        unsafe { vst3q_u16(out.as_mut_ptr(), groups) };
    }
    plain::u16_bytes::<HIGH>(rest, out_rest, ahead);
}

#[target_feature(enable = "neon")]
fn u16_pixels<const HIGH: bool>(row: &[u8], out: &mut [u16], ahead: usize) {
    let row = &row[..2 * out.len()];
    let (blocks, rest) = row.as_chunks::<32>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<16>();
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        prefetch(block, ahead);
        // SAFETY: `block` is 32 bytes and `out` 16 values: two vectors loaded and two stored, which need no more
        // alignment than u16.
        unsafe {
            let uint16x8x2_t(a, b) = vld1q_u16_x2(block.as_ptr().cast());
            vst1q_u16_x2(
                out.as_mut_ptr(),
                uint16x8x2_t(value::<HIGH>(a), value::<HIGH>(b)),
            );
        }
    }
    plain::u16_pixels::<HIGH>(rest, out_rest, ahead);
}

#[target_feature(enable = "neon")]
fn u16_bin<const HIGH: bool, const ADD: bool>(
    top: &[u8],
    bottom: &[u8],
    out: &mut [u16],
    ahead: usize,
) {
    let (top, bottom) = (&top[..4 * out.len()], &bottom[..4 * out.len()]);
    let (tops, top_rest) = top.as_chunks::<32>();
    let (bottoms, bottom_rest) = bottom.as_chunks::<32>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<8>();
    for ((out, top), bottom) in out_blocks.iter_mut().zip(tops).zip(bottoms) {
        prefetch(top, ahead);
        prefetch(bottom, ahead);
        let uint16x8x2_t(a, b) = load_samples::<HIGH>(top);
        let uint16x8x2_t(c, d) = load_samples::<HIGH>(bottom);
        let sum = vaddq_u16(vaddq_u16(a, b), vaddq_u16(c, d));
        let most = vmaxq_u16(vmaxq_u16(a, b), vmaxq_u16(c, d));
        let marked = vcgeq_u16(most, vdupq_n_u16(SATURATED_PIXEL));
        store::<ADD>(out, vorrq_u16(sum, marked));
    }
    plain::u16_bin::<HIGH, ADD>(top_rest, bottom_rest, out_rest, ahead);
}

#[target_feature(enable = "neon")]
fn halve(row: &[u16], out: &mut [u16]) {
    let row = &row[..2 * out.len()];
    let (blocks, rest) = row.as_chunks::<8>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<4>();
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        // SAFETY: `block` is 8 values and `out` 4, one vector each, with no more alignment than u16.
        unsafe {
            let pairs = vpaddlq_u16(vld1q_u16(block.as_ptr()));
            vst1_u16(out.as_mut_ptr(), vqmovn_u32(pairs));
        }
    }
    plain::halve(rest, out_rest);
}
