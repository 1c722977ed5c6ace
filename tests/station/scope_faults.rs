//! What goes wrong with the oscilloscope and its link: the right state, and well again without a restart.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use outpost::base::clock::Clock;
use outpost::bitscope::sim::{Config, Faults, NetworkFront, Protocol};

use super::harness::{Setup, eventually};
use super::scope::{acquire, started, started_with, volts};

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn a_lost_byte_costs_one_operation_at_most() {
    let (station, mut client) = started();
    // In the echo of a string, in the answer to `D`, in the samples.
    for at in [5, 120, 150, 700] {
        client.command(&format!("SIM:FAUL bitscope,drop,{at}"));
        client.send("SCOP:ACQ;*OPC?\n");
        assert_eq!(client.line(), "1");
        for error in client.errors() {
            assert!(
                error.starts_with("-365") || error.starts_with("-240"),
                "{error}"
            );
        }
        client.command("SIM:CLE");
        assert_eq!(acquire(&mut client)["cause"], "trigger");
    }
    assert!(station.counter("bitscope", "resyncs") > 0);
    assert_eq!(station.counter("bitscope", "reconnects"), 0);
}

#[test]
fn noise_before_the_echo_of_a_reset_is_passed_over() {
    let (_station, mut client) = started();
    client.command("SIM:FAUL bitscope,noise");
    assert_eq!(client.block("SCOP:RAW? \"?\""), b"?\rBS000501\r");
    assert_eq!(acquire(&mut client)["cause"], "trigger");
}

#[test]
fn a_silent_device_is_absent_until_it_speaks() {
    let (station, mut client) = started();
    client.command("SCOP:WAV SINE,2000,0.5,2.5");
    client.command("SIM:FAUL bitscope,silent");
    client.send("SCOP:ACQ;*OPC?\n");
    assert_eq!(client.line(), "1");
    assert!(!client.errors().is_empty());
    station.wait_for_scope("failed");
    client.errors();
    let began = Instant::now();
    assert_eq!(client.refused("SCOP:ACQ"), -241);
    assert_eq!(client.refused("SCOP:CLOC 1000"), -241);
    assert!(began.elapsed() < Duration::from_secs(1), "answered at once");
    assert_eq!(client.json("SCOP:STAT?")["connected"], false);
    client.command("SIM:CLE");
    station.wait_for_scope("ready");
    client.errors();
    // What ran before runs again.
    acquire(&mut client);
    let high = volts(&mut client, "A").into_iter().fold(0.0, f64::max);
    assert!((high - 2.5).abs() < 0.06, "{high}");
}

#[test]
fn a_device_that_is_unplugged_comes_back() {
    let (station, mut client) = started();
    client.send("SIM:FAUL bitscope,vanish,300\n");
    client.send("SCOP:ACQ;*OPC?\n");
    assert_eq!(client.line(), "1");
    eventually("a reconnection", || {
        station.counter("bitscope", "reconnects") > 0
    });
    station.wait_for_scope("ready");
    client.errors();
    assert_eq!(acquire(&mut client)["cause"], "trigger");
}

#[test]
fn another_model_is_refused_by_name() {
    let (station, mut client) = started();
    client.command("SIM:FAUL bitscope,rev");
    client.send("SIM:FAUL bitscope,vanish,1\n");
    client.send("SCOP:REG? TraceMode\n");
    station.wait_for_scope("failed");
    eventually("the reason", || {
        let health = client.json("SYST:HEAL? bitscope");
        health["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("BS001001"))
    });
    client.command("*CLS;SIM:CLE");
    station.wait_for_scope("ready");
}

#[test]
fn a_bitscope_server_that_loses_datagrams_is_borne() {
    let faults = Faults::none();
    let server = NetworkFront::start(
        Protocol::Udp,
        Clock::real(),
        Config::default(),
        faults.clone(),
        any(),
    )
    .unwrap();
    let url = format!("url = \"bitscope-server://{}\"", server.address());
    let (station, mut client) = started_with(Setup::small().bitscope(&url));
    assert_eq!(client.json("SCOP:STAT?")["link"], "bitscope-server");
    for (fault, n) in [("udp-loss", 1), ("udp-reorder", 1000), ("udp-double", 1000)] {
        faults.set(fault, Some(n)).unwrap();
        client.command("SCOP:CONF:CHAN A,B;SAMP 6000;PER 6 ms");
        assert_eq!(acquire(&mut client)["cause"], "trigger", "{fault}");
        assert_eq!(volts(&mut client, "B").len(), 3000);
        faults.clear();
    }
    drop(server);
    station.wait_for_scope("ready");
}

#[test]
fn raw_tcp_is_a_link_as_well() {
    let faults = Faults::none();
    let device = NetworkFront::start(
        Protocol::Tcp,
        Clock::real(),
        Config::default(),
        faults,
        any(),
    )
    .unwrap();
    let url = format!("url = \"socket://{}\"", device.address());
    let (station, mut client) = started_with(Setup::small().bitscope(&url));
    assert_eq!(client.json("SCOP:STAT?")["link"], "tcp");
    assert_eq!(acquire(&mut client)["cause"], "trigger");
    // An idle link that ends is noticed without a command.
    drop(device);
    station.wait_for_scope("failed");
}
