"""scopething's way of speaking to a bitscope-server, through a station."""

import pytest

from scopething import Scope
from station import Scpi

MACRO = (18, 4, 2, 6144)
MACRO_CHOP = (19, 5, 2, 6144)
LOGIC = (14, 0, 1, 12288)
MIXED_CHOP = (3, 3, 1, 6144)


def connect(station):
    return Scope(*station.address("bitscope"))


def rises(samples, level):
    return sum(before < level <= after for before, after in zip(samples, samples[1:]))


def test_a_client_captures_and_generates(start_station):
    station = start_station()
    scope = connect(station)
    assert (scope.revision, scope.serial) == ("BS000501", "DB98TI79")
    a = scope.capture("A", 4e-3, 4000, MACRO, level=1.5)["A"]
    assert scope.cause == 0
    assert min(a) == pytest.approx(0.3, abs=0.03) and max(a) == pytest.approx(2.7, abs=0.03)
    assert rises(a, 1.5) in (7, 8, 9)
    both = scope.capture("AB", 4e-3, 4000, MACRO_CHOP, level=1.5)
    assert max(both["A"]) == pytest.approx(2.7, abs=0.03)
    assert sorted({round(volts, 1) for volts in both["B"]}) == [0.5, 2.5]
    logic = scope.capture("L", 1e-3, 4000, LOGIC)["L"]
    assert sum(before & 1 != after & 1 for before, after in zip(logic, logic[1:])) in (30, 31, 32)
    mixed = scope.capture("ABL", 2e-3, 4000, MIXED_CHOP, level=1.5)
    assert [len(mixed[channel]) for channel in "ABL"] == [2000, 2000, 4000]
    scope.start_sine(2000, 0.5, 2.5)
    wave = scope.capture("A", 4e-3, 4000, MACRO, level=1.5)["A"]
    assert min(wave) == pytest.approx(0.5, abs=0.03) and max(wave) == pytest.approx(2.5, abs=0.03)
    scope.stop()
    scope.close()


def test_a_second_client_takes_over_and_connects_anew(start_station):
    station = start_station()
    first, second = connect(station), connect(station)
    assert first.serial == second.serial
    assert len(second.capture("A", 1e-3, 1000, MACRO, level=1.5)["A"]) == 1000
    with Scpi(station.address("scpi")) as scpi:
        assert scpi.query("SCOP:CONT?") != '""'
    first.close()
    second.close()
