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
    /// None: the table is full.
    Full,
}

impl FoundTable {
    /// Enters what an instrument said.
    pub(super) fn note(
        &mut self,
        announcement: Announcement,
        address: IpAddr,
        now: Instant,
        utc: Timestamp,
    ) -> News {
        self.expire(now);
        let found = Found {
            interface: announcement.interface,
            address,
            heard: now,
            heard_utc: utc,
        };
        if let Some(known) = self.0.get_mut(&announcement.serial) {
            *known = found;
            return News::Known;
        }
        if self.0.len() >= MOST {
            return News::Full;
        }
        self.0.insert(announcement.serial, found);
        News::New
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
        assert_eq!(table.note(announcement("1"), at(1), start, utc), News::New);
        let later = start + Duration::from_secs(9);
        assert_eq!(
            table.note(announcement("1"), at(2), later, utc),
            News::Known
        );
        assert_eq!(table.note(announcement("2"), at(3), start, utc), News::New);
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
            table.note(announcement(&serial.to_string()), address, start, utc);
        }
        assert_eq!(table.present(start).len(), MOST);
        assert_eq!(
            table.serial_at(address),
            None,
            "many at one address are nobody"
        );
    }
}
