//! The kernels without vector instructions: one pixel after the other, as the formats are defined.

use super::{RowKernels, SATURATED_PIXEL, SATURATED_SUM, Table};

pub(super) static TABLE: Table = Table {
    name: "plain",
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

/// Two pixels in three bytes, see [`super::Packing::Csi2p12`].
fn csi2p12_pair(bytes: &[u8; 3]) -> [u16; 2] {
    let [even, odd, nibbles] = bytes.map(u16::from);
    [(even << 4) | (nibbles & 15), (odd << 4) | (nibbles >> 4)]
}

/// A 16-bit sample; `HIGH` means left-aligned.
fn u16_pixel<const HIGH: bool>(bytes: &[u8; 2]) -> u16 {
    let sample = u16::from_le_bytes(*bytes);
    if HIGH { sample >> 4 } else { sample & 0x0fff }
}

/// Sum of a 2 x 2 cell, marked when one of its pixels is saturated.
fn sum(cell: [u16; 4]) -> u16 {
    if cell.iter().any(|&pixel| pixel >= SATURATED_PIXEL) {
        SATURATED_SUM
    } else {
        cell.iter().sum()
    }
}

fn store<const ADD: bool>(out: &mut u16, sum: u16) {
    *out = if ADD { out.saturating_add(sum) } else { sum };
}

pub(super) fn csi2p12_bytes(row: &[u8], out: &mut [u16], _ahead: usize) {
    for (out, &byte) in out.iter_mut().zip(row) {
        *out = u16::from(byte);
    }
}

pub(super) fn csi2p12_pixels(row: &[u8], out: &mut [u16], _ahead: usize) {
    let (groups, _) = row.as_chunks();
    let (pairs, _) = out.as_chunks_mut();
    for (pair, group) in pairs.iter_mut().zip(groups) {
        *pair = csi2p12_pair(group);
    }
}

pub(super) fn csi2p12_bin<const ADD: bool>(
    top: &[u8],
    bottom: &[u8],
    out: &mut [u16],
    _ahead: usize,
) {
    let (top, _) = top.as_chunks();
    let (bottom, _) = bottom.as_chunks();
    for ((out, top), bottom) in out.iter_mut().zip(top).zip(bottom) {
        let ([a, b], [c, d]) = (csi2p12_pair(top), csi2p12_pair(bottom));
        store::<ADD>(out, sum([a, b, c, d]));
    }
}

/// The bytes that [`super::Packing::Csi2p12`] would hold, so that files look the same on every board.
pub(super) fn u16_bytes<const HIGH: bool>(row: &[u8], out: &mut [u16], _ahead: usize) {
    let (pixels, _) = row.as_chunks();
    let (pairs, _) = pixels.as_chunks();
    let (groups, _) = out.as_chunks_mut();
    for (group, [even, odd]) in groups.iter_mut().zip(pairs) {
        let (even, odd) = (u16_pixel::<HIGH>(even), u16_pixel::<HIGH>(odd));
        *group = [even >> 4, odd >> 4, (even & 15) | ((odd & 15) << 4)];
    }
}

pub(super) fn u16_pixels<const HIGH: bool>(row: &[u8], out: &mut [u16], _ahead: usize) {
    let (samples, _) = row.as_chunks();
    for (out, sample) in out.iter_mut().zip(samples) {
        *out = u16_pixel::<HIGH>(sample);
    }
}

pub(super) fn u16_bin<const HIGH: bool, const ADD: bool>(
    top: &[u8],
    bottom: &[u8],
    out: &mut [u16],
    _ahead: usize,
) {
    let pairs = |row| <[u8]>::as_chunks::<4>(row).0;
    let pixels = |pair: &[u8; 4]| {
        let [a, b, c, d] = *pair;
        [u16_pixel::<HIGH>(&[a, b]), u16_pixel::<HIGH>(&[c, d])]
    };
    for ((out, top), bottom) in out.iter_mut().zip(pairs(top)).zip(pairs(bottom)) {
        let ([a, b], [c, d]) = (pixels(top), pixels(bottom));
        store::<ADD>(out, sum([a, b, c, d]));
    }
}

pub(super) fn halve(row: &[u16], out: &mut [u16]) {
    let (pairs, _) = row.as_chunks();
    for (out, [a, b]) in out.iter_mut().zip(pairs) {
        *out = a.saturating_add(*b);
    }
}
