//! Announcing the station on the network: DNS-SD over mDNS, one instance name for all services (scpi.md 10).
//!
//! | service | port | TXT |
//! |---|---|---|
//! | `_scpi-raw._tcp` | SCPI | identity as `*IDN?` |
//! | `_http._tcp` | HTTP | `path` |
//! | `_lxi._tcp` | HTTP | identity as `*IDN?`; lxi-tools look for it |
//! | `_tcam-socket._tcp` | thermal camera | `model`, `interface`, `version` as the camera's own |
//! | `_sftp-ssh._tcp` | 22 | none; only while something listens there |
//!
//! Ports are those really bound. What can be reached from this machine alone is not announced to others. The library
//! follows interfaces as they come and go, and renames what another machine on the network holds already.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mdns_sd::{DaemonEvent, Error, IfKind, Receiver, ServiceDaemon, ServiceInfo};

use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::health::{Health, State};
use crate::base::shutdown::Shutdown;
use crate::config::Discovery;
use crate::server::Identity;

/// How often the login server is looked for, and an announcement that failed is made again.
const LOOK: Duration = Duration::from_secs(10);
/// Time to say goodbye when the station stops.
const GOODBYE: Duration = Duration::from_secs(1);
/// Repeated by the library, in case a goodbye gets lost.
const GOODBYE_AGAIN: Duration = Duration::from_millis(150);
/// Where people fetch pictures by SFTP and SCP.
const SSH: &str = "_sftp-ssh._tcp";
const SSH_PORT: u16 = 22;

/// A service to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    /// Type, for example `_http._tcp`.
    pub(super) service: &'static str,
    /// Address really bound.
    pub(super) address: SocketAddr,
    /// TXT record.
    pub(super) txt: Vec<(&'static str, String)>,
}

/// The announcements of a listener, by its name in `endpoints.json`.
pub(super) fn of_endpoint(
    name: &str,
    address: SocketAddr,
    identity: &Identity,
) -> Vec<Announcement> {
    let announcement = |service, txt| Announcement {
        service,
        address,
        txt,
    };
    let text = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        pairs
            .iter()
            .map(|(key, value)| (*key, (*value).into()))
            .collect()
    };
    let who = text(&[
        ("txtvers", "1"),
        ("Manufacturer", &identity.maker),
        ("Model", &identity.model),
        ("SerialNumber", &identity.serial),
        ("FirmwareVersion", &identity.version),
    ]);
    match name {
        "scpi" => vec![announcement("_scpi-raw._tcp", who)],
        "http" => vec![
            announcement("_http._tcp", text(&[("txtvers", "1"), ("path", "/")])),
            announcement("_lxi._tcp", who),
        ],
        // The firmware gives the digit of the tCam-Mini, and the network of the one that announces is a wired one.
        "tcam" => vec![announcement(
            "_tcam-socket._tcp",
            text(&[
                ("model", "2"),
                ("interface", "Ethernet"),
                ("version", "3.2"),
            ]),
        )],
        _ => vec![],
    }
}

/// Announces until the station stops; nothing that goes wrong here stops anything else.
pub(super) struct Announcer {
    name: String,
    host: String,
    loopback_only: bool,
    announcements: Vec<Announcement>,
    health: Health,
    clock: Clock,
    shutdown: Shutdown,
}

impl Announcer {
    pub(super) fn new(
        settings: &Discovery,
        serial: &str,
        announcements: Vec<Announcement>,
        health: Health,
        clock: Clock,
        shutdown: Shutdown,
    ) -> Self {
        let name = match settings.name.as_str() {
            "" => format!("Outpost {serial}"),
            name => name.to_owned(),
        };
        let loopback_only = settings.loopback_only;
        Self {
            name,
            // Not the machine's own name, which another responder on it may defend.
            host: format!("outpost-{}.local.", serial.to_ascii_lowercase()),
            loopback_only,
            announcements: announcements
                .into_iter()
                .filter(|announcement| loopback_only || !announcement.address.ip().is_loopback())
                .collect(),
            health,
            clock,
            shutdown,
        }
    }

