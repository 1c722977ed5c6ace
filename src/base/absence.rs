//! An instrument that is away, as health, clients and log hear of it.

use std::time::Duration;

use super::backoff::Backoff;
use super::conditions::{Condition, Conditions, Raised};
use super::error::Failure;
use super::health::Health;

/// Who hears of it.
pub struct Absence<'a> {
    /// What the log calls the instrument.
    pub name: &'static str,
    /// Its health.
    pub health: &'a Health,
    /// Of the station.
    pub conditions: &'a Conditions,
}

impl Absence<'_> {
    /// Tells of a failed try and of the next one after `wait`, or after the back-off's where that is `None`; gives it, and
    /// the condition, which holds for as long as it is kept.
    ///
    /// An instrument that is looked for every half minute is not lost every half minute: clients are told when something had
    /// worked before, or at the first try; the log, when the reason is another one as well.
    pub fn report(
        &self,
        failure: &Failure,
        backoff: &mut Backoff,
        wait: Option<Duration>,
    ) -> (Duration, Raised) {
        let first = backoff.is_fresh();
        let step = backoff.wait();
        let wait = wait.unwrap_or(step);
        let is_other = self.health.record(failure.message.clone());
        if first || is_other {
            tracing::error!(%failure, "{} away", self.name);
        } else {
            tracing::debug!(%failure, "{} still away", self.name);
        }
        self.health.fail(failure.message.clone(), wait);
        let raised = self.conditions.raise(Condition::InstrumentAbsent);
        if first {
            self.conditions.announce(failure);
        }
        (wait, raised)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::base::clock::Clock;
    use crate::base::conditions::{News, Observer, Register};
    use crate::base::error::Kind;
    use crate::base::health::{HealthBook, State};

    #[derive(Default)]
    struct Session {
        faults: Cell<u32>,
    }

    impl Observer for Session {
        fn note(&self, news: &News<'_>) {
            if matches!(news, News::Fault(_)) {
                self.faults.set(self.faults.get() + 1);
            }
        }
    }

    #[test]
    fn clients_are_told_once_until_it_has_worked_again() {
        let (clock, _hand) = Clock::manual("2026-11-20T08:00:00Z".parse().unwrap());
        let health = HealthBook::new(clock.clone()).register("tcam", State::Connecting);
        let conditions = Conditions::default();
        let session = Rc::new(Session::default());
        conditions.observe(&session);
        let away = Absence {
            name: "thermal camera",
            health: &health,
            conditions: &conditions,
        };
        let mut backoff = Backoff::new(1);
        for (text, told) in [("unplugged", 1), ("unplugged", 1), ("mute", 1)] {
            let failure = Failure::new(Kind::Absent, text);
            let (wait, _raised) = away.report(&failure, &mut backoff, None);
            assert_eq!(session.faults.get(), told, "{text}");
            assert_ne!(conditions.register(Register::Questionable), 0);
            let State::Failed { reason, retry_at } = health.state() else {
                panic!("{:?}", health.state());
            };
            assert_eq!((reason.as_str(), retry_at), (text, clock.utc() + wait));
        }
        assert_eq!(conditions.register(Register::Questionable), 0);
        backoff.reset();
        let failure = Failure::new(Kind::Absent, "unplugged");
        let (wait, _raised) = away.report(&failure, &mut backoff, Some(Duration::from_secs(600)));
        assert_eq!((wait, session.faults.get()), (Duration::from_secs(600), 2));
    }
}
