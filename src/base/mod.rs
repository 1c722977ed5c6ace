//! What every instrument stands on, from certificates and clock to orders, waiters and the pool for what blocks.

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
pub mod station;
pub mod trace;
pub mod waiters;
