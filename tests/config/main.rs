//! The configuration: defaults, layers, and the words of every refusal.

mod layers;
mod mistakes;
mod support;
mod values;
