//! The camera's clock: setting it, and knowing by it that the camera was restarted.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::tcam::proto::Metadata;
use crate::tcam::proto::command::SetTime;

/// How far a clock that nobody set may fall behind before that means a restart.
const SLACK: Duration = Duration::from_secs(5);

/// `set_time` for this instant, `ahead_s` seconds on.
pub(super) fn set_time(now: Timestamp, ahead_s: i64) -> SetTime {
    let shifted = now.as_second().saturating_add(ahead_s);
    let time = Timestamp::from_second(shifted).unwrap_or(now);
    let civil = TimeZone::UTC.to_datetime(time);
    let part = |value: i8| u8::try_from(value).unwrap_or(0);
    SetTime {
        sec: part(civil.second()),
        min: part(civil.minute()),
        hour: part(civil.hour()),
        dow: part(civil.weekday().to_sunday_one_offset()),
        day: part(civil.day()),
        mon: part(civil.month()),
        year: u8::try_from(civil.year() - 1970).unwrap_or(0),
    }
}

/// How far a client's time is ahead of `now`; `None` for one that no calendar has.
pub(super) fn ahead_s(time: &SetTime, now: Timestamp) -> Option<i64> {
    let part = |value: u8| i8::try_from(value).ok();
    let year = i16::from(time.year) + 1970;
    let civil = DateTime::new(
        year,
        part(time.mon)?,
        part(time.day)?,
        part(time.hour)?,
        part(time.min)?,
        part(time.sec)?,
        0,
    );
    Some(seconds(civil.ok()?)? - now.as_second())
}

/// The camera's clock as last seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<(i64, Instant)>,
}

impl Watch {
    /// The clock was set: what was seen before means nothing.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    /// Takes what a `status` tells; true when the clock fell back, as it does when the camera starts anew.
    pub(super) fn fell_back(&mut self, metadata: &Metadata<'_>, now: Instant) -> bool {
        let Some(seen) = metadata.calendar_date().zip(metadata.time_of_day()) else {
            return false;
        };
        let (date, time) = seen;
        let day = Date::new(date.year, date.month as i8, date.day as i8);
        let Some(midnight) = day.ok().and_then(|day| seconds(day.at(0, 0, 0, 0))) else {
            return false;
        };
        let seen = midnight + i64::from(time.ms_of_day() / 1000);
        let before = self.seen.replace((seen, now));
        before.is_some_and(|(before, then)| {
            let elapsed = now.saturating_duration_since(then);
            let expected = before + i64::try_from(elapsed.as_secs()).unwrap_or(0);
            seen + (SLACK.as_secs() as i64) < expected
        })
    }
}

/// Whether a Lepton's uptime fell back, in ms; it wraps after 49.7 days.
pub(super) fn uptime_fell_back(before: u32, now: u32) -> bool {
    now < before && before - now < u32::MAX / 2
}

fn seconds(civil: DateTime) -> Option<i64> {
    let zoned = TimeZone::UTC.to_zoned(civil).ok()?;
    Some(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn time_is_told_as_the_camera_wants_it() {
        // A Friday: Sunday is 1.
        let time = set_time(at("2026-11-20T08:09:10Z"), 0);
        let fields = [
            time.sec, time.min, time.hour, time.dow, time.day, time.mon, time.year,
        ];
        assert_eq!(fields, [10, 9, 8, 6, 20, 11, 56]);
        let east = set_time(at("2026-11-20T23:30:00Z"), 3600);
        assert_eq!((east.hour, east.day, east.dow), (0, 21, 7));
        assert_eq!(ahead_s(&east, at("2026-11-20T23:30:00Z")), Some(3600));
        let nonsense = SetTime { mon: 13, ..east };
        assert_eq!(ahead_s(&nonsense, at("2026-11-20T23:30:00Z")), None);
    }

    #[test]
    fn a_clock_that_falls_back_is_noticed_and_a_slow_one_is_not() {
        let start = Instant::now();
        let status = |time: &'static str, date: &'static str| Metadata {
            time: time.into(),
            date: date.into(),
            ..Metadata::default()
        };
        let mut watch = Watch::default();
        let later = |s| start + Duration::from_secs(s);
        assert!(!watch.fell_back(&status("9:00:00.5", "11/20/26"), start));
        assert!(!watch.fell_back(&status("9:00:08.0", "11/20/26"), later(10)));
        assert!(watch.fell_back(&status("0:00:03.12", "1/1/-30"), later(20)));
        assert!(!watch.fell_back(&status("0:00:13.12", "1/1/-30"), later(30)));
        assert!(!watch.fell_back(&status("nonsense", "1/1/-30"), later(40)));
    }

    #[test]
    fn uptime_falls_back_or_wraps() {
        assert!(uptime_fell_back(60_000, 900));
        assert!(!uptime_fell_back(900, 60_000));
        assert!(!uptime_fell_back(u32::MAX - 5, 100));
    }
}
