//! Kernels for x86-64: SSE4.1 and AVX2.
//!
//! Packed rows: a byte shuffle puts the high byte of each pixel and the nibble byte of its pair side by side in a
//! 16-bit lane (`high << 8 | nibbles`). An odd pixel is that lane shifted right by 4; an even pixel takes its high
//! bits the same way and its low nibble from the lane itself. Binning gathers even and odd pixels in vectors of their
//! own, so that all sums are lane by lane. Widening, and rows of 16-bit samples, wait for memory with vectors of 128 bits
//! already, so both sets share these.
//!
//! Every loop is written with vector instructions, the simplest too: a release built for size vectorizes none by itself.
//!
//! What is left at the end of a row goes through the plain kernels.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use zerocopy::transmute;

use super::{RowKernels, SATURATED_PIXEL, Table, plain};

/// Runs on processors with SSE4.1 (and so SSSE3) alone.
pub(super) static SSE41: Table = Table {
    name: "sse4.1",
    csi2p12: RowKernels {
        bytes: sse41::csi2p12_bytes,
        pixels: sse41::csi2p12_pixels,
        bin: sse41::csi2p12_bin::<false>,
        bin_add: sse41::csi2p12_bin::<true>,
    },
    u16_low: RowKernels {
        bytes: sse41::u16_bytes::<false>,
        pixels: sse41::u16_pixels::<false>,
        bin: sse41::u16_bin::<false, false>,
        bin_add: sse41::u16_bin::<false, true>,
    },
    u16_high: RowKernels {
        bytes: sse41::u16_bytes::<true>,
        pixels: sse41::u16_pixels::<true>,
        bin: sse41::u16_bin::<true, false>,
        bin_add: sse41::u16_bin::<true, true>,
    },
    halve: sse41::halve,
};

/// Runs on processors with AVX2 alone.
pub(super) static AVX2: Table = Table {
    name: "avx2",
    csi2p12: RowKernels {
        pixels: avx2::csi2p12_pixels,
        bin: avx2::csi2p12_bin::<false>,
        bin_add: avx2::csi2p12_bin::<true>,
        ..SSE41.csi2p12
    },
    u16_low: SSE41.u16_low,
    u16_high: SSE41.u16_high,
    halve: sse41::halve,
};

/// Asks for the cache line `ahead` bytes after the start of `bytes`.
#[inline(always)]
fn prefetch(bytes: &[u8], ahead: usize) {
    // SAFETY: a prefetch reads nothing and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(ahead).cast()) };
}

#[inline(always)]
fn load<const AT: usize, const N: usize>(bytes: &[u8; N]) -> __m128i {
    const { assert!(AT + 16 <= N) };
    // SAFETY: AT + 16 <= N, and the load has no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().add(AT).cast()) }
}

/// How many vector steps a row takes: each loads `load` bytes, moves on by `step` bytes and gives `values`.
#[inline(always)]
fn step_count(row: &[u8], load: usize, step: usize, out: &[u16], values: usize) -> usize {
    match row.len().checked_sub(load) {
        Some(room) => (room / step + 1).min(out.len() / values),
        None => 0,
    }
}

mod sse41 {
    use super::*;

    /// Bytes that a step of 24 or 12 bytes loads: two loads of 16, the second at 12.
    const LOAD: usize = 28;

    #[target_feature(enable = "sse4.1")]
    pub(super) fn csi2p12_bytes(row: &[u8], out: &mut [u16], ahead: usize) {
        let row = &row[..out.len()];
        let (blocks, rest) = row.as_chunks::<64>();
        let (out_blocks, out_rest) = out.as_chunks_mut::<64>();
        let none = _mm_setzero_si128();
        let widen = |bytes| {
            [
                _mm_unpacklo_epi8(bytes, none),
                _mm_unpackhi_epi8(bytes, none),
            ]
        };
        for (out, block) in out_blocks.iter_mut().zip(blocks) {
            prefetch(block, ahead);
            let [a, b, c, d]: [__m128i; 4] = transmute!(*block);
            *out = transmute!([widen(a), widen(b), widen(c), widen(d)]);
        }
        plain::csi2p12_bytes(rest, out_rest, ahead);
    }

