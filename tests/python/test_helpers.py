"""The checks' own tools, checked without Outpost: the arithmetic by hand, the client against a scripted server."""

import socket
import threading

import numpy as np
import pytest

import frames
from fe_pycam2 import FePyCam2Client, SilentServer


def test_packing_puts_low_nibbles_into_the_third_byte():
    pixels = np.array([[0xABC, 0x123], [0xFFF, 0x000]], dtype=np.uint16)
    assert frames.pack_rows(pixels).tolist() == [[0xAB, 0x12, 0x3C], [0xFF, 0x00, 0x0F]]
    assert frames.widened(pixels).dtype == np.dtype("<u2")
    frame = frames.frame_bytes(pixels, frames.Geometry(2, 2, 5))
    assert frame == bytes([0xAB, 0x12, 0x3C, 0xA5, 0xA5, 0xFF, 0x00, 0x0F, 0xA5, 0xA5])
    frame = frames.frame_bytes(pixels, frames.Geometry(2, 2, 5, "u16"))
    assert frame == bytes([0xBC, 0x0A, 0x23, 0x01, 0xA5, 0xFF, 0x0F, 0x00, 0x00, 0xA5])


def test_binning_sums_clamps_and_marks_saturation():
    pixels = np.full((8, 8), 1000, dtype=np.uint16)
    assert frames.binned(pixels, 1).tolist() == [[4000] * 4] * 4
    assert frames.binned(pixels, 3).tolist() == [[64000]]
    pixels[0, 0] = 4094
    assert frames.binned(pixels, 1)[0, 0] == 7094
    pixels[:] = 1100
    assert frames.binned(pixels, 3).tolist() == [[65535]], "70400 does not fit"
    pixels[5, 7] = 4095
    assert frames.binned(pixels, 2).tolist() == [[17600, 17600], [17600, 65535]]


def test_scenes_hold_every_kind_of_pixel_and_differ():
    first, second = (frames.scene(frames.SMALL, seed) for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert first.min() >= 0 and first.max() == frames.SATURATED
    assert (first[:16] < 272).all()
    rounds = frames.binned(first, 1)
    assert (rounds == 65535).any() and (rounds < 65535).any()


class ScriptedServer:
    """Answers each expected message with the given bytes and notes what else came."""

    def __init__(self, script):
        self.script = script
        self.unexpected = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection:
            for message, reply in self.script:
                got = connection.recv(1024)
                if got != message:
                    self.unexpected.append((message, got))
                    return
                connection.sendall(reply)
            try:
                rest = connection.recv(1024)
            except ConnectionResetError:
                return  # the client left without reading all of a reply
            if rest:
                self.unexpected.append((None, rest))

    def done(self):
        self._thread.join(10)
        self._listener.close()
        assert self.unexpected == []


def test_the_client_sends_what_the_original_sends():
    server = ScriptedServer(
        [
            (b"SRV:PATH:SDDIR?", b"/home/pi/Pictures/Captures"),
            (b"SRV:PATH:RDDIR?", b"/media/ramdisk"),
            (b"SRV:PATH:IMDIR?", b"/media/ramdisk/Captures"),
            (b"CAM:CONF:SS 1000", b"ack"),
            (b"CAM:CONF:AG -1", b"ack"),
            (b"CAM:CONF:AWB 1,5:1,25", b"ack"),
            (b"SRV:IMG:BCLP 850:640", b"ack"),
            (b"SRV:IMG:DBAY 0", b"ack"),
            (b"SRV:IMG:SRNK 0", b"ack\n"),
            (b"CAP:SEQFET P 1000:3150 3 0,2 1", b"ack"),
            (b"SRV:ARCHV /media/ramdisk/Captures /media/ramdisk/P.tar.gz 1 1 1", b"ack"),
            (b"SRV:CLOSE", b"ack"),
        ]
    )
    client = FePyCam2Client(*server.address)
    refused = client.open_session(1000, awb=(1.5, 1.25), window=(850, 640))
    assert refused == ["SRV:IMG:SRNK 0"], "a line end after ack is a failure to this client"
    assert client.capture("P", [1000, 3150], 3)
    assert client.archive("P") == "/media/ramdisk/P.tar.gz"
    assert client.close_service()
    server.done()


@pytest.mark.parametrize("size,seen", [(31, 31), (32, 0), (40, 0)])
def test_the_client_sees_at_most_31_bytes(size, seen):
    server = ScriptedServer([(b"SRV:PATH:RDDIR?", b"/" * size)])
    client = FePyCam2Client(*server.address)
    assert client.ask("SRV:PATH:RDDIR?") == "/" * seen
    client.drop()
    server.done()


def test_silence_is_told():
    server = ScriptedServer([(b"SRV:ECHO", b"")])
    client = FePyCam2Client(*server.address, timeout_s=0.05)
    with pytest.raises(SilentServer):
        client.ask("SRV:ECHO")
    client.drop()
    server.done()
