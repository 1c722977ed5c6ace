//! The camera's clock: it has no battery and starts in 1970.

use std::time::Duration;

use jiff::Span;
use jiff::civil::{DateTime, date};

use crate::tcam::proto::command::SetTime;
use crate::tcam::proto::metadata::{Date, TimeOfDay};

/// What it was set to, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    base: DateTime,
    since: Duration,
}

impl Calendar {
    /// As power comes on.
    pub(super) fn unset(now: Duration) -> Self {
        let base = date(1970, 1, 1).at(0, 0, 0, 0);
        Self { base, since: now }
    }

    /// As set. Values are not checked: what is beyond a range carries over.
    pub(super) fn set(time: SetTime, now: Duration) -> Self {
        let year = date(1970 + i16::from(time.year), 1, 1).at(0, 0, 0, 0);
        let months = Span::new().months(i64::from(time.mon) - 1);
        let rest = Span::new()
            .days(i64::from(time.day) - 1)
            .hours(time.hour)
            .minutes(time.min)
            .seconds(time.sec);
        let base = year
            .checked_add(months)
            .and_then(|base| base.checked_add(rest));
        Self {
            base: base.unwrap_or(year),
            since: now,
        }
    }

    /// Time and date, as the camera writes them.
    pub(super) fn at(&self, now: Duration) -> (TimeOfDay, Date) {
        let elapsed = now.saturating_sub(self.since);
        let now = self.base.checked_add(elapsed).unwrap_or(self.base);
        let time = TimeOfDay {
            hour: now.hour() as u8,
            minute: now.minute() as u8,
            second: now.second() as u8,
            millisecond: now.millisecond() as u16,
        };
        let date = Date {
            year: now.year(),
            month: now.month() as u8,
            day: now.day() as u8,
        };
        (time, date)
    }
}
