"""Outpost as lxi-tools see it: one connection a command, one receive a reply."""

import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("lxi") is None, reason="lxi-tools are not installed")


def lxi(station, command, *arguments):
    host, port = station.address("scpi")
    done = subprocess.run(
        ["lxi", command, "-a", host, "-p", str(port), "-r", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout.decode()


def test_identity_and_version(start_station):
    station = start_station()
    fields = lxi(station, "scpi", "*IDN?").strip().split(",")
    assert len(fields) == 4 and all(fields)
    assert lxi(station, "scpi", "SYST:VERS?").strip() == "1999.0"
    assert lxi(station, "scpi", 'CAM:CONF:SS 2000;SS?').strip() == "2000"


def test_benchmark_meets_no_delayed_acknowledgement(start_station):
    report = lxi(start_station(), "benchmark", "-c", "200")
    rate = re.search(r"([\d.]+) requests/second", report)
    assert rate, report
    # A reply in two pieces or without TCP_NODELAY gives about 25.
    assert float(rate[1]) > 200, report