    #[target_feature(enable = "sse4.1")]
    pub(super) fn csi2p12_pixels(row: &[u8], out: &mut [u16], ahead: usize) {
        let order = _mm_setr_epi8(2, 0, 2, 1, 5, 3, 5, 4, 8, 6, 8, 7, 11, 9, 11, 10);
        let high = _mm_set1_epi32(0x0fff_0ff0);
        let low = _mm_set1_epi32(0x0000_000f);
        let steps = step_count(row, LOAD, 24, out, 16);
        let (out_blocks, out_rest) = out.split_at_mut(16 * steps);
        for (step, out) in out_blocks.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let Some(bytes) = row[24 * step..].first_chunk::<LOAD>() else {
                break;
            };
            prefetch(bytes, ahead);
            let unpack = |bytes: __m128i| {
                let lanes = _mm_shuffle_epi8(bytes, order);
                _mm_or_si128(
                    _mm_and_si128(_mm_srli_epi16::<4>(lanes), high),
                    _mm_and_si128(lanes, low),
                )
            };
            let (first, second) = (
                unpack(load::<0, LOAD>(bytes)),
                unpack(load::<12, LOAD>(bytes)),
            );
            // SAFETY: `out` is 16 values, two vectors of 8, and the stores have no alignment.
            unsafe {
                let out: *mut __m128i = out.as_mut_ptr().cast();
                _mm_storeu_si128(out, first);
                _mm_storeu_si128(out.add(1), second);
            }
        }
        plain::csi2p12_pixels(&row[24 * steps..], out_rest, ahead);
    }

    /// Even and odd pixels of 24 bytes.
    #[target_feature(enable = "sse4.1")]
    #[inline]
    fn split(bytes: &[u8; LOAD]) -> (__m128i, __m128i) {
        let order = _mm_setr_epi8(2, 0, 5, 3, 8, 6, 11, 9, 2, 1, 5, 4, 8, 7, 11, 10);
        let first = _mm_shuffle_epi8(load::<0, LOAD>(bytes), order);
        let second = _mm_shuffle_epi8(load::<12, LOAD>(bytes), order);
        let even = _mm_unpacklo_epi64(first, second);
        let odd = _mm_unpackhi_epi64(first, second);
        let even = _mm_or_si128(
            _mm_and_si128(_mm_srli_epi16::<4>(even), _mm_set1_epi16(0x0ff0)),
            _mm_and_si128(even, _mm_set1_epi16(0x000f)),
        );
        (even, _mm_srli_epi16::<4>(odd))
    }

    #[target_feature(enable = "sse4.1")]
    pub(super) fn csi2p12_bin<const ADD: bool>(
        top: &[u8],
        bottom: &[u8],
        out: &mut [u16],
        ahead: usize,
    ) {
        let shorter = if top.len() < bottom.len() {
            top
        } else {
            bottom
        };
        let steps = step_count(shorter, LOAD, 24, out, 8);
        let (out_blocks, out_rest) = out.split_at_mut(8 * steps);
        for (step, out) in out_blocks.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let (Some(top), Some(bottom)) = (
                top[24 * step..].first_chunk(),
                bottom[24 * step..].first_chunk(),
            ) else {
                break;
            };
            prefetch(top, ahead);
            prefetch(bottom, ahead);
            let ((a, b), (c, d)) = (split(top), split(bottom));
            let sum = _mm_add_epi16(_mm_add_epi16(a, b), _mm_add_epi16(c, d));
            let most = _mm_max_epu16(_mm_max_epu16(a, b), _mm_max_epu16(c, d));
            let marked = _mm_cmpeq_epi16(most, _mm_set1_epi16(SATURATED_PIXEL as i16));
            let sum = _mm_or_si128(sum, marked);
            let out: *mut __m128i = out.as_mut_ptr().cast();
            // SAFETY: `out` is 8 values, one vector, and load and store have no alignment.
            unsafe {
                let sum = if ADD {
                    _mm_adds_epu16(sum, _mm_loadu_si128(out))
                } else {
                    sum
                };
                _mm_storeu_si128(out, sum);
            }
        }
        let done = 24 * steps;
        plain::csi2p12_bin::<ADD>(&top[done..], &bottom[done..], out_rest, ahead);
    }

    #[target_feature(enable = "sse4.1")]
    pub(super) fn u16_bytes<const HIGH: bool>(row: &[u8], out: &mut [u16], ahead: usize) {
        // Lanes: the high bytes of 8 pixels, then (in every other byte) the nibbles of 4 pairs.
        let first_order = _mm_setr_epi8(0, -1, 1, -1, 8, -1, 2, -1, 3, -1, 10, -1, 4, -1, 5, -1);
        let last_order =
            _mm_setr_epi8(12, -1, 6, -1, 7, -1, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1);
        let steps = step_count(row, 16, 16, out, 12);
        let (out_blocks, out_rest) = out.split_at_mut(12 * steps);
        for (step, out) in out_blocks.as_chunks_mut::<12>().0.iter_mut().enumerate() {
            let Some(bytes) = row[16 * step..].first_chunk::<16>() else {
                break;
            };
            prefetch(bytes, ahead);
            let samples = load::<0, 16>(bytes);
            let pixels = if HIGH {
                _mm_srli_epi16::<4>(samples)
            } else {
                _mm_and_si128(samples, _mm_set1_epi16(0x0fff))
            };
            let odd_nibbles = _mm_and_si128(_mm_srli_epi32::<12>(pixels), _mm_set1_epi32(0x00f0));
            let even_nibbles = _mm_and_si128(pixels, _mm_set1_epi32(0x000f));
            let packed = _mm_packus_epi16(
                _mm_srli_epi16::<4>(pixels),
                _mm_or_si128(odd_nibbles, even_nibbles),
            );
            let out: *mut __m128i = out.as_mut_ptr().cast();
            // SAFETY: `out` is 12 values, a vector of 8 and one half; the stores have no alignment.
            unsafe {
                _mm_storeu_si128(out, _mm_shuffle_epi8(packed, first_order));
                _mm_storel_epi64(out.add(1), _mm_shuffle_epi8(packed, last_order));
            }
        }
        plain::u16_bytes::<HIGH>(&row[16 * steps..], out_rest, ahead);
    }

    /// 12-bit values of 8 samples.
    #[target_feature(enable = "sse4.1")]
    #[inline]
    fn value<const HIGH: bool>(samples: __m128i) -> __m128i {
        if HIGH {
            _mm_srli_epi16::<4>(samples)
        } else {
            _mm_and_si128(samples, _mm_set1_epi16(0x0fff))
        }
    }

    #[target_feature(enable = "sse4.1")]
    pub(super) fn u16_pixels<const HIGH: bool>(row: &[u8], out: &mut [u16], ahead: usize) {
        let row = &row[..2 * out.len()];
        let (blocks, rest) = row.as_chunks::<64>();
        let (out_blocks, out_rest) = out.as_chunks_mut::<32>();
        for (out, block) in out_blocks.iter_mut().zip(blocks) {
            prefetch(block, ahead);
            let [a, b, c, d]: [__m128i; 4] = transmute!(*block);
            let values = [
                value::<HIGH>(a),
                value::<HIGH>(b),
                value::<HIGH>(c),
                value::<HIGH>(d),
            ];
            *out = transmute!(values);
        }
        plain::u16_pixels::<HIGH>(rest, out_rest, ahead);
    }

    /// 16 values to the 8 sums of neighbors, with saturation.
    #[target_feature(enable = "sse4.1")]
    #[inline]
    fn add_neighbors(first: __m128i, last: __m128i) -> __m128i {
        let even = _mm_set1_epi32(0xffff);
        let add = |pairs| _mm_add_epi32(_mm_and_si128(pairs, even), _mm_srli_epi32::<16>(pairs));
        _mm_packus_epi32(add(first), add(last))
    }

    #[target_feature(enable = "sse4.1")]
    pub(super) fn u16_bin<const HIGH: bool, const ADD: bool>(
        top: &[u8],
        bottom: &[u8],
        out: &mut [u16],
        ahead: usize,
    ) {
        let (top, bottom) = (&top[..4 * out.len()], &bottom[..4 * out.len()]);
        let (tops, top_rest) = top.as_chunks::<32>();
        let (bottoms, bottom_rest) = bottom.as_chunks::<32>();
        let (out_blocks, out_rest) = out.as_chunks_mut::<8>();
        let full = _mm_set1_epi16(SATURATED_PIXEL as i16);
        let add_rows = |top, bottom| {
            let (top, bottom) = (value::<HIGH>(top), value::<HIGH>(bottom));
            let marked = _mm_cmpeq_epi16(_mm_max_epu16(top, bottom), full);
            _mm_or_si128(_mm_add_epi16(top, bottom), marked)
        };
        for ((out, top), bottom) in out_blocks.iter_mut().zip(tops).zip(bottoms) {
            prefetch(top, ahead);
            prefetch(bottom, ahead);
            let [a, b]: [__m128i; 2] = transmute!(*top);
            let [c, d]: [__m128i; 2] = transmute!(*bottom);
            let sum = add_neighbors(add_rows(a, c), add_rows(b, d));
            let sum = if ADD {
                _mm_adds_epu16(sum, transmute!(*out))
            } else {
                sum
            };
            *out = transmute!(sum);
        }
        plain::u16_bin::<HIGH, ADD>(top_rest, bottom_rest, out_rest, ahead);
    }

    #[target_feature(enable = "sse4.1")]
    pub(super) fn halve(row: &[u16], out: &mut [u16]) {
        let row = &row[..2 * out.len()];
        let (blocks, rest) = row.as_chunks::<16>();
        let (out_blocks, out_rest) = out.as_chunks_mut::<8>();
        for (out, block) in out_blocks.iter_mut().zip(blocks) {
            let [first, last]: [__m128i; 2] = transmute!(*block);
            *out = transmute!(add_neighbors(first, last));
        }
        plain::halve(rest, out_rest);
    }
}

