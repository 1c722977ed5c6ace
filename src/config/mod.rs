//! Settings of the station: what they are, where each came from, and what is wrong with them, by file, line and column.
//!
//! Layers, each over the one before: built-in defaults ([`keys::KEYS`]), the board profile's `[defaults]`, the
//! configuration file, flags. [`Config::load`] merges them and keeps the [`Origin`] of every value.

pub(crate) mod document;
pub mod keys;
mod kind;
mod layers;
mod settings;
mod values;

use std::path::{Path, PathBuf};

use crate::board::{self, Detected, DeviceTree, Profile};
use crate::scpi::legacy::MAX_REPLY;
pub use document::{ConfigErrors, Place, Problem};
pub(crate) use document::{Document, Found, Reader, nearest};
pub use kind::Kind;
pub(crate) use kind::quoted;
pub(crate) use layers::read_layer;
pub use layers::{Origin, Setting, Settings};
pub use settings::*;

/// The file that is read when no other is named.
pub const SYSTEM_CONFIG: &str = "/etc/outpost/outpost.toml";

/// Where settings come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `--config`: this file, which must exist.
    pub config: Option<PathBuf>,
    /// `--board`: a profile's name or path.
    pub board: Option<String>,
    /// `--state-dir`: the folder that takes RAM disk, images and data.
    pub state_dir: Option<PathBuf>,
    /// Read if it exists and `config` is not given.
    pub system_config: PathBuf,
    /// What tells the board.
    pub device_tree: DeviceTree,
    /// What `$XDG_STATE_HOME` stands for at the start of a path.
    pub state_home: PathBuf,
}

/// A checked configuration, the board it is for, and where everything came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Each effective value with its origin, in the order of the documentation.
    pub origins: Settings,
    /// What is allowed but probably not meant, one sentence each.
    pub warnings: Vec<String>,
    /// The board.
    pub board: Profile,
    /// What the device tree says, whether or not it was asked.
    pub detected: Detected,
    /// The configuration file that was read, if any.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// No flags; paths of this machine and this user.
    pub fn from_environment() -> Self {
        let folder = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            // The XDG rules: a relative path is to be ignored.
            (path.is_absolute() && path.to_str().is_some()).then_some(path)
        };
        let state_home = folder("XDG_STATE_HOME")
            .or_else(|| Some(folder("HOME")?.join(".local/state")))
            .unwrap_or_else(|| PathBuf::from("/var/lib"));
        Self {
            config: None,
            board: None,
            state_dir: None,
            system_config: SYSTEM_CONFIG.into(),
            device_tree: DeviceTree::default(),
            state_home,
        }
    }

    fn document(&self) -> Result<Option<(PathBuf, Document)>, Problem> {
        let path = match &self.config {
            Some(path) => path,
            // A file that cannot even be looked for is an error when it is read, not an absent one.
            None if self.system_config.try_exists().unwrap_or(true) => &self.system_config,
            None => return Ok(None),
        };
        Document::read(path).map(|document| Some((path.clone(), document)))
    }

    /// `--state-dir` as absolute text.
    fn state_dir(&self) -> Result<Option<String>, Problem> {
        let Some(path) = &self.state_dir else {
            return Ok(None);
        };
        let absolute = std::path::absolute(path)
            .map_err(|error| Problem::new(None, "--state-dir", error.to_string()))?;
        let text = absolute.to_str().map(str::to_owned);
        text.map(Some).ok_or_else(|| {
            let text = format!("{} is not UTF-8 text", path.display());
            Problem::new(None, "--state-dir", text)
        })
    }
}

