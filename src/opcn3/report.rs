//! What `PARTicle:INFO?` and `CONFigure?` tell.

use jiff::Timestamp;
use serde::Serialize;

use super::proto::{Configuration, SizeDistribution};
use super::{Phase, Sample, Shared};
use crate::store::readings::Flags;

/// The counter at a glance, and what it says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct InfoReport {
    /// `usb-iss`, `spi` or `sim`.
    pub link: &'static str,
    /// `away`, `starting`, `counting` or `off`.
    pub phase: &'static str,
    /// Bridge or port; this and the next three are `None` before the counter was found.
    pub bridge: Option<String>,
    /// The information string.
    pub information: Option<String>,
    /// The serial string.
    pub serial: Option<String>,
    /// Version of the firmware, such as `1.17a`.
    pub firmware: Option<String>,
    /// Whether fan and laser are to be on.
    pub enabled: bool,
    /// Whether rows go to the database.
    pub logging: bool,
    /// Time between rows.
    pub interval_s: f64,
    /// Name in the rows.
    pub gadget_id: String,
    /// The last reading; `None` before the first.
    pub reading: Option<SampleReport>,
}

/// One reading in units of people, in no more digits than the counter's numbers have. Rows keep all.
#[derive(Debug, Clone, Serialize)]
pub struct SampleReport {
    /// When it was read, UTC.
    pub taken: Timestamp,
    /// Of the counter's board, some degrees above the air's; in steps of 0.001.
    pub temperature_celsius: f64,
    /// Relative humidity, in steps of 0.001.
    pub humidity_percent: f64,
    /// PM1, PM2.5 and PM10; `None` for what is no number.
    pub pm_ug_m3: [Option<f32>; 3],
    /// Of all bins; `None` when nothing flowed. Seven digits are enough for the counts of a second, while volumes have three.
    pub concentration_per_cm3: Option<f32>,
    /// Time it covers.
    pub period_s: f64,
    /// Flow of the air.
    pub flow_ml_s: f64,
    /// Raw; 550 to 650 when healthy.
    pub laser_status: u16,
    /// Taken while fan and laser warmed up.
    pub warm_up: bool,
    /// Some value is not plausible.
    pub suspect: bool,
}

/// The counter's configuration.
#[derive(Debug, Clone, Serialize)]
pub struct ConfigurationReport {
    /// 25 edges of the bins as the converter sees them.
    pub bin_edges_adc: Vec<u16>,
    /// 25 edges of the bins.
    pub bin_edges_um: Vec<f64>,
    /// 24 weightings of the bins.
    pub bin_weightings: Vec<f64>,
    /// Diameters of PM A, B and C.
    pub pm_diameters_um: [f64; 3],
    /// Longer times of flight are rejected.
    pub max_time_of_flight_us: f64,
    /// Shorter pulses are rejected.
    pub particle_validation_period_us: f64,
    /// Time of flight to flow rate.
    pub time_of_flight_to_flow_rate: u8,
    /// Which weightings are in use.
    pub weighting_index: u8,
}

impl InfoReport {
    pub(super) fn of(shared: &Shared) -> Self {
        let settings = shared.settings.get();
        let unit = shared.unit.borrow();
        let unit = unit.as_ref();
        Self {
            link: shared.kind.word(),
            phase: match shared.phase.get() {
                Phase::Away => "away",
                Phase::Starting => "starting",
                Phase::Counting => "counting",
                Phase::Off => "off",
            },
            bridge: unit.map(|unit| unit.bridge.clone()),
            information: unit.map(|unit| unit.information.clone()),
            serial: unit.map(|unit| unit.serial.clone()),
            firmware: unit.map(|unit| unit.firmware.clone()),
            enabled: settings.counting,
            logging: settings.logging,
            interval_s: settings.interval.as_secs_f64(),
            gadget_id: shared.gadget_id.clone(),
            reading: shared.latest.borrow().as_deref().map(SampleReport::of),
        }
    }
}

impl SampleReport {
    /// Of this reading.
    pub fn of(sample: &Sample) -> Self {
        let histogram = &sample.histogram;
        let total = SizeDistribution::from(histogram).total_concentration();
        Self {
            taken: sample.taken,
            temperature_celsius: thousandths(histogram.temperature_c()),
            humidity_percent: thousandths(histogram.humidity_percent()),
            pm_ug_m3: histogram.finite_pm(),
            concentration_per_cm3: total.map(|total| total as f32),
            period_s: histogram.sampling_period_s(),
            flow_ml_s: histogram.sample_flow_rate_ml_s(),
            laser_status: histogram.laser_status,
            warm_up: sample.flags.has(Flags::WARM_UP),
            suspect: sample.flags.has(Flags::SUSPECT),
        }
    }
}

impl ConfigurationReport {
    pub(super) fn of(configuration: &Configuration) -> Self {
        let um = |raw: &u16| f64::from(*raw) / 100.0;
        Self {
            bin_edges_adc: configuration.bin_edges_adc.to_vec(),
            bin_edges_um: configuration.bin_edges.iter().map(um).collect(),
            bin_weightings: configuration.weightings().to_vec(),
            pm_diameters_um: configuration.pm_diameters_um(),
            max_time_of_flight_us: configuration.max_time_of_flight_us(),
            particle_validation_period_us: configuration.particle_validation_period_us(),
            time_of_flight_to_flow_rate: configuration.time_of_flight_to_flow_rate,
            weighting_index: configuration.weighting_index,
        }
    }
}

/// The sensors give 16 bits: 0.003 of a degree or percent.
fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
