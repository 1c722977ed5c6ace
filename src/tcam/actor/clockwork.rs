//! The camera's clock: setting it, and knowing by it that the camera was restarted.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::base::clock::Clock;
use crate::tcam::proto::Metadata;
use crate::tcam::proto::command::SetTime;
use crate::tcam::settings::ClientTime;

/// How far a clock that nobody set may fall behind before that means a restart.
const SLACK: Duration = Duration::from_secs(5);

/// `set_time` for this instant.
pub(super) fn set_time(time: Timestamp) -> SetTime {
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

/// What the camera's clock is to show: a client's time gone on, or the station's.
pub(super) fn shown(client: Option<ClientTime>, clock: &Clock) -> Timestamp {
    let client = client.and_then(|client| {
        let elapsed = clock.now().saturating_duration_since(client.at);
        let elapsed_s = i64::try_from(elapsed.as_secs()).ok()?;
        Timestamp::from_second(client.civil_s.checked_add(elapsed_s)?).ok()
    });
    client.unwrap_or_else(|| clock.utc())
}

/// A client's time; `None` for one that no calendar has.
pub(super) fn client_time(time: &SetTime, at: Instant) -> Option<ClientTime> {
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
    let civil_s = seconds(civil.ok()?)?;
    Some(ClientTime { civil_s, at })
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
        let time = set_time(at("2026-11-20T08:09:10Z"));
        let fields = [
            time.sec, time.min, time.hour, time.dow, time.day, time.mon, time.year,
        ];
        assert_eq!(fields, [10, 9, 8, 6, 20, 11, 56]);
        let (clock, hand) = Clock::manual(at("2026-11-20T22:30:00Z"));
        let east = set_time(at("2026-11-20T23:30:00Z"));
        let client = client_time(&east, clock.now());
        hand.advance(Duration::from_secs(1800));
        hand.step_utc(100_000);
        let later = set_time(shown(client, &clock));
        assert_eq!((later.hour, later.min, later.day, later.dow), (0, 0, 21, 7));
        let nonsense = SetTime { mon: 13, ..east };
        assert_eq!(client_time(&nonsense, clock.now()), None);
        assert_eq!(shown(None, &clock), clock.utc());
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
