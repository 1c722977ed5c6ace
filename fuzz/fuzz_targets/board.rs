//! Any text as a board profile: a profile or errors with places, never a panic; a profile answers every question.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::board::Profile;
use outpost::config::Config;

fuzz_target!(|text: &str| {
    match Profile::parse("fuzz.toml", text) {
        Ok(profile) => {
            let config = Config::default();
            for wire in profile.wiring(&config) {
                assert!((1..=40).contains(&wire.pin));
            }
            profile.conflicts(&config);
            profile.config_txt_lines(&config);
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            assert_eq!(errors.to_string().lines().count(), errors.0.len());
        }
    }
});
