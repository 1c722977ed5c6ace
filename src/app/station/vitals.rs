//! The board's supply and temperature: looked at, shown in the health book, announced when they turn bad.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::app::instruments::Common;
use crate::base::conditions::{Condition, Conditions, Raised};
use crate::base::error::{Failure, Kind};
use crate::base::health::{Health, State};
use crate::board::{Profile, Vitals};

/// As often as the kernel asks the firmware.
const LOOK: Duration = Duration::from_secs(2);
/// Between looks for sensors on a board that showed none; their drivers may load late.
const SEARCH: Duration = Duration::from_secs(30);
/// A trouble is over when it was not seen for so long: a weak supply dips with every load.
const HOLD: Duration = Duration::from_secs(10);
/// The firmware slows the processor down from here on (85 degrees stop it almost), whether or not it can tell so.
const HOT_C: f64 = 80.0;
/// Below this it is no longer hot.
const COOL_C: f64 = 75.0;

const SUPPLY: &str =
    "the supply voltage is too low: use a stronger supply and a short, thick cable";

/// Watches the sensors of the board as long as the station runs, where its profile names their folder.
pub(super) fn watch(common: &Common, board: &Profile) {
    let Some(sysfs) = board.sysfs.clone() else {
        return;
    };
    common.executor.spawn(run(common, sysfs)).detach();
}

fn run(common: &Common, sysfs: PathBuf) -> impl Future<Output = ()> + use<> {
    let (clock, pool) = (common.clock.clone(), common.pool.clone());
    let (book, conditions) = (common.health.clone(), common.conditions.clone());
    async move {
        let mut watcher: Option<Watcher> = None;
        loop {
            let folder = sysfs.clone();
            let looked = pool.run(move || Vitals::look(&folder)).await;
            if let Ok(vitals) = looked {
                if watcher.is_none() && !vitals.is_empty() {
                    let health = book.register("board", State::Ready);
                    watcher = Some(Watcher::new(health, conditions.clone()));
                }
                if let Some(watcher) = &mut watcher {
                    watcher.note(&vitals, clock.now());
                }
            }
            let pause = if watcher.is_some() { LOOK } else { SEARCH };
            clock.sleep(pause).await;
        }
    }
}

/// Makes states with an end of what was seen from time to time.
struct Watcher {
    health: Health,
    conditions: Conditions,
    supply: Trouble,
    heat: Trouble,
    is_hot: bool,
}

/// Something wrong, from its first sight until it was not seen for [`HOLD`].
struct Trouble {
    condition: Condition,
    counter: &'static str,
    present: Option<Present>,
}

struct Present {
    _raised: Raised,
    last_seen: Instant,
}

impl Watcher {
    fn new(health: Health, conditions: Conditions) -> Self {
        Self {
            health,
            conditions,
            supply: Trouble::new(Condition::UnderVoltage, "under_voltages"),
            heat: Trouble::new(Condition::Throttled, "throttlings"),
            is_hot: false,
        }
    }

    fn note(&mut self, vitals: &Vitals, now: Instant) {
        if let Some(temperature_c) = vitals.temperature_c {
            self.is_hot = temperature_c >= if self.is_hot { COOL_C } else { HOT_C };
        }
        let throttled = vitals.throttled.unwrap_or(false) || self.is_hot;
        let heat = heat_text(vitals.temperature_c);
        let tenths = |degrees: f64| (degrees * 10.0).round() / 10.0;
        self.health
            .measure("temperature_c", vitals.temperature_c.map(tenths));
        let station = (&self.health, &self.conditions);
        let low = vitals.under_voltage.unwrap_or(false);
        self.supply.note(low, SUPPLY, now, station);
        self.heat.note(throttled, &heat, now, station);
        let troubles = [(&self.supply, SUPPLY), (&self.heat, &heat)];
        let texts: Vec<&str> = troubles
            .into_iter()
            .filter(|(trouble, _)| trouble.present.is_some())
            .map(|(_, text)| text)
            .collect();
        self.health.set(match texts.is_empty() {
            true => State::Ready,
            false => State::Degraded {
                reason: texts.join("; "),
            },
        });
    }
}

impl Trouble {
    fn new(condition: Condition, counter: &'static str) -> Self {
        Self {
            condition,
            counter,
            present: None,
        }
    }

