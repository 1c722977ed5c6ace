"""The spectrometer's client as the vendor's ``minispec.py`` implements it.

It is written to be as careless as the original: what that program does not do is not done here either.

- TLS at once on the TCP connection, without a look at the certificate and without a server name.
- Two seconds for each receive. What one receive returns is a message: a reply in two pieces is never recognized.
- A frame is asked for with room for 7389 + 9 bytes; one that is shorter fails as it does in the original.
- ``set_...`` has no reply; the calibration is asked for again afterwards.
"""

import socket
import ssl
import struct

PIXELS = 3694
ACTIVE = slice(32, 3680)
BIAS = slice(17, 30)
RECEIVE_TIMEOUT_S = 2.0


class MiniSpec:
    """One connection to an instrument."""

    def __init__(self, host, port=8000):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        raw = socket.create_connection((host, port), timeout=RECEIVE_TIMEOUT_S)
        self._socket = context.wrap_socket(raw)
        self._dark = None
        self.calibration = self._get_calibration()

    def close(self):
        """Leaves without a word, as the original does."""
        self._socket.close()

    def _ask(self, command, keyword, room=1024):
        self._socket.sendall(command.encode() + b"\r\n")
        while True:
            piece = self._socket.recv(room)
            if not piece:
                raise ConnectionError("the instrument has closed the connection")
            if keyword in piece:
                return piece

    def _get_calibration(self):
        reply = self._ask("get_calibration", b"calibration:")
        return [float(field) for field in reply[12:].decode().split(",")[:4]]

    @property
    def exposure(self):
        """Milliseconds."""
        return int(self._ask("get_exposure", b"exposure:")[9:])

    @exposure.setter
    def exposure(self, milliseconds):
        self._socket.sendall(f"set_exposure{int(milliseconds)}\r\n".encode())

    def set_calibration(self, coefficients):
        """Sends four coefficients, the cubic one first, and reads back what the instrument has."""
        text = ",".join(str(value) for value in coefficients)
        self._socket.sendall(f"set_cal{text}\r\n".encode())
        self.calibration = self._get_calibration()

    def raw_spectrum(self):
        """3694 counts of a new exposure."""
        self._ask("take_spectrum", b"spectrum_complete")
        reply = self._ask("get_spectrum", b"spectrum:", 2 * PIXELS + 1 + 9)
        return struct.unpack(f"<{PIXELS}H", reply[9 : 9 + 2 * PIXELS])

    def spectrum(self):
        """3648 counts less the bias, and less the dark if there is one."""
        raw = self.raw_spectrum()
        bias = sum(raw[BIAS]) / 13
        values = [count - bias for count in raw[ACTIVE]]
        if self._dark is not None:
            values = [value - dark for value, dark in zip(values, self._dark)]
        return values

    def take_dark(self):
        """Keeps the present spectrum as the dark."""
        self._dark = self.spectrum()

    def wavelengths(self):
        """Nanometers of the 3648 pixels."""
        c1, c2, c3, c4 = self.calibration
        return [c4 + c3 * i + c2 * i**2 + c1 * i**3 for i in range(3648)]
