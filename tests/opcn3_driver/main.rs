//! The particle counter's driver against the simulated counter on an SPI bus in memory, in simulated time.

mod codec;
mod faults;
mod handshake;
mod unit;

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use embedded_hal::spi::{ErrorType, Operation, SpiDevice};
use outpost::opcn3::driver::{OpcError, OpcN3};
use outpost::opcn3::proto::{Command, Histogram, Power, Reply, Status};
use outpost::opcn3::sim::{Counter, Faults, SimConfig};

type Failed = OpcError<Infallible>;

/// A byte on the bus.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Exchange {
    at: Duration,
    sent: u8,
    answer: u8,
}

/// The counter, the time, and what went over the bus.
struct Bench {
    counter: Counter,
    now: Duration,
    log: Vec<Exchange>,
}

#[derive(Clone)]
struct Bus(Rc<RefCell<Bench>>);

impl ErrorType for Bus {
    type Error = Infallible;
}

impl SpiDevice for Bus {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        let mut bench = self.0.borrow_mut();
        for operation in operations {
            match operation {
                Operation::TransferInPlace([word]) => {
                    // 8 bits at 500 kHz.
                    bench.now += Duration::from_micros(16);
                    *word = bench.transfer(*word);
                }
                Operation::DelayNs(ns) => bench.now += Duration::from_nanos((*ns).into()),
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }
}

impl Bench {
    fn transfer(&mut self, sent: u8) -> u8 {
        let at = self.now;
        let answer = self.counter.transfer(sent, at);
        self.log.push(Exchange { at, sent, answer });
        answer
    }
}

/// A driver on a bus, waiting in simulated time.
struct Station {
    bench: Rc<RefCell<Bench>>,
    faults: Faults,
    opc: OpcN3<Bus>,
}

impl Station {
    fn new(config: SimConfig) -> Self {
        let faults = Faults::none();
        let bench = Rc::new(RefCell::new(Bench {
            counter: Counter::new(config, faults.clone(), Duration::ZERO),
            now: Duration::ZERO,
            log: vec![],
        }));
        let opc = OpcN3::new(Bus(bench.clone()));
        Self { bench, faults, opc }
    }

    fn run(&mut self, command: Command) -> Result<Reply, Failed> {
        let bench = self.bench.clone();
        self.opc
            .run(&command, |time| bench.borrow_mut().now += time)
    }

    fn wait(&self, seconds: u64) {
        self.bench.borrow_mut().now += Duration::from_secs(seconds);
    }

    fn histogram(&mut self) -> Histogram {
        match self.run(Command::Histogram).unwrap() {
            Reply::Histogram(histogram) => histogram,
            other => panic!("{other:?}"),
        }
    }

    fn status(&mut self) -> Status {
        match self.run(Command::Status).unwrap() {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Fan and laser on, the first histogram read away.
    fn switch_on(&mut self) {
        self.run(Command::Power(Power::Fan(true))).unwrap();
        self.wait(5);
        self.run(Command::Power(Power::Laser(true))).unwrap();
        self.histogram();
    }

    fn set(&self, fault: &str, n: u64) {
        self.faults.set(fault, Some(n)).unwrap();
    }

    /// Takes what went over the bus since the last call.
    fn log(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.bench.borrow_mut().log)
    }
}
