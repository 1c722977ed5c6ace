//! One reading of the counter, and several added up to a row.

use jiff::Timestamp;

use super::proto::histogram::{HUMID_PERCENT, LASER_STATUS};
use super::proto::{BINS, Histogram};
use crate::store::readings::{Flags, Reading};

/// Bins whose mean time of flight the counter tells.
const TIMED_BINS: [usize; 4] = [1, 3, 5, 7];

/// One reading of the counter. Its checksum was right.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was read, UTC.
    pub taken: Timestamp,
    /// What was counted, in the counter's own units.
    pub histogram: Histogram,
    /// As received.
    pub checksum: u16,
    /// [`Flags::WARM_UP`] and [`Flags::SUSPECT`].
    pub flags: Flags,
}

impl Sample {
    pub(super) fn new(
        taken: Timestamp,
        histogram: Histogram,
        checksum: u16,
        warming_up: bool,
    ) -> Self {
        let mut flags = Flags::default();
        if warming_up {
            flags = flags.with(Flags::WARM_UP);
        }
        let suspect = histogram.is_suspect()
            || !LASER_STATUS.contains(&histogram.laser_status)
            || histogram.humidity_percent() > HUMID_PERCENT;
        if suspect {
            flags = flags.with(Flags::SUSPECT);
        }
        Self {
            taken,
            histogram,
            checksum,
            flags,
        }
    }
}

/// Mean of values that each count as much as their weight.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        if value.is_finite() {
            self.sum += value * weight;
            self.weight += weight;
        }
    }

    fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// Readings added up to one row.
///
/// Counts, rejects, volume and period are summed and concentrations made of the sums; PM are means by volume (by
/// period where nothing flowed), times of flight by count, temperature and humidity plain means; the laser status is
/// the last, and the lowest beside it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    n_frames: u32,
    counts: [u64; BINS],
    rejects: [u64; 4],
    volume_ml: f64,
    period_s: f64,
    temperature: Mean,
    humidity: Mean,
    pm_by_volume: [Mean; 3],
    pm_by_period: [Mean; 3],
    times_of_flight: [Mean; 4],
    plain_times_of_flight: [Mean; 4],
    fan_revolutions: u16,
    laser_status: u16,
    lowest_laser_status: u16,
    checksum: u16,
    flags: Flags,
}

impl Sum {
    pub(super) fn is_empty(&self) -> bool {
        self.n_frames == 0
    }

    pub(super) fn add(&mut self, sample: &Sample) {
        let histogram = &sample.histogram;
        for (sum, count) in self.counts.iter_mut().zip(histogram.counts) {
            *sum += u64::from(count);
        }
        let rejects = [
            histogram.rejected_glitch,
            histogram.rejected_long_time_of_flight,
            histogram.rejected_ratio,
            histogram.rejected_out_of_range,
        ];
        for (sum, rejected) in self.rejects.iter_mut().zip(rejects) {
            *sum += u64::from(rejected);
        }
        let (volume_ml, period_s) = (histogram.volume_ml(), histogram.sampling_period_s());
        self.volume_ml += volume_ml;
        self.period_s += period_s;
        self.temperature.add(histogram.temperature_c(), 1.0);
        self.humidity.add(histogram.humidity_percent(), 1.0);
        for (index, pm) in histogram.pm.map(f64::from).into_iter().enumerate() {
            self.pm_by_volume[index].add(pm, volume_ml);
            self.pm_by_period[index].add(pm, period_s);
        }
        let times = histogram.mean_time_of_flight_us();
        for (index, (time, bin)) in times.into_iter().zip(TIMED_BINS).enumerate() {
            self.times_of_flight[index].add(time, f64::from(histogram.counts[bin]));
            self.plain_times_of_flight[index].add(time, 1.0);
        }
        self.fan_revolutions = histogram.fan_revolutions;
        self.laser_status = histogram.laser_status;
        self.lowest_laser_status = match self.n_frames {
            0 => histogram.laser_status,
            _ => self.lowest_laser_status.min(histogram.laser_status),
        };
        self.checksum = sample.checksum;
        self.flags = self.flags.with(sample.flags);
        self.n_frames += 1;
    }

    /// Sets flags of the row if so.
    pub(super) fn mark(&mut self, flags: Flags, so: bool) {
        if so {
            self.flags = self.flags.with(flags);
        }
    }

