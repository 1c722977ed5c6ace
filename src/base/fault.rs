//! Faults that a simulated device can be told to have.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smol::channel;

/// One fault of a simulator, as `SIMulate:FAULt` and `outpost sim --fault` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSpec {
    /// Kebab-case name, unique within its instrument.
    pub name: &'static str,
    /// What the optional number means, or "" where the fault takes none.
    pub argument: &'static str,
    /// Its number when none is given.
    pub default: u64,
    /// One line for people.
    pub help: &'static str,
}

impl FaultSpec {
    /// A row of a table, in the order of the fields.
    pub const fn new(
        name: &'static str,
        argument: &'static str,
        default: u64,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            argument,
            default,
            help,
        }
    }
}

/// The number of a fault that is not used up by striking.
pub const UNTIL_CLEARED: u64 = u64::MAX;
/// The number of a fault that strikes at the next chance alone, where others strike at every so many.
pub const ONCE: u64 = u64::MAX - 1;

/// The faults of one simulator, one value each.
pub trait Fault: Copy + 'static {
    /// What the device is called in messages.
    const DEVICE: &'static str;
    /// Every fault, in the order of [`Fault::index`].
    const TABLE: &'static [FaultSpec];

    /// Position in the table.
    fn index(self) -> usize;
}

/// A fault that the device does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {device} has no fault {name:?}")]
pub struct UnknownFault {
    /// What the device is called.
    pub device: &'static str,
    /// What was asked for.
    pub name: String,
}

/// The present faults, shared by a simulated device and whoever commands them. Cheap to clone, usable from any thread.
///
/// Each fault holds a number, 0 for none; what the number counts is said by its [`FaultSpec::argument`].
#[derive(Debug)]
pub struct Faults<F> {
    inner: Arc<Inner>,
    of: PhantomData<fn(F)>,
}

#[derive(Debug)]
struct Inner {
    numbers: Box<[AtomicU64]>,
    /// Chances since the fault was set, for those that strike every so often.
    chances: Box<[AtomicU64]>,
    changed: channel::Sender<()>,
    change: channel::Receiver<()>,
}

impl<F> Clone for Faults<F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            of: PhantomData,
        }
    }
}

impl<F: Fault> Faults<F> {
    /// No fault at all.
    pub fn none() -> Self {
        let zeros = || F::TABLE.iter().map(|_| AtomicU64::new(0)).collect();
        let (changed, change) = channel::bounded(1);
        Self {
            inner: Arc::new(Inner {
                numbers: zeros(),
                chances: zeros(),
                changed,
                change,
            }),
            of: PhantomData,
        }
    }

    /// Switches the fault `name` on, for `n` of its argument's unit; 0 switches it off.
    ///
    /// # Errors
    /// [`UnknownFault`].
    pub fn set(&self, name: &str, n: Option<u64>) -> Result<(), UnknownFault> {
        let index = position::<F>(name).ok_or_else(|| UnknownFault {
            device: F::DEVICE,
            name: name.to_owned(),
        })?;
        self.inner.chances[index].store(0, Ordering::SeqCst);
        let number = n.unwrap_or(F::TABLE[index].default);
        self.inner.numbers[index].store(number, Ordering::SeqCst);
        self.wake();
        Ok(())
    }

    /// Ends every fault.
    pub fn clear(&self) {
        for number in &self.inner.numbers {
            number.store(0, Ordering::SeqCst);
        }
        self.wake();
    }

    /// The same faults for whoever does not know the device.
    pub fn switch(&self) -> FaultSwitch {
        let (setting, clearing) = (self.clone(), self.clone());
        FaultSwitch {
            set: Box::new(move |name, n| setting.set(name, n).map_err(|error| error.to_string())),
            clear: Box::new(move || clearing.clear()),
        }
    }

    /// The fault's number, 0 for none.
    pub(crate) fn number(&self, fault: F) -> u64 {
        self.cell(fault).load(Ordering::SeqCst)
    }

    /// Whether the fault is on.
    pub(crate) fn is_on(&self, fault: F) -> bool {
        self.number(fault) != 0
    }

    /// Whether the fault strikes now; uses up one of what is left.
    pub(crate) fn strike(&self, fault: F) -> bool {
        count_down(self.cell(fault)).is_some()
    }

    /// Whether this is the last of so many; uses up one of what is left.
    pub(crate) fn strike_last(&self, fault: F) -> bool {
        count_down(self.cell(fault)) == Some(1)
    }

