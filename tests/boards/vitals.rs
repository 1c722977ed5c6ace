//! The board's own sensors, as the kernel shows them.

use std::fs;
use std::path::Path;

use outpost::board::Vitals;
use tempfile::TempDir;

const ALARM: &str = "class/hwmon/hwmon2/in0_lcrit_alarm";
const FLAGS: &str = "bus/platform/devices/soc@107c000000:firmware/get_throttled";
const TEMPERATURE: &str = "class/thermal/thermal_zone0/temp";

/// A folder as a Pi's `/sys`, with other sensors that must not be taken for the board's.
fn sysfs(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let others: &[(&str, &[u8])] = &[
        ("class/hwmon/hwmon0/name", b"cpu_thermal\n"),
        ("class/hwmon/hwmon0/in0_lcrit_alarm", b"1\n"),
        ("class/hwmon/hwmon2/name", b"rpi_volt\n"),
        ("class/thermal/cooling_device0/type", b"pwm-fan\n"),
        ("class/thermal/thermal_zone0/type", b"cpu-thermal\n"),
        ("class/thermal/thermal_zone1/type", b"gpu-thermal\n"),
        ("class/thermal/thermal_zone1/temp", b"99000\n"),
        ("bus/platform/devices/fe201000.serial/get_throttled", b"f\n"),
    ];
    for (path, content) in others.iter().chain(files) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

#[test]
fn every_sensor_is_found_by_its_name() {
    let folder = sysfs(&[
        (ALARM, b"0\n"),
        (FLAGS, b"50000\n"),
        (TEMPERATURE, b"54212\n"),
    ]);
    let vitals = Vitals::look(folder.path());
    assert_eq!(
        vitals,
        Vitals {
            under_voltage: Some(false),
            // What was before is no present state.
            throttled: Some(false),
            temperature_c: Some(54.212),
        }
    );
    fs::write(folder.path().join(ALARM), "1\n").unwrap();
    assert_eq!(Vitals::look(folder.path()).under_voltage, Some(true));
}

#[test]
fn flags_tell_heat_from_a_weak_supply() {
    for (flags, under_voltage, throttled) in [
        ("0", false, false),
        ("50005", true, false), // throttled because of the supply
        ("1", true, false),
        ("2", false, true),
        ("60006", false, true),
        ("8", false, true),
        ("d", true, true), // both
        ("0xe0008", false, true),
        ("f0000", false, false),
    ] {
        let folder = sysfs(&[(FLAGS, flags.as_bytes())]);
        let vitals = Vitals::look(folder.path());
        assert_eq!(vitals.under_voltage, Some(under_voltage), "{flags}");
        assert_eq!(vitals.throttled, Some(throttled), "{flags}");
    }
    // The alarm keeps a dip that the flags have forgotten.
    let folder = sysfs(&[(FLAGS, b"0\n"), (ALARM, b"1\n")]);
    assert_eq!(Vitals::look(folder.path()).under_voltage, Some(true));
}

#[test]
fn nonsense_and_absent_sensors_are_none() {
    assert!(Vitals::look(Path::new("/nonexistent")).is_empty());
    assert!(Vitals::look(sysfs(&[]).path()).is_empty());
    for nonsense in ["", "x", "-", "2\n3", "99999999999999999999", "\0\0", "1 "] {
        let files: Vec<(&str, &[u8])> = [ALARM, FLAGS, TEMPERATURE]
            .map(|path| (path, nonsense.as_bytes()))
            .into();
        let vitals = Vitals::look(sysfs(&files).path());
        assert_eq!(
            vitals.is_empty(),
            nonsense != "1 ",
            "{nonsense:?} {vitals:?}"
        );
    }
    let long = vec![b'1'; 100_000];
    let folder = sysfs(&[(FLAGS, &long), (TEMPERATURE, b"\xff\xfe"), (ALARM, &long)]);
    assert!(Vitals::look(folder.path()).is_empty());
}