    /// Ends when the station stops, after its goodbye.
    pub(super) async fn run(self) {
        for counter in ["announcements", "renames", "failures"] {
            self.health.add(counter, 0);
        }
        let mut backoff = Backoff::new(self.name.len() as u64);
        while let Err(error) = self.run_once().await {
            let wait = backoff.wait();
            let reason = format!("cannot announce the station: {error}");
            tracing::warn!("{reason}");
            self.health.count("failures");
            self.health.record(&reason);
            self.health.fail(reason, wait);
            if self.shutdown.guard(self.clock.sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn run_once(&self) -> Result<(), Error> {
        self.health.set(State::Connecting);
        let daemon = ServiceDaemon::new()?;
        let done = self.announce(&daemon).await;
        // Without this its thread would outlive a failure.
        let _ = daemon.shutdown();
        done
    }

    async fn announce(&self, daemon: &ServiceDaemon) -> Result<(), Error> {
        let events = daemon.monitor()?;
        self.choose_interfaces(daemon)?;
        let mut services = Services::default();
        for announcement in &self.announcements {
            services.put(daemon, self.describe(announcement)?)?;
        }
        loop {
            self.look_for_ssh(daemon, &mut services)?;
            self.judge(&services);
            let watch = self.clock.timeout(LOOK, self.watch(&events));
            match self.shutdown.guard(watch).await {
                None => {
                    self.say_goodbye(daemon, services).await;
                    return Ok(());
                }
                Some(Some(error)) => return Err(error),
                Some(None) => {}
            }
            if self.health.state() != State::Ready {
                services.put_again(daemon)?;
            }
        }
    }

    /// Notes what the daemon tells, until it has ended.
    async fn watch(&self, events: &Receiver<DaemonEvent>) -> Error {
        while let Ok(event) = events.recv_async().await {
            match event {
                DaemonEvent::Announce(name, _) => {
                    tracing::debug!(name, "announced");
                    self.health.count("announcements");
                    self.health.set(State::Ready);
                }
                DaemonEvent::NameChange(change) => {
                    tracing::info!(
                        from = change.original,
                        to = change.new_name,
                        "the name is taken on this network"
                    );
                    self.health.count("renames");
                }
                DaemonEvent::Error(error) => {
                    let reason = error.to_string();
                    tracing::debug!(reason, "mDNS");
                    self.health.count("failures");
                    self.health.record(&reason);
                    self.health.set(State::Degraded { reason });
                }
                _ => {}
            }
        }
        Error::DaemonShutdown
    }

    /// Nothing announced is worth a word, once there was time for it.
    fn judge(&self, services: &Services) {
        let reason = if services.infos.is_empty() {
            "no port can be reached from other machines (scpi.bind)"
        } else if self.health.state() == State::Connecting && services.looks > 1 {
            "no network interface to announce the station on"
        } else {
            return;
        };
        self.health.set(State::Degraded {
            reason: reason.into(),
        });
    }

    fn choose_interfaces(&self, daemon: &ServiceDaemon) -> Result<(), Error> {
        if self.loopback_only {
            daemon.disable_interface(IfKind::All)?;
            return daemon.enable_interface(IfKind::LoopbackV4);
        }
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        // Addresses on which nothing listens would make clients wait.
        match self
            .announcements
            .iter()
            .any(|announcement| announcement.address.is_ipv6())
        {
            true => Ok(()),
            false => daemon.disable_interface(IfKind::IPv6),
        }
    }

    fn describe(&self, announcement: &Announcement) -> Result<ServiceInfo, Error> {
        let Announcement {
            service,
            address,
            txt,
        } = announcement;
        let fixed: Vec<IpAddr> = match address.ip() {
            ip if !ip.is_unspecified() => vec![ip],
            _ if self.loopback_only => vec![Ipv4Addr::LOCALHOST.into()],
            _ => vec![],
        };
        let info = ServiceInfo::new(
            &format!("{service}.local."),
            &self.name,
            &self.host,
            &fixed[..],
            address.port(),
            &txt[..],
        )?;
        Ok(match fixed.is_empty() {
            true => info.enable_addr_auto(),
            false => info,
        })
    }

    /// Follows the login server, which the system starts, stops and restarts by itself.
    fn look_for_ssh(&self, daemon: &ServiceDaemon, services: &mut Services) -> Result<(), Error> {
        services.looks += 1;
        let is_there = ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
            fs::read_to_string(table)
                .is_ok_and(|table| listens(&table, SSH_PORT, self.loopback_only))
        });
        let Some(at) = services.find(SSH) else {
            if is_there {
                let everywhere = Announcement {
                    service: SSH,
                    address: (Ipv4Addr::UNSPECIFIED, SSH_PORT).into(),
                    txt: vec![],
                };
                services.put(daemon, self.describe(&everywhere)?)?;
            }
            return Ok(());
        };
        if !is_there {
            let gone = services.infos.swap_remove(at);
            daemon.unregister(gone.get_fullname())?;
        }
        Ok(())
    }

    /// Tells the network that the services are gone, so that nobody's list keeps them for an hour.
    async fn say_goodbye(&self, daemon: &ServiceDaemon, services: Services) {
        let goodbye = async {
            let said: Vec<_> = services
                .infos
                .iter()
                .filter_map(|info| daemon.unregister(info.get_fullname()).ok())
                .collect();
            for status in said {
                let _ = status.recv_async().await;
            }
            self.clock.sleep(GOODBYE_AGAIN).await;
            if let Ok(ended) = daemon.shutdown() {
                let _ = ended.recv_async().await;
            }
        };
        if self.clock.timeout(GOODBYE, goodbye).await.is_none() {
            tracing::debug!("mDNS did not end in time");
        }
    }
}

/// What the daemon was told.
#[derive(Default)]
struct Services {
    infos: Vec<ServiceInfo>,
    /// Times that the login server was looked for.
    looks: u32,
}

impl Services {
    fn put(&mut self, daemon: &ServiceDaemon, info: ServiceInfo) -> Result<(), Error> {
        daemon.register(info.clone())?;
        self.infos.push(info);
        Ok(())
    }

