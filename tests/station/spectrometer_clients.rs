//! Many clients of one spectrometer (msp1000.md 3 and 5): frames for each, exposures shared, one in control.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::thread;

use async_tungstenite::tungstenite::Message;
use outpost::msp1000::sim::Config;

use super::harness::{Setup, eventually};
use super::spectrometer::{MiniSpec, Socket, instrument, using, words};

#[test]
fn the_vendors_program_finds_what_it_expects() {
    let station = Setup::small().start();
    let mut client = station.mini_spec();
    assert_eq!(client.ask("get_exposure"), b"exposure:2\r\n");
    let reply = String::from_utf8(client.ask("get_calibration")).unwrap();
    let numbers = reply.strip_prefix("calibration:").unwrap().trim_end();
    let numbers: Vec<f64> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
    assert_eq!(
        numbers,
        [
            1.21419996e-12,
            -8.04026968e-06,
            1.61927998e-01,
            3.99615997e+02
        ]
    );
    for ms in [10, 137, 25] {
        client.send(format!("set_exposure{ms}\r\n"));
        assert_eq!(client.exposure(), ms);
    }
    client.send("set_cal1e-12,-8e-06,0.16,400.5\r\n");
    assert_eq!(
        client.ask("get_calibration"),
        b"calibration:1e-12,-8e-06,0.16,400.5\r\n"
    );
    for _ in 0..12 {
        client.take();
        assert_eq!(client.frame().len(), 3694);
    }
    // A frame stays the same until the next take.
    assert_eq!(client.frame(), client.frame());
}

#[test]
fn three_scpi_clients_and_two_of_the_vendor_share_exposures() {
    const EACH: usize = 6;
    let (simulator, _faults) = instrument(Config::default());
    let station = using(&simulator).start();
    // Its control is this client's; the exposure is long enough for all to be asking meanwhile.
    let mut controller = station.mini_spec();
    controller.send("set_exposure60\r\n");
    assert_eq!(controller.exposure(), 60);
    let mut minis = [station.mini_spec(), station.mini_spec()];
    let mut scpis = [station.client(), station.client(), station.client()];
    thread::scope(|scope| {
        for client in &mut minis {
            scope.spawn(|| {
                for _ in 0..EACH {
                    client.take();
                    assert!(client.frame()[32..].iter().any(|count| *count > 5000));
                }
            });
        }
        for client in &mut scpis {
            scope.spawn(|| {
                for _ in 0..EACH {
                    assert_eq!(client.block("SPEC:RAW?").len(), 7388);
                }
            });
        }
    });
    let (asked, made) = (5 * EACH as u64, simulator.exposures());
    assert_eq!(station.counter("msp1000", "frames"), asked);
    assert_eq!(station.counter("msp1000", "exposures"), made);
    let joined = station.counter("msp1000", "joined");
    assert_eq!(made + joined, asked, "each joins an exposure or starts one");
    // Each starts its next take before the following exposure ends, so at most two rounds run side by side.
    assert!(made <= 2 * EACH as u64 + 2, "{made} exposures for {asked}");
}

#[test]
fn all_who_join_get_the_same_frame_and_each_keeps_its_own() {
    let (simulator, _faults) = instrument(Config::default());
    let station = using(&simulator).start();
    let (mut a, mut b) = (station.mini_spec(), station.mini_spec());
    a.send("set_exposure300\r\n");
    assert_eq!(a.exposure(), 300);
    // While the first exposure runs two ask for the next.
    let mut scpi = station.client();
    a.send("take_spectrum\r\n");
    eventually("the exposure", || {
        scpi.json("SPEC:STAT?")["exposing"] == true
    });
    b.send("take_spectrum\r\n");
    scpi.send("SPEC:RAW?\n");
    assert_eq!(a.receive(), b"spectrum_complete\r\n");
    let first = a.frame();
    assert_eq!(b.receive(), b"spectrum_complete\r\n");
    let second = b.frame();
    assert_eq!(words(&scpi.block_content()), second);
    assert_ne!(first, second);
    assert_eq!(simulator.exposures(), 2);
    // Newer frames are not this client's.
    assert_eq!(a.frame(), first);
    // Without a take of its own a client sees the newest.
    assert_eq!(station.mini_spec().frame(), second);
}

