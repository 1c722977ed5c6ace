"""A RAM disk that runs full: refused before the first picture, nothing left behind, usable again after."""

import os
import shutil
import subprocess

import pytest

from frames import SMALL
from station import Scpi, make_state_dir

MEGABYTE = 1 << 20


def mount(folder, size):
    """Mounts a tmpfs, or says why not."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0775", "outpost-test", str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")


@pytest.fixture(params=["limit", "tmpfs"])
def small_disk(request, replay):
    """A station whose RAM disk takes 1 MiB, by its configuration or by the size of a real tmpfs."""
    if request.param == "limit":
        yield replay(SMALL, limit_mb=1)[0]
        return
    state_dir = make_state_dir()
    ram_disk = state_dir / "ramdisk"
    ram_disk.mkdir()
    try:
        mount(ram_disk, MEGABYTE)
    except BaseException:
        shutil.rmtree(state_dir)
        raise
    try:
        yield replay(SMALL, state_dir=state_dir)[0]
    finally:
        # Lazily: the station is still running and leaves after this.
        subprocess.run(["umount", "-l", str(ram_disk)], stdin=subprocess.DEVNULL, timeout=30, check=True)


def test_a_capture_that_cannot_fit_is_refused_before_it_starts(small_disk, legacy):
    station = small_disk
    client = legacy(station)
    # A picture takes 6278 bytes, two blocks: 128 of them fill the disk to the last block.
    assert client.open_session(1000, unpack=True) == []
    assert not client.capture("big", [1000], 200)
    assert station.files() == []
    with Scpi(station.address("scpi")) as scpi:
        scpi.send('CAP:SEQFET "big",(1000),200,0.2,0')
        assert scpi.query("*OPC?") == "1"
        assert scpi.errors() == [-254]
        free, used = (int(value) for value in scpi.query("MMEM:FREE?").split(","))
        assert used == 0 and free <= MEGABYTE
    assert station.files() == []
    assert client.capture("small", [1000], 10)
    assert len(station.files()) == 11


def test_an_archive_that_cannot_fit_leaves_nothing(small_disk, legacy):
    station = small_disk
    client = legacy(station)
    assert client.open_session(1000, unpack=True) == []
    assert client.capture("P", [1000], 90)
    before = station.files()
    assert client.archive("P", compress=False) is None
    assert [path.name for path in station.ram_disk.iterdir()] == ["Captures"]
    assert station.files() == before
    # What users do then: delete some pictures and try again.
    for name in before[10:]:
        (station.images / name).unlink()
    assert client.archive("P", compress=False) is not None
    assert client.capture("Q", [1000], 2)
