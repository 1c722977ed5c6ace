//! The thermal camera's driver, actor and handle against a scripted camera, on both links and a clock driven by hand.

mod commands;
mod faults;
mod images;
mod rig;
mod streams;
mod trouble;
