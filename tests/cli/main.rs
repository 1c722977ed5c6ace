//! The program as a user meets it: help, exit codes, reports, and talk with a station (a tiny one, on a free port).

mod query;
mod reports;
mod status;
mod support;
mod usage;
