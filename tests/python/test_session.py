"""Whole FE-PyCam2 measurements, as the FEMDAQ program makes them (one test a story)."""

import os
import pickle
import subprocess
import tarfile

import numpy as np
import pytest

import frames
from frames import SMALL
from station import Scpi


def fetch(path, folder):
    """Downloads an archive as SCP does, removes it at its source, and unpacks the copy."""
    copy = folder / os.path.basename(path)
    with open(path, "rb") as source:
        copy.write_bytes(source.read())
    os.remove(path)
    with tarfile.open(copy) as archive:
        names = archive.getnames()
    subprocess.run(["tar", "-xf", copy, "-C", folder], stdin=subprocess.DEVNULL, timeout=30, check=True)
    return names


def measure(client, points, folder):
    """Takes black pictures and some points; the image folder is emptied after each."""
    names = ["BlackSubtraction"] + [f"{point:04}" for point in range(points)]
    for name in names:
        name = f"Dev101_rPiHQCam2-{name}"
        assert client.capture(name, [1000, 3150], 3)
        assert client.command("CAM:CONF:SS 1000")
        path = client.archive(name)
        assert path is not None
        for file in os.listdir(client.image_folder):
            os.remove(os.path.join(client.image_folder, file))
        members = fetch(path, folder)
        pictures = [f"{name}_ss={ss}_{index:04}.raw" for ss in (1000, 3150) for index in range(3)]
        assert sorted(members) == sorted([".", f"./{name}_SSCapture.log"] + [f"./{p}" for p in pictures])
    return names


@pytest.mark.parametrize("decimal_point", [",", "."])
def test_a_measurement_with_everything_a_client_does(replay, legacy, tmp_path, decimal_point):
    station, scenes = replay(SMALL, count=18)
    client = legacy(station, decimal_point=decimal_point)
    refused = client.open_session(1000, gain=-1, awb=(1.5, 1.2), window=(32, 24), unpack=False, rounds=0)
    assert refused == []
    assert client.ram_disk == str(station.ram_disk)
    assert client.image_folder == str(station.images)
    assert client.sd_card == "/home/pi/Pictures/Captures"

    taken = tmp_path / "pictures"
    taken.mkdir()
    names = measure(client, 2, taken)
    window = frames.centered(SMALL, 32, 24)
    expected = iter(scenes)
    for name in names:
        for exposure in (1000, 3150):
            for index in range(3):
                path = taken / f"Dev101_rPiHQCam2-{name}_ss={exposure}_{index:04}.raw"
                with open(path, "rb") as file:
                    array = pickle.load(file)
                # Raw mode: what the grayscale converter of the post-processing tools needs.
                assert np.array_equal(array, frames.widened(frames.cut(next(expected), window))), path.name
    assert station.files() == []

    assert client.close_service()
    again = legacy(station)
    assert again.ask("IDN?") == "PiCam2"
    assert again.open_session(1000) == []
    assert again.capture("Dev102_rPiHQCam2-0000", [1000], 1)


def test_the_service_outlives_its_clients(replay, legacy):
    station, _ = replay(SMALL)
    for _ in range(10):
        client = legacy(station)
        assert client.ask("IDN?") == "PiCam2"
        client.drop()
    in_capture = legacy(station)
    in_capture._socket.sendall(b"CAP:SEQFET P 1000 3 0,2 1")
    in_capture.drop()
    second, third = legacy(station), legacy(station)
    assert second.command("CAM:CONF:SS 2000")
    assert third.capture("Q", [2000], 1)


def test_every_message_is_answered_and_none_ends_the_service(replay, legacy):
    station, _ = replay(SMALL)
    client = legacy(station)
    for message, reply in [
        ("IDN?", "PiCam2"),
        ("IDN? ", "PiCam2"),
        ("IDN?IDN?", "Unknown Command"),
        ("CAM:CONF:ALL 1 2 3", "Unknown Command"),
        ("cam:conf:ss 1000", "Unknown Command"),
        ("SRV:ECHO a  b", "a  b"),
        ("SRV:ECHO", "nak"),
        ("CAM:CONF:SS", "nak"),
        ("CAM:CONF:SS 100.5", "nak"),
        ("CAM:CONF:AG -1", "ack"),
        ("CAM:CONF:AG 1,5", "ack"),
        ("CAM:CONF:FR 0", "nak"),
        ("CAM:CONF:FR 10,0", "ack"),
        ("CAM:CONF:AWB 2,5:1,8", "ack"),
        ("CAM:CONF:AWB 2,5", "nak"),
        ("SRV:IMG:BCLP 32", "nak"),
        ("SRV:IMG:BCLP 0:0:640:480", "nak"),
        ("SRV:IMG:BCLP 33:25", "ack"),
        ("SRV:IMG:SRNK 7", "nak"),
        ("SRV:IMG:SRNK -1", "ack"),
        ("SRV:IMG:SHRNK 1", "ack"),
        ("SRV:IMG:SRNK 0", "ack"),
        ("SRV:IMG:DBAY maybe", "ack"),
        ("CAP:SEQFET ../escape 1000 1 0,2 0", "nak"),
        ("CAP:SEQFET P 1000", "nak"),
        ("CAP:SEQFET P abc 1 0,2 0", "nak"),
        ("CAP:SEQFET empty 1000 0 0,2 1", "ack"),
        ("CAP:SEQFET P 1000 1 0,2 1", "ack"),
    ]:
        assert client.ask(message) == reply, message
    assert station.files() == ["P_SSCapture.log", "P_ss=1000_0000.raw", "empty_SSCapture.log"]
    assert (station.images / "empty_SSCapture.log").read_bytes() == b""


def test_the_reason_of_a_nak_can_be_read(replay):
    station, _ = replay(SMALL)
    with Scpi(station.address("legacy")) as connection:
        assert connection.query("CAP:SEQFET ../escape 1000 1 0.2 0") == "nak"
        numbers = connection.errors()
        assert numbers and all(-300 < number <= -200 for number in numbers), numbers


def test_pictures_can_be_deleted_by_the_group(replay, legacy):
    station, _ = replay(SMALL)
    client = legacy(station)
    assert client.open_session(1000) == []
    assert client.capture("P", [1000], 1)
    assert client.archive("P") is not None
    for path in [station.images, station.ram_disk]:
        assert path.stat().st_mode & 0o7777 == 0o775, path
    for path in [*station.images.iterdir(), station.ram_disk / "P.tar.gz"]:
        assert path.stat().st_mode & 0o7777 == 0o664, path
