//! The simulated thermal camera against its documents: texts, numbers, timing, faults, and both front ends.
//!
//! The camera itself is a state machine, so that most tests let hours pass in no time.

mod commands;
mod faults;
mod fronts;
mod images;
mod rig;