    /// Whether the fault strikes at this chance: at every so many until it is cleared, or [`ONCE`].
    pub(crate) fn strike_every(&self, fault: F) -> bool {
        let number = self.cell(fault);
        match number.load(Ordering::SeqCst) {
            0 => false,
            ONCE => number
                .compare_exchange(ONCE, 0, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok(),
            every => {
                let chance = self.inner.chances[fault.index()].fetch_add(1, Ordering::SeqCst) + 1;
                chance.is_multiple_of(every)
            }
        }
    }

    /// Whether the fault `name` strikes now, for devices that do not know `F`. Uses up one of what is left; where the
    /// argument is "ms" it gives them and is over. `None` also for an unknown name.
    pub fn strike_named(&self, name: &str) -> Option<u64> {
        let index = position::<F>(name)?;
        let number = &self.inner.numbers[index];
        if F::TABLE[index].argument == "ms" {
            return Some(number.swap(0, Ordering::SeqCst)).filter(|ms| *ms > 0);
        }
        count_down(number).map(|_| 1)
    }

    /// Takes a fault that happens as soon as it is set: its number, 0 for none.
    pub(crate) fn take(&self, fault: F) -> u64 {
        self.cell(fault).swap(0, Ordering::SeqCst)
    }

    /// Waits until some fault was switched on or off. For one waiter: another would take its turn.
    pub(crate) async fn changed(&self) {
        // The sender lives as long as the receiver, so this cannot fail.
        let _ = self.inner.change.recv().await;
    }

    fn cell(&self, fault: F) -> &AtomicU64 {
        &self.inner.numbers[fault.index()]
    }

    fn wake(&self) {
        // A full queue already holds a wake-up that has not been looked at.
        let _ = self.inner.changed.try_send(());
    }
}

fn position<F: Fault>(name: &str) -> Option<usize> {
    F::TABLE.iter().position(|fault| fault.name == name)
}

/// How many were left, if any.
fn count_down(number: &AtomicU64) -> Option<u64> {
    number
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            0 => None,
            UNTIL_CLEARED => Some(UNTIL_CLEARED),
            finite => Some(finite - 1),
        })
        .ok()
}

/// Switches a fault on by name and number; the error is a sentence.
pub type SetFault = dyn Fn(&str, Option<u64>) -> Result<(), String>;

/// The faults of one simulated instrument, whatever its simulator calls them.
pub struct FaultSwitch {
    /// Switches the named fault on, with its number.
    pub set: Box<SetFault>,
    /// Ends all of them.
    pub clear: Box<dyn Fn()>,
}

impl std::fmt::Debug for FaultSwitch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultSwitch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Toaster {
        Burn,
        Jam,
        Glue,
        Vanish,
    }

    impl Fault for Toaster {
        const DEVICE: &'static str = "toaster";
        const TABLE: &'static [FaultSpec] = &[
            FaultSpec::new("burn", "slices", 1, ""),
            FaultSpec::new("jam", "slices", UNTIL_CLEARED, ""),
            FaultSpec::new("glue", "every N-th", ONCE, ""),
            FaultSpec::new("vanish", "ms", 2000, ""),
        ];

        fn index(self) -> usize {
            self as usize
        }
    }

    #[test]
    fn a_fault_strikes_as_often_as_told() {
        let faults = Faults::none();
        assert!(!faults.strike(Toaster::Burn));
        faults.set("burn", Some(2)).unwrap();
        assert!(faults.strike(Toaster::Burn) && faults.strike(Toaster::Burn));
        assert!(!faults.strike(Toaster::Burn));
        faults.set("burn", Some(3)).unwrap();
        let last: Vec<bool> = (0..5).map(|_| faults.strike_last(Toaster::Burn)).collect();
        assert_eq!(last, [false, false, true, false, false]);
        faults.set("jam", None).unwrap();
        assert!((0..100).all(|_| faults.strike(Toaster::Jam)));
        faults.set("jam", Some(0)).unwrap();
        assert!(!faults.strike(Toaster::Jam));
        faults.set("jam", None).unwrap();
        faults.clear();
        assert!(!faults.strike(Toaster::Jam));
    }

    #[test]
    fn a_fault_strikes_once_or_every_so_often() {
        let faults = Faults::none();
        let strikes = |chances| {
            (0..chances)
                .map(|_| faults.strike_every(Toaster::Glue))
                .collect::<Vec<_>>()
        };
        assert_eq!(strikes(2), [false, false]);
        faults.set("glue", None).unwrap();
        assert_eq!(strikes(3), [true, false, false]);
        faults.set("glue", Some(3)).unwrap();
        assert_eq!(strikes(6), [false, false, true, false, false, true]);
        faults.set("glue", Some(0)).unwrap();
        assert_eq!(strikes(3), [false; 3]);
    }

    #[test]
    fn by_name_a_duration_is_taken_and_a_count_used_up() {
        let faults = Faults::<Toaster>::none();
        faults.set("vanish", None).unwrap();
        assert_eq!(faults.strike_named("vanish"), Some(2000));
        assert_eq!(faults.strike_named("vanish"), None);
        faults.set("burn", None).unwrap();
        assert_eq!(faults.strike_named("burn"), Some(1));
        assert_eq!(faults.strike_named("burn"), None);
        assert_eq!(faults.strike_named("melt"), None);
        faults.set("vanish", Some(5)).unwrap();
        assert!(faults.is_on(Toaster::Vanish));
        assert_eq!(faults.take(Toaster::Vanish), 5);
        assert_eq!(faults.number(Toaster::Vanish), 0);
    }

    #[test]
    fn an_unknown_fault_is_refused_with_the_device() {
        let switch = Faults::<Toaster>::none().switch();
        assert_eq!(
            (switch.set)("melt", None).unwrap_err(),
            "the toaster has no fault \"melt\""
        );
    }

    #[test]
    fn a_change_wakes_the_one_that_waits() {
        let faults = Faults::<Toaster>::none();
        let mut waiting = Box::pin(faults.changed());
        assert!(smol::block_on(futures_lite::future::poll_once(&mut waiting)).is_none());
        let other = faults.clone();
        let clearing = std::thread::spawn(move || other.clear());
        smol::block_on(waiting);
        clearing.join().unwrap();
    }
}
