//! Any text as a configuration: never a panic; what is accepted says the same again when its effective values are read back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::config::{Config, Sources};

fuzz_target!(|text: &str| {
    let mut sources = Sources::from_environment();
    sources.board = Some("sim".into());
    match Config::from_text("/fuzz/outpost.toml", text, &sources) {
        Ok(loaded) => {
            let mut effective = String::new();
            for setting in loaded.origins.iter() {
                effective.push_str(&format!("{} = {}\n", setting.key.path(), setting.value));
            }
            let again = Config::from_text("/fuzz/again.toml", &effective, &sources)
                .unwrap_or_else(|errors| panic!("{errors}\n{effective}"));
            assert_eq!(again.config, loaded.config);
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            assert_eq!(errors.to_string().lines().count(), errors.0.len());
        }
    }
});
