//! Status registers and error queue of one connection (IEEE 488.2 chapter 11, SCPI-1999 volume 1 chapter 9).
//!
//! ```text
//! condition -> [PTR/NTR] -> OPER event & enable -> STB bit 7
//! condition -> [PTR/NTR] -> QUES event & enable -> STB bit 3
//! ESR & ESE                                     -> STB bit 5
//! reply waiting (MAV)                           -> STB bit 4
//! error queue not empty                         -> STB bit 2
//! STB & SRE (without bit 6)                     -> STB bit 6
//! ```
//!
//! Condition bits are shared by all connections and live elsewhere; each connection keeps the events it saw.

use std::collections::VecDeque;

use super::error::Error;

/// ESR bit 0: all overlapped operations ended after `*OPC`.
pub const ESR_OPERATION_COMPLETE: u8 = 1;
/// ESR bit 7: set in a new connection.
pub const ESR_POWER_ON: u8 = 128;
/// STB bit 2: the error queue holds an entry.
pub const STB_ERROR_QUEUE: u8 = 4;
/// STB bit 3: a QUEStionable event is enabled and set.
pub const STB_QUESTIONABLE: u8 = 8;
/// STB bit 4: a reply waits to be sent (MAV).
pub const STB_MESSAGE_AVAILABLE: u8 = 16;
/// STB bit 5: a standard event is enabled and set.
pub const STB_STANDARD_EVENT: u8 = 32;
/// STB bit 6: master summary (MSS).
pub const STB_MASTER_SUMMARY: u8 = 64;
/// STB bit 7: an OPERation event is enabled and set.
pub const STB_OPERATION: u8 = 128;
/// The bits an OPERation or QUEStionable register has; bit 15 is always 0.
pub const REGISTER_MASK: u16 = 0x7FFF;

/// Event register with its enable mask and edge filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRegister {
    event: u16,
    /// Events that reach the status byte, 0 to 32767.
    pub enable: u16,
    /// Condition bits whose rise is an event, 0 to 32767.
    pub positive: u16,
    /// Condition bits whose fall is an event, 0 to 32767.
    pub negative: u16,
}

impl Default for EventRegister {
    fn default() -> Self {
        Self {
            event: 0,
            enable: 0,
            positive: REGISTER_MASK,
            negative: 0,
        }
    }
}

impl EventRegister {
    /// Latches the edges between two values of the condition register that the filters let through.
    pub fn note_condition(&mut self, old: u16, new: u16) {
        let edges = (new & !old & self.positive) | (old & !new & self.negative);
        self.event |= edges & REGISTER_MASK;
    }

    /// The latched events, left as they are.
    pub fn event(&self) -> u16 {
        self.event
    }

    /// The latched events, cleared by this reading.
    pub fn take_event(&mut self) -> u16 {
        std::mem::take(&mut self.event)
    }

    /// `STATus:PRESet` for this register: nothing enabled, every rise an event, no fall. Events stay.
    pub fn preset(&mut self) {
        *self = Self {
            event: self.event,
            ..Self::default()
        };
    }

    fn summary(&self) -> bool {
        self.event & self.enable != 0
    }
}

/// Error/event queue: first in, first out, 32 entries.
#[derive(Debug, Clone, Default)]
pub struct ErrorQueue {
    entries: VecDeque<Error>,
}

impl ErrorQueue {
    /// Entries the queue holds.
    pub const CAPACITY: usize = 32;

    /// Appends an error. In a full queue the newest entry becomes -350 and later errors are dropped until one is
    /// read. Returns true when this error made the queue overflow.
    pub fn push(&mut self, error: Error) -> bool {
        if self.entries.len() < Self::CAPACITY {
            self.entries.push_back(error);
            return false;
        }
        match self.entries.back_mut() {
            Some(newest) if newest.number() != -350 => {
                *newest = Error::new(-350);
                true
            }
            _ => false,
        }
    }

    /// The oldest entry, removed; [`Error::NONE`] when empty.
    pub fn pop(&mut self) -> Error {
        self.entries.pop_front().unwrap_or(Error::NONE)
    }

    /// The newest entry.
    pub fn newest(&self) -> Option<&Error> {
        self.entries.back()
    }

    /// Entries in the queue.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// What IEEE 488.2 and SCPI keep for one connection.
#[derive(Debug, Clone)]
pub struct Status {
    esr: u8,
    /// Event status enable, `*ESE`.
    pub ese: u8,
    sre: u8,
    /// OPERation events.
    pub oper: EventRegister,
    /// QUEStionable events.
    pub ques: EventRegister,
    /// Error/event queue. Use [`Status::error`] to add an entry, so that its ESR bit is set.
    pub errors: ErrorQueue,
    opc_pending: bool,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            esr: ESR_POWER_ON,
            ese: 0,
            sre: 0,
            oper: EventRegister::default(),
            ques: EventRegister::default(),
            errors: ErrorQueue::default(),
            opc_pending: false,
        }
    }
}

impl Status {
    /// The state of a new connection: power-on bit set, all else zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues an error and sets its bit in the event status register.
    pub fn error(&mut self, error: Error) {
        self.esr |= error.esr_bit();
        if self.errors.push(error) {
            self.esr |= Error::new(-350).esr_bit();
        }
    }

    /// Queues a fault that no command of this connection caused, unless the newest entry has the same number.
    pub fn fault(&mut self, error: Error) {
        if self.errors.newest().map(Error::number) != Some(error.number()) {
            self.error(error);
        }
    }

    /// The event status register, left as it is.
    pub fn esr(&self) -> u8 {
        self.esr
    }

    /// `*ESR?`: the event status register, cleared by this reading.
    pub fn take_esr(&mut self) -> u8 {
        std::mem::take(&mut self.esr)
    }

