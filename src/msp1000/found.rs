//! Instruments that have announced themselves, by serial number. What is in here was said by anybody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::proto::Announcement;

/// An instrument not heard for this long is gone.
const EXPIRY: Duration = Duration::from_secs(10);
/// Instruments remembered at a time.
const MOST: usize = 64;

/// An instrument that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) interface: String,
    pub(super) address: IpAddr,
    pub(super) heard: Instant,
    pub(super) heard_utc: Timestamp,
    /// More than once: an instrument says so each second.
    heard_again: bool,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct FoundTable(BTreeMap<String, Found>);

/// What a datagram changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// An instrument that was not in the table.
    New,
    /// One that was.
    Known,
    /// One that was not, for which another had to leave the full table.
    Displacing,
}

impl FoundTable {
    /// Enters what an instrument said. One of those in use (`in_use` knows them by serial) never makes room for it.
    pub(super) fn note(
        &mut self,
        announcement: Announcement,
        address: IpAddr,
        (now, utc): (Instant, Timestamp),
        in_use: impl Fn(&str) -> bool,
    ) -> News {
        self.expire(now);
        let Announcement { interface, serial } = announcement;
        let is_known = self.0.contains_key(&serial);
        let displacing = !is_known && self.0.len() >= MOST;
        if displacing {
            self.make_room(in_use);
        }
        let found = Found {
            interface,
            address,
            heard: now,
            heard_utc: utc,
            heard_again: is_known,
        };
        self.0.insert(serial, found);
        match (is_known, displacing) {
            (true, _) => News::Known,
            (false, true) => News::Displacing,
            (false, false) => News::New,
        }
    }

    /// Forgets whoever is silent for longest, of those heard but once if there are any: a forger makes up many names.
    fn make_room(&mut self, in_use: impl Fn(&str) -> bool) {
        let others = self.0.iter().filter(|(serial, _)| !in_use(serial));
        let least = others.min_by_key(|(_, found)| (found.heard_again, found.heard));
        if let Some(serial) = least.map(|(serial, _)| serial.clone()) {
            self.0.remove(&serial);
        }
    }

    /// All that were heard of late, by serial.
    pub(super) fn present(&mut self, now: Instant) -> Vec<(String, Found)> {
        self.expire(now);
        let entry = |(serial, found): (&String, &Found)| (serial.clone(), found.clone());
        self.0.iter().map(entry).collect()
    }

    /// The serial of the one at that address, if there is one alone.
    pub(super) fn serial_at(&self, address: IpAddr) -> Option<String> {
        let mut there = self.0.iter().filter(|(_, found)| found.address == address);
        match (there.next(), there.next()) {
            (Some((serial, _)), None) => Some(serial.clone()),
            _ => None,
        }
    }

    fn expire(&mut self, now: Instant) {
        self.0
            .retain(|_, found| now.saturating_duration_since(found.heard) < EXPIRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(serial: &str) -> Announcement {
        Announcement {
            interface: "eth0".into(),
            serial: serial.into(),
        }
    }

    #[test]
    fn instruments_are_told_apart_by_serial_and_forgotten_in_ten_seconds() {
        let (start, utc) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let at = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut table = FoundTable::default();
        let mut note =
            |serial, last, now| table.note(announcement(serial), at(last), (now, utc), |_| false);
        assert_eq!(note("1", 1, start), News::New);
        let later = start + Duration::from_secs(9);
        assert_eq!(note("1", 2, later), News::Known);
        assert_eq!(note("2", 3, start), News::New);
        assert_eq!(table.serial_at(at(2)), Some("1".into()));
        let present = table.present(start + Duration::from_secs(10));
        assert_eq!(present.len(), 1);
        assert_eq!((present[0].0.as_str(), present[0].1.address), ("1", at(2)));
        assert_eq!(table.present(later + EXPIRY), []);
    }

    #[test]
    fn a_flood_of_serials_fills_no_memory() {
        let (start, utc) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let mut table = FoundTable::default();
        let address = IpAddr::from([10, 0, 0, 1]);
        for serial in 0..1000 {
            let news = table.note(
                announcement(&serial.to_string()),
                address,
                (start, utc),
                |_| false,
            );
            let expected = if serial < MOST {
                News::New
            } else {
                News::Displacing
            };
            assert_eq!(news, expected);
        }
        assert_eq!(table.present(start).len(), MOST);
        assert_eq!(
            table.serial_at(address),
            None,
            "many at one address are nobody"
        );
    }

    #[test]
    fn invented_names_make_room_before_real_ones() {
        let (start, utc) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let address = IpAddr::from([10, 0, 0, 1]);
        let at = |ms: usize| start + Duration::from_millis(ms as u64);
        let mut table = FoundTable::default();
        let mut note = |serial: &str, ms: usize| {
            table.note(announcement(serial), address, (at(ms), utc), |serial| {
                serial == "used"
            })
        };
        note("used", 0);
        note("real", 1);
        note("real", 1001);
        for n in 0..1000 {
            note(&format!("forged {n}"), 1002 + n);
        }
        assert_eq!(note("real", 2002), News::Known);
        for n in 0..300 {
            note(&format!("repeated {}", n / 2), 2003 + n);
        }
        assert_eq!(note("newcomer", 3000), News::Displacing);
        let present = table.present(at(3000));
        let has = |name: &str| present.iter().any(|(serial, _)| serial == name);
        assert_eq!(present.len(), MOST);
        assert!(has("used") && has("newcomer"));
    }
}