    /// The row; stamp and monotonic time are the caller's.
    pub(super) fn reading(&self, gadget_id: &str, utc: Timestamp, monotonic_ms: i64) -> Reading {
        let flowed = self.volume_ml > 0.0;
        let pm = match flowed {
            true => &self.pm_by_volume,
            false => &self.pm_by_period,
        };
        let time = |index: usize| {
            let weighted = self.times_of_flight[index].value();
            weighted.or_else(|| self.plain_times_of_flight[index].value())
        };
        Reading {
            gadget_id: gadget_id.to_owned(),
            utc,
            monotonic_ms,
            flags: self.flags,
            temperature_c: self.temperature.value(),
            humidity_percent: self.humidity.value(),
            pm_ug_m3: std::array::from_fn(|index| pm[index].value()),
            bins_per_cm3: self
                .counts
                .map(|count| flowed.then(|| count as f64 / self.volume_ml)),
            mtof_us: std::array::from_fn(time),
            sampling_period_s: Some(self.period_s),
            sample_flow_rate_ml_s: (self.period_s > 0.0).then(|| self.volume_ml / self.period_s),
            rejects: self.rejects.map(|count| Some(count as f64)),
            fan_rev_count: Some(f64::from(self.fan_revolutions)),
            last_status: Some(f64::from(self.laser_status)),
            checksum: Some(f64::from(self.checksum)),
            n_frames: Some(self.n_frames),
            volume_ml: Some(self.volume_ml),
            last_status_min: Some(f64::from(self.lowest_laser_status)),
            bin_counts: self.counts.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: u16, period: u16, flow: u16, pm: f32) -> Sample {
        let histogram = Histogram {
            counts: [count; BINS],
            mean_time_of_flight: [count as u8 * 3; 4],
            sampling_period: period,
            sample_flow_rate: flow,
            temperature: 26_214,
            humidity: 32_768,
            pm: [pm, pm + 1.0, pm + 2.0],
            rejected_glitch: 1,
            rejected_long_time_of_flight: 2,
            rejected_ratio: 3,
            rejected_out_of_range: 4,
            fan_revolutions: 0,
            laser_status: 600 + count,
        };
        Sample::new(Timestamp::UNIX_EPOCH, histogram, 0xabcd, false)
    }

    #[test]
    fn sums_are_made_of_counts_volumes_and_weights() {
        let mut sum = Sum::default();
        // 10 s at 4 ml/s, then 5 s at 2 ml/s: 40 and 10 ml.
        sum.add(&sample(30, 1000, 400, 5.0));
        sum.add(&sample(10, 500, 200, 10.0));
        let row = sum.reading("OPC_1", Timestamp::UNIX_EPOCH, 7);
        assert_eq!(row.n_frames, Some(2));
        assert_eq!(row.bin_counts[0], Some(40));
        assert_eq!(row.bins_per_cm3[23], Some(40.0 / 50.0));
        assert_eq!(row.sampling_period_s, Some(15.0));
        assert_eq!(row.sample_flow_rate_ml_s, Some(50.0 / 15.0));
        assert_eq!(row.volume_ml, Some(50.0));
        let close = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 1e-9;
        assert!(close(row.pm_ug_m3[0], (5.0 * 40.0 + 10.0 * 10.0) / 50.0));
        // 30 us of 30 particles, 10 us of 10.
        assert!(close(row.mtof_us[0], (30.0 * 30.0 + 10.0 * 10.0) / 40.0));
        assert_eq!(row.rejects, [2.0, 4.0, 6.0, 8.0].map(Some));
        assert_eq!(row.last_status, Some(610.0));
        assert_eq!(row.last_status_min, Some(610.0));
        assert_eq!(row.checksum, Some(43981.0));
        assert_eq!(row.flags, Flags::default());
        assert!(close(
            row.temperature_c,
            -45.0 + 175.0 * 26_214.0 / 65_535.0
        ));
    }

    #[test]
    fn without_flow_there_is_no_concentration_and_pm_go_by_time() {
        let mut sum = Sum::default();
        let mut still = sample(0, 1000, 0, 2.0);
        still.histogram.pm[1] = f32::NAN;
        sum.add(&still);
        sum.add(&sample(0, 1000, 0, 4.0));
        let row = sum.reading("OPC_1", Timestamp::UNIX_EPOCH, 7);
        assert_eq!(row.bins_per_cm3, [None; BINS]);
        assert_eq!(row.pm_ug_m3, [Some(3.0), Some(5.0), Some(5.0)]);
        assert_eq!(row.mtof_us, [Some(0.0); 4]);
        assert_eq!(row.sample_flow_rate_ml_s, Some(0.0));
    }

    #[test]
    fn what_cannot_be_is_flagged() {
        assert!(sample(60_000 / 3, 100, 300, 1.0).flags.has(Flags::SUSPECT));
        let mut humid = sample(1, 100, 300, 1.0).histogram;
        assert!(
            !Sample::new(Timestamp::UNIX_EPOCH, humid, 0, false)
                .flags
                .has(Flags::SUSPECT)
        );
        humid.humidity = 56_000;
        let humid = Sample::new(Timestamp::UNIX_EPOCH, humid, 0, true);
        assert_eq!(humid.flags, Flags::WARM_UP.with(Flags::SUSPECT));
    }
}
