"""Outpost as PyVISA with the pure-Python backend sees it: ``TCPIP::host::port::SOCKET``."""

import io
import re

import numpy as np
import pytest
import pyvisa

import frames
from frames import SMALL


@pytest.fixture
def visa():
    """Opens a VISA resource for one of a station's text ports."""
    manager = pyvisa.ResourceManager("@py")

    def connect(station, endpoint="scpi"):
        host, port = station.address(endpoint)
        return manager.open_resource(
            f"TCPIP::{host}::{port}::SOCKET",
            read_termination="\n",
            write_termination="\n",
            timeout=20_000,
        )

    yield connect
    manager.close()


@pytest.fixture
def instrument(replay, visa):
    """A VISA session with a station that replays known frames, the station and its frames."""
    station, scenes = replay(SMALL)
    return visa(station), station, scenes


@pytest.mark.parametrize("endpoint", ["scpi", "legacy"])
def test_identity_and_version(replay, visa, endpoint):
    station, _ = replay(SMALL)
    instrument = visa(station, endpoint)
    fields = instrument.query("*IDN?").split(",")
    assert len(fields) == 4 and all(fields)
    assert instrument.query("SYST:VERS?") == "1999.0"
    assert instrument.query("*TST?") == "0"


def test_default_crlf_works_too(instrument):
    session, _, _ = instrument
    session.write_termination = "\r\n"
    assert session.query("*OPC?") == "1"


def test_errors_are_queued_and_drained(instrument):
    session, _, _ = instrument
    assert session.query("SYST:ERR?") == '0,"No error"'
    session.write("NOSUCH:THING 1")
    session.write("*ESE 256")
    session.write("*IDN? 12")
    numbers = []
    while not (entry := session.query("SYST:ERR?")).startswith("0,"):
        match = re.fullmatch(r'(-?\d+),"[ -~]*"', entry)
        assert match, entry
        numbers.append(int(match[1]))
    assert numbers == [-113, -222, -108]
    assert int(session.query("*ESR?")) & 0b0011_0000 == 0b0011_0000


def test_a_frame_comes_as_a_binary_block(instrument):
    session, _, scenes = instrument
    session.write("SRV:IMG:DBAY ON")
    block = session.query_binary_values("CAM:FRAM? NPY", datatype="B", container=bytes)
    array = np.load(io.BytesIO(block), allow_pickle=False)
    assert array.dtype == np.dtype("<u2")
    assert any(np.array_equal(array, pixels) for pixels in scenes)
    assert session.query("SYST:ERR:COUN?") == "0"


def test_a_capture_is_waited_for_and_its_files_are_read(instrument):
    session, station, scenes = instrument
    session.write("CAM:FORM RAW,NPY")
    session.write("SRV:IMG:SRNK 1")
    session.write('CAP:SEQFET "v",(1000,2000),1,0.2,OFF')
    assert session.query("*OPC?") == "1"
    assert session.query("SYST:ERR?") == '0,"No error"'
    names = station.files()
    assert names == [f"v_ss={ss}_0000.{ext}" for ss in (1000, 2000) for ext in ("npy", "raw")]

    used, free, rest = session.query("MMEM:CAT?").split(",", 2)
    listed = re.findall(r'"([^"]+),([A-Z]+),(\d+)"', rest)
    assert [name for name, _, _ in listed] == names
    assert int(used) >= sum(int(size) for _, _, size in listed) and int(free) > 0
    for name, _, size in listed:
        content = session.query_binary_values(f'MMEM:DATA? "{name}"', datatype="B", container=bytes)
        assert len(content) == int(size)
        assert content == (station.images / name).read_bytes()
    array = np.load(station.images / "v_ss=1000_0000.npy")
    assert np.array_equal(array, frames.binned(scenes[0], 1))

    for name in names:
        session.write(f'MMEM:DEL "{name}"')
    assert session.query("SYST:ERR?") == '0,"No error"'
    assert station.files() == []


@pytest.mark.parametrize(
    "name,number",
    [("none.raw", -256), ("../outpost.toml", -257), ("/etc/passwd", -257), ("../../log", -257)],
)
def test_files_outside_are_neither_read_nor_deleted(instrument, name, number):
    session, station, _ = instrument
    for command in ("MMEM:DATA?", "MMEM:DEL"):
        session.write(f'{command} "{name}"')
        assert session.query("SYST:ERR?").startswith(f"{number},")
    assert (station.state_dir / "outpost.toml").exists()


def test_many_sessions_at_once_keep_their_own_errors(replay, visa):
    station, _ = replay(SMALL)
    sessions = [visa(station) for _ in range(16)]
    for session in sessions[::2]:
        session.write("NOSUCH:THING")
    assert [session.query("SYST:ERR:COUN?") for session in sessions] == ["1", "0"] * 8
