//! Board profiles: every shipped one, conflicts, detection.

use outpost::board::Profile;
use outpost::config::{Config, Sources};

#[test]
fn every_shipped_profile_loads() {
    for profile in Profile::shipped() {
        let profile = profile.unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!profile.name.is_empty());
    }
}

#[test]
fn every_shipped_profile_is_free_of_conflicts() {
    for name in outpost::board::names() {
        let mut sources = Sources::from_environment();
        sources.system_config = "/nonexistent".into();
        sources.board = Some(name.into());
        let loaded = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.board.conflicts(&loaded.config), [], "{name}");
    }
}
