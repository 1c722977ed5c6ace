//! Which of Outpost's own clients may change settings: one, and the rest read (msp1000.md 5).
//!
//! The first client has control until it leaves, lets go, or is idle for too long. Then nobody has it: the next client
//! that sets something takes it. A client may also take it by force. Time is passed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use smol::channel::Sender;

use super::proto::Calibration;

/// Number of a client, never used again.
pub(super) type ClientId = u64;

/// What a client is told without having asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// The exposure was changed.
    Exposure {
        /// To this, in milliseconds.
        exposure_ms: u32,
    },
    /// The calibration was changed.
    Calibration {
        /// To this: c1 (cubic) to c4 (constant).
        calibration: [f64; 4],
    },
    /// This client has no longer control.
    ControlLost {
        /// `taken` or `idle`.
        reason: &'static str,
        /// Who has it now.
        holder: Option<String>,
    },
    /// Somebody else has control now, or nobody.
    Control {
        /// Who.
        holder: Option<String>,
    },
    /// The spectrometer came or went.
    Connection {
        /// Whether it is there.
        connected: bool,
    },
}

impl Notice {
    /// Of a calibration.
    pub(super) fn calibration(calibration: &Calibration) -> Self {
        Self::Calibration {
            calibration: calibration.coefficients(),
        }
    }
}

/// Who has control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Name of the client.
    pub name: String,
    /// Since when, UTC.
    pub since: Timestamp,
}

struct Entry {
    name: String,
    notices: Option<Sender<Notice>>,
}

struct Held {
    id: ClientId,
    since: Timestamp,
    active: Instant,
}

/// All clients, and the one in control.
pub(super) struct Control {
    /// A controller silent for this long loses control; `None` for never.
    idle: Option<Duration>,
    next: ClientId,
    clients: BTreeMap<ClientId, Entry>,
    held: Option<Held>,
}

/// Both kinds of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) monotonic: Instant,
    pub(super) utc: Timestamp,
}

impl Control {
    pub(super) fn new(idle: Option<Duration>) -> Self {
        Self {
            idle,
            next: 0,
            clients: BTreeMap::new(),
            held: None,
        }
    }

    /// A client comes. The first one has control.
    pub(super) fn enter(
        &mut self,
        name: String,
        notices: Option<Sender<Notice>>,
        now: Now,
    ) -> ClientId {
        let id = self.next;
        self.next += 1;
        let first = self.clients.is_empty();
        self.clients.insert(id, Entry { name, notices });
        if first {
            self.give(id, now);
        }
        id
    }

    /// A client has left.
    pub(super) fn leave(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.release(id);
    }

    /// A client does something.
    pub(super) fn touch(&mut self, id: ClientId, now: Now) {
        self.expire(now);
        if let Some(held) = self.held.as_mut().filter(|held| held.id == id) {
            held.active = now.monotonic;
        }
    }

    /// A client wants to set something.
    ///
    /// # Errors
    /// The name of the client that has control.
    pub(super) fn claim(&mut self, id: ClientId, now: Now) -> Result<(), String> {
        self.touch(id, now);
        match &self.held {
            None => {
                self.give(id, now);
                Ok(())
            }
            Some(held) if held.id == id => Ok(()),
            Some(held) => Err(self.name(held.id)),
        }
    }

    /// What a client asked for is about to be set. One that has left meanwhile gets no control by it.
    ///
    /// # Errors
    /// The name of the client that has control.
    pub(super) fn confirm(&mut self, id: ClientId, now: Now) -> Result<(), String> {
        if self.clients.contains_key(&id) {
            return self.claim(id, now);
        }
        self.expire(now);
        match &self.held {
            None => Ok(()),
            Some(held) => Err(self.name(held.id)),
        }
    }

    /// A client takes control, whoever has it.
    pub(super) fn take(&mut self, id: ClientId, now: Now) {
        self.expire(now);
        let loser = self.held.take().filter(|held| held.id != id);
        self.give(id, now);
        if let Some(loser) = loser {
            let notice = Notice::ControlLost {
                reason: "taken",
                holder: Some(self.name(id)),
            };
            self.tell(loser.id, &notice);
        }
    }

    /// A client lets go of control, if it has it.
    pub(super) fn release(&mut self, id: ClientId) {
        if self.held.as_ref().is_some_and(|held| held.id == id) {
            self.held = None;
            self.tell_others(Some(id), &Notice::Control { holder: None });
        }
    }

    /// Ends a control that nobody used for too long.
    pub(super) fn expire(&mut self, now: Now) {
        if self.expires_at().is_none_or(|at| now.monotonic < at) {
            return;
        }
        let Some(held) = self.held.take() else { return };
        let notice = Notice::ControlLost {
            reason: "idle",
            holder: None,
        };
        self.tell(held.id, &notice);
        self.tell_others(Some(held.id), &Notice::Control { holder: None });
    }

