//! What the kernel knows of the time: whether it was set, and which run of the machine this is.

#![allow(unsafe_code)]

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Where Linux tells the id of this run of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Whether a time service has synchronized the system's clock, as the kernel was told by it.
pub fn is_synchronized() -> bool {
    // SAFETY: `timex` is plain numbers, for which zeros are valid, and zero modes only read.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&mut timex);
        (state, timex)
    };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}

/// Milliseconds of the clock that never jumps and starts with the machine.
pub fn monotonic_ms() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// The id of this run of the machine; empty where the kernel tells none.
pub fn boot_id() -> String {
    let id = fs::read_to_string(BOOT_ID).unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_is_the_machines() {
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // Uptime counts time asleep as well; nothing counts less.
        assert!(monotonic_ms() > 0 && monotonic_ms() as f64 <= (seconds + 5.0) * 1000.0);
        assert_eq!(boot_id().len(), 36);
        assert_eq!(boot_id(), boot_id());
        // Either is right here; it must not fail.
        is_synchronized();
    }
}
