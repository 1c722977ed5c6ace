//! Time, injected: the station reads and waits on a [`Clock`], tests drive it by hand.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use smol::channel;

/// The source of both times: monotonic ([`Clock::now`]) and civil ([`Clock::utc`]).
///
/// Cheap to clone; may be used from any thread.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Real,
    Manual(Arc<Manual>),
}

/// Hand-driven time: stands still until [`ManualClock::advance`].
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Manual>);

#[derive(Debug)]
struct Manual {
    origin: Instant,
    utc_origin: Timestamp,
    elapsed_ns: AtomicU64,
    /// How far civil time was stepped, seconds.
    stepped_s: AtomicI64,
    sleepers: Mutex<Vec<Sleeper>>,
}

#[derive(Debug)]
struct Sleeper {
    due: Instant,
    wake: channel::Sender<()>,
}

impl Clock {
    /// The machine's own clocks.
    pub fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stands at `utc` and moves only by the returned handle.
    pub fn manual(utc: Timestamp) -> (Self, ManualClock) {
        let inner = Arc::new(Manual {
            origin: Instant::now(),
            utc_origin: utc,
            elapsed_ns: AtomicU64::new(0),
            stepped_s: AtomicI64::new(0),
            sleepers: Mutex::new(Vec::new()),
        });
        (Self(Source::Manual(inner.clone())), ManualClock(inner))
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Real => Instant::now(),
            Source::Manual(manual) => manual.now(),
        }
    }

    /// Civil time, UTC.
    pub fn utc(&self) -> Timestamp {
        match &self.0 {
            Source::Real => Timestamp::now(),
            Source::Manual(manual) => manual.utc(),
        }
    }

    /// Waits until `due`; returns at once when it has passed. Nothing is lost when dropped.
    pub async fn sleep_until(&self, due: Instant) {
        match &self.0 {
            Source::Real => {
                smol::Timer::at(due).await;
            }
            Source::Manual(manual) => {
                if let Some(woken) = manual.register(due) {
                    let _ = woken.recv().await;
                }
            }
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Runs `work` for at most `limit`; `None` when the time ran out and `work` was dropped.
    pub async fn timeout<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        futures_lite::future::or(async { Some(work.await) }, async {
            self.sleep(limit).await;
            None
        })
        .await
    }
}

impl ManualClock {
    /// Moves time forward and wakes every sleeper that became due.
    pub fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.elapsed_ns.fetch_add(ns, Ordering::SeqCst);
        let now = self.0.now();
        self.0.lock().retain(|sleeper| {
            let asleep = sleeper.due > now;
            if !asleep {
                let _ = sleeper.wake.try_send(());
            }
            asleep
        });
    }

    /// Steps civil time by whole seconds, as a time server does; monotonic time goes on as it was.
    pub fn step_utc(&self, by_s: i64) {
        self.0.stepped_s.fetch_add(by_s, Ordering::SeqCst);
    }
}

/// Notices that civil time was stepped, by comparing it with monotonic time.
#[derive(Debug, Clone, Copy)]
pub struct StepWatch {
    utc: Timestamp,
    now: Instant,
}

impl StepWatch {
    /// Slewing and leap seconds stay below this.
    const SLACK_S: i64 = 2;

    /// Watches from now on.
    pub fn new(clock: &Clock) -> Self {
        Self {
            utc: clock.utc(),
            now: clock.now(),
        }
    }

    /// By how many seconds civil time was stepped since the last call, forward counting positive; `None` for less than 2 s.
    pub fn step_s(&mut self, clock: &Clock) -> Option<i64> {
        let seen = Self::new(clock);
        let civil = seen.utc.duration_since(self.utc);
        let elapsed =
            SignedDuration::try_from(seen.now.saturating_duration_since(self.now)).ok()?;
        let step_s = (civil - elapsed).as_secs();
        // Small differences add up until they are a step.
        if step_s.abs() <= Self::SLACK_S {
            return None;
        }
        *self = seen;
        Some(step_s)
    }
}

impl ManualClock {
    /// Time from now to the earliest instant that somebody waits for; `None` while nobody waits.
    pub fn until_due(&self) -> Option<Duration> {
        let mut sleepers = self.0.lock();
        sleepers.retain(|sleeper| !sleeper.wake.is_closed());
        let due = sleepers.iter().map(|sleeper| sleeper.due).min()?;
        Some(due.saturating_duration_since(self.0.now()))
    }
}

impl Manual {
    fn utc(&self) -> Timestamp {
        let stepped = SignedDuration::from_secs(self.stepped_s.load(Ordering::SeqCst));
        self.utc_origin + self.elapsed() + stepped
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::SeqCst))
    }

    fn now(&self) -> Instant {
        self.origin + self.elapsed()
    }

    fn register(&self, due: Instant) -> Option<channel::Receiver<()>> {
        let mut sleepers = self.lock();
        if due <= self.now() {
            return None;
        }
        sleepers.retain(|sleeper| !sleeper.wake.is_closed());
        let (wake, woken) = channel::bounded(1);
        sleepers.push(Sleeper { due, wake });
        Some(woken)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sleeper>> {
        self.sleepers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let start: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        let (clock, hand) = Clock::manual(start);
        let before = clock.now();
        let mut nap = Box::pin(clock.sleep(Duration::from_secs(10)));
        assert!(smol::block_on(futures_lite::future::poll_once(&mut nap)).is_none());
        hand.advance(Duration::from_secs(9));
        assert!(smol::block_on(futures_lite::future::poll_once(&mut nap)).is_none());
        assert_eq!(hand.until_due(), Some(Duration::from_secs(1)));
        hand.advance(Duration::from_secs(1));
        smol::block_on(nap);
        assert_eq!(hand.until_due(), None);
        assert_eq!(clock.now() - before, Duration::from_secs(10));
        assert_eq!(clock.utc().to_string(), "2026-11-20T08:00:10Z");
    }

    #[test]
    fn a_step_of_civil_time_is_seen_once_and_monotonic_time_goes_on() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut watch = StepWatch::new(&clock);
        hand.advance(Duration::from_secs(3600));
        assert_eq!(watch.step_s(&clock), None);
        hand.step_utc(1_000_000);
        hand.advance(Duration::from_secs(1));
        assert_eq!(watch.step_s(&clock), Some(1_000_000));
        assert_eq!(watch.step_s(&clock), None);
        hand.step_utc(-2);
        assert_eq!(watch.step_s(&clock), None);
        hand.step_utc(-2);
        assert_eq!(watch.step_s(&clock), Some(-4));
    }

    #[test]
    fn timeout_gives_up_on_time() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut wait =
            Box::pin(clock.timeout(Duration::from_secs(1), std::future::pending::<()>()));
        assert!(smol::block_on(futures_lite::future::poll_once(&mut wait)).is_none());
        hand.advance(Duration::from_secs(1));
        assert_eq!(smol::block_on(wait), None);
    }
}
