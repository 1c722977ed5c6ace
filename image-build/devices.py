"""Instruments of the guest: simulated ones behind the kernel's own drivers, and libcamera's virtual camera."""

import os
import re
import subprocess
import time
from pathlib import Path

from guest import Failed, Scpi

HERE = Path(__file__).resolve().parent

# A counter and its bridge in the guest, behind a gadget that the guest's own USB host finds as a USB-ISS.
COUNTER = """\
stty -F /dev/ttyGS0 raw -echo
outpost sim opc-n3 --tty /run/counter &
while ! [ -e /run/counter ]; do sleep 0.2; done
cat /run/counter >/dev/ttyGS0 &
exec cat /dev/ttyGS0 >/run/counter
"""
PLUG = "sudo modprobe dummy_hcd && sudo modprobe g_serial idVendor=0x04d8 idProduct=0xffee"

# The cameras of libcamera's Virtual pipeline on a board that has them, beside what the card says.
VIRTUAL_CAMERA = """\
sudo mount -t tmpfs -o mode=755 tmpfs /usr/share/libcamera/pipeline/virtual
sudo tee /usr/share/libcamera/pipeline/virtual/virtual.yaml >/dev/null <<'END'
{cameras}END
sudo mkdir -p /run/virtual /run/systemd/system/outpost.service.d
sudo tee /run/virtual/board.toml >/dev/null <<'END'
id = "virtual"
name = "Virtual"
description = "libcamera without hardware"
[camera]
pipeline = "virtual"
raw = "packed12"
[ramdisk]
size_mb = 256
END
sudo tee /run/systemd/system/outpost.service.d/camera.conf >/dev/null <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/outpost serve --board /run/virtual/board.toml
END
sudo systemctl daemon-reload
sudo systemctl restart outpost
"""
NO_CAMERA = """\
sudo rm -r /run/virtual /run/systemd/system/outpost.service.d
sudo umount /usr/share/libcamera/pipeline/virtual
sudo systemctl daemon-reload
sudo systemctl restart outpost
"""


class Oscilloscope:
    """A simulated BitScope on this machine, as a USB serial adapter of the guest."""

    def __init__(self, program):
        # A program for arm64 runs here by binfmt_misc, with the cross compiler's C library.
        self.process = subprocess.Popen(
            [program, "sim", "bitscope", "--tcp", "127.0.0.1:0"],
            env={**os.environ, "QEMU_LD_PREFIX": "/usr/aarch64-linux-gnu"},
            stdout=subprocess.PIPE,
            text=True,
        )
        where, _, port = self.process.stdout.readline().strip().rpartition(":")
        if where != "tcp 127.0.0.1":
            self.end()
            raise Failed(f"{program} does not run here")
        self.devices = ["-device", "qemu-xhci,romfile=", "-device", "usb-serial,chardev=scope"] + [
            *("-chardev", f"socket,id=scope,host=127.0.0.1,port={port}")
        ]

    def end(self):
        self.process.terminate()
        self.process.wait()


def part(machine, name):
    """State of a part and the rest of its line, as `outpost status` says it."""
    for line in machine.ssh("pi", "admin", "sudo outpost status", check=False).stdout.decode().splitlines():
        words = line.split(None, 2)
        if words[:1] == [name]:
            return words[1], line
    return "unknown", ""


def wait_for_part(machine, name, state, limit=240):
    begin, line = time.monotonic(), ""
    while time.monotonic() - begin < limit:
        found, line = part(machine, name)
        if found == state:
            return True, line
        time.sleep(1)
    return False, line


def instruments(machine, report, scope):
    """The kernel's own drivers of USB serial ports between the station and simulated instruments."""
    machine.admin(PLUG)
    machine.admin(f"sudo systemd-run --quiet --collect --unit=counter /bin/sh -c '{COUNTER}'")
    good, said = wait_for_part(machine, "opc", "ready")
    report.check("a USB-ISS on ttyACM is found by its USB id, and the counter behind it measures", good, said)
    name = machine.admin("readlink /dev/usb-iss || true").strip()
    report.check("udev gives it its name", name.startswith("ttyACM"), name)
    machine.admin("sudo systemctl stop counter; sudo modprobe -r g_serial")
    good, said = wait_for_part(machine, "opc", "failed")
    report.check("unplugged, it is missed", good, said)
    machine.admin(PLUG)
    machine.admin(f"sudo systemd-run --quiet --collect --unit=counter /bin/sh -c '{COUNTER}'")
    good, said = wait_for_part(machine, "opc", "ready")
    report.check("plugged in again, it goes on by itself", good, said)
    if not scope:
        print("        no program to simulate a BitScope with: left out")
        return
    good, said = wait_for_part(machine, "bitscope", "ready")
    report.check("a BitScope on ttyUSB is ready", good, said)
    scpi = Scpi(machine.ports["scpi"], timeout=60)
    done = scpi.ask("SCOP:ACQ;*OPC?")
    error = scpi.ask("SYST:ERR?")
    length = len(scpi.block("SCOP:DATA? A")) if error.startswith("0,") else 0
    report.check("and captures", done == "1" and length > 0, f"{done} {error}")
    scpi.close()


def camera(machine, report):
    """The camera build in the guest: libcamera, its Virtual camera, the service's own restrictions."""
    if machine.ssh("pi", "admin", "test -x /usr/lib/outpost/outpost-camera", check=False).returncode:
        print("        the image has no camera build: left out")
        return
    machine.admin(VIRTUAL_CAMERA.format(cameras=(HERE / "virtual.yaml").read_text()))
    machine.wait_for_answer(120)
    program = machine.admin("sudo readlink /proc/$(systemctl show --value --property=MainPID outpost)/exe").strip()
    report.check("the program hands over to the camera build", program == "/usr/lib/outpost/outpost-camera", program)
    good, said = wait_for_part(machine, "camera", "ready")
    report.check("libcamera's virtual camera is ready under the service's restrictions", good, said)
    if good:
        scpi = Scpi(machine.ports["scpi"], timeout=180)
        # The board has no other instrument, which the queue may say.
        scpi.tell("*CLS")
        scpi.tell('CAP:SEQFET "virtual",(1000,2000),2,0,ON')
        begin = time.monotonic()
        done, error = scpi.ask("*OPC?"), scpi.ask("SYST:ERR?")
        report.figure("capture of 4 pictures through libcamera", f"{time.monotonic() - begin:.1f} s")
        names = re.findall(r'"(virtual_[^,"]+),', scpi.ask("MMEM:CAT?"))
        report.check("it captures", done == "1" and error.startswith("0,") and len(names) == 5, f"{done} {error} {names}")
        descriptors = "sudo ls /proc/$(systemctl show --value --property=MainPID outpost)/fd | wc -l"
        before = machine.admin(descriptors).strip()
        for number in range(5):
            scpi.tell(f'CAP:SEQFET "again{number}",(1000),1,0,OFF')
            scpi.ask("*OPC?")
        after = machine.admin(descriptors).strip()
        report.check("captures leave no descriptors open", after == before, f"{before} -> {after}")
        scpi.close()
        machine.admin("sudo sh -c 'rm -r /media/ramdisk/Captures/*'")
    machine.admin(NO_CAMERA)
    machine.wait_for_answer(120)
