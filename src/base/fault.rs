//! Faults that a simulated device can be told to have.

/// One fault of a simulator, as `SIMulate:FAULt` and `outpost sim --fault` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSpec {
    /// Kebab-case name, unique within its instrument.
    pub name: &'static str,
    /// What the optional number means, or "" where the fault takes none.
    pub argument: &'static str,
    /// One line for people.
    pub help: &'static str,
}
