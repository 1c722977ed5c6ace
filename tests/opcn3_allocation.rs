//! Reading after reading, the particle counter's driver leaves the heap alone, bridge included. A binary of its own:
//! it counts every allocation.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::Duration;

use outpost::app::particle_sim;
use outpost::opcn3::driver::{OpcN3, Progress};
use outpost::opcn3::proto::{BinEdges, Command, Reply, SizeDistribution};
use outpost::opcn3::sim::{Faults, SimConfig};
use outpost::usbiss::driver::UsbIss;
use outpost::usbiss::proto::{Divisor, SpiMode};
use outpost::usbiss::sim::{Answer, Bridge};

struct Counting;

thread_local! {
    // By thread, because the test harness allocates on its own one meanwhile. Without destructor, so that it may be
    // used at any time of a thread's life.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; realloc and alloc_zeroed default to alloc.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Layout) {
        // SAFETY: `pointer` came from `System.alloc` above with the same layout.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(mut action: impl FnMut()) -> usize {
    let before = ALLOCATIONS.get();
    action();
    ALLOCATIONS.get() - before
}

/// A serial port with the simulated bridge at its other end.
struct Port {
    bridge: Bridge,
    answer: Answer,
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answer = self.bridge.message(bytes, Duration::ZERO);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.answer.len());
        buffer[..count].copy_from_slice(&self.answer[..count]);
        self.answer = Answer::from_slice(&self.answer[count..]).unwrap();
        Ok(count)
    }
}

#[test]
fn readings_do_not_allocate() {
    let bridge = particle_sim::bridge(SimConfig::default(), Faults::none());
    let answer = Answer::new();
    let port = Port { bridge, answer };
    let divisor = Divisor::for_hz(500_000).unwrap();
    let mut counter = OpcN3::new(UsbIss::open(port, SpiMode::Mode1, divisor).unwrap());
    let mut read = |command| {
        counter.start(&command);
        loop {
            match counter.advance().unwrap() {
                Progress::Wait(time) => {
                    black_box(time);
                }
                Progress::Done(reply) => break reply,
            }
        }
    };
    let edges = BinEdges::default();
    let mut reading = || {
        let Reply::Histogram(histogram) = read(Command::Histogram) else {
            panic!("a histogram");
        };
        black_box(SizeDistribution::from(&histogram).dn_dlogd(&edges));
        black_box(read(Command::Pm));
        black_box(read(Command::Status));
        black_box(read(Command::ReadConfiguration));
    };
    assert_eq!(allocations(|| (0..20).for_each(|_| reading())), 0);
    // The simulation puts its serial string together on the heap: counting works.
    assert!(allocations(|| drop(read(Command::SerialString))) > 0);
}
