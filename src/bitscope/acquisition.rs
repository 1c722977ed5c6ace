//! A capture as it is kept, and as the files that people and programs want.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::Timestamp;

use super::proto::{Capture, Channel, Trace};
use super::report::CaptureReport;
use crate::plot::{Axis, Curve, Figure, Lane, PlotError, SIZE};

/// Bytes before the values of a `.npy` file.
const NPY_HEADER: usize = 128;

/// A capture and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquisition {
    /// Captures since the station started.
    pub number: u64,
    /// When its samples had come.
    pub captured: Timestamp,
    /// The device's.
    pub serial_number: String,
    /// The samples.
    pub capture: Capture,
}

/// The files a capture can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Text: a row of column names with units, then a row a sample.
    Csv,
    /// The same columns as a C-ordered array of rows x columns little-endian f64, NaN where CSV has nothing.
    Npy,
    /// A plot, for people.
    Png,
}

impl FileFormat {
    /// `csv`, `npy` or `png`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Npy => "npy",
            Self::Png => "png",
        }
    }
}

/// A column of a file: times, or samples of a channel.
enum Column<'a> {
    Time(&'a Trace),
    Samples(&'a Trace),
}

impl Column<'_> {
    fn value(&self, row: usize) -> Option<f64> {
        match self {
            Self::Time(trace) if row < trace.samples.len() => {
                Some(trace.first_s + row as f64 * trace.period_s)
            }
            Self::Time(_) => None,
            Self::Samples(trace) => trace.samples.get(row).map(|value| f64::from(*value)),
        }
    }
}

impl Acquisition {
    /// Everything but the samples.
    pub fn report(&self) -> CaptureReport {
        CaptureReport::of(self)
    }

    /// The capture as a file.
    ///
    /// Columns of CSV and NPY: for the channels that were sampled at the same instants their time in s after the start
    /// of the capture, then each channel, in volts or as 0 and 1. Two analogue channels take turns, so each has times
    /// of its own.
    ///
    /// # Errors
    /// Those of a plot; nothing else can go wrong in memory.
    pub fn encode(&self, format: FileFormat) -> Result<Vec<u8>, PlotError> {
        match format {
            FileFormat::Csv => Ok(self.csv().into_bytes()),
            FileFormat::Npy => Ok(self.npy()),
            FileFormat::Png => {
                let mut file = Vec::with_capacity(64 * 1024);
                self.figure().encode(SIZE.0, SIZE.1, &mut file)?;
                Ok(file)
            }
        }
    }

    /// Bytes of the file at most.
    pub fn size_limit(&self, format: FileFormat) -> u64 {
        let values = self.rows() as u64 * self.columns().len() as u64;
        match format {
            FileFormat::Csv => 1024 + 24 * values,
            FileFormat::Npy => NPY_HEADER as u64 + 8 * values,
            FileFormat::Png => 3 * u64::from(SIZE.0) * u64::from(SIZE.1),
        }
    }

    /// Analogue channels as curves, logic channels as lanes below them.
    pub fn figure(&self) -> Figure {
        let axis = |label: &str, unit: &str| Axis {
            label: label.into(),
            unit: unit.into(),
        };
        let mut figure = Figure {
            title: format!(
                "BitScope {}  {}",
                self.serial_number,
                self.captured.strftime("%Y-%m-%d %H:%M:%S UTC")
            ),
            x: axis("time", "s"),
            y: axis("voltage", "V"),
            ..Figure::default()
        };
        for trace in &self.capture.traces {
            let name = trace.channel.to_string();
            let time = |index: usize| trace.first_s + index as f64 * trace.period_s;
            let samples = trace.samples.iter().enumerate();
            match trace.channel {
                Channel::Logic(_) => figure.lanes.push(Lane {
                    name,
                    points: samples.map(|(i, v)| (time(i), *v > 0.5)).collect(),
                }),
                _ => figure.curves.push(Curve {
                    name,
                    points: samples.map(|(i, v)| (time(i), f64::from(*v))).collect(),
                }),
            }
        }
        figure
    }

