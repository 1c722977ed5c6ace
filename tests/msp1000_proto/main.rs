//! The spectrometer's codec and arithmetic against the conversations and results of the vendor's own client.

mod arithmetic;
mod commands;
mod peaks;
mod replies;
mod support;
mod vectors;
