"""Frames whose pixels are known, and what Outpost must make of them.

Slow and obvious on purpose: this is the arithmetic that the files are judged by. All pixels are 12-bit counts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PADDING = 0xA5
SATURATED = 4095


@dataclass(frozen=True)
class Geometry:
    """Size of a frame and the bytes from one row to the next."""

    width: int
    height: int
    stride: int
    packing: str = "csi2p12"

    def __str__(self):
        return f"{self.width}x{self.height}-{self.packing}"


SMALL = Geometry(64, 48, 128)
# 90 bytes of pixels in a row of 96: the alignment rule of real frames.
ODD = Geometry(60, 44, 96)
SMALL_U16 = Geometry(64, 48, 192, "u16")
FULL = Geometry(4056, 3040, 6112)


def scene(geometry, seed):
    """A frame of noise with dark, bright and saturated regions, every 12-bit value possible."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, SATURATED + 1, (geometry.height, geometry.width), dtype=np.uint16)
    third = geometry.height // 3
    pixels[:third] = 256 + pixels[:third] % 16
    pixels[third : 2 * third] = pixels[third : 2 * third] % SATURATED
    pixels[-1, -1] = SATURATED
    return pixels


def pack_rows(pixels):
    """Two pixels in three bytes: both high bytes, then the low nibbles, even pixel in bits 0-3."""
    even, odd = pixels[:, 0::2], pixels[:, 1::2]
    packed = np.empty((pixels.shape[0], pixels.shape[1] // 2, 3), dtype=np.uint8)
    packed[..., 0] = even >> 4
    packed[..., 1] = odd >> 4
    packed[..., 2] = (even & 15) | ((odd & 15) << 4)
    return packed.reshape(pixels.shape[0], -1)


def frame_bytes(pixels, geometry):
    """The frame as the receiver leaves it in memory, padding included."""
    rows = pack_rows(pixels) if geometry.packing == "csi2p12" else pixels.astype("<u2").view(np.uint8)
    frame = np.full((geometry.height, geometry.stride), PADDING, dtype=np.uint8)
    frame[:, : rows.shape[1]] = rows
    return frame.tobytes()


def write_replay(folder, geometry, scenes, bayer="RGGB", black_level=256):
    """A folder for the ``replay`` backend; one frame a saved picture, in this order, over and over."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    (folder / "replay.toml").write_text(
        f"width = {geometry.width}\nheight = {geometry.height}\nstride = {geometry.stride}\n"
        f'packing = "{geometry.packing}"\nbayer = "{bayer}"\nblack_level = {black_level}\n'
        "loop = true\npaced = false\n"
    )
    for index, pixels in enumerate(scenes):
        (folder / f"frame_{index:04}.bin").write_bytes(frame_bytes(pixels, geometry))


def cut(pixels, window):
    """The window x, y, w, h of even values; None is the whole frame."""
    if window is None:
        return pixels
    x, y, w, h = window
    return pixels[y : y + h, x : x + w]


def centered(geometry, w, h):
    """The window that two values mean: centered, its offset rounded down to even."""
    return ((geometry.width - w) // 2 & ~1, (geometry.height - h) // 2 & ~1, w, h)


def widened(pixels):
    """DBAY off: every packed byte as one 16-bit element, shape (rows, 3/2 columns)."""
    return pack_rows(pixels).astype("<u2")


def binned(pixels, rounds):
    """Sums over blocks of 2^n x 2^n in 32 bits, clamped; a block with a saturated pixel reads 65535."""
    size = 1 << rounds
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    blocks = pixels.reshape(rows, size, columns, size)
    sums = np.minimum(blocks.sum(axis=(1, 3), dtype=np.uint32), 65535)
    sums[(blocks >= SATURATED).any(axis=(1, 3))] = 65535
    return sums.astype("<u2")


def stored_array(pixels, unpack, rounds):
    """What ``.raw`` and ``.npy`` hold of a window."""
    if rounds > 0:
        return binned(pixels, rounds)
    return pixels.astype("<u2") if unpack else widened(pixels)


def stored_pixels(pixels, rounds):
    """What ``.fits``, ``.tiff``, ``.dng`` and ``.png`` hold of a window, whatever DBAY says."""
    return binned(pixels, rounds) if rounds > 0 else pixels.astype("<u2")
