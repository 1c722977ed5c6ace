//! How long to wait before the next try: 0.5 s doubling to 30 s, with jitter so that instruments do not retry in step.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Waiting times of one supervised loop.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    noise: u64,
}

impl Backoff {
    /// Starts at the shortest wait; `seed` decides the jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            next: FIRST,
            noise: seed | 1,
        }
    }

    /// The wait before the next try: up to a quarter shorter than the step, then the step doubles.
    pub fn wait(&mut self) -> Duration {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        step.mul_f64(1.0 - (self.noise % 256) as f64 / 1024.0)
    }

    /// Whether nothing failed since something worked.
    pub fn is_fresh(&self) -> bool {
        self.next == FIRST
    }

    /// Back to the shortest wait after something worked.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_thirty_seconds_and_starts_over() {
        let mut backoff = Backoff::new(7);
        let mut step = 0.5;
        for _ in 0..12 {
            let wait = backoff.wait().as_secs_f64();
            assert!(
                wait <= step && wait >= step * 0.75,
                "{wait} for step {step}"
            );
            step = (step * 2.0).min(30.0);
        }
        assert!(!backoff.is_fresh());
        backoff.reset();
        assert!(backoff.is_fresh());
        assert!(backoff.wait() <= FIRST);
    }
}