#[test]
fn the_first_controls_readers_read_and_nobody_inherits() {
    let station = Setup::small().start();
    let (mut first, mut second) = (station.mini_spec(), station.mini_spec());
    assert_eq!(first.exposure(), 2);
    second.send("set_exposure9\r\n");
    assert_eq!(second.exposure(), 2, "a reader's setting is ignored");
    let mut scpi = station.client();
    let (number, text) = scpi.refusal("SPEC:EXP 9");
    assert_eq!(number, -203, "{text}");
    assert!(text.contains("msp1000 127.0.0.1:"), "{text}");
    assert!(
        scpi.query("SPEC:CONT?")
            .starts_with("0,\"msp1000 127.0.0.1:")
    );
    first.send("set_exposure11\r\n");
    assert_eq!(first.exposure(), 11);
    assert_eq!(second.exposure(), 11);
    drop(first);
    eventually("control to be free", || {
        scpi.query("SPEC:CONT?") == "0,\"\",\"\""
    });
    second.send("set_exposure12\r\n");
    assert_eq!(second.exposure(), 12);
    scpi.command("SPEC:CONT:TAKE;:SPEC:EXP 13");
    second.send("set_exposure14\r\n");
    assert_eq!(second.exposure(), 13);
    assert!(scpi.query("SPEC:CONT?").starts_with("1,\"scpi 127.0.0.1:"));
    scpi.command("SPEC:CONT:REL");
    second.send("set_exposure14\r\n");
    assert_eq!(second.exposure(), 14);
}

#[test]
fn a_controller_that_leaves_lets_go_though_its_exposure_goes_on() {
    let (simulator, _faults) = instrument(Config::default());
    let station = using(&simulator).start();
    station.wait_for_spectrometer("ready");
    let mut controller = station.client();
    controller.command("SPEC:EXP 30000");
    controller.command("SPEC:AVER 3;ACQ");
    let mut other = station.client();
    eventually("the exposure", || {
        other.json("SPEC:STAT?")["exposing"] == true
    });
    drop(controller);
    eventually("control to be free", || {
        other.query("SPEC:CONT?") == "0,\"\",\"\""
    });
    assert_eq!(simulator.exposures(), 0, "long before the exposure ends");
    assert!(other.query("SYST:JOB:STAT? 1").contains("ABOR"));
}

#[test]
fn an_idle_controller_loses_control() {
    let station = Setup::small().msp1000("control_idle_s = 1").start();
    let mut socket = Socket::connect(&station);
    assert!(socket.ask("control?").contains("\"yes\""));
    let lost = socket.event("control_lost");
    assert_eq!(lost["reason"], "idle");
    assert!(socket.ask("control?").contains("\"no\""));
}

#[test]
fn websockets_speak_the_same_words_and_are_told_the_news() {
    let station = Setup::small().start();
    station.wait_for_spectrometer("ready");
    let mut socket = Socket::connect(&station);
    assert_eq!(socket.ask("get_exposure"), "exposure:2");
    socket.send("set_exposure21");
    assert_eq!(socket.event("exposure")["exposure_ms"], 21);
    assert_eq!(socket.ask("take_spectrum"), "spectrum_complete");
    let frame = socket.binary("get_spectrum");
    assert_eq!(frame.len(), 9 + 7388);
    assert!(frame.starts_with(b"spectrum:"));
    let mut scpi = station.client();
    scpi.command("SPEC:CONT:TAKE");
    let lost = socket.event("control_lost");
    assert_eq!(lost["reason"], "taken");
    assert!(lost["holder"].as_str().unwrap().starts_with("scpi "));
    socket.send("set_exposure5");
    let error = socket.event("error");
    assert_eq!(error["command"], "set_exposure");
    scpi.command("SPEC:CAL 0,0,0.16,401");
    assert_eq!(socket.event("calibration")["calibration"][3], 401.0);
    for nonsense in ["", "set_exposure-1", "set_cal1,2", "\u{fffd}", "{}"] {
        socket.send(nonsense);
        assert_eq!(socket.event("error")["command"], nonsense);
    }
    assert!(socket.ask("take_control").contains("\"yes\""));
    assert!(socket.ask("release_control").contains("\"no\""));
    assert!(matches!(
        socket.next_after_stop(&station),
        Message::Close(_)
    ));
}

