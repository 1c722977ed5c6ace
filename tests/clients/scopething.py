"""A client of a bitscope-server as scopething's fork is one, written from what that program does.

It is as careless as the original: no header is read, one datagram is taken at a time, nothing is repeated, and a command
string that ends in ``D`` or ``A`` goes out in one datagram with its registers. The receive timeout is the one deviation:
the original would wait for ever.
"""

import math
import socket

HEADER_BYTES = 4
TICK_S = 25e-9
ADDRESS = {  # register: address, bytes
    "TriggerLogic": (0x05, 1), "TriggerMask": (0x06, 1), "SpockOption": (0x07, 1), "SampleAddress": (0x08, 3),
    "ClockScale": (0x14, 2), "DumpRepeat": (0x16, 2), "DumpSend": (0x18, 2), "DumpSkip": (0x1A, 2),
    "DumpCount": (0x1C, 2), "DumpMode": (0x1E, 1), "TraceMode": (0x21, 1), "TraceDelay": (0x22, 4),
    "TraceIntro": (0x26, 2), "TraceOutro": (0x2A, 2), "Timeout": (0x2C, 2), "ClockTicks": (0x2E, 2),
    "DumpChan": (0x30, 1), "BufferMode": (0x31, 1), "TriggerIntro": (0x32, 2), "TriggerOutro": (0x34, 2),
    "AnalogEnable": (0x37, 1), "DigitalEnable": (0x38, 1), "Prelude": (0x3A, 2), "Cmd": (0x46, 1), "Mode": (0x47, 1),
    "Option": (0x48, 2), "Size": (0x4A, 2), "Index": (0x4C, 2), "Address": (0x4E, 2), "Clock": (0x50, 2),
    "Modulo": (0x52, 2), "Level": (0x54, 2), "Offset": (0x56, 2), "Ratio": (0x5A, 4), "Mark": (0x5E, 2),
    "Space": (0x60, 2), "ConverterLo": (0x64, 2), "ConverterHi": (0x66, 2), "TriggerLevel": (0x68, 2), "Rest": (0x78, 2),
    "KitchenSinkA": (0x7B, 1), "KitchenSinkB": (0x7C, 1),
}  # fmt: skip


