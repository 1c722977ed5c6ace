//! Board profiles: every shipped one, their wiring, conflicts, detection, and the words of a refusal.

mod conflicts;
mod detection;
mod profiles;
mod vitals;

use outpost::config::{Config, Loaded, Sources};

const PI_BOARDS: [&str; 5] = ["pi3b", "pi4b", "pi5", "zero2w", "cm4"];

/// A configuration for a board, whatever the machine of the test.
fn load(board: &str, text: &str) -> Loaded {
    let sources = Sources {
        board: Some(board.into()),
        system_config: "/nonexistent/outpost.toml".into(),
        ..Sources::from_environment()
    };
    Config::from_text("f", text, &sources).unwrap_or_else(|errors| panic!("{errors}"))
}