impl Config {
    /// Reads, merges and checks every source.
    ///
    /// Errors: everything wrong that was found, each with its place.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let document = sources.document()?;
        Self::from_document(sources, document)
    }

    /// As [`Config::load`], but the configuration is this text instead of a file; `file` is its name in errors, and
    /// relative paths start at its folder.
    pub fn from_text(file: &str, text: &str, sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let document = Document::new(file, text);
        Self::from_document(sources, Some((file.into(), document)))
    }

    /// As [`Config::load`], but the configuration is a table of a larger text, read by `section`; `file` is its path.
    pub(crate) fn from_section(
        file: &Path,
        section: Reader<'_>,
        sources: &Sources,
    ) -> Result<Loaded, ConfigErrors> {
        let mut problems = Vec::new();
        let layer = read_layer(section, &mut problems);
        let layer = layers::make_absolute(layer, &folder_of(file), &sources.state_home);
        Self::assemble(sources, Some(file.to_owned()), layer, problems)
    }

    fn from_document(
        sources: &Sources,
        document: Option<(PathBuf, Document)>,
    ) -> Result<Loaded, ConfigErrors> {
        let mut problems = Vec::new();
        let (file, layer) = match document {
            Some((path, document)) => {
                let layer = read_document(&document, &path, sources, &mut problems)?;
                (Some(path), layer)
            }
            None => (None, Vec::new()),
        };
        Self::assemble(sources, file, layer, problems)
    }

    fn assemble(
        sources: &Sources,
        file: Option<PathBuf>,
        layer: Vec<(usize, Found)>,
        mut problems: Vec<Problem>,
    ) -> Result<Loaded, ConfigErrors> {
        let detected = board::detect(&sources.device_tree);
        let (board, auto) = choose_board(sources, &layer, &detected, file.as_deref())
            .map_err(|ConfigErrors(more)| sorted([problems.clone(), more].concat()))?;
        let origins = merge(sources, &board, layer)?;
        origins.check(&mut problems);
        if !problems.is_empty() {
            return Err(sorted(problems));
        }
        let config = origins.config()?;
        let mut warnings = warnings(&config);
        warnings.extend(detected.warning.clone().filter(|_| auto));
        Ok(Loaded {
            config,
            origins,
            warnings,
            board,
            detected,
            file,
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut settings = Settings::built_in();
        settings.resolve();
        settings
            .config()
            .expect("the built-in defaults pass their own checks because a test loads them")
    }
}

impl Loaded {
    /// Where the station writes the addresses it really listens on.
    pub fn endpoints(&self) -> PathBuf {
        self.config.storage.data.join("endpoints.json")
    }
}

fn read_document(
    document: &Document,
    path: &Path,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Result<Vec<(usize, Found)>, ConfigErrors> {
    let table = document.parse()?;
    let base = folder_of(path);
    let layer = read_layer(Reader::root(document, &table), problems);
    Ok(layers::make_absolute(layer, &base, &sources.state_home))
}

/// Lays the layers over each other and fills in what follows from other values.
fn merge(
    sources: &Sources,
    board: &Profile,
    file: Vec<(usize, Found)>,
) -> Result<Settings, Problem> {
    let state_dir = sources.state_dir()?;
    let mut settings = Settings::built_in();
    settings.apply_board(board, &sources.state_home);
    settings.apply_file(file);
    settings.apply_flags(sources.board.as_deref(), state_dir.as_deref());
    settings.resolve();
    Ok(settings)
}

/// The folder that relative paths of a file start from.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The profile, and whether it was found by detection.
fn choose_board(
    sources: &Sources,
    layer: &[(usize, Found)],
    detected: &Detected,
    file: Option<&Path>,
) -> Result<(Profile, bool), ConfigErrors> {
    if let Some(name) = &sources.board {
        let place = None;
        return load_board(name, Path::new("."), "--board", place, detected);
    }
    let asked = layer
        .iter()
        .find(|(index, _)| keys::KEYS[*index].path() == "board");
    match asked {
        Some((_, found)) => {
            let name = found.value.as_str().unwrap_or("auto");
            let base = file.map(folder_of).unwrap_or_default();
            load_board(name, &base, "board", Some(found.place.clone()), detected)
        }
        None => load_board("auto", Path::new("."), "board", None, detected),
    }
}

fn load_board(
    name: &str,
    base: &Path,
    key: &str,
    place: Option<Place>,
    detected: &Detected,
) -> Result<(Profile, bool), ConfigErrors> {
    if name == "auto" {
        return Profile::named(&detected.id).map(|profile| (profile, true));
    }
    if board::is_path(name) {
        let path = match base.as_os_str() == "." {
            true => PathBuf::from(name),
            false => base.join(name),
        };
        return Profile::read(&path).map(|profile| (profile, false));
    }
    let names = board::names();
    if names.contains(&name) {
        return Profile::named(name).map(|profile| (profile, false));
    }
    let near = nearest(name, &names)
        .map(|near| format!(", did you mean \"{near}\"?"))
        .unwrap_or_default();
    let text = format!(
        "there is no board profile {}{near} (allowed: auto, {}, or the path of a profile)",
        quoted(name),
        names.join(", ")
    );
    Err(Problem::new(place, key, text).into())
}

fn sorted(mut problems: Vec<Problem>) -> ConfigErrors {
    problems.sort();
    problems.dedup();
    ConfigErrors(problems)
}

fn warnings(config: &Config) -> Vec<String> {
    let storage = &config.storage;
    let paths = [
        ("storage.ramdisk", &storage.ramdisk),
        ("storage.images", &storage.images),
        ("storage.sdcard", &storage.sdcard),
    ];
    let mut warnings: Vec<String> = paths
        .into_iter()
        .filter_map(|(key, path)| {
            let length = path.as_os_str().len();
            (length > MAX_REPLY).then(|| {
                format!(
                    "{key}: {} is {length} bytes long; FE-PyCam2 clients see only the first \
                     {MAX_REPLY} bytes of a path",
                    path.display()
                )
            })
        })
        .collect();
    if let (CameraBackend::Replay, Some(folder)) = (config.camera.backend, &config.camera.replay)
        && !folder.is_dir()
    {
        warnings.push(format!(
            "camera.replay: {} is not a folder",
            folder.display()
        ));
    }
    warnings
}
