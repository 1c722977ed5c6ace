//! The thermal camera's protocol at its edges: odd commands, damaged packets, hostile numbers, and round trips.

mod commands;
mod files;
mod images;
mod packets;
mod responses;
mod round_trips;
mod support;
