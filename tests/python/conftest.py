"""Fixtures of all Python checks. ``OUTPOST_BIN`` names the program under test."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "python"), str(TESTS / "clients")]

import frames  # noqa: E402
import station as stations  # noqa: E402
from fe_pycam2 import FePyCam2Client  # noqa: E402


@pytest.fixture
def start_station():
    """Starts stations that end with the test; arguments as for ``Station``."""
    started = []

    def start(**arguments):
        started.append(stations.Station(**arguments))
        return started[-1]

    yield start
    for station in started:
        station.stop()


@pytest.fixture
def replay(start_station, tmp_path):
    """Starts a station that replays ``count`` known frames; gives it with their pixels."""

    def start(geometry, count=3, **arguments):
        scenes = [frames.scene(geometry, seed) for seed in range(count)]
        frames.write_replay(tmp_path / "replay", geometry, scenes)
        return start_station(replay=tmp_path / "replay", **arguments), scenes

    return start


@pytest.fixture
def legacy():
    """Opens FE-PyCam2 connections that end with the test."""
    opened = []

    def connect(station, **arguments):
        opened.append(FePyCam2Client(*station.address("legacy"), **arguments))
        return opened[-1]

    yield connect
    for client in opened:
        client.drop()
