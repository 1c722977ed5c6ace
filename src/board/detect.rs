//! Which board this is, by its device tree.

use std::path::{Path, PathBuf};

use super::Profile;

/// Longest device-tree property that is read, in bytes.
const LONGEST_PROPERTY: u64 = 4096;

/// Where the device tree's root properties are.
#[derive(Debug, Clone)]
pub struct DeviceTree {
    /// A list of strings, each ended by NUL.
    pub compatible_path: PathBuf,
    /// One string, ended by NUL; the firmware appends ` Rev x.y`.
    pub model_path: PathBuf,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// Id of the profile to use.
    pub id: String,
    /// The machine's own name for itself.
    pub model: Option<String>,
    /// Set where a device tree exists but no profile knows it.
    pub warning: Option<String>,
}

impl Default for DeviceTree {
    fn default() -> Self {
        Self {
            compatible_path: "/proc/device-tree/compatible".into(),
            model_path: "/proc/device-tree/model".into(),
        }
    }
}

/// Chooses a shipped profile: by a `compatible` string, else by the beginning of the model, else `sim`.
///
/// A machine without a device tree is no Pi: `sim` without a word. An unknown one gets `sim` with a warning, never a guess.
pub fn detect(tree: &DeviceTree) -> Detected {
    let compatible = strings(&tree.compatible_path);
    let model = strings(&tree.model_path).into_iter().next();
    let profiles: Vec<Profile> = Profile::shipped().filter_map(Result::ok).collect();
    let found = by_compatible(&profiles, &compatible)
        .or_else(|| by_model(&profiles, model.as_deref().unwrap_or_default()));
    let warning = match (found, model.as_ref().or(compatible.first())) {
        (None, Some(name)) => Some(format!(
            "unknown board \"{}\": running the simulated board; choose a profile with --board or \
             the key board",
            name.escape_debug()
        )),
        _ => None,
    };
    Detected {
        id: found.map_or_else(|| "sim".into(), |profile| profile.id.clone()),
        model,
        warning,
    }
}

/// The machine's own strings run from the most to the least specific, so the first that any profile knows decides.
fn by_compatible<'p>(profiles: &'p [Profile], compatible: &[String]) -> Option<&'p Profile> {
    compatible.iter().find_map(|name| {
        profiles
            .iter()
            .find(|profile| profile.compatible.contains(name))
    })
}

/// The longest matching beginning wins; it must end at a word, so "Raspberry Pi 5" is not "Raspberry Pi 500".
fn by_model<'p>(profiles: &'p [Profile], model: &str) -> Option<&'p Profile> {
    let matches = |prefix: &str| {
        let rest = model.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    profiles
        .iter()
        .flat_map(|profile| profile.models.iter().map(move |prefix| (prefix, profile)))
        .filter(|(prefix, _)| matches(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, profile)| profile)
}

fn strings(path: &Path) -> Vec<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST_PROPERTY).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    bytes
        .split(|byte| *byte == 0)
        .map(|text| String::from_utf8_lossy(text).trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}
