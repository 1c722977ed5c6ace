//! Word to the service manager: ready, stopping, and a sign of life from the executor that serves the clients.
//!
//! The protocol is that of sd_notify(3): datagrams of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names. Without
//! the variable nothing is sent. The sign of life comes from a timer of the main executor itself, never from a thread that
//! would go on while the station hangs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::health::Health;

/// Between heartbeats where no watchdog sets the pace.
const PACE: Duration = Duration::from_secs(1);
/// A heartbeat this much after its time is counted: other clients waited as long.
const LATE: Duration = Duration::from_millis(100);
/// Longest reason, in characters.
const LONGEST: usize = 300;
/// Counts heartbeats that came late, in the health of the server.
const COUNTER: &str = "late_heartbeats";

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub(super) struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// What the environment says. A manager that cannot be reached is logged and done without.
    pub(super) fn from_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|name| {
            connect(&name)
                .inspect_err(|error| {
                    let socket = name.display();
                    tracing::warn!(%socket, %error, "cannot reach the service manager");
                })
                .ok()
        });
        let watchdog = watchdog(env::var_os("WATCHDOG_USEC"), env::var_os("WATCHDOG_PID"));
        Self { socket, watchdog }
    }

    /// Every listener accepts; `status` is shown by `systemctl status`.
    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The station cannot start. The reason is one line, cut at 300 characters; until the next try `systemctl status` shows it.
    pub(super) fn failed(&self, reason: &str) {
        let line: String = reason.replace('\n', "; ").chars().take(LONGEST).collect();
        self.send(&format!("STATUS=cannot start: {line}"));
    }

    /// The station was told to end.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// Beats for ever; to be spawned on the executor whose life it is the sign of.
    pub(super) fn heartbeat(
        &self,
        clock: Clock,
        health: Health,
    ) -> impl Future<Output = ()> + use<> {
        let pace = self.watchdog.map_or(PACE, |limit| limit / 3);
        let beating = Self {
            socket: self
                .socket
                .as_ref()
                .filter(|_| self.watchdog.is_some())
                .and_then(|socket| socket.try_clone().ok()),
            watchdog: self.watchdog,
        };
        health.add(COUNTER, 0);
        async move {
            loop {
                beating.send("WATCHDOG=1");
                let due = clock.now() + pace;
                clock.sleep_until(due).await;
                note_lateness(clock.now().saturating_duration_since(due), &health);
            }
        }
    }

    /// A full queue means that the manager is busy: the next heartbeat tells the same.
    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message.as_bytes())
        {
            tracing::debug!(%error, "the service manager did not take a message");
        }
    }
}

fn note_lateness(late: Duration, health: &Health) {
    if late >= LATE {
        health.count(COUNTER);
        health.record(format!("the executor was busy for {} ms", late.as_millis()));
    }
}

/// A socket connected to the address: a path, or an abstract name where it begins with `@`.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The time within which a sign of life is due, if it is this process that owes it.
fn watchdog(limit_us: Option<OsString>, owner: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    let own = u64::from(std::process::id());
    if owner.is_some_and(|owner| number(owner) != Some(own)) {
        return None;
    }
    let limit = Duration::from_micros(number(limit_us?)?);
    (limit > Duration::ZERO).then_some(limit)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::poll_once;

    use super::*;
    use crate::base::health::{HealthBook, State};

    fn text(text: &str) -> Option<OsString> {
        Some(text.into())
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let own = std::process::id().to_string();
        assert_eq!(
            watchdog(text("8000000"), text(&own)),
            Some(Duration::from_secs(8))
        );
        assert_eq!(
            watchdog(text("3000000"), None),
            Some(Duration::from_secs(3))
        );
        assert_eq!(watchdog(text("8000000"), text("1")), None);
        assert_eq!(watchdog(None, text(&own)), None);
        for nonsense in ["", "0", "-1", "8s", "99999999999999999999999"] {
            assert_eq!(watchdog(text(nonsense), None), None, "{nonsense}");
        }
    }

    #[test]
    fn heartbeats_come_thrice_in_the_time_allowed_and_late_ones_are_counted() {
        let name = format!("outpost-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notifier = Notifier {
            socket: Some(connect(OsStr::new(&format!("@{name}"))).unwrap()),
            watchdog: Some(Duration::from_secs(9)),
        };
        let (clock, hand) = Clock::manual("2026-11-20T08:00:00Z".parse().unwrap());
        let health = HealthBook::new(clock.clone()).register("server", State::Ready);
        let mut beats = 0;
        let mut received = || {
            let mut buffer = [0; 64];
            while let Ok(length) = manager.recv(&mut buffer) {
                assert_eq!(&buffer[..length], b"WATCHDOG=1");
                beats += 1;
            }
            beats
        };
        let mut heart = Box::pin(notifier.heartbeat(clock, health.clone()));
        let mut poll = || assert!(smol::block_on(poll_once(&mut heart)).is_none());
        poll();
        assert_eq!(received(), 1);
        for (seconds, expected, late) in [(2, 1, 0), (1, 2, 0), (3, 3, 0), (4, 4, 1)] {
            hand.advance(Duration::from_secs(seconds));
            poll();
            assert_eq!((received(), health.counter(COUNTER)), (expected, late));
        }
    }
}