    /// Takes what was seen; a beginning is announced once, however often it is seen again before its end.
    fn note(&mut self, seen: bool, text: &str, now: Instant, station: (&Health, &Conditions)) {
        let (health, conditions) = station;
        health.add(self.counter, 0);
        match &mut self.present {
            Some(present) if seen => present.last_seen = now,
            Some(present) if now.duration_since(present.last_seen) >= HOLD => {
                self.present = None;
                tracing::info!("over: {text}");
            }
            None if seen => {
                self.present = Some(Present {
                    _raised: conditions.raise(self.condition),
                    last_seen: now,
                });
                health.count(self.counter);
                health.record(text);
                conditions.announce(&Failure::new(Kind::Hardware, text));
                tracing::warn!("{text}");
            }
            _ => {}
        }
    }
}

fn heat_text(temperature_c: Option<f64>) -> String {
    let at = temperature_c.map_or_else(String::new, |degrees| {
        format!(" ({degrees:.0} degrees Celsius)")
    });
    format!("the processor is slowed down by heat{at}: let air reach it, or cool it")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::base::clock::{Clock, ManualClock};
    use crate::base::conditions::{News, Observer, Register};
    use crate::base::health::HealthBook;

    /// Announcements, without the edges of the register.
    #[derive(Default)]
    struct Said(RefCell<Vec<String>>);

    impl Observer for Said {
        fn note(&self, news: &News<'_>) {
            if let News::Fault(failure) = news {
                self.0.borrow_mut().push(failure.message.clone());
            }
        }
    }

    struct Bench {
        clock: Clock,
        hand: ManualClock,
        book: HealthBook,
        conditions: Conditions,
        said: Rc<Said>,
        watcher: Watcher,
    }

    impl Bench {
        fn new() -> Self {
            let (clock, hand) = Clock::manual("2026-11-20T08:00:00Z".parse().unwrap());
            let book = HealthBook::new(clock.clone());
            let conditions = Conditions::default();
            let said = Rc::new(Said::default());
            conditions.observe(&said);
            let health = book.register("board", State::Ready);
            let watcher = Watcher::new(health, conditions.clone());
            Self {
                clock,
                hand,
                book,
                conditions,
                said,
                watcher,
            }
        }

        /// Two seconds later the board says this; gives the questionable register.
        fn look(&mut self, under_voltage: bool, throttled: Option<bool>, celsius: f64) -> u16 {
            self.hand.advance(LOOK);
            let vitals = Vitals {
                under_voltage: Some(under_voltage),
                throttled,
                temperature_c: Some(celsius),
            };
            self.watcher.note(&vitals, self.clock.now());
            self.conditions.register(Register::Questionable)
        }

        fn report(&self) -> serde_json::Value {
            serde_json::to_value(self.book.reports(Some("board"))).unwrap()[0].clone()
        }
    }

    #[test]
    fn a_flickering_supply_is_one_trouble_until_it_was_good_for_10_s() {
        let mut bench = Bench::new();
        assert_eq!(bench.look(false, Some(false), 50.0), 0);
        assert_eq!(bench.report()["state"], "ready");
        for low in [true, false, false, true, false, false, false, false] {
            assert_eq!(bench.look(low, Some(false), 50.0), 1);
        }
        assert_eq!(*bench.said.0.borrow(), [SUPPLY]);
        assert_eq!(bench.report()["state"], "degraded");
        assert_eq!(bench.report()["reason"], SUPPLY);
        assert_eq!(bench.look(false, Some(false), 50.0), 0);
        assert_eq!(bench.report()["state"], "ready");
        assert_eq!(bench.report()["counters"]["under_voltages"], 1);
        assert_eq!(bench.look(true, Some(false), 50.0), 1);
        assert_eq!(bench.report()["counters"]["under_voltages"], 2);
        assert_eq!(bench.said.0.borrow().len(), 2);
    }

    #[test]
    fn heat_is_what_the_firmware_says_or_80_degrees_until_75() {
        let mut bench = Bench::new();
        assert_eq!(bench.look(false, None, 79.9), 0);
        assert_eq!(bench.look(false, None, 80.0), 16);
        for _ in 0..10 {
            assert_eq!(bench.look(false, None, 75.0), 16);
        }
        for _ in 0..4 {
            assert_eq!(bench.look(false, None, 74.9), 16);
        }
        assert_eq!(bench.look(false, None, 79.9), 0);
        // A board may be slowed down at 60 degrees already.
        assert_eq!(bench.look(true, Some(true), 60.04), 17);
        let report = bench.report();
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.starts_with(SUPPLY), "{reason}");
        assert!(reason.contains("heat (60 degrees Celsius)"), "{reason}");
        assert_eq!(report["values"]["temperature_c"], 60.0);
        assert_eq!(report["counters"]["throttlings"], 2);
        assert_eq!(bench.said.0.borrow().len(), 3);
    }
}
