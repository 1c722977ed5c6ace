"""The arrays in ``.raw`` and ``.npy`` files, as old and new numpy load them. Runs under numpy 1.26 and 2."""

import pickle
import warnings

import numpy as np
import pytest

import frames
from frames import FULL, ODD, SMALL, SMALL_U16
from station import Scpi

MODES = {"packed": (False, 0), "unpacked": (True, 0), "1 round": (False, 1), "2 rounds": (True, 2), "3 rounds": (True, 3)}
CASES = [
    (geometry, mode, window)
    for geometry, windows in [
        (SMALL, [None, (8, 6, 32, 16), (62, 46, 2, 2)]),
        (SMALL_U16, [None, (8, 6, 32, 16)]),
        (ODD, [None, (2, 4, 56, 40)]),
    ]
    for window in windows
    for mode in MODES
]


def divides(geometry, window, rounds):
    _, _, w, h = window or (0, 0, geometry.width, geometry.height)
    return w % (1 << rounds) == 0 and h % (1 << rounds) == 0


def load(path):
    """Loads an array with warnings as errors; a pickle must be the object itself, not something like it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open(path, "rb") as file:
            array = pickle.load(file) if path.suffix == ".raw" else np.load(file, allow_pickle=False)
            assert file.read() == b"", f"{path.name} has bytes behind its array"
    return array


def check_array(path, expected):
    array = load(path)
    assert type(array) is np.ndarray
    assert array.dtype == np.dtype("<u2")
    assert array.flags.c_contiguous and array.flags.aligned
    assert array.shape == expected.shape
    assert np.array_equal(array, expected), f"{path.name}: {np.count_nonzero(array != expected)} elements differ"
    if path.suffix == ".raw":
        assert array.flags.writeable
        array[0, 0] ^= 1  # the pre-clip tool changes arrays in place


@pytest.mark.parametrize("geometry,mode,window", CASES, ids=lambda value: str(value).replace(" ", ""))
def test_stored_arrays_are_bit_identical(replay, legacy, geometry, mode, window):
    unpack, rounds = MODES[mode]
    station, scenes = replay(geometry)
    client = legacy(station)
    with Scpi(station.address("scpi")) as scpi:
        scpi.run("CAM:FORM RAW,NPY")
    assert client.open_session(1000, window=window, unpack=unpack, rounds=rounds) == []
    captured = client.capture("P", [1000], 2, log=False)
    if not divides(geometry, window, rounds):
        assert not captured
        assert station.files() == []
        return
    assert captured
    assert station.files() == [f"P_ss=1000_{i:04}.{ext}" for i in range(2) for ext in ("npy", "raw")]
    for index in range(2):
        expected = frames.stored_array(frames.cut(scenes[index], window), unpack, rounds)
        for extension in ("raw", "npy"):
            check_array(station.images / f"P_ss=1000_{index:04}.{extension}", expected)


@pytest.mark.parametrize("mode", MODES)
def test_full_frames_are_bit_identical(replay, legacy, mode):
    unpack, rounds = MODES[mode]
    station, scenes = replay(FULL, count=2)
    client = legacy(station)
    assert client.open_session(1000, unpack=unpack, rounds=rounds) == []
    assert client.capture("Dev101_rPiHQCam2-0000", [1000], 2)
    for index, pixels in enumerate(scenes):
        path = station.images / f"Dev101_rPiHQCam2-0000_ss=1000_{index:04}.raw"
        check_array(path, frames.stored_array(pixels, unpack, rounds))


def test_a_centered_window_starts_on_even_pixels(replay, legacy):
    station, scenes = replay(SMALL)
    client = legacy(station)
    # (64 - 30) / 2 = 17 and (48 - 22) / 2 = 13: both odd.
    assert client.open_session(1000, window=(30, 22), unpack=True) == []
    assert client.capture("P", [1000], 1)
    window = frames.centered(SMALL, 30, 22)
    assert window == (16, 12, 30, 22)
    check_array(station.images / "P_ss=1000_0000.raw", frames.cut(scenes[0], window).astype("<u2"))


def test_every_exposure_has_its_own_pictures(replay, legacy):
    station, scenes = replay(SMALL, count=4)
    client = legacy(station)
    assert client.open_session(500, unpack=True) == []
    assert client.capture("P", [500, 1000], 2)
    names = [f"P_ss={exposure}_{index:04}.raw" for exposure in (500, 1000) for index in range(2)]
    assert station.files() == sorted([*names, "P_SSCapture.log"])
    for name, pixels in zip(names, scenes, strict=True):
        check_array(station.images / name, pixels.astype("<u2"))
