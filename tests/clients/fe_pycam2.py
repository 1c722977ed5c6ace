"""The FE-PyCam2 client as the FEMDAQ measurement program implements it.

It is written to be as careless as the original: what that program does not do is not done here either.

- A message is one send without terminator; a reply is one receive into 32 zeroed bytes. The text ends at the first
  zero byte, so a reply of 32 bytes or more is seen as an empty string.
- Replies are compared exactly with ``ack``; a line end makes a failure of a success.
- Floating point numbers follow the PC's locale: a German PC sends ``0,2``.
- No receive timeout in the original. ``timeout_s`` is the one deviation, so that a silent server fails a test.
"""

import socket

REPLY_BUFFER_BYTES = 32


class SilentServer(Exception):
    """The original would wait for ever."""


class FePyCam2Client:
    """One connection to an FE-PyCam2 server."""

    def __init__(self, host, port, decimal_point=",", timeout_s=10.0):
        self._decimal_point = decimal_point
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self.ram_disk = self.image_folder = self.sd_card = None

    def ask(self, message):
        """Sends one message and gives what the client's single receive makes of the reply."""
        self._socket.sendall(message.encode("ascii"))
        buffer = bytearray(REPLY_BUFFER_BYTES)
        try:
            received = self._socket.recv_into(buffer)
        except TimeoutError as error:
            raise SilentServer(message) from error
        if received == 0:
            raise ConnectionError(f"connection ended instead of a reply to {message!r}")
        end = buffer.find(0)
        return buffer[:end].decode("ascii") if end >= 0 else ""

    def command(self, message):
        """Whether the server said exactly ``ack``."""
        return self.ask(message) == "ack"

    def number(self, value):
        """A floating point number as the PC's locale prints it."""
        return f"{value:g}".replace(".", self._decimal_point)

    def open_session(self, exposure_us, gain=-1.0, awb=(0.0, 0.0), window=None, unpack=False, rounds=0):
        """Asks for the paths and sets the camera up; gives the messages that were not acknowledged."""
        self.sd_card = self.ask("SRV:PATH:SDDIR?")
        self.ram_disk = self.ask("SRV:PATH:RDDIR?")
        self.image_folder = self.ask("SRV:PATH:IMDIR?")
        messages = [f"CAM:CONF:SS {exposure_us}", f"CAM:CONF:AG {self.number(gain)}"]
        if awb[0] > 0 and awb[1] > 0:
            messages.append(f"CAM:CONF:AWB {self.number(awb[0])}:{self.number(awb[1])}")
        if window is not None:
            messages.append("SRV:IMG:BCLP " + ":".join(str(value) for value in window))
        messages.append(f"SRV:IMG:DBAY {int(unpack)}")
        messages.append(f"SRV:IMG:SRNK {rounds}")
        return [message for message in messages if not self.command(message)]

    def capture(self, name, exposures_us, pictures, t_max=0.2, log=True):
        """Takes ``pictures`` pictures of every exposure."""
        exposures = ":".join(str(exposure) for exposure in exposures_us)
        return self.command(f"CAP:SEQFET {name} {exposures} {pictures} {self.number(t_max)} {int(log)}")

    def archive(self, name, compress=True, multicore=True, suppress_parents=True):
        """Packs the image folder into ``<ram disk>/<name>.tar[.gz]``; gives that path, or None when refused."""
        path = f"{self.ram_disk}/{name}.tar" + (".gz" if compress else "")
        flags = f"{int(compress)} {int(multicore)} {int(suppress_parents)}"
        return path if self.command(f"SRV:ARCHV {self.image_folder} {path} {flags}") else None

    def close_service(self):
        """What the client sends when it ends; the old server ended with it."""
        acknowledged = self.command("SRV:CLOSE")
        self._socket.close()
        return acknowledged

    def drop(self):
        """Ends the connection without a word, as a crashed PC does."""
        self._socket.close()