mod avx2 {
    use super::*;

    /// Bytes that a step of 48 bytes loads: four loads of 16, 12 bytes apart.
    const LOAD: usize = 52;

    /// Two loads side by side.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn load2<const LOW: usize, const HIGH: usize>(bytes: &[u8; LOAD]) -> __m256i {
        _mm256_inserti128_si256::<1>(
            _mm256_castsi128_si256(load::<LOW, LOAD>(bytes)),
            load::<HIGH, LOAD>(bytes),
        )
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn csi2p12_pixels(row: &[u8], out: &mut [u16], ahead: usize) {
        let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            2, 0, 2, 1, 5, 3, 5, 4, 8, 6, 8, 7, 11, 9, 11, 10,
        ));
        let high = _mm256_set1_epi32(0x0fff_0ff0);
        let low = _mm256_set1_epi32(0x0000_000f);
        let steps = step_count(row, LOAD, 48, out, 32);
        let (out_blocks, out_rest) = out.split_at_mut(32 * steps);
        for (step, out) in out_blocks.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let Some(bytes) = row[48 * step..].first_chunk::<LOAD>() else {
                break;
            };
            prefetch(bytes, ahead);
            let unpack = |bytes: __m256i| {
                let lanes = _mm256_shuffle_epi8(bytes, order);
                _mm256_or_si256(
                    _mm256_and_si256(_mm256_srli_epi16::<4>(lanes), high),
                    _mm256_and_si256(lanes, low),
                )
            };
            let (first, second) = (
                unpack(load2::<0, 12>(bytes)),
                unpack(load2::<24, 36>(bytes)),
            );
            // SAFETY: `out` is 32 values, two vectors of 16, and the stores have no alignment.
            unsafe {
                let out: *mut __m256i = out.as_mut_ptr().cast();
                _mm256_storeu_si256(out, first);
                _mm256_storeu_si256(out.add(1), second);
            }
        }
        plain::csi2p12_pixels(&row[48 * steps..], out_rest, ahead);
    }

    /// Even and odd pixels of 48 bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn split(bytes: &[u8; LOAD]) -> (__m256i, __m256i) {
        let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            2, 0, 5, 3, 8, 6, 11, 9, 2, 1, 5, 4, 8, 7, 11, 10,
        ));
        // Unpacking works within halves of 128 bits, so the halves are loaded crosswise.
        let first = _mm256_shuffle_epi8(load2::<0, 24>(bytes), order);
        let second = _mm256_shuffle_epi8(load2::<12, 36>(bytes), order);
        let even = _mm256_unpacklo_epi64(first, second);
        let odd = _mm256_unpackhi_epi64(first, second);
        let even = _mm256_or_si256(
            _mm256_and_si256(_mm256_srli_epi16::<4>(even), _mm256_set1_epi16(0x0ff0)),
            _mm256_and_si256(even, _mm256_set1_epi16(0x000f)),
        );
        (even, _mm256_srli_epi16::<4>(odd))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn csi2p12_bin<const ADD: bool>(
        top: &[u8],
        bottom: &[u8],
        out: &mut [u16],
        ahead: usize,
    ) {
        let shorter = if top.len() < bottom.len() {
            top
        } else {
            bottom
        };
        let steps = step_count(shorter, LOAD, 48, out, 16);
        let (out_blocks, out_rest) = out.split_at_mut(16 * steps);
        for (step, out) in out_blocks.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let (Some(top), Some(bottom)) = (
                top[48 * step..].first_chunk(),
                bottom[48 * step..].first_chunk(),
            ) else {
                break;
            };
            prefetch(top, ahead);
            prefetch(bottom, ahead);
            let ((a, b), (c, d)) = (split(top), split(bottom));
            let sum = _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d));
            let most = _mm256_max_epu16(_mm256_max_epu16(a, b), _mm256_max_epu16(c, d));
            let marked = _mm256_cmpeq_epi16(most, _mm256_set1_epi16(SATURATED_PIXEL as i16));
            let sum = _mm256_or_si256(sum, marked);
            let out: *mut __m256i = out.as_mut_ptr().cast();
            // SAFETY: `out` is 16 values, one vector, and load and store have no alignment.
            unsafe {
                let sum = if ADD {
                    _mm256_adds_epu16(sum, _mm256_loadu_si256(out))
                } else {
                    sum
                };
                _mm256_storeu_si256(out, sum);
            }
        }
        let done = 48 * steps;
        plain::csi2p12_bin::<ADD>(&top[done..], &bottom[done..], out_rest, ahead);
    }
}
