"""Archives as the post-processing tools unpack them."""

import pickle
import re
import shutil
import subprocess
import tarfile

import numpy as np
import pytest

from frames import SMALL

SEVEN_ZIP = shutil.which("7z") or shutil.which("7za") or shutil.which("7zz")
NAME = "Dev101_rPiHQCam2-0007"


def run(*command):
    """Runs a program; it must succeed without a word of complaint."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stderr == b"", f"{command}: {done}"
    return done.stdout.decode()


@pytest.fixture
def session(replay, legacy):
    """A station with three pictures and a log, and the client that took them."""
    station, scenes = replay(SMALL)
    client = legacy(station)
    assert client.open_session(1000, unpack=True) == []
    assert client.capture(NAME, [1000], 3)
    return station, client, scenes


def check_pictures(folder, scenes):
    for index, pixels in enumerate(scenes):
        with open(folder / f"{NAME}_ss=1000_{index:04}.raw", "rb") as file:
            assert np.array_equal(pickle.load(file), pixels)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("multicore", [False, True])
@pytest.mark.parametrize("suppress_parents", [False, True])
def test_system_tar_unpacks_what_was_taken(session, tmp_path, compress, multicore, suppress_parents):
    station, client, scenes = session
    before = station.files()
    path = client.archive(NAME, compress, multicore, suppress_parents)
    assert path == f"{station.ram_disk}/{NAME}.tar" + (".gz" if compress else "")
    assert station.files() == before, "the pictures stay where they are"
    if compress:
        run("gzip", "-t", path)
        with open(path, "rb") as file:
            assert file.read(4) == b"\x1f\x8b\x08\x00", "no file name in the header"
    prefix = "./" if suppress_parents else f"{station.images}/".lstrip("/")
    assert run("tar", "-tf", path).splitlines() == [prefix] + [prefix + name for name in before]
    run("tar", "-xf", path, "-C", str(tmp_path))
    check_pictures(tmp_path / prefix, scenes)
    assert sorted(f.name for f in station.ram_disk.iterdir()) == sorted(["Captures", path.rsplit("/", 1)[1]])


def test_members_carry_owner_mode_and_time(session):
    station, client, _ = session
    with tarfile.open(client.archive(NAME)) as archive:
        for member in archive.getmembers()[1:]:
            found = (station.images / member.name).stat()
            assert (member.uid, member.gid, member.mtime) == (found.st_uid, found.st_gid, int(found.st_mtime))
            assert member.mode == 0o664 and member.isreg()


@pytest.mark.skipif(SEVEN_ZIP is None, reason="7-Zip is not installed")
def test_the_unpacker_finds_the_pictures_directly_in_pics(session, tmp_path):
    _, client, scenes = session
    path = client.archive(NAME)
    pics = tmp_path / "Pics"
    run(SEVEN_ZIP, "x", "-y", path, f"-o{pics}")
    inner = list(pics.iterdir())
    assert [file.name for file in inner] == [f"{NAME}.tar"], "7-Zip names it after the archive"
    run(SEVEN_ZIP, "x", "-y", str(inner[0]), f"-o{pics}")
    inner[0].unlink()
    for log in pics.glob("*SSCapture.log"):
        log.unlink()
    check_pictures(pics, scenes)
    assert len(list(pics.iterdir())) == len(scenes)


def test_the_log_has_one_line_a_picture(session):
    station, _, _ = session
    lines = (station.images / f"{NAME}_SSCapture.log").read_text().splitlines(keepends=True)
    assert len(lines) == 3
    for index, line in enumerate(lines):
        picture = re.escape(f"{station.images}/{NAME}_ss=1000_{index:04}.raw")
        form = rf"fName:{picture};tCap:\d+\.\d{{3}};tSav\d+\.\d{{3}};sSS:1000;iSS:(\d+);FD:(\d+)\n"
        match = re.fullmatch(form, line)
        assert match, line
        assert int(match[1]) <= int(match[2]), "an exposure is no longer than its frame"


@pytest.mark.parametrize(
    "arguments",
    [
        "/etc {ram}/x.tar 0 0 1",
        "{ram}/../.. {ram}/x.tar 0 0 1",
        "{images} /tmp/outpost-escape.tar 0 0 1",
        "{images} {ram}/../outpost-escape.tar 0 0 1",
        "{images} {ram}/missing/x.tar 0 0 1",
        "{ram}/missing {ram}/x.tar 0 0 1",
        "{images} {ram}/x;reboot.tar",
        "{images}",
        "",
    ],
)
def test_what_is_refused_leaves_nothing(session, arguments):
    station, client, _ = session
    message = "SRV:ARCHV " + arguments.format(ram=station.ram_disk, images=station.images)
    assert client.ask(message.rstrip()) == "nak"
    assert [path.name for path in station.ram_disk.iterdir()] == ["Captures"]
    assert not (station.state_dir / "outpost-escape.tar").exists()
