//! What every instrument stands on: certificates, clock, shutdown, error kinds, health, back-off, jobs, orders, blocking pool.

pub mod absence;
pub mod backoff;
pub mod certificate;
pub mod clock;
pub mod conditions;
pub mod error;
pub mod fault;
pub mod health;
pub mod jobs;
pub mod orders;
pub mod pool;
pub mod shutdown;
pub mod trace;