impl Socket {
    /// What comes when the station stops.
    fn next_after_stop(&mut self, station: &super::harness::Station) -> Message {
        station.terminate();
        loop {
            let message = self.next();
            if !message.is_text() {
                return message;
            }
        }
    }
}

#[test]
fn commands_come_in_any_pieces_and_bad_ones_are_ignored() {
    let station = Setup::small().start();
    let mut client = station.mini_spec();
    for byte in b"get_exposure\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.receive(), b"exposure:2\r\n");
    client.send(b"\r\n\n\0\xff\nget_\nset_exposure\nset_exposure99999999999\nset_cal1,2,3\nset_calnan,1,2,3\n");
    client.send([b'x'; 100_000]);
    client.send("\nset_exposure0\nget_exposure\n");
    assert_eq!(client.receive(), b"exposure:2\r\n");
    eventually("the count", || {
        drop(station.client());
        client.exposure() == 2
    });
}

#[test]
fn whatever_comes_before_or_within_tls_ends_nothing_but_its_connection() {
    let station = Setup::small().start();
    let mut good = station.mini_spec();
    let address = station.msp1000.unwrap();
    for junk in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"get_exposure\r\n",
        &[0; 70_000],
        &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3],
        &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0],
    ] {
        let mut raw = TcpStream::connect(address).unwrap();
        let _ = raw.write_all(junk);
        let _ = raw.shutdown(std::net::Shutdown::Write);
        assert_eq!(good.exposure(), 2);
    }
    // Silent ones hold a seat for the time of a handshake, and no more than that.
    let silent: Vec<_> = (0..8)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    assert_eq!(good.exposure(), 2);
    drop(silent);
    // A client that asks for frames and takes none costs the others nothing.
    let mut greedy = station.mini_spec();
    for _ in 0..50 {
        greedy.send("get_spectrum\r\n".repeat(20));
    }
    good.take();
    assert_eq!(good.frame().len(), 3694);
    drop(greedy);
    assert_eq!(good.exposure(), 2);
}

#[test]
fn the_port_keeps_its_certificate_and_one_client_too_many_is_refused() {
    let station = Setup::small().scpi("max_clients = 2").start();
    let (mut a, _b) = (station.mini_spec(), station.mini_spec());
    let mut third = TcpStream::connect(station.msp1000.unwrap()).unwrap();
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut third, &mut rest);
    assert_eq!(rest, b"");
    assert_eq!(a.exposure(), 2);
    let file =
        |folder: &std::path::Path| std::fs::read(folder.join("data/tls/certificate.pem")).unwrap();
    let before = file(station.folder());
    drop(a);
    let folder = station.stop();
    assert_eq!(file(folder.path()), before);
    let again = Setup::small().start_in(folder);
    assert_eq!(file(again.folder()), before);
    assert_eq!(again.mini_spec().exposure(), 2);
}

#[test]
fn the_station_announces_the_instrument_when_asked_to() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(super::harness::PATIENCE))
        .unwrap();
    let port = receiver.local_addr().unwrap().port();
    let station = Setup::small()
        .msp1000(&format!("announce = true\ndiscovery_port = {port}"))
        .start();
    let mut datagram = [0; 100];
    let count = receiver.recv(&mut datagram).unwrap();
    let text = std::str::from_utf8(&datagram[..count]).unwrap();
    assert!(text.starts_with("msp1000"), "{text}");
    assert!(text.ends_with(",81985529216486895"), "{text}");
    assert!(count <= 33, "the vendor's client reads no more");
    drop(station);
}

#[test]
fn ten_clients_that_come_at_once_are_all_served_before_the_instrument_is_ready() {
    let (simulator, faults) = instrument(Config::default());
    faults.set("delay-ms", Some(300)).unwrap();
    let station = using(&simulator).start();
    let address = station.msp1000.unwrap();
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| assert_eq!(MiniSpec::connect(address).exposure(), 2));
        }
    });
}
