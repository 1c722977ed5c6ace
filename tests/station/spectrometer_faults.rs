//! Faults of instrument and link: the right state, no hang, and healing without a restart (msp1000.md 2 and 7.7).

use std::net::UdpSocket;
use std::thread;

use outpost::msp1000::sim::{Config, Simulator};

use super::harness::{Setup, Station, eventually};
use super::spectrometer::{instrument, using};

/// A station on the simulated board, its spectrometer ready.
fn station() -> Station {
    let station = Setup::small().start();
    station.wait_for_spectrometer("ready");
    station
}

/// Frames come again.
fn recovered(station: &Station) {
    station.wait_for_spectrometer("ready");
    let mut client = station.client();
    assert_eq!(client.block("SPEC:RAW?").len(), 7388);
    let mut mini = station.mini_spec();
    mini.take();
    assert_eq!(mini.frame().len(), 3694);
}

#[test]
fn replies_in_pieces_and_with_other_ends_are_whole_for_every_client() {
    let station = station();
    let mut client = station.client();
    let mut mini = station.mini_spec();
    for fault in [
        "chunk,700",
        "eol,1",
        "frame-end,1",
        "frame-end,2",
        "answer-set",
        "long-cal",
        "junk,3",
        "tls",
    ] {
        client.command(&format!("SIM:FAUL msp1000,{fault}"));
        mini.send("set_exposure3\r\n");
        assert_eq!(mini.exposure(), 3, "{fault}");
        mini.take();
        assert_eq!(mini.frame().len(), 3694, "{fault}");
        client.command("SIM:CLE");
    }
    assert_eq!(station.counter("msp1000", "reconnects"), 0);
}

#[test]
fn a_link_that_breaks_is_made_again() {
    let scenarios = ["drop-after,1", "cut-frame", "bad-number", "vanish,300"];
    thread::scope(|scope| {
        for fault in scenarios {
            scope.spawn(move || {
                let station = station();
                let mut client = station.client();
                client.command(&format!("SIM:FAUL msp1000,{fault}"));
                client.send("SPEC:RAW?\n");
                // One take or the next look meets the fault, whichever comes first.
                eventually(fault, || station.counter("msp1000", "reconnects") > 0);
                drop(client);
                recovered(&station);
            });
        }
    });
}

#[test]
fn a_silent_instrument_times_out_and_is_asked_again() {
    let station = station();
    let mut client = station.client();
    client.command("SIM:FAUL msp1000,silent");
    // The command failed, and so did the instrument, which every connection is told.
    client.send("SPEC:RAW?\n");
    let errors = client.errors();
    assert!(!errors.is_empty());
    assert!(
        errors.iter().all(|error| error.starts_with("-365,")),
        "{errors:?}"
    );
    station.wait_for_spectrometer("failed");
    client.send("*CLS;:SPEC:RAW?\n");
    assert!(client.errors()[0].starts_with("-241,"));
    client.send("SIM:CLE\n");
    recovered(&station);
}

#[test]
fn old_tls_is_a_state_of_its_own_and_not_tried_again_at_once() {
    let (simulator, faults) = instrument(Config::default());
    faults.set("old-tls", None).unwrap();
    let station = using(&simulator).start();
    let report = station.wait_for_spectrometer("failed");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("TLS is too old"), "{reason}");
    assert!(reason.contains("terminator"), "{reason}");
    let mut client = station.client();
    assert_eq!(client.json("SPEC:STAT?")["state"], "tls-too-old");
    assert_eq!(client.refused("SPEC:MEAS?"), -241);
    assert_eq!(station.counter("msp1000", "tls_too_old"), 1);
    // A person who has cured it says so.
    faults.clear();
    assert_eq!(station.counter("msp1000", "reconnects"), 1);
    client.send("*CLS;:SPEC:CONN\n");
    recovered(&station);
}

