//! The store of readings: old layouts, old queries, a full disk, a locked file, kills and power cuts.

#[path = "readings/support.rs"]
mod support;

#[path = "readings/crash.rs"]
mod crash;
#[path = "readings/legacy.rs"]
mod legacy;
#[path = "readings/rows.rs"]
mod rows;
#[path = "readings/trouble.rs"]
mod trouble;