    /// Service request enable, `*SRE?`.
    pub fn sre(&self) -> u8 {
        self.sre
    }

    /// `*SRE`: bit 6 is ignored.
    pub fn set_sre(&mut self, mask: u8) {
        self.sre = mask & !STB_MASTER_SUMMARY;
    }

    /// `*STB?`: the status byte as it is now; `message_available` tells whether a reply waits to be sent.
    pub fn stb(&self, message_available: bool) -> u8 {
        let bits = [
            (self.oper.summary(), STB_OPERATION),
            (self.esr & self.ese != 0, STB_STANDARD_EVENT),
            (message_available, STB_MESSAGE_AVAILABLE),
            (self.ques.summary(), STB_QUESTIONABLE),
            (!self.errors.is_empty(), STB_ERROR_QUEUE),
        ];
        let stb = bits
            .iter()
            .filter(|(set, _)| *set)
            .fold(0, |stb, (_, bit)| stb | bit);
        if stb & self.sre != 0 {
            stb | STB_MASTER_SUMMARY
        } else {
            stb
        }
    }

    /// `*OPC`: asks for the operation-complete bit when every overlapped operation has ended.
    pub fn request_operation_complete(&mut self) {
        self.opc_pending = true;
    }

    /// True between `*OPC` and the end of the operations it waits for.
    pub fn operation_complete_pending(&self) -> bool {
        self.opc_pending
    }

    /// All overlapped operations of this connection have ended: a pending `*OPC` sets its bit.
    pub fn operations_ended(&mut self) {
        if std::mem::take(&mut self.opc_pending) {
            self.esr |= ESR_OPERATION_COMPLETE;
        }
    }

    /// `*CLS`: clears the queue, the event registers and a pending `*OPC`; keeps every enable and filter.
    pub fn clear(&mut self) {
        self.errors.clear();
        self.esr = 0;
        self.oper.take_event();
        self.ques.take_event();
        self.opc_pending = false;
    }

    /// `STATus:PRESet`: OPER and QUES enables and filters; ESE, SRE and events stay.
    pub fn preset(&mut self) {
        self.oper.preset();
        self.ques.preset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_has_only_the_power_on_bit() {
        let mut status = Status::new();
        assert_eq!((status.ese, status.sre(), status.stb(false)), (0, 0, 0));
        assert_eq!(status.take_esr(), 128);
        assert_eq!(status.esr(), 0);
        assert!(status.errors.is_empty());
    }

    #[test]
    fn a_full_queue_ends_in_queue_overflow() {
        let mut status = Status::new();
        status.clear();
        for number in 0..40 {
            status.error(Error::new(-200 - number));
        }
        let drained: Vec<i16> = (0..33).map(|_| status.errors.pop().number()).collect();
        let mut expected: Vec<i16> = (0..31).map(|n| -200 - n).collect();
        expected.extend([-350, 0]);
        assert_eq!(drained, expected);
        assert_eq!(status.esr(), 16 | 8);
    }

    #[test]
    fn reading_one_entry_makes_room_again() {
        let mut queue = ErrorQueue::default();
        for _ in 0..33 {
            queue.push(Error::new(-113));
        }
        assert_eq!(queue.pop().number(), -113);
        assert!(!queue.push(Error::new(-222)));
        assert_eq!(queue.newest().map(Error::number), Some(-222));
    }

    #[test]
    fn summary_bits_are_live() {
        let mut status = Status::new();
        status.clear();
        status.ese = 32;
        status.set_sre(255);
        assert_eq!(status.sre(), 191);
        status.set_sre(32);
        status.error(Error::new(-113));
        assert_eq!(status.stb(false), 100);
        status.ese = 0;
        assert_eq!(status.stb(false), 4);
        status.set_sre(16);
        assert_eq!(status.stb(true), 16 + 4 + 64);
    }

    #[test]
    fn filters_choose_the_edges() {
        let mut register = EventRegister::default();
        register.note_condition(0, 0b11);
        assert_eq!(register.take_event(), 0b11);
        register.note_condition(0b11, 0);
        assert_eq!(register.event(), 0);
        register.positive = 0;
        register.negative = 0b10;
        register.note_condition(0, 0b11);
        register.note_condition(0b11, 0);
        assert_eq!(register.event(), 0b10);
        register.enable = 0b10;
        register.preset();
        assert_eq!(
            register,
            EventRegister {
                event: 0b10,
                ..EventRegister::default()
            }
        );
    }

    #[test]
    fn operation_and_questionable_events_reach_their_bits() {
        let mut status = Status::new();
        status.oper.enable = 1 << 4;
        status.ques.enable = 1 << 10;
        status.oper.note_condition(0, 1 << 4);
        status.ques.note_condition(0, 1 << 10);
        assert_eq!(status.stb(false), 128 + 8);
        status.clear();
        assert_eq!(status.stb(false), 0);
        assert_eq!(status.oper.enable, 1 << 4);
    }

    #[test]
    fn operation_complete_comes_once_and_only_when_asked() {
        let mut status = Status::new();
        status.clear();
        status.operations_ended();
        assert_eq!(status.esr(), 0);
        status.request_operation_complete();
        status.operations_ended();
        assert_eq!(status.take_esr(), 1);
        status.request_operation_complete();
        status.clear();
        status.operations_ended();
        assert_eq!(status.esr(), 0);
    }

    #[test]
    fn a_fault_is_not_repeated_behind_itself() {
        let mut status = Status::new();
        status.fault(Error::new(-241));
        status.fault(Error::new(-241));
        assert_eq!(status.errors.len(), 1);
        status.error(Error::new(-113));
        status.fault(Error::new(-241));
        assert_eq!(status.errors.len(), 3);
    }
}
