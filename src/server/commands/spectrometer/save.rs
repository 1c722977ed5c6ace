//! `SPECtrometer:SAVE`: a spectrum as a table, an array or a picture.

use std::fmt::Write as _;
use std::io::Write as _;
use std::rc::Rc;

use super::super::Waiting;
use super::measure::Measurement;
use crate::base::error::{Failure, Kind};
use crate::plot::{self, Axis, Curve, Figure};
use crate::scpi::Args;
use crate::server::commands::files::check_stem;
use crate::server::context::Context;
use crate::store::{NewFile, StoreError, disk_size};

const EXTENSIONS: [&str; 3] = ["csv", "npy", "png"];

pub(super) fn save<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (name, format) = (args.text(0), args.choice(1));
        check_stem("a spectrum", name)?;
        let last = context.bench(|bench| bench.last.clone())?;
        let measured = match last {
            Some(last) => last,
            None => context.measure().await?,
        };
        let encode = encoder(&measured, format);
        let disk = context.services.ramdisk.clone();
        let path = disk.images().join(format!("{name}.{}", EXTENSIONS[format]));
        let write = move || -> Result<(), Failure> {
            let bytes = encode()?;
            let failed = |error: StoreError| Failure::from_error(error.kind(), &error);
            let reserved = disk
                .reserve(disk_size(bytes.len() as u64))
                .map_err(failed)?;
            let mut file = NewFile::create(&path).map_err(failed)?;
            file.write_all(&bytes)
                .map_err(|error| failed(StoreError::from_io(&path, error)))?;
            file.commit().map_err(failed)?;
            drop(reserved);
            Ok(())
        };
        Ok(context.services.pool.run(write).await??)
    })
}

type Encoder = Box<dyn FnOnce() -> Result<Vec<u8>, Failure> + Send>;

/// What makes the file, to be run on another thread.
fn encoder(measured: &Rc<Measurement>, format: usize) -> Encoder {
    let wavelengths = measured.calibration.wavelengths_nm();
    let points: Vec<(f64, f64)> = wavelengths
        .into_iter()
        .zip(measured.values.iter().copied())
        .collect();
    match format {
        0 => {
            let saturated = measured.saturated.clone();
            Box::new(move || Ok(csv(&points, &saturated)))
        }
        1 => Box::new(move || Ok(npy(&points))),
        _ => {
            let figure = figure(measured, points);
            Box::new(move || {
                let (mut png, (width, height)) = (Vec::new(), plot::SIZE);
                let drawn = figure.encode(width, height, &mut png);
                drawn.map_err(|error| Failure::from_error(Kind::Internal, &error))?;
                Ok(png)
            })
        }
    }
}

/// One row a pixel.
fn csv(points: &[(f64, f64)], saturated: &[u16]) -> Vec<u8> {
    let mut text = String::from("pixel,wavelength_nm,counts,saturated\n");
    for (pixel, (nm, counts)) in points.iter().enumerate() {
        let flag = u8::from(saturated.iter().any(|at| usize::from(*at) == pixel));
        let _ = writeln!(text, "{pixel},{nm:.5},{counts},{flag}");
    }
    text.into_bytes()
}

/// An array of pixels x 2 little-endian f64: wavelength in nm, counts.
fn npy(points: &[(f64, f64)]) -> Vec<u8> {
    let dict = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, 2), }}",
        points.len()
    );
    // Version 1.0; the header's 128 bytes are a multiple of 64, and 118 follow this length.
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend_from_slice(dict.as_bytes());
    file.resize(127, b' ');
    file.push(b'\n');
    for (nm, counts) in points {
        file.extend_from_slice(&nm.to_le_bytes());
        file.extend_from_slice(&counts.to_le_bytes());
    }
    file
}

fn figure(measured: &Measurement, points: Vec<(f64, f64)>) -> Figure {
    let frames = match measured.frames {
        1 => String::new(),
        frames => format!(", mean of {frames}"),
    };
    Figure {
        title: format!(
            "MSP1000 {}: {} ms{frames}, {:.0}",
            measured.serial, measured.exposure_ms, measured.taken
        ),
        x: Axis {
            label: "wavelength".into(),
            unit: "nm".into(),
        },
        y: Axis {
            label: "counts above bias".into(),
            unit: String::new(),
        },
        curves: vec![Curve {
            name: "spectrum".into(),
            points,
        }],
        ..Figure::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_their_names_say() {
        let points = [(399.616, 1.5), (399.778, -2.0)];
        let text = String::from_utf8(csv(&points, &[1])).unwrap();
        assert_eq!(
            text,
            "pixel,wavelength_nm,counts,saturated\n0,399.61600,1.5,0\n1,399.77800,-2,1\n"
        );
        let array = npy(&points);
        assert_eq!(array.len(), 128 + 2 * 2 * 8);
        assert_eq!(&array[136..144], &1.5f64.to_le_bytes());
    }
}
