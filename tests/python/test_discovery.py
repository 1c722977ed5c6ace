"""Outpost found on the network, here on loopback: by python-zeroconf and by lxi-tools."""

import os
import re
import selectors
import shutil
import subprocess
import threading
import time

import pytest
from zeroconf import IPVersion, ServiceBrowser, ServiceListener, Zeroconf

from station import Scpi

LIMIT_S = 20
SERVICES = ["_scpi-raw._tcp.local.", "_http._tcp.local.", "_lxi._tcp.local.", "_tcam-socket._tcp.local."]
AVAHI = """\
[server]
host-name=outpost-check
use-ipv6=no
allow-interfaces=lo
[publish]
disable-publishing=yes
[wide-area]
enable-wide-area=no
"""


class Found(ServiceListener):
    """Collects services by full name; ``wait`` ends when a condition on them holds."""

    def __init__(self):
        self.services = {}
        self._changed = threading.Condition()

    def add_service(self, zc, type_, name):
        info = zc.get_service_info(type_, name, timeout=5000)
        with self._changed:
            if info:
                self.services[name] = info
            self._changed.notify_all()

    update_service = add_service

    def remove_service(self, zc, type_, name):
        with self._changed:
            self.services.pop(name, None)
            self._changed.notify_all()

    def wait(self, condition):
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.services), LIMIT_S), self.services


@pytest.fixture
def found():
    zeroconf = Zeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    listener = Found()
    browser = ServiceBrowser(zeroconf, SERVICES, listener)
    yield listener
    browser.cancel()
    zeroconf.close()


@pytest.fixture
def announced(start_station):
    """Starts a station that announces itself on loopback under a name of its own."""

    def start(name):
        return start_station(discovery=f'enabled = true\nloopback_only = true\nname = "{name}"')

    return start


def text(info):
    return {key.decode(): value.decode() for key, value in info.properties.items()}


def test_every_service_has_its_port_and_text(announced, found):
    name = f"Outpost check {os.getpid()}"
    station = announced(name)
    names = {f"{name}.{service}" for service in SERVICES}
    found.wait(lambda services: names <= services.keys())
    with Scpi(station.address("scpi")) as scpi:
        identity = scpi.query("*IDN?").split(",")
    for service, endpoint in zip(SERVICES, ["scpi", "http", "http", "tcam"]):
        info = found.services[f"{name}.{service}"]
        assert info.port == station.address(endpoint)[1], service
        assert info.parsed_addresses() == ["127.0.0.1"], service
    who = dict(zip(["Manufacturer", "Model", "SerialNumber", "FirmwareVersion"], identity))
    for service in ("_scpi-raw._tcp.local.", "_lxi._tcp.local."):
        assert text(found.services[f"{name}.{service}"]) == {"txtvers": "1", **who}
    assert text(found.services[f"{name}._http._tcp.local."]) == {"txtvers": "1", "path": "/"}
    assert text(found.services[f"{name}._tcam-socket._tcp.local."])["model"] == "2"
    station.process.terminate()
    found.wait(lambda services: not names & services.keys())
    # A second signal would not be an orderly stop.
    station.process.wait(LIMIT_S)


@pytest.fixture
def avahi(tmp_path):
    """An Avahi on loopback with a bus of its own; gives the environment in which lxi-tools finds it."""
    for program in ("lxi", "avahi-daemon", "dbus-daemon"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if os.geteuid() != 0:
        pytest.skip("avahi-daemon starts as root only")
    if os.path.exists("/run/avahi-daemon/pid"):
        pytest.skip("another avahi-daemon runs here")
    bus = f"unix:path={tmp_path}/bus"
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus}
    (tmp_path / "avahi.conf").write_text(AVAHI)
    os.makedirs("/run/avahi-daemon", exist_ok=True)
    dbus_daemon = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", f"--address={bus}"]
    avahi_daemon = ["avahi-daemon", "-f", tmp_path / "avahi.conf", "--no-drop-root", "--no-chroot", "--no-rlimits"]
    with running(dbus_daemon) as dbus:
        wait_for_line(dbus, b"unix:")
        with running(avahi_daemon, env=environment) as daemon:
            wait_for_line(daemon, b"Server startup complete")
            yield environment


class running:
    """A program that ends with the block."""

    def __init__(self, arguments, **more):
        self._arguments, self._more = arguments, more

    def __enter__(self):
        self._process = subprocess.Popen(
            self._arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **self._more
        )
        return self._process

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(LIMIT_S)
        finally:
            self._process.kill()
            self._process.stdout.close()


def wait_for_line(process, wanted):
    seen, deadline = b"", time.monotonic() + LIMIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while wanted not in seen:
            assert selector.select(deadline - time.monotonic()), seen
            piece = os.read(process.stdout.fileno(), 4096)
            assert piece, seen
            seen += piece


def test_lxi_tools_find_it(announced, avahi):
    name = f"Outpost lxi {os.getpid()}"
    station = announced(name)
    deadline = time.monotonic() + LIMIT_S
    while True:
        report = subprocess.run(
            ["lxi", "discover", "-m"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=avahi,
            timeout=LIMIT_S,
            check=True,
        ).stdout.decode()
        services = dict(re.findall(rf'Found "{name}" on address 127\.0\.0\.1\s+(\S+) service on port (\d+)', report))
        if len(services) == 2 or time.monotonic() > deadline:
            break
    ports = {"lxi": station.address("http")[1], "scpi-raw": station.address("scpi")[1]}
    assert services == {service: str(port) for service, port in ports.items()}, report
