//! The live state bits behind the SCPI operation and questionable registers, and news for every session.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::error::Failure;

/// A state that lasts for a while. The number is its bit in the register (scpi.md 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// OPER 0: a calibration runs.
    Calibrating,
    /// OPER 1: exposure or gain not yet in effect.
    Settling,
    /// OPER 4: a capture or stream runs.
    Measuring,
    /// OPER 8: an archive is being written.
    Archiving,
    /// OPER 9: an upload runs.
    Uploading,
    /// QUES 0: the supply voltage is too low.
    UnderVoltage,
    /// QUES 4: the processor is slowed down by heat.
    Throttled,
    /// QUES 10: little room left on the RAM disk.
    StorageLow,
    /// QUES 11: an enabled instrument is absent.
    InstrumentAbsent,
    /// QUES 12: samples were lost.
    SamplesLost,
}

/// The two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// `STATus:OPERation`.
    Operation,
    /// `STATus:QUEStionable`.
    Questionable,
}

impl Condition {
    const ALL: [Condition; 10] = [
        Condition::Calibrating,
        Condition::Settling,
        Condition::Measuring,
        Condition::Archiving,
        Condition::Uploading,
        Condition::UnderVoltage,
        Condition::Throttled,
        Condition::StorageLow,
        Condition::InstrumentAbsent,
        Condition::SamplesLost,
    ];

    fn place(self) -> (Register, u32) {
        match self {
            Condition::Calibrating => (Register::Operation, 0),
            Condition::Settling => (Register::Operation, 1),
            Condition::Measuring => (Register::Operation, 4),
            Condition::Archiving => (Register::Operation, 8),
            Condition::Uploading => (Register::Operation, 9),
            Condition::UnderVoltage => (Register::Questionable, 0),
            Condition::Throttled => (Register::Questionable, 4),
            Condition::StorageLow => (Register::Questionable, 10),
            Condition::InstrumentAbsent => (Register::Questionable, 11),
            Condition::SamplesLost => (Register::Questionable, 12),
        }
    }
}

/// What sessions are told.
#[derive(Debug)]
pub enum News<'a> {
    /// A register changed from the first value to the second.
    Changed(Register, u16, u16),
    /// Something failed that no command of the session caused.
    Fault(&'a Failure),
}

/// Receives news; a session implements it.
pub trait Observer {
    /// Called on the main thread, at once.
    fn note(&self, news: &News<'_>);
}

/// The station's condition bits. One value, shared by clones; main thread only.
#[derive(Clone, Default)]
pub struct Conditions(Rc<Inner>);

#[derive(Default)]
struct Inner {
    holders: [Cell<u32>; Condition::ALL.len()],
    observers: RefCell<Vec<Weak<dyn Observer>>>,
}

/// Keeps a condition up until dropped.
#[must_use]
pub struct Raised {
    conditions: Conditions,
    condition: Condition,
}

impl Conditions {
    /// Present value of a register.
    pub fn register(&self, register: Register) -> u16 {
        Condition::ALL
            .iter()
            .filter(|&&c| self.0.holders[c as usize].get() > 0)
            .map(|c| c.place())
            .fold(0, |bits, (of, bit)| {
                if of == register {
                    bits | 1 << bit
                } else {
                    bits
                }
            })
    }

    /// Raises a condition for as long as the guard lives; several holders may overlap.
    pub fn raise(&self, condition: Condition) -> Raised {
        self.count(condition, |n| n + 1);
        Raised {
            conditions: self.clone(),
            condition,
        }
    }

    /// Tells every session of a fault that no command caused.
    pub fn announce(&self, failure: &Failure) {
        self.tell(&News::Fault(failure));
    }

    /// An enabled instrument is absent for as long as the guard lives; every session is told why.
    pub fn absent(&self, failure: &Failure) -> Raised {
        let absent = self.raise(Condition::InstrumentAbsent);
        self.announce(failure);
        absent
    }

    /// Adds a listener; it is forgotten when its owner drops it.
    pub fn observe(&self, observer: &Rc<impl Observer + 'static>) {
        let strong: Rc<dyn Observer> = observer.clone();
        let mut observers = self.0.observers.borrow_mut();
        observers.retain(|o| o.strong_count() > 0);
        observers.push(Rc::downgrade(&strong));
    }

    fn count(&self, condition: Condition, change: impl Fn(u32) -> u32) {
        let (register, _) = condition.place();
        let was = self.register(register);
        let holders = &self.0.holders[condition as usize];
        holders.set(change(holders.get()));
        let is = self.register(register);
        if was != is {
            self.tell(&News::Changed(register, was, is));
        }
    }

    fn tell(&self, news: &News<'_>) {
        let listeners: Vec<_> = self
            .0
            .observers
            .borrow()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for listener in listeners {
            listener.note(news);
        }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.conditions
            .count(self.condition, |n| n.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log(RefCell<Vec<String>>);

    impl Observer for Log {
        fn note(&self, news: &News<'_>) {
            self.0.borrow_mut().push(match news {
                News::Changed(register, was, is) => format!("{register:?} {was}>{is}"),
                News::Fault(failure) => failure.message.clone(),
            });
        }
    }

    #[test]
    fn holders_overlap_and_observers_see_each_edge_once() {
        let conditions = Conditions::default();
        let log = Rc::new(Log::default());
        conditions.observe(&log);
        let first = conditions.raise(Condition::Archiving);
        let second = conditions.raise(Condition::Archiving);
        drop(first);
        assert_eq!(conditions.register(Register::Operation), 256);
        let absent = conditions.raise(Condition::InstrumentAbsent);
        drop(second);
        assert_eq!(conditions.register(Register::Operation), 0);
        assert_eq!(conditions.register(Register::Questionable), 2048);
        drop(absent);
        let seen = log.0.borrow().clone();
        assert_eq!(
            seen,
            [
                "Operation 0>256",
                "Questionable 0>2048",
                "Operation 256>0",
                "Questionable 2048>0"
            ]
        );
    }
}