#[test]
fn a_changed_certificate_is_refused_with_its_cure() {
    let (simulator, _faults) = instrument(Config::default());
    let (address, pinned) = (simulator.address(), simulator.fingerprint().unwrap());
    let station = using(&simulator).start();
    station.wait_for_spectrometer("ready");
    drop(simulator);
    let again = Simulator::start(
        outpost::base::clock::Clock::real(),
        Config::default(),
        outpost::msp1000::sim::Faults::none(),
        address,
    )
    .unwrap();
    let mut client = station.client();
    eventually("the refusal", || {
        client.json("SPEC:STAT?")["state"] == "certificate-changed"
    });
    let report = station.wait_for_spectrometer("failed");
    let reason = report["reason"].as_str().unwrap();
    for part in [pinned, again.fingerprint().unwrap()] {
        assert!(reason.contains(&part.to_string()), "{reason}");
    }
    let (_, file) = reason.rsplit_once("delete ").unwrap();
    let tries = station.counter("msp1000", "reconnects");
    assert_eq!(again.exposures(), 0);
    // The cure that it names.
    std::fs::remove_file(file).unwrap();
    assert_eq!(station.counter("msp1000", "reconnects"), tries);
    client.send("*CLS;:SPEC:CONN\n");
    recovered(&station);
}

#[test]
fn a_plain_link_leads_to_a_terminator_on_this_machine() {
    let (simulator, _faults) = instrument(Config {
        plain: true,
        ..Config::default()
    });
    let address = simulator.address();
    let station = Setup::small()
        .msp1000(&format!("address = \"msp1000-plain://{address}\""))
        .start();
    recovered(&station);
    let mut client = station.client();
    assert_eq!(client.json("SPEC:STAT?")["link"], "plain");
}

#[test]
fn another_program_that_was_first_is_noticed() {
    let (simulator, _faults) = instrument(Config::default());
    let mut first = super::spectrometer::MiniSpec::connect(simulator.address());
    assert_eq!(first.exposure(), 2);
    let station = using(&simulator).start();
    station.wait_for_spectrometer("ready");
    let mut client = station.client();
    let (number, text) = client.refusal("SPEC:EXP 40");
    assert_eq!(number, -203, "{text}");
    assert!(text.contains("another program"), "{text}");
    assert_eq!(client.json("SPEC:STAT?")["control"], "elsewhere");
    station.wait_for_spectrometer("degraded");
    assert_eq!(client.block("SPEC:RAW?").len(), 7388);
    drop(first);
    eventually("control of the instrument", || {
        client.send("*CLS;:SPEC:EXP 40\n");
        client.errors().is_empty()
    });
    assert_eq!(client.json("SPEC:STAT?")["control"], "here");
    station.wait_for_spectrometer("ready");
}

#[test]
fn instruments_that_announce_themselves_are_listed() {
    // A port that nobody else has, as far as that can be known.
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let station = Setup::small()
        .msp1000(&format!("discovery_port = {port}"))
        .listen_discovery("on")
        .start();
    station.wait_for_spectrometer("ready");
    let mut client = station.client();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = ("127.0.0.1", port);
    for junk in [
        &b""[..],
        b"msp1000",
        b"msp1000eth0,",
        b"hello",
        &[0xff; 600],
    ] {
        sender.send_to(junk, to).unwrap();
    }
    sender.send_to(b"msp1000wlan0,4711,more", to).unwrap();
    eventually("the entry", || {
        let list = client.json("SPEC:LIST?");
        let mut entries = list.as_array().unwrap().iter();
        entries.any(|entry| {
            entry["serial"] == "4711"
                && entry["interface"] == "wlan0"
                && entry["address"] == "127.0.0.1"
                && entry["connected"] == false
        })
    });
    assert_eq!(station.counter("msp1000", "bad_datagrams"), 5);
    // Offered, not used.
    assert_eq!(client.json("SPEC:STAT?")["serial"], "81985529216486895");
}
