//! `SPECtrometer` by SCPI: spectra, settings, processing of each connection, files, jobs, errors.

use std::fs;

use outpost::msp1000::proto::{Average, Calibration, OffsetRange, RawFrame};
use outpost::msp1000::sim::Config;

use super::harness::{Setup, eventually};
use super::spectrometer::{instrument, spectrum, using};

#[test]
fn spectra_are_counts_above_bias_at_wavelengths() {
    let station = Setup::small().start();
    station.wait_for_spectrometer("ready");
    let mut client = station.client();
    assert_eq!(client.query("SPEC:EXP?"), "2");
    assert_eq!(client.query("SPEC:EXP? MIN;EXP? MAX"), "1;60000");
    client.command("SPEC:EXP 0.02S");
    assert_eq!(client.query("SPEC:EXP?"), "20");
    let raw = client.block("SPEC:RAW?");
    assert_eq!(raw.len(), 7388);
    let values = spectrum(&mut client, "SPEC:MEAS?");
    assert_eq!(values.len(), 3648);
    // 546.07 nm, 3800 counts at 10 ms.
    let nm: Vec<f64> = client
        .block("SPEC:WAV?")
        .chunks_exact(8)
        .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(nm, Calibration::EXAMPLE.wavelengths_nm());
    let highest = (0..3648).max_by(|a, b| values[*a].total_cmp(&values[*b]));
    assert!((nm[highest.unwrap()] - 546.07).abs() < 0.3);
    assert!((values[highest.unwrap()] - 7600.0).abs() < 200.0);
    // The raw frame leads to the same numbers within its noise.
    let frame = RawFrame::from_le_bytes(&raw).unwrap();
    let mut average = Average::new();
    average.add(&frame.remove_bias(&OffsetRange::default()));
    let mean = average.mean().unwrap();
    for (ours, theirs) in values.iter().zip(mean.values()) {
        assert!((f64::from(*ours) - theirs).abs() < 60.0);
    }
    assert_eq!(spectrum(&mut client, "SPEC:DATA?"), values);
    let peaks = client.json("SPEC:PEAK?");
    let lines: Vec<f64> = peaks
        .as_array()
        .unwrap()
        .iter()
        .map(|peak| peak["wavelength_nm"].as_f64().unwrap())
        .collect();
    for line in [
        404.66, 435.83, 546.07, 576.96, 579.07, 696.54, 763.51, 811.53,
    ] {
        assert!(
            lines.iter().any(|nm| (nm - line).abs() < 0.2),
            "{line} is not in {lines:?}"
        );
    }
}

#[test]
fn dark_averaging_and_smoothing_belong_to_the_connection() {
    let (simulator, faults) = instrument(Config::default());
    let station = using(&simulator).start();
    station.wait_for_spectrometer("ready");
    let (mut a, mut b) = (station.client(), station.client());
    a.command("SPEC:EXP 10;AVER 8;SMO BOXC,5");
    assert_eq!(a.query("SPEC:AVER?;SMO?;DARK?"), "8;BOXC,5;0");
    assert_eq!(b.query("SPEC:AVER?;SMO?;DARK?"), "1;OFF;0");
    faults.set("lamp", None).unwrap();
    let before = simulator.exposures();
    a.command("SPEC:DARK");
    assert_eq!(simulator.exposures() - before, 8);
    assert_eq!(a.query("SPEC:DARK?"), "1");
    let dark = spectrum(&mut a, "SPEC:MEAS?");
    assert!(
        dark.iter().all(|count| count.abs() < 6.0),
        "noise alone is left"
    );
    let noisy = spectrum(&mut b, "SPEC:MEAS?");
    let spread = |values: &[f32]| {
        let steps = values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2));
        steps.sum::<f32>() / values.len() as f32
    };
    assert!(spread(&dark) * 10.0 < spread(&noisy));
    // A dark of another exposure is refused, not subtracted.
    a.command("SPEC:EXP 20");
    let (number, text) = a.refusal("SPEC:MEAS?");
    assert_eq!(number, -221);
    assert!(text.contains("taken at 10 ms"), "{text}");
    a.command("SPEC:DARK:CLE;:SPEC:AVER 1;SMO SGOL,21");
    assert_eq!(a.query("SPEC:SMO?"), "SGOL,21,3");
    assert_eq!(spectrum(&mut a, "SPEC:MEAS?").len(), 3648);
    a.command("SPEC:DARK;*RST");
    assert_eq!(a.query("SPEC:AVER?;SMO?;DARK?"), "1;OFF;0");
    assert_eq!(a.query("SPEC:EXP?"), "20", "shared: not reset");
}

