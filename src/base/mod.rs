//! What every instrument stands on: clock, shutdown, error kinds, health, back-off, jobs, blocking pool.

pub mod clock;
pub mod fault;
