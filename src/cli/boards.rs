//! `outpost boards`: the profiles, with the detected one marked.

use std::fmt::Write;
use std::process::ExitCode;

use super::{Arguments, Failure, complain, print};
use crate::board::{self, Profile};

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let detected = board::detect(&arguments.sources().device_tree);
    let profiles: Vec<Profile> = Profile::shipped().collect::<Result<_, _>>()?;
    let id_width = widest(profiles.iter().map(|profile| &profile.id));
    let name_width = widest(profiles.iter().map(|profile| &profile.name));
    let mut text = String::new();
    for Profile {
        id,
        name,
        description,
        ..
    } in &profiles
    {
        let mark = if *id == detected.id { '*' } else { ' ' };
        let _ = writeln!(
            text,
            "{mark} {id:id_width$}  {name:name_width$}  {description}"
        );
    }
    print(&text)?;
    if let Some(warning) = detected.warning {
        complain(&format!("warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Width of the widest text, in characters.
pub(super) fn widest<'t>(texts: impl Iterator<Item = &'t String>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}
