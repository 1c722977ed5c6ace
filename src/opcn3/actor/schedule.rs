//! When the counter is read, and which instant a row is stamped with.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The counter is read at least this often: its counts are 16 bits wide.
const LONGEST_PART: Duration = Duration::from_secs(10);
const SECOND_MS: i64 = 1000;

/// Rows at whole seconds of civil time, an interval apart, each made of readings at equal distances. Dues are counted
/// from each other, so that work between them never adds up.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    interval: Duration,
    parts: u32,
    /// The reading that is due next, 1 to `parts`.
    part: u32,
    row_due: Instant,
}

impl Schedule {
    /// The first row covers at least one `interval` from now.
    pub(super) fn begin(interval: Duration, now: Instant, utc: Timestamp) -> Self {
        let over = utc.as_millisecond().rem_euclid(SECOND_MS) as u64;
        let to_second = (SECOND_MS as u64 - over) % SECOND_MS as u64;
        let parts = interval.as_secs_f64() / LONGEST_PART.as_secs_f64();
        Self {
            interval,
            parts: (parts.ceil() as u32).max(1),
            part: 1,
            row_due: now + Duration::from_millis(to_second) + interval,
        }
    }

    /// When the counter is to be read next.
    pub(super) fn due(&self) -> Instant {
        self.row_due - self.interval / self.parts * (self.parts - self.part)
    }

    /// When the present row ends.
    pub(super) fn row_due(&self) -> Instant {
        self.row_due
    }

    /// Counts the readings that are due by `now` as done; whether the last of a row is among them.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        while self.part < self.parts && self.due() <= now {
            self.part += 1;
        }
        self.row_due <= now
    }

    /// The instant the present row is stamped with. Both times are now's.
    pub(super) fn stamp(&self, now: Instant, utc: Timestamp) -> Timestamp {
        let exact = self.exact_ms(now, utc);
        let whole = (exact + SECOND_MS / 2).div_euclid(SECOND_MS) * SECOND_MS;
        Timestamp::from_millisecond(whole).unwrap_or(utc)
    }

    /// Goes on to the next row that ends after `now`; how many were passed over. Whole-second intervals stay on whole
    /// seconds of civil time when that was set anew.
    pub(super) fn next_row(&mut self, now: Instant, utc: Timestamp) -> u64 {
        let stamp = self.stamp(now, utc).as_millisecond();
        let off_ms = self.exact_ms(now, utc) - stamp;
        if self.interval.subsec_nanos() == 0 {
            let off = Duration::from_millis(off_ms.unsigned_abs());
            self.row_due = match off_ms >= 0 {
                true => self.row_due - off,
                false => self.row_due + off,
            };
        }
        self.part = 1;
        self.row_due += self.interval;
        let mut missed = 0;
        while self.row_due <= now {
            self.row_due += self.interval;
            missed += 1;
        }
        missed
    }

    fn exact_ms(&self, now: Instant, utc: Timestamp) -> i64 {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(0);
        // Rounded: civil time is cut to milliseconds.
        let late = now.saturating_duration_since(self.row_due);
        let early = self.row_due.saturating_duration_since(now);
        utc.as_millisecond() - ms(late) + ms(early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn rows_fall_on_whole_seconds_and_never_drift() {
        let (t0, utc) = (Instant::now(), at("2026-11-20T08:00:00.300Z"));
        let after = |ms| {
            (
                t0 + Duration::from_millis(ms),
                utc + Duration::from_millis(ms),
            )
        };
        let mut schedule = Schedule::begin(Duration::from_secs(25), t0, utc);
        let mut dues = Vec::new();
        let mut stamps = Vec::new();
        while stamps.len() < 2 {
            let due = schedule.due();
            dues.push((due - t0).as_millis());
            // Each reading comes a little late.
            let (now, utc) = after((due - t0).as_millis() as u64 + 137);
            if schedule.pass(now) {
                stamps.push(schedule.stamp(now, utc).to_string());
                assert_eq!(schedule.next_row(now, utc), 0);
            }
        }
        assert_eq!(stamps, ["2026-11-20T08:00:26Z", "2026-11-20T08:00:51Z"]);
        assert_eq!(dues, [9033, 17366, 25700, 34033, 42366, 50700]);
    }

    #[test]
    fn what_was_slept_through_is_counted() {
        let (t0, utc) = (Instant::now(), at("2026-11-20T08:00:00Z"));
        let mut schedule = Schedule::begin(Duration::from_secs(10), t0, utc);
        let late = Duration::from_secs(37);
        assert!(schedule.pass(t0 + late));
        assert_eq!(
            schedule.stamp(t0 + late, utc + late),
            at("2026-11-20T08:00:10Z")
        );
        assert_eq!(schedule.next_row(t0 + late, utc + late), 2);
        assert_eq!(schedule.due() - t0, Duration::from_secs(40));
    }

    #[test]
    fn a_clock_that_is_set_moves_the_rows_to_its_seconds() {
        let (t0, utc) = (Instant::now(), at("1970-01-01T00:00:00Z"));
        let mut schedule = Schedule::begin(Duration::from_secs(10), t0, utc);
        let now = t0 + Duration::from_secs(10);
        // Set meanwhile.
        let utc = at("2026-11-20T08:00:10.400Z");
        assert!(schedule.pass(now));
        assert_eq!(schedule.stamp(now, utc), at("2026-11-20T08:00:10Z"));
        schedule.next_row(now, utc);
        assert_eq!(schedule.due() - t0, Duration::from_millis(19_600));
    }
}