    fn put_again(&self, daemon: &ServiceDaemon) -> Result<(), Error> {
        self.infos
            .iter()
            .try_for_each(|info| daemon.register(info.clone()))
    }

    fn find(&self, service: &str) -> Option<usize> {
        let is_it = |info: &ServiceInfo| info.get_type().strip_suffix(".local.") == Some(service);
        self.infos.iter().position(is_it)
    }
}

/// Whether the kernel's table of sockets (`/proc/net/tcp`) holds a listener on a port that others can reach, or, with
/// `or_loopback`, one that only this machine can.
fn listens(table: &str, port: u16, or_loopback: bool) -> bool {
    const LISTEN: &str = "0A";
    const LOOPBACK_V6: &str = "00000000000000000000000001000000";
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (Some(local), Some(state)) = (fields.next(), fields.nth(1)) else {
            return false;
        };
        let Some((address, at)) = local.split_once(':') else {
            return false;
        };
        // IPv4 addresses are words of the machine's own byte order.
        let first = if cfg!(target_endian = "little") {
            address.get(6..)
        } else {
            address.get(..2)
        };
        let loopback = match address.len() {
            8 => first == Some("7F"),
            _ => address == LOOPBACK_V6,
        };
        state == LISTEN && u16::from_str_radix(at, 16) == Ok(port) && (or_loopback || !loopback)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 00000000:13A1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0F02000A:0050 0202000A:1F90 01 00000000:00000000 00:00000000 00000000     0        0 3 1
";
    const TABLE_V6: &str = "\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A
   1: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A
";

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        for (table, port, or_loopback, wanted) in [
            (TABLE, 22, true, true),
            (TABLE, 22, false, false),
            (TABLE, 5025, false, true),
            (TABLE, 80, true, false),
            (TABLE_V6, 22, false, true),
            (TABLE_V6, 631, false, false),
            (TABLE_V6, 631, true, true),
            ("", 22, true, false),
            ("sl\n0: nonsense\n1:\n2: :: ::", 22, true, false),
        ] {
            assert_eq!(
                listens(table, port, or_loopback),
                wanted,
                "{port} {or_loopback}"
            );
        }
    }

    fn identity() -> Identity {
        Identity {
            maker: "Outpost".into(),
            model: "Station-pi4b".into(),
            serial: "10000000abcd".into(),
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn text_records_are_those_of_the_reference() {
        let at = |name| of_endpoint(name, "0.0.0.0:7".parse().unwrap(), &identity());
        let who = [
            ("txtvers", "1"),
            ("Manufacturer", "Outpost"),
            ("Model", "Station-pi4b"),
            ("SerialNumber", "10000000abcd"),
            ("FirmwareVersion", "0.1.0"),
        ]
        .map(|(key, value)| (key, value.to_owned()));
        assert_eq!(at("scpi")[0].service, "_scpi-raw._tcp");
        assert_eq!(at("scpi")[0].txt, who);
        let [page, lxi] = &at("http")[..] else {
            panic!("two services on the HTTP port")
        };
        assert_eq!((page.service, lxi.service), ("_http._tcp", "_lxi._tcp"));
        assert_eq!(page.txt, [("txtvers", "1".into()), ("path", "/".into())]);
        assert_eq!(lxi.txt, who);
        assert_eq!(at("tcam")[0].service, "_tcam-socket._tcp");
        assert_eq!(at("tcam")[0].txt[0], ("model", "2".into()));
        assert_eq!(at("legacy"), []);
    }

    #[test]
    fn ports_of_this_machine_alone_are_not_announced_to_others() {
        let announced = |loopback_only| {
            let settings = Discovery {
                enabled: true,
                name: String::new(),
                loopback_only,
            };
            let clock = Clock::real();
            let health = crate::base::health::HealthBook::new(clock.clone())
                .register("discovery", State::Connecting);
            let (_trigger, shutdown) = crate::base::shutdown::shutdown();
            let of = |address: &str| of_endpoint("scpi", address.parse().unwrap(), &identity());
            let all = [of("127.0.0.1:1"), of("192.168.1.5:2"), of("0.0.0.0:3")].concat();
            let announcer = Announcer::new(&settings, "0A", all, health, clock, shutdown);
            assert_eq!(announcer.name, "Outpost 0A");
            assert_eq!(announcer.host, "outpost-0a.local.");
            let described = announcer.announcements.iter().map(|a| {
                let info = announcer.describe(a).unwrap();
                let mut ips: Vec<String> = info
                    .get_addresses_v4()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                ips.sort();
                (info.get_port(), ips.join(" "), info.is_addr_auto())
            });
            described.collect::<Vec<_>>()
        };
        assert_eq!(
            announced(false),
            [(2, "192.168.1.5".into(), false), (3, String::new(), true)]
        );
        assert_eq!(
            announced(true),
            [
                (1, "127.0.0.1".into(), false),
                (2, "192.168.1.5".into(), false),
                (3, "127.0.0.1".into(), false)
            ]
        );
    }
}
