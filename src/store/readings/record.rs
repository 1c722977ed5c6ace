//! One reading as it is handed in, and as it is read back.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// Size classes of a reading.
pub const BIN_COUNT: usize = 24;

/// What is to be said about a row; bits of column `flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Flags(pub u32);

impl Flags {
    /// Taken while the instrument warmed up.
    pub const WARM_UP: Flags = Flags(1);
    /// Stamped before the station's clock was set.
    pub const CLOCK_UNSET: Flags = Flags(2);
    /// Some periods of the interval were lost, so the row covers less than it says.
    pub const GAP: Flags = Flags(4);
    /// A value is out of its plausible range.
    pub const SUSPECT: Flags = Flags(8);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One reading to keep. What is `None`, NaN or infinite is stored as NULL.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Which instrument, as registered with the receiver of the data.
    pub gadget_id: String,
    /// The scheduled instant. The store moves it on when it does not lie after the gadget's previous one.
    pub utc: Timestamp,
    /// Milliseconds on a clock that never jumps, from any zero that is fixed for one [`DatabaseSettings::boot`].
    ///
    /// [`DatabaseSettings::boot`]: super::DatabaseSettings::boot
    pub monotonic_ms: i64,
    /// What is to be said about it.
    pub flags: Flags,
    /// Celsius.
    pub temperature_c: Option<f64>,
    /// Relative humidity, percent.
    pub humidity_percent: Option<f64>,
    /// PM1, PM2.5, PM10 in ug/m3.
    pub pm_ug_m3: [Option<f64>; 3],
    /// Number concentration of each bin, 1/cm3.
    pub bins_per_cm3: [Option<f64>; BIN_COUNT],
    /// Mean time of flight of bins 1, 3, 5, 7 in us.
    pub mtof_us: [Option<f64>; 4],
    /// Sampling period, s.
    pub sampling_period_s: Option<f64>,
    /// Sample flow rate, ml/s.
    pub sample_flow_rate_ml_s: Option<f64>,
    /// Rejected particles: glitch, long time of flight, ratio, out of range.
    pub rejects: [Option<f64>; 4],
    /// Fan revolution count.
    pub fan_rev_count: Option<f64>,
    /// The laser status last seen.
    pub last_status: Option<f64>,
    /// The checksum of the last frame as received.
    pub checksum: Option<f64>,
    /// Frames added up.
    pub n_frames: Option<u32>,
    /// Air sampled, ml.
    pub volume_ml: Option<f64>,
    /// The lowest laser status of the interval.
    pub last_status_min: Option<f64>,
    /// Particles counted in each bin.
    pub bin_counts: [Option<u64>; BIN_COUNT],
}

/// What is known of the time when rows are chosen or corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// Whether civil time can be trusted.
    pub is_set: bool,
    /// Civil time now.
    pub utc: Timestamp,
    /// Now on the clock of [`Reading::monotonic_ms`].
    pub monotonic_ms: i64,
}

/// One stored row: the old columns by name, in order, and the flags.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredReading {
    /// Its number.
    pub rdg_no: i64,
    /// `YYYY-MM-DD HH:MM:SS` UTC; older rows `YYYY-MM-DD HH:MM` local.
    pub timestamp: String,
    /// Which instrument.
    pub gadget_id: Option<String>,
    /// Columns 4 to 45 in order, as [`LEGACY_COLUMNS`](super::LEGACY_COLUMNS) names them.
    pub values: Vec<Option<f64>>,
    /// What is to be said about it.
    pub flags: Flags,
}

impl StoredReading {
    /// The value of a column by its name; `None` also when there is no such column.
    pub fn value(&self, column: &str) -> Option<f64> {
        let at = super::LEGACY_COLUMNS[3..]
            .iter()
            .position(|(name, _)| *name == column)?;
        self.values.get(at).copied().flatten()
    }

    /// The row by the names of its columns, and `flags`.
    pub fn named(&self) -> Map<String, Value> {
        let mut row = Map::new();
        row.insert("rdg_no".into(), self.rdg_no.into());
        row.insert("timestamp".into(), self.timestamp.as_str().into());
        row.insert("gadget_id".into(), self.gadget_id.clone().into());
        let names = super::LEGACY_COLUMNS[3..].iter().map(|(name, _)| *name);
        for (name, value) in names.zip(&self.values) {
            row.insert(name.into(), (*value).into());
        }
        row.insert("flags".into(), self.flags.0.into());
        row
    }
}
