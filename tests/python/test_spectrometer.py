"""Programs written for the spectrometer itself, pointed at Outpost."""

import threading

import pytest

from minispec_like import MiniSpec
from station import Scpi


@pytest.fixture
def station(start_station):
    running = start_station()
    with Scpi(running.address("scpi")) as scpi:
        # The port holds requests for a while; a slow machine may need longer.
        while b'"ready"' not in scpi.query_block("SYST:HEAL? msp1000"):
            pass
    return running


def test_a_program_measures_lines_where_they_are(station):
    client = MiniSpec(*station.address("msp1000"))
    assert client.calibration == [1.21419996e-12, -8.04026968e-06, 1.61927998e-01, 3.99615997e02]
    for milliseconds in (10, 137, 25):
        client.exposure = milliseconds
        assert client.exposure == milliseconds
    spectrum, wavelengths = client.spectrum(), client.wavelengths()
    assert len(spectrum) == len(wavelengths) == 3648
    highest = max(range(3648), key=spectrum.__getitem__)
    assert abs(wavelengths[highest] - 546.07) < 0.3
    client.take_dark()
    assert max(abs(value) for value in client.spectrum()) < 100
    client.set_calibration([1e-12, -8e-06, 0.16, 401.0])
    assert client.calibration == [1e-12, -8e-06, 0.16, 401.0]
    client.close()


def test_twelve_frames_in_a_row_keep_step_beside_another_client(station):
    clients = [MiniSpec(*station.address("msp1000")) for _ in range(2)]
    clients[0].exposure = 10
    failures = []

    def take(client):
        try:
            for _ in range(12):
                assert len(client.raw_spectrum()) == 3694
        except Exception as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=take, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    # A reader's setting is ignored.
    clients[1].exposure = 99
    assert clients[1].exposure == 10
    clients[0].close()
    clients[1].close()