class Scope:
    """A BitScope Micro behind a bitscope-server."""

    LOW, HIGH, SCALE, OFFSET = -5.5, 8.0, 18.333, -7.517

    def __init__(self, host, port, timeout_s=10.0):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((host, port))
        self._socket.settimeout(timeout_s)
        self._cmd_id = 0
        self._data = b""
        self._generating = False
        self._write(b"!")
        self._read_until_reset()
        self.revision = self._ask(b"?", 10)[1:9].decode()
        if not self.revision.startswith("BS0005"):
            raise RuntimeError(f"unsupported device {self.revision}")
        self.serial = "".join(chr(self._eeprom(address)) for address in range(0x30, 0x38))

    def close(self):
        self._socket.close()

    def _write(self, commands):
        self._socket.send(bytes([self._cmd_id]) + commands)
        self._cmd_id = (self._cmd_id + 1) % 256

    def _read(self, count):
        while len(self._data) < count:
            self._data += self._socket.recv(2048)[HEADER_BYTES:]
        data, self._data = self._data[:count], self._data[count:]
        return data

    def _read_until_reset(self):
        while not self._data.endswith(b"!"):
            self._data += self._socket.recv(2048)[HEADER_BYTES:]
        self._data = b""

    def _ask(self, commands, reply=0):
        self._write(commands)
        echo = self._read(len(commands))
        if echo != commands:
            raise RuntimeError(f"mismatched response {echo!r} to {commands!r}")
        return self._read(reply)

    def _eeprom(self, address):
        return int(self._ask(b"[11]@[%02x]sr" % address, 4)[1:3], 16)

    @staticmethod
    def _registers(**values):
        cells = {}
        for name, value in values.items():
            address, count = ADDRESS[name]
            for index, byte in enumerate((value & (1 << 8 * count) - 1).to_bytes(count, "little")):
                cells[address + index] = byte
        string, last, held = b"", None, None
        for address in sorted(cells):
            if last is not None and address == last + 1:
                string += b"z"
            else:
                string += (b"s" if last is not None else b"") + b"%02x@" % address
                held = address
            value = cells[address]
            if value != held:
                string += b"[" if value == 0 else b"%02x" % value
                held = value
            last = address
        return string + b"s"

    def _field(self):
        field = b""
        while (byte := self._read(1)) != b"\r":
            field += byte
        return int(field, 16)

    def capture(self, channels, period, samples, mode, level=None, timeout=0.1):
        """One list of volts or levels a channel. ``mode``: trace mode, buffer mode, bytes, ring."""
        trace_mode, buffer_mode, width, ring = mode
        analogue = [channel for channel in "AB" if channel in channels]
        logic = "L" in channels
        ticks = round(period / TICK_S / samples)
        lo, hi = (self.LOW - self.OFFSET) / self.SCALE, (self.HIGH - self.OFFSET) / self.SCALE
        if level is None:
            level = (self.LOW + self.HIGH) / 2
        intro, outro, position = 8, 8, samples // 4
        after = max(0, samples - position - outro)
        seconds = (intro + outro + after + 2) * ticks * TICK_S + timeout
        first = analogue[0] if analogue else None
        self._ask(
            self._registers(
                TraceMode=trace_mode, BufferMode=buffer_mode, SampleAddress=0, ClockTicks=ticks, ClockScale=1,
                TriggerLevel=round((level - self.OFFSET) / self.SCALE * 65536),
                TriggerLogic={"A": 0x80, "B": 0x40, None: 1}[first],
                TriggerMask={"A": 0x7F, "B": 0xBF, None: 0xFE}[first],
                TraceIntro=max(0, position - intro), TraceOutro=after, TraceDelay=0,
                Timeout=math.ceil(seconds / 6.4e-6), TriggerIntro=intro // 2, TriggerOutro=outro // 2, Prelude=0,
                SpockOption=5 if first == "B" else 1,
                ConverterLo=round((1.1 * lo - 0.05 * hi) * 65536),
                ConverterHi=round((1.1 * hi - 0.05 * lo - 0.05) * 65536),
                KitchenSinkA={"A": 0x80, "B": 0x40, None: 0}[first],
                KitchenSinkB=(0x80 if analogue else 0) | (0x40 if self._generating else 0),
                AnalogEnable=("A" in channels) | ("B" in channels) << 1, DigitalEnable=0x3F if logic else 0,
            )
            + b">UD"
        )  # fmt: skip
        assert self._field() == 2
        self._field()
        self.cause = self._field()
        self._field()
        address = self._field()
        if len(analogue) == 2:
            address -= address % 2
        traces = {}
        for index, channel in enumerate(analogue):
            count = samples // len(analogue)
            data = self._dump(address - samples, ring, 5 if width == 2 else 0, index, count, width)
            values = [int.from_bytes(data[i : i + width], "big", signed=width == 2) for i in range(0, len(data), width)]
            share = (lambda v: (v + 32768) / 65536) if width == 2 else (lambda v: v / 256)
            traces[channel] = [self.LOW + share(value) * (self.HIGH - self.LOW) for value in values]
        if logic:
            traces["L"] = list(self._dump(address - samples, ring, 0, 128, samples, 1))
        return traces

    def _dump(self, address, ring, mode, channel, count, width):
        registers = self._registers(
            SampleAddress=address % ring, DumpMode=mode, DumpChan=channel, DumpCount=count, DumpRepeat=1, DumpSend=1,
            DumpSkip=0,
        )  # fmt: skip
        return self._ask(registers + b">A", count * width)

    def start_sine(self, frequency, low, high):
        width = 40e6 / frequency / 40
        self._ask(self._registers(Cmd=0, Mode=0, Ratio=32768) + b"Y")
        waves = int(1024 // width)
        size = round(waves * width)
        self._ask(
            self._registers(
                Cmd=0, Mode=0, Level=min(65535, round((high - low) / 3.3 * 65536)),
                Offset=round(((high + low) / 2 - 1.65) / 3.3 * 65536), Ratio=round(waves * 1024 / size * 65536), Index=0,
                Address=0, Size=size,
            )
            + b"X"
        )  # fmt: skip
        start = self._registers(Cmd=2, Mode=0, Clock=40, Modulo=size, Mark=10, Space=1, Rest=0x7F00, Option=0x8004)
        self._ask(start + b"Z")
        self._ask(self._registers(KitchenSinkB=0x40) + b"U")
        self._generating = True

    def stop(self):
        self._ask(self._registers(Cmd=1, Mode=0) + b"Z" + self._registers(KitchenSinkB=0) + b"U")
        self._generating = False
