//! Settings from a text, whatever machine runs the test.

use outpost::config::{Config, Loaded, Sources};

/// Sources that do not depend on the machine that runs the test.
pub fn sources(board: &str) -> Sources {
    Sources {
        board: Some(board.into()),
        system_config: "/nonexistent/outpost.toml".into(),
        state_home: "/home/somebody/.local/state".into(),
        ..Sources::from_environment()
    }
}

pub fn load(text: &str) -> Loaded {
    Config::from_text("/etc/outpost/outpost.toml", text, &sources("sim"))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors of a text, one a line, without the file's name.
pub fn errors_of(text: &str) -> String {
    let result = Config::from_text("f", text, &sources("sim"));
    let errors = result.expect_err("the text should be refused").to_string();
    errors.replace("f:", "")
}

pub fn origin_of(loaded: &Loaded, path: &str) -> String {
    let setting = loaded.origins.get(path);
    setting.map_or("no such key".into(), |setting| setting.origin.to_string())
}
