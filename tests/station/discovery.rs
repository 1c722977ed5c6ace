//! Found by others on the network: here on loopback, by another resolver (scpi.md 10).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent};

use super::harness::{PATIENCE, Setup, Station, eventually};

/// Looks for services on loopback.
struct Finder(ServiceDaemon);

impl Finder {
    fn new() -> Self {
        let daemon = ServiceDaemon::new().unwrap();
        daemon.disable_interface(IfKind::All).unwrap();
        daemon.enable_interface(IfKind::LoopbackV4).unwrap();
        Self(daemon)
    }

    fn browse(&self, service: &str) -> Receiver<ServiceEvent> {
        self.0.browse(&format!("{service}.local.")).unwrap()
    }

    /// The service of this port: tests of other stations run at the same time.
    fn service(&self, service: &str, port: u16) -> Box<ResolvedService> {
        wait(&self.browse(service), |event| match event {
            ServiceEvent::ServiceResolved(info) if info.get_port() == port => Some(info),
            _ => None,
        })
    }
}

/// What `wanted` makes of the first event it wants.
fn wait<T>(events: &Receiver<ServiceEvent>, wanted: impl Fn(ServiceEvent) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = events.recv_deadline(deadline).expect("found in time");
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

/// A name that no other run uses.
fn name(test: &str) -> String {
    format!("Outpost {test} {}", std::process::id())
}

fn announced(name: &str) -> Station {
    let lines = format!("enabled = true\nloopback_only = true\nname = \"{name}\"");
    Setup::small().discovery(&lines).start()
}

fn text(info: &ResolvedService) -> BTreeMap<String, String> {
    let pair = |property: &mdns_sd::TxtProperty| {
        (property.key().to_owned(), property.val_str().to_owned())
    };
    info.get_properties().iter().map(pair).collect()
}

#[test]
fn every_service_is_found_with_its_own_port_and_says_goodbye() {
    let name = name("found");
    let station = announced(&name);
    let identity = station.client().query("*IDN?");
    let identity: Vec<&str> = identity.split(',').collect();
    let who = |info: &ResolvedService| {
        let text = text(info);
        ["Manufacturer", "Model", "SerialNumber", "FirmwareVersion"].map(|key| text[key].clone())
    };
    let finder = Finder::new();
    for (service, port) in [
        ("_scpi-raw._tcp", station.scpi.port()),
        ("_http._tcp", station.http.port()),
        ("_lxi._tcp", station.http.port()),
        ("_tcam-socket._tcp", station.tcam.unwrap().port()),
    ] {
        let info = finder.service(service, port);
        assert_eq!(info.get_fullname(), format!("{name}.{service}.local."));
        let addresses: Vec<IpAddr> = info
            .get_addresses_v4()
            .into_iter()
            .map(IpAddr::V4)
            .collect();
        assert_eq!(addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        match service {
            "_http._tcp" => assert_eq!(text(&info)["path"], "/"),
            "_tcam-socket._tcp" => assert_eq!(text(&info)["model"], "2"),
            _ => {
                assert_eq!(text(&info)["txtvers"], "1");
                assert_eq!(who(&info).as_slice(), identity);
            }
        }
    }
    let mut client = station.client();
    assert_eq!(client.json("SYST:HEAL? discovery")["state"], "ready");
    let events = finder.browse("_scpi-raw._tcp");
    let gone = format!("{name}._scpi-raw._tcp.local.");
    wait(&events, |event| match event {
        ServiceEvent::ServiceResolved(info) if info.get_fullname() == gone => Some(()),
        _ => None,
    });
    station.stop();
    wait(&events, |event| match event {
        ServiceEvent::ServiceRemoved(_, name) if name == gone => Some(()),
        _ => None,
    });
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let name = name("twice");
    let first = announced(&name);
    let finder = Finder::new();
    let found = finder.service("_scpi-raw._tcp", first.scpi.port());
    assert_eq!(
        found.get_fullname(),
        format!("{name}._scpi-raw._tcp.local.")
    );
    let second = announced(&name);
    let found = finder.service("_scpi-raw._tcp", second.scpi.port());
    assert_eq!(
        found.get_fullname(),
        format!("{name} (2)._scpi-raw._tcp.local.")
    );
    assert!(second.counter("discovery", "renames") > 0);
    assert_eq!(first.counter("discovery", "renames"), 0);
    first.stop();
    second.stop();
}

#[test]
fn a_station_that_nobody_else_can_reach_says_so_and_works() {
    let station = Setup::small().discovery("enabled = true").start();
    let mut client = station.client();
    let mut health = serde_json::Value::Null;
    // A login server on this machine is announced even then.
    eventually("a verdict", || {
        health = client.json("SYST:HEAL? discovery");
        health["state"] != "connecting"
    });
    if health["state"] == "degraded" {
        let reason = health["reason"].as_str().unwrap();
        assert!(
            reason.contains("scpi.bind") || reason.contains("interface"),
            "{health}"
        );
    }
    assert_eq!(client.query("*TST?"), "0");
    station.stop();
}

#[test]
fn it_is_silent_unless_asked_on_the_simulated_board() {
    let station = Setup::small().start();
    let health = station.client().json("SYST:HEAL? discovery");
    assert_eq!(health["state"], "disabled");
    station.stop();
}
