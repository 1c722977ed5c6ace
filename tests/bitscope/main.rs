//! The BitScope: vectors, every mode over every link, and what the links can do wrong.

mod faults;
mod links;
mod orders;
mod program;
mod support;
mod tables;
mod transcripts;
mod udp;
