"""Starts Outpost on the simulated board and speaks its text protocols."""

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

START_TIMEOUT_S = 15
STOP_TIMEOUT_S = 10
REPLY_TIMEOUT_S = 60

CONFIG = """\
board = "sim"
[storage]
ramdisk_limit_mb = {limit_mb}
[scpi]
bind = "127.0.0.1"
port = 0
legacy_port = 0
[http]
port = 0
[discovery]
{discovery}
[camera]
backend = "{backend}"
replay = "{replay}"
sim_paced = false
[tcam]
serve_port = 0
[msp1000]
serve_port = 0
listen_discovery = "off"
[bitscope]
serve_port = 0
"""


def make_state_dir():
    """A folder with a short path: a legacy reply takes 31 bytes, and ``/ramdisk/Captures`` are 17 of them."""
    return Path(tempfile.mkdtemp(prefix="", dir="/tmp"))


class Station:
    """A running ``outpost serve`` with its own folders and ports."""

    def __init__(self, replay=None, limit_mb=0, state_dir=None, discovery="enabled = false"):
        self.state_dir = state_dir or make_state_dir()
        self.images = self.state_dir / "ramdisk" / "Captures"
        self.ram_disk = self.state_dir / "ramdisk"
        self.log_path = self.state_dir / "log"
        config = self.state_dir / "outpost.toml"
        backend = "replay" if replay else "sim"
        config.write_text(
            CONFIG.format(limit_mb=limit_mb, discovery=discovery, backend=backend, replay=replay or "")
        )
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["OUTPOST_BIN"], "serve", "--state-dir", self.state_dir, "--config", config],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            self._wait_until_ready()
            self.endpoints = json.loads((self.state_dir / "data" / "endpoints.json").read_text())
        except BaseException:
            self.kill()
            raise

    def address(self, endpoint):
        """Host and port of one of ``endpoints.json``."""
        host, port = self.endpoints[endpoint].rsplit(":", 1)
        return host, int(port)

    def log(self):
        """What the program wrote to standard error."""
        return self.log_path.read_text(errors="replace")

    def files(self):
        """Names in the image folder, hidden ones included."""
        return sorted(path.name for path in self.images.iterdir())

    def stop(self):
        """Ends the station as systemd does and expects a clean exit."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
            assert code == 0, f"exit code {code}\n{self.log()}"
            assert "panicked" not in self.log(), self.log()
        finally:
            self.kill()

    def kill(self):
        """Ends the process whatever its state and removes its folders."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.state_dir, ignore_errors=True)

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        seen = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"ready" not in seen.split(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError(f"not ready after {START_TIMEOUT_S} s\n{seen!r}\n{self.log()}")
                piece = os.read(self.process.stdout.fileno(), 4096)
                if not piece:
                    raise ChildProcessError(f"ended before it was ready\n{seen!r}\n{self.log()}")
                seen += piece


class Scpi:
    """A plain SCPI connection: lines out, lines and blocks in."""

    def __init__(self, address):
        self._socket = socket.create_connection(address, timeout=REPLY_TIMEOUT_S)
        self._reader = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._reader.close()
        self._socket.close()

    def send(self, message):
        """Sends one program message."""
        self._socket.sendall(message.encode() + b"\n")

    def query(self, message):
        """Sends a query and gives its response line."""
        self.send(message)
        line = self._reader.readline()
        assert line.endswith(b"\n"), f"{message}: {line!r}"
        return line[:-1].decode()

    def query_block(self, message):
        """Sends a query whose response is one definite-length block."""
        self.send(message)
        head = self._reader.read(2)
        assert head[:1] == b"#" and head[1:2] in b"123456789", f"{message}: {head!r}"
        size = int(self._reader.read(int(head[1:2])))
        block = self._reader.read(size)
        assert self._reader.read(1) == b"\n", message
        return block

    def errors(self):
        """Numbers in the error queue, oldest first; the queue is empty afterwards."""
        numbers = []
        while (number := int(self.query("SYST:ERR?").split(",")[0])) != 0:
            numbers.append(number)
            assert len(numbers) <= 32, numbers
        return numbers

    def run(self, message):
        """Sends a command, waits until all is done, and expects no error."""
        self.send(message)
        assert self.query("*OPC?") == "1"
        assert self.errors() == [], message