    fn csv(&self) -> String {
        let columns = self.columns();
        let mut text = self.names().join(",");
        text.push('\n');
        for row in 0..self.rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                let Some(value) = column.value(row) else {
                    continue;
                };
                // Times in steps of 25 ns, samples of at most 16 bits.
                let _ = match column {
                    Column::Time(_) => write!(text, "{value:.9}"),
                    Column::Samples(trace) => match trace.channel {
                        Channel::Logic(_) => write!(text, "{value:.0}"),
                        _ => write!(text, "{value:.6}"),
                    },
                };
            }
            text.push('\n');
        }
        text
    }

    fn npy(&self) -> Vec<u8> {
        let columns = self.columns();
        let (rows, width) = (self.rows(), columns.len());
        let mut out = Vec::with_capacity(NPY_HEADER + 8 * rows * width);
        npy_header(rows, width, &mut out).expect("a vector because it takes every write");
        for row in 0..rows {
            for column in &columns {
                let value = column.value(row).unwrap_or(f64::NAN);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        out
    }

    fn rows(&self) -> usize {
        let lengths = self.capture.traces.iter().map(|trace| trace.samples.len());
        lengths.max().unwrap_or(0)
    }

    fn columns(&self) -> Vec<Column<'_>> {
        let mut columns = Vec::new();
        let mut before: Option<&Trace> = None;
        for trace in &self.capture.traces {
            if !before.is_some_and(|before| same_instants(before, trace)) {
                columns.push(Column::Time(trace));
            }
            columns.push(Column::Samples(trace));
            before = Some(trace);
        }
        columns
    }

    /// One a column.
    fn names(&self) -> Vec<String> {
        let columns = self.columns();
        let times = columns.iter().filter(|c| matches!(c, Column::Time(_)));
        let several = times.count() > 1;
        let name = |column: &Column<'_>| match column {
            Column::Time(trace) if several => format!("{}_time_s", trace.channel),
            Column::Time(_) => "time_s".into(),
            Column::Samples(trace) => match trace.channel {
                Channel::Logic(_) => trace.channel.to_string(),
                _ => format!("{}_V", trace.channel),
            },
        };
        columns.iter().map(name).collect()
    }
}

fn same_instants(one: &Trace, other: &Trace) -> bool {
    one.first_s == other.first_s
        && one.period_s == other.period_s
        && one.samples.len() == other.samples.len()
}

/// Version 1.0: magic, length of the text, a Python dict padded with blanks.
fn npy_header(rows: usize, columns: usize, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\x93NUMPY\x01\x00\x76\x00")?;
    let dict =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    writeln!(out, "{dict:<117}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitscope::proto::Cause;

    fn trace(channel: Channel, first_s: f64, period_s: f64, samples: &[f32]) -> Trace {
        Trace {
            channel,
            samples: samples.to_vec(),
            first_s,
            period_s,
            trigger: None,
        }
    }

    fn acquisition(traces: Vec<Trace>) -> Acquisition {
        Acquisition {
            number: 1,
            captured: Timestamp::UNIX_EPOCH,
            serial_number: "DB98TI79".into(),
            capture: Capture {
                cause: Cause::Trigger,
                start_s: 0.0,
                mode: "MixedChop",
                sample_period_s: 1e-6,
                traces,
            },
        }
    }

    #[test]
    fn channels_of_one_clock_share_their_times() {
        let mixed = acquisition(vec![
            trace(Channel::A, 0.0, 1e-6, &[1.5, -0.25]),
            trace(Channel::Logic(0), 0.0, 1e-6, &[0.0, 1.0]),
        ]);
        let csv = mixed.encode(FileFormat::Csv).unwrap();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "time_s,A_V,L0\n0.000000000,1.500000,0\n0.000001000,-0.250000,1\n"
        );
    }

    #[test]
    fn channels_that_take_turns_have_times_of_their_own() {
        let both = acquisition(vec![
            trace(Channel::A, 0.0, 2e-6, &[1.0, 2.0]),
            trace(Channel::B, 1e-6, 2e-6, &[3.0, 4.0]),
            trace(Channel::Logic(3), 0.0, 1e-6, &[0.0, 1.0, 1.0, 0.0]),
        ]);
        let csv = String::from_utf8(both.encode(FileFormat::Csv).unwrap()).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "A_time_s,A_V,B_time_s,B_V,L3_time_s,L3");
        assert_eq!(
            lines[2],
            "0.000002000,2.000000,0.000003000,4.000000,0.000001000,1"
        );
        assert_eq!(lines[4], ",,,,0.000003000,0");
        let npy = both.encode(FileFormat::Npy).unwrap();
        assert_eq!(npy.len(), 128 + 4 * 6 * 8);
        assert!(npy.starts_with(
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (4, 6), }"
        ));
        assert_eq!(npy[127], b'\n');
        let value = |row: usize, column: usize| {
            let at = 128 + 8 * (6 * row + column);
            f64::from_le_bytes(npy[at..at + 8].try_into().unwrap())
        };
        assert_eq!((value(1, 1), value(3, 5)), (2.0, 0.0));
        assert!(value(2, 0).is_nan());
        for format in [FileFormat::Csv, FileFormat::Npy, FileFormat::Png] {
            let size = both.encode(format).unwrap().len() as u64;
            assert!(size <= both.size_limit(format), "{format:?}");
        }
    }
}
