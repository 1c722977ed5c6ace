//! The small replies and the configuration.

use outpost::opcn3::proto::{Command, Configuration, FrameError, Opcode, Pm, Reply, Status, Text};
use serde_json::Value;

use crate::{all_same, frame, json, same};

#[test]
fn pm() {
    let expected = json("small-expected.json");
    for name in ["pm-1-typical", "pm-2-zero", "pm-3-bad"] {
        let (bytes, wanted) = (frame(name), &expected[name]["expected"]);
        match Pm::decode(&bytes) {
            Ok(pm) => {
                assert_eq!(wanted["valid"], true);
                for (value, key) in pm.values.iter().zip(["pm_a", "pm_b", "pm_c"]) {
                    same(f64::from(*value), &wanted[key]);
                }
                assert_eq!(pm.encode(), bytes.as_slice());
            }
            Err(FrameError::Checksum { received, computed }) => {
                assert_eq!(wanted["valid"], false);
                assert_eq!(wanted["checksum_received"], received);
                assert_eq!(wanted["checksum_computed"], computed);
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn status() {
    let expected = json("small-expected.json");
    for name in ["status-1-running", "status-2-idle", "status-3-fan-only"] {
        let (bytes, wanted) = (frame(name), &expected[name]["expected"]);
        let status = Status::decode(&bytes).unwrap();
        assert_eq!(wanted["fan_on"], u8::from(status.fan_on));
        assert_eq!(wanted["laser_dac_on"], u8::from(status.laser_dac_on));
        assert_eq!(wanted["fan_dac"], status.fan_pot);
        assert_eq!(wanted["laser_dac"], status.laser_pot);
        assert_eq!(wanted["laser_switch"], u8::from(status.laser_on));
        assert_eq!(wanted["gain_high"], status.gain_high);
        assert_eq!(wanted["auto_gain_toggle"], status.gain_toggles);
        assert_eq!(wanted["scs_fan_is_on"], status.fan_on);
        assert_eq!(wanted["scs_laser_is_on"], status.laser_on);
        assert_eq!(status.encode(), bytes.as_slice());
    }
}

#[test]
fn configuration() {
    let expected = json("small-expected.json");
    let wanted = &expected["config-1-factory"]["expected"];
    let bytes = frame("config-1-factory");
    let configuration = Configuration::decode(&bytes).unwrap();
    assert_eq!(configuration, Configuration::default());
    assert_eq!(configuration.encode(), bytes.as_slice());
    assert_eq!(configuration.check_edges(), Ok(()));
    let scs = &wanted["scs"];
    let words = |values: &[u16]| Value::from(values.to_vec());
    assert_eq!(words(&configuration.bin_edges_adc), scs["bin-boundaries"]);
    assert_eq!(
        words(&configuration.bin_edges),
        scs["bin-boundaries-diameter"]
    );
    assert_eq!(words(&configuration.bin_weightings), scs["bin-weightings"]);
    for (value, key) in [
        (configuration.pm_diameters[0], "pm-diameter-a"),
        (configuration.pm_diameters[1], "pm-diameter-b"),
        (configuration.pm_diameters[2], "pm-diameter-c"),
        (configuration.max_time_of_flight, "max-tof"),
        (
            configuration.sampling_interval_count,
            "am-sampling-interval-count",
        ),
        (
            configuration.idle_interval_count,
            "am-middle-interval-count",
        ),
        (
            configuration.max_data_arrays_in_file,
            "am-max-data_arrays-in-file",
        ),
        (
            configuration.time_of_flight_to_flow_rate.into(),
            "tof-to-sfr-factor",
        ),
        (configuration.particle_validation_period.into(), "pvp"),
        (configuration.weighting_index.into(), "bin-weighting-index"),
    ] {
        assert_eq!(scs[key], value, "{key}");
    }
    all_same(configuration.weightings(), &wanted["bin_weightings"]);
    all_same(configuration.pm_diameters_um(), &wanted["pm_diameters_um"]);
    same(configuration.max_time_of_flight_us(), &wanted["max_tof_us"]);
    same(
        configuration.particle_validation_period_us(),
        &wanted["pvp_us"],
    );
    let edges = outpost::opcn3::proto::BinEdges::of(&configuration).unwrap();
    all_same(*edges.um(), &wanted["bin_diameters_um"]);
}

#[test]
fn the_written_configuration_lacks_the_last_byte() {
    let payload = frame("config-2-write-payload");
    let command = Command::WriteConfiguration(Configuration::default());
    assert_eq!(command.payload(), payload.as_slice());
    let read = Command::decode(Opcode::WriteConfiguration, &payload, 2);
    assert_eq!(read, Some(command));
}

#[test]
fn strings_and_version() {
    let expected = json("small-expected.json");
    for (name, padding) in [("serial-1", 0), ("serial-2-ff", 0xff), ("info-1", 0)] {
        let (bytes, wanted) = (frame(name), &expected[name]["expected"]);
        let text = Text::decode(&bytes).unwrap();
        assert_eq!(wanted["text"], text.as_str());
        assert_eq!(Text::encode(text.as_str(), padding), bytes.as_slice());
        match name {
            "info-1" => assert_eq!(wanted["firmware"], text.firmware().unwrap()),
            _ => assert_eq!(wanted["serial"], text.serial_number().unwrap()),
        }
    }
    let version = Reply::decode(Opcode::Version, &frame("version-1"));
    let Ok(Reply::Version(version)) = version else {
        panic!("{version:?}");
    };
    assert_eq!((version.major, version.minor), (1, 17));
}

#[test]
fn strings_of_noise_are_readable() {
    assert_eq!(Text::decode(&[0xff; 60]).unwrap().as_str(), "");
    let text = Text::decode(&[b'\n'; 60]).unwrap();
    assert_eq!(text.as_str(), "?".repeat(60));
    assert_eq!((text.serial_number(), text.firmware()), (None, None));
    let short = Text::decode(&[0; 59]);
    assert_eq!(
        short,
        Err(FrameError::Length {
            expected: 60,
            got: 59
        })
    );
}
