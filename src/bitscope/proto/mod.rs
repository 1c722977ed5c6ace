//! The BitScope's codec: the virtual machine's bytes and registers, captures, generators, datagrams. No input or output.
//!
//! ```text
//! host   08@b6z02z..s   >   A          every byte is a command of the virtual machine
//! device 08@b6z02z..s   >   A data     each is echoed when done; some then send data
//! ```
//! There is no framing, no checksum and no error reply. Source: the vendor's VM specification VM01B and what the
//! published client *scopething* does on a real BS05.

pub mod capture;
pub mod channel;
pub mod clock;
pub mod datagram;
pub mod decode;
pub mod mode;
pub mod probe;
pub mod register;
pub mod reply;
pub mod samples;
pub mod url;
pub mod vm;
pub mod waveform;

pub use capture::{CaptureError, CapturePlan, CaptureRequest, TriggerKind, TriggerSource};
pub use channel::{Channel, Channels};
pub use clock::{ClockError, ClockPlan};
pub use decode::{Capture, Cause, Trace, TriggerPoint};
pub use mode::{Mode, Timing};
pub use probe::{Probe, ProbeError};
pub use register::{Register, Writes, write_string};
pub use reply::{ReplyError, TraceEvent, TraceReader};
pub use url::{Address, UrlError};
pub use vm::{Class, Command};
pub use waveform::{Shape, WaveformError, WaveformPlan, WaveformRequest};

/// Ticks of the device's clock in a second: one is 25 ns.
pub const TICKS_PER_S: f64 = 40e6;
/// One tick in s.
pub const TICK_S: f64 = 25e-9;
/// One unit of the trace time-out in s: 256 ticks.
pub const TIMEOUT_UNIT_S: f64 = 256.0 * TICK_S;
/// Bytes of the sample buffer.
pub const BUFFER: u32 = 12288;
/// Entries of the generator's wave table, and of its play buffer.
pub const TABLE: usize = 1024;
/// Volts of a high logic level, and the most that clock and generator give.
pub const LOGIC_HIGH_V: f64 = 3.3;
/// What a BitScope Micro calls itself, up to the firmware's number.
pub const REVISION_PREFIX: &[u8] = b"BS0005";
/// EEPROM address of the first of 8 characters of the serial number.
pub const SERIAL_ADDRESS: u8 = 0x30;
/// Characters of the serial number.
pub const SERIAL_LENGTH: usize = 8;