    /// When the present control ends unless it is used.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        Some(self.held.as_ref()?.active + self.idle?)
    }

    /// Whether that client has control.
    pub(super) fn holds(&self, id: ClientId) -> bool {
        self.held.as_ref().is_some_and(|held| held.id == id)
    }

    pub(super) fn holder(&self) -> Option<Holder> {
        let held = self.held.as_ref()?;
        Some(Holder {
            name: self.name(held.id),
            since: held.since,
        })
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Tells every client that listens.
    pub(super) fn announce(&self, notice: &Notice) {
        self.tell_others(None, notice);
    }

    fn give(&mut self, id: ClientId, now: Now) {
        self.held = Some(Held {
            id,
            since: now.utc,
            active: now.monotonic,
        });
        let holder = Some(self.name(id));
        self.tell_others(Some(id), &Notice::Control { holder });
    }

    fn name(&self, id: ClientId) -> String {
        let entry = self.clients.get(&id);
        entry.map_or_else(String::new, |entry| entry.name.clone())
    }

    fn tell(&self, id: ClientId, notice: &Notice) {
        let listener = self.clients.get(&id).and_then(|c| c.notices.as_ref());
        if let Some(listener) = listener {
            // The oldest makes room: a client that reads nothing loses old news, not new.
            let _ = listener.force_send(notice.clone());
        }
    }

    fn tell_others(&self, but: Option<ClientId>, notice: &Notice) {
        for id in self.clients.keys().filter(|id| Some(**id) != but) {
            self.tell(*id, notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

    struct Bench {
        control: Control,
        start: Instant,
        elapsed: Duration,
    }

    impl Bench {
        fn new(idle: Option<Duration>) -> Self {
            Self {
                control: Control::new(idle),
                start: Instant::now(),
                elapsed: Duration::ZERO,
            }
        }

        fn now(&self) -> Now {
            Now {
                monotonic: self.start + self.elapsed,
                utc: Timestamp::UNIX_EPOCH + self.elapsed,
            }
        }

        fn enter(&mut self, name: &str) -> ClientId {
            let now = self.now();
            self.control.enter(name.into(), None, now)
        }

        fn claim(&mut self, id: ClientId) -> Result<(), String> {
            let now = self.now();
            self.control.claim(id, now)
        }
    }

    #[test]
    fn the_first_controls_and_nobody_inherits() {
        let mut bench = Bench::new(Some(IDLE));
        let (a, b, c) = (bench.enter("a"), bench.enter("b"), bench.enter("c"));
        assert!(bench.control.holds(a));
        assert_eq!(bench.claim(b), Err("a".into()));
        bench.control.leave(a);
        assert_eq!(bench.control.holder(), None);
        assert!(!bench.control.holds(b));
        assert_eq!(bench.claim(c), Ok(()));
        assert_eq!(bench.claim(b), Err("c".into()));
        bench.control.release(b);
        assert!(bench.control.holds(c), "only the holder can let go");
        bench.control.release(c);
        assert_eq!(bench.claim(b), Ok(()));
    }

    #[test]
    fn an_idle_controller_loses_control_and_a_busy_one_does_not() {
        let mut bench = Bench::new(Some(IDLE));
        let (a, b) = (bench.enter("a"), bench.enter("b"));
        bench.elapsed = IDLE - Duration::from_millis(1);
        let now = bench.now();
        bench.control.touch(a, now);
        bench.elapsed = IDLE * 2 - Duration::from_millis(2);
        assert_eq!(bench.claim(b), Err("a".into()));
        bench.elapsed = IDLE * 2;
        assert_eq!(bench.claim(b), Ok(()));
        assert_eq!(bench.claim(a), Err("b".into()));
    }

    #[test]
    fn what_a_client_that_left_had_asked_for_gives_it_no_control() {
        let mut bench = Bench::new(None);
        let a = bench.enter("a");
        assert_eq!(bench.claim(a), Ok(()));
        bench.control.leave(a);
        let now = bench.now();
        assert_eq!(bench.control.confirm(a, now), Ok(()), "nobody minds");
        assert_eq!(bench.control.holder(), None);
        let b = bench.enter("b");
        assert_eq!(bench.control.confirm(a, now), Err("b".into()));
        assert!(bench.control.holds(b));
    }

    #[test]
    fn control_without_a_limit_lasts() {
        let mut bench = Bench::new(None);
        let (_a, b) = (bench.enter("a"), bench.enter("b"));
        bench.elapsed = Duration::from_secs(1_000_000);
        assert_eq!(bench.claim(b), Err("a".into()));
    }

    #[test]
    fn whoever_loses_control_is_told_why() {
        let mut bench = Bench::new(Some(IDLE));
        let (sender, told) = smol::channel::bounded(4);
        let now = bench.now();
        let a = bench.control.enter("a".into(), Some(sender), now);
        let b = bench.enter("b");
        bench.control.take(b, now);
        let lost = Notice::ControlLost {
            reason: "taken",
            holder: Some("b".into()),
        };
        assert!(std::iter::from_fn(|| told.try_recv().ok()).any(|notice| notice == lost));
        bench.control.take(a, now);
        bench.elapsed = IDLE;
        let now = bench.now();
        bench.control.expire(now);
        let lost = Notice::ControlLost {
            reason: "idle",
            holder: None,
        };
        assert_eq!(told.try_recv(), Ok(lost));
        assert_eq!(bench.control.holder(), None);
    }

    #[test]
    fn a_listener_that_reads_nothing_keeps_the_newest() {
        let mut bench = Bench::new(None);
        let (sender, told) = smol::channel::bounded(2);
        let now = bench.now();
        bench.control.enter("a".into(), Some(sender), now);
        for exposure_ms in 1..=5 {
            bench.control.announce(&Notice::Exposure { exposure_ms });
        }
        let got: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(
            got,
            [4, 5].map(|exposure_ms| Notice::Exposure { exposure_ms })
        );
    }
}
