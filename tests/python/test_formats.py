"""Picture files as the programs see them that people open them with."""

import json
import shutil
import subprocess
import warnings

import numpy as np
import pytest
import rawpy
import tifffile
from astropy.io import fits
from PIL import Image

import frames
from frames import FULL, ODD, SMALL, SMALL_U16
from station import Scpi

BLACK_LEVEL = 256
# What exiftool 12.57 says about a file that its format's rules allow: text -> why it may stay.
ARGUED_WARNINGS = {}


def read_fits(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, memmap=False) as units:
            units.verify("exception")
            assert len(units) == 1
            assert units[0].data.dtype == np.uint16
            return np.array(units[0].data)


def read_tiff(path):
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
        return tiff.pages[0].asarray()


def read_png(path):
    with Image.open(path) as image:
        image.load()
        assert image.mode.startswith("I")
        return np.array(image)


def read_dng(path):
    with rawpy.imread(str(path)) as raw:
        assert raw.black_level_per_channel == [BLACK_LEVEL] * 4
        assert raw.white_level == frames.SATURATED
        return raw.raw_image.copy()


READERS = {"fits": read_fits, "tiff": read_tiff, "png": read_png, "dng": read_dng}
CASES = [
    (geometry, unpack, rounds, window)
    for geometry, windows in [(SMALL, [None, (16, 8, 32, 24)]), (SMALL_U16, [None]), (ODD, [None])]
    for window in windows
    for unpack, rounds in [(False, 0), (True, 0), (True, 1), (True, 2), (True, 3)]
    if geometry is not ODD or rounds < 3
]


def formats(rounds):
    """DNG holds a Bayer mosaic, and binned data is none."""
    return [name for name in READERS if name != "dng" or rounds == 0]


def capture(station, rounds=0, unpack=True, window=None, pictures=2):
    with Scpi(station.address("scpi")) as scpi:
        scpi.run("CAM:FORM " + ",".join(formats(rounds)))
        if window is not None:
            scpi.run("SRV:IMG:BCLP {},{},{},{}".format(*window))
        scpi.run(f"SRV:IMG:DBAY {int(unpack)}")
        scpi.run(f"SRV:IMG:SRNK {rounds}")
        scpi.run(f'CAP:SEQFET "P",(1000),{pictures},0.2,0')


@pytest.mark.parametrize("geometry,unpack,rounds,window", CASES, ids=lambda value: str(value).replace(" ", ""))
def test_pixels_are_bit_identical_in_every_format(replay, geometry, unpack, rounds, window):
    station, scenes = replay(geometry)
    capture(station, rounds, unpack, window)
    names = [f"P_ss=1000_{i:04}.{name}" for i in range(2) for name in formats(rounds)]
    assert station.files() == sorted(names)
    for index in range(2):
        expected = frames.stored_pixels(frames.cut(scenes[index], window), rounds)
        for name in formats(rounds):
            pixels = READERS[name](station.images / f"P_ss=1000_{index:04}.{name}")
            assert pixels.shape == expected.shape, name
            assert np.array_equal(pixels, expected), name


def test_full_frames_are_bit_identical_in_every_format(replay):
    station, scenes = replay(FULL, count=1)
    capture(station, pictures=1)
    for name in formats(0):
        pixels = READERS[name](station.images / f"P_ss=1000_0000.{name}")
        assert np.array_equal(pixels, scenes[0]), name


@pytest.mark.parametrize("bayer", ["RGGB", "GRBG", "GBRG", "BGGR"])
def test_dng_names_the_colors_of_its_pixels(start_station, tmp_path, bayer):
    frames.write_replay(tmp_path / "replay", SMALL, [frames.scene(SMALL, 0)], bayer=bayer)
    station = start_station(replay=tmp_path / "replay")
    capture(station, pictures=1)
    with rawpy.imread(str(station.images / "P_ss=1000_0000.dng")) as raw:
        letters = raw.color_desc.decode()
        assert "".join(letters[color] for color in raw.raw_pattern.flat) == bayer


def test_dng_of_binned_pictures_is_refused_and_nothing_is_written(replay, legacy):
    station, _ = replay(SMALL)
    with Scpi(station.address("scpi")) as scpi:
        scpi.run("CAM:FORM DNG")
        scpi.run("SRV:IMG:SRNK 1")
        scpi.send('CAP:SEQFET "P",(1000),1,0.2,0')
        assert scpi.query("*OPC?") == "1"
        assert scpi.errors() == [-221]
    assert legacy(station).ask("CAP:SEQFET P 1000 1 0.2 0") == "nak"
    assert station.files() == []


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("rounds", [0, 2])
def test_exiftool_finds_no_fault(replay, rounds):
    station, _ = replay(SMALL)
    capture(station, rounds, pictures=1)
    for name in formats(rounds):
        if name == "fits":
            continue  # exiftool reads FITS but has no rules for it
        path = station.images / f"P_ss=1000_0000.{name}"
        command = ["exiftool", "-j", "-a", "-G4", "-validate", "-warning", "-error", path]
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
        report = json.loads(answer.stdout)[0]
        found = {str(text) for key, text in report.items() if key.endswith(("Warning", "Error"))}
        assert found <= set(ARGUED_WARNINGS), f"{name}: {report}"
        if not found:
            assert any(key.endswith("Validate") and text == "OK" for key, text in report.items()), report
