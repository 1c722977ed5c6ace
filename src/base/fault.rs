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

/// Switches a fault on by name and number; the error is a sentence.
pub type SetFault = dyn Fn(&str, Option<u64>) -> Result<(), String>;

/// The faults of one simulated instrument, whatever its simulator calls them.
pub struct FaultSwitch {
    /// Switches the named fault on, with its number.
    pub set: Box<SetFault>,
    /// Ends all of them.
    pub clear: Box<dyn Fn()>,
}

impl std::fmt::Debug for FaultSwitch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultSwitch")
    }
}