#[test]
fn an_acquisition_is_a_job() {
    let station = Setup::small().start();
    station.wait_for_spectrometer("ready");
    let mut client = station.client();
    assert_eq!(client.refused("SPEC:DATA?"), -230);
    client.command("SPEC:EXP 10;AVER 10");
    client.command("SPEC:ACQ");
    assert_eq!(client.refused("SPEC:ACQ"), -213);
    assert_eq!(client.query("*OPC?"), "1");
    assert_eq!(spectrum(&mut client, "SPEC:DATA?").len(), 3648);
    let id = client.query("SYST:JOB:LAST?");
    let state = client.query(&format!("SYST:JOB:STAT? {id}"));
    assert_eq!(state, format!("{id},\"acquire 10 spectra\",DONE,100,0"));
    client.command("SPEC:AVER MAX");
    client.command("SPEC:ACQ");
    let id = client.query("SYST:JOB:LAST?");
    eventually("progress", || {
        !client
            .query(&format!("SYST:JOB:STAT? {id}"))
            .contains("RUN,0,")
    });
    client.command(&format!("SYST:JOB:ABOR {id}"));
    assert_eq!(client.query("*OPC?"), "1");
    let state = client.query(&format!("SYST:JOB:STAT? {id}"));
    assert!(state.contains("ABOR,"), "{state}");
    // An acquisition ends with its connection: nobody could fetch the result.
    client.command("SPEC:ACQ");
    drop(client);
    let mut other = station.client();
    eventually("the end of the job", || {
        let jobs = other.json("SYST:JOB:LIST?");
        jobs.as_array()
            .unwrap()
            .iter()
            .all(|job| job["state"] != "running")
    });
}

#[test]
fn spectra_are_saved_as_table_array_and_picture() {
    let station = Setup::small().start();
    station.wait_for_spectrometer("ready");
    let mut client = station.client();
    client.command("SPEC:EXP 10;SAVE \"lamp\",CSV;SAVE \"lamp\",NPY;SAVE \"lamp\",PNG");
    assert_eq!(station.files(), ["lamp.csv", "lamp.npy", "lamp.png"]);
    let values = spectrum(&mut client, "SPEC:DATA?");
    let text = String::from_utf8(station.image("lamp.csv")).unwrap();
    let mut rows = text.lines();
    assert_eq!(rows.next(), Some("pixel,wavelength_nm,counts,saturated"));
    let row: Vec<f64> = rows
        .nth(949)
        .unwrap()
        .split(',')
        .map(|field| field.parse().unwrap())
        .collect();
    assert_eq!(row[0], 949.0);
    assert!((row[1] - Calibration::EXAMPLE.wavelength_nm(949.0)).abs() < 1e-5);
    assert_eq!(row[2] as f32, values[949]);
    let array = station.image("lamp.npy");
    assert_eq!(array.len(), 128 + 3648 * 16);
    let at = 128 + 949 * 16 + 8;
    let count = f64::from_le_bytes(array[at..at + 8].try_into().unwrap());
    assert_eq!(count as f32, values[949]);
    assert!(station.image("lamp.png").starts_with(b"\x89PNG"));
    for name in ["../x", ".x", "a/b", ""] {
        assert_eq!(client.refused(&format!("SPEC:SAVE \"{name}\",CSV")), -257);
    }
    assert_eq!(client.refused("SPEC:SAVE \"a\",TIFF"), -224);
    assert_eq!(fs::read_dir(station.images()).unwrap().count(), 3);
}

#[test]
fn no_file_is_begun_that_does_not_fit() {
    let station = Setup::small().storage("ramdisk_limit_mb = 1").start();
    station.wait_for_spectrometer("ready");
    let filler = vec![0; 1_000_000];
    fs::write(station.images().join("filler.raw"), filler).unwrap();
    let mut client = station.client();
    assert_eq!(client.refused("SPEC:SAVE \"lamp\",CSV"), -254);
    assert_eq!(station.files(), ["filler.raw"]);
}

#[test]
fn parameters_are_checked_before_anything_is_sent() {
    let station = Setup::small().start();
    station.wait_for_spectrometer("ready");
    let mut client = station.client();
    for (message, number) in [
        ("SPEC:EXP 0", -222),
        ("SPEC:EXP 60001", -222),
        ("SPEC:EXP", -109),
        ("SPEC:EXP many", -104),
        ("SPEC:CAL 1,2,3", -109),
        ("SPEC:CAL 1,2,3,nan", -104),
        ("SPEC:CAL 1,2,3,1E30", -222),
        ("SPEC:AVER 0", -222),
        ("SPEC:SMO BOXC", -109),
        ("SPEC:SMO BOXC,4", -224),
        ("SPEC:SMO BOXC,5,2", -108),
        ("SPEC:SMO SGOL,5,5", -224),
        ("SPEC:SMO OFF,5", -108),
        ("SPEC:SMO SGOL,503", -222),
    ] {
        let (got, text) = client.refusal(message);
        assert_eq!(got, number, "{message}: {text}");
    }
    assert_eq!(client.query("SPEC:EXP?;SMO?"), "2;OFF");
    client.command("SPEC:CAL 0,0,0.15,400.25");
    assert_eq!(client.query("SPEC:CAL?"), "0,0,0.15,400.25");
}

#[test]
fn without_a_spectrometer_the_commands_say_so() {
    let station = Setup::small().msp1000("enabled = false").start();
    let mut client = station.client();
    assert_eq!(client.refused("SPEC:MEAS?"), -241);
    assert_eq!(client.refused("SPEC:LIST?"), -241);
    assert!(station.msp1000.is_none());
}
