//! What the simulated camera looks at: a moving warm spot before a cool wall, or pictures taken earlier.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::tcam::proto::file::{Record, RecordingReader, read_tjsn};
use crate::tcam::proto::image::{Frame, ImageError, ImageText};
use crate::tcam::proto::temperature::Resolution;
use crate::tcam::proto::{COLUMNS, PIXELS, PixelKind, Pixels, ROWS};

/// The most pictures of a replay: 77 MB of memory.
pub const MAX_FRAMES: usize = 2000;

/// Temperatures of a frame, row-major, 0.01 K.
pub(super) type Temperatures = [u32; PIXELS];

/// Wall at the left edge, 0.01 K: 293.15 K.
const BACKGROUND: f32 = 29_315.0;
/// From one edge to the other, 0.01 K.
const GRADIENT: f32 = 150.0;
/// The middle of the spot above the wall, 0.01 K.
const BLOB: f32 = 6_000.0;
/// Radius at which the spot has faded to 1/e, squared, in pixels.
const BLOB_RADIUS_SQUARED: f32 = 2.0 * 9.0 * 9.0;

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A picture in it is no picture.
    #[error("picture {number} of {path} is damaged")]
    Image {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        #[source]
        source: ImageError,
    },
    /// A picture with AGC on, or by a camera that measures no temperatures.
    #[error("picture {number} of {path} holds no temperatures, so that it cannot be a scene")]
    NoTemperatures {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
    },
    /// No whole picture at all.
    #[error("{path} holds no picture")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// More than fit in memory.
    #[error("{path} holds more than the {MAX_FRAMES} pictures that can be replayed")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
}

/// What the simulated camera looks at. The same seed and frame number give the same picture.
#[derive(Debug, Clone)]
pub struct Scene(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// A warm spot on a Lissajous path, begun at the phase that the seed chooses.
    Synthetic {
        phase: f32,
    },
    Replay(Vec<Picture>),
}

/// A picture as it was taken.
#[derive(Debug, Clone)]
struct Picture {
    pixels: Box<Pixels>,
    /// 0.01 K of a count.
    scale: u32,
}

impl Scene {
    /// A warm spot, 60 K above the wall behind it, that moves.
    pub fn synthetic(seed: u64) -> Self {
        let phase = Random::new(seed).below(6283) as f32 / 1000.0;
        Self(Kind::Synthetic { phase })
    }

    /// The pictures of a `.tjsn` or `.tmjsn` file, over and over, one a frame. A recording that was cut short is
    /// replayed as far as it goes.
    ///
    /// # Errors
    /// [`SceneError`].
    pub fn replay(path: &Path) -> Result<Self, SceneError> {
        let file = fs::read(path).map_err(|source| SceneError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut pictures = Vec::new();
        if path
            .extension()
            .is_some_and(|extension| extension == "tmjsn")
        {
            read_recording(path, &file, &mut pictures)?;
        } else {
            pictures.push(picture(path, 1, read_tjsn(&file))?);
        }
        match pictures.is_empty() {
            true => Err(SceneError::Empty { path: path.into() }),
            false => Ok(Self(Kind::Replay(pictures))),
        }
    }

    /// One of these pictures a frame, over and over: counts and what a count is. `None` without a picture.
    pub fn of_pictures(pictures: Vec<(Box<Pixels>, Resolution)>) -> Option<Self> {
        let pictures: Vec<Picture> = pictures
            .into_iter()
            .map(|(pixels, resolution)| Picture {
                pixels,
                scale: scale(resolution),
            })
            .collect();
        (!pictures.is_empty()).then_some(Self(Kind::Replay(pictures)))
    }

    /// Whether the sensor's noise is in the pictures already.
    pub(super) fn is_replay(&self) -> bool {
        matches!(self.0, Kind::Replay(_))
    }

    /// What is seen in frame `number`.
    pub(super) fn look(&self, number: u64, temperatures: &mut Temperatures) {
        match &self.0 {
            Kind::Synthetic { phase } => look_synthetic(*phase, number, temperatures),
            Kind::Replay(pictures) => {
                let index = (number % pictures.len() as u64) as usize;
                let picture = &pictures[index];
                for (temperature, &count) in temperatures.iter_mut().zip(picture.pixels.iter()) {
                    *temperature = u32::from(count) * picture.scale;
                }
            }
        }
    }
}

fn scale(resolution: Resolution) -> u32 {
    match resolution {
        Resolution::Centikelvin => 1,
        Resolution::Decikelvin => 10,
    }
}

fn read_recording(path: &Path, file: &[u8], pictures: &mut Vec<Picture>) -> Result<(), SceneError> {
    let mut reader = RecordingReader::new();
    // In pieces, because the reader moves what it has not handed out at every one.
    for piece in file.chunks(64 * 1024) {
        reader.push(piece);
        take_records(path, &mut reader, pictures)?;
    }
    reader.end();
    take_records(path, &mut reader, pictures)
}

fn take_records(
    path: &Path,
    reader: &mut RecordingReader,
    pictures: &mut Vec<Picture>,
) -> Result<(), SceneError> {
    while let Some(record) = reader.next() {
        if let Record::Image(text) = record {
            if pictures.len() == MAX_FRAMES {
                return Err(SceneError::TooLong { path: path.into() });
            }
            let number = pictures.len() + 1;
            pictures.push(picture(path, number, ImageText::parse(text))?);
        }
    }
    Ok(())
}

fn picture(
    path: &Path,
    number: usize,
    image: Result<ImageText<'_>, ImageError>,
) -> Result<Picture, SceneError> {
    let mut frame = Frame::blank();
    image
        .and_then(|image| frame.read(&image))
        .map_err(|source| SceneError::Image {
            path: path.to_owned(),
            number,
            source,
        })?;
    match frame.telemetry().pixel_kind() {
        PixelKind::Temperature(resolution) => Ok(Picture {
            scale: scale(resolution),
            pixels: frame.pixels,
        }),
        PixelKind::Agc | PixelKind::RawCounts => Err(SceneError::NoTemperatures {
            path: path.to_owned(),
            number,
        }),
    }
}

fn look_synthetic(phase: f32, number: u64, temperatures: &mut Temperatures) {
    // The path closes after 1080 frames, so that the angle stays exact however long the camera runs.
    let angle = (number % 1080) as f32 / 1080.0 * std::f32::consts::TAU;
    let x = 79.5 + 60.0 * (3.0 * angle + phase).sin();
    let y = 59.5 + 40.0 * (4.0 * angle).sin();
    let mut across = [0.0; COLUMNS];
    let mut wall = [0.0; COLUMNS];
    for (column, (fade, wall)) in across.iter_mut().zip(&mut wall).enumerate() {
        let distance = column as f32 - x;
        *fade = (-distance * distance / BLOB_RADIUS_SQUARED).exp();
        *wall = BACKGROUND + GRADIENT * column as f32 / COLUMNS as f32;
    }
    for (row, line) in temperatures.chunks_exact_mut(COLUMNS).enumerate() {
        let distance = row as f32 - y;
        let height = BLOB * (-distance * distance / BLOB_RADIUS_SQUARED).exp();
        let tilt = GRADIENT / 2.0 * row as f32 / ROWS as f32;
        for ((temperature, fade), wall) in line.iter_mut().zip(&across).zip(&wall) {
            *temperature = (wall + tilt + height * fade) as u32;
        }
    }
}

/// Numbers that look random and repeat with the seed (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// 0 to `limit` - 1, for a `limit` well below 2^32.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((self.next() >> 32) * limit) >> 32
    }
}
