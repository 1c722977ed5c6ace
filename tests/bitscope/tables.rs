//! The tables: registers of captures, waveforms and clocks.

use outpost::bitscope::proto::capture::Running;
use outpost::bitscope::proto::{
    CaptureError, CapturePlan, ClockPlan, Register, Shape, WaveformPlan, WaveformRequest, Writes,
};
use serde_json::Value;

use crate::support::{request, vector};

fn same(writes: &Writes, registers: &Value, what: &Value) {
    let registers = registers.as_object().unwrap();
    assert_eq!(writes.len(), registers.len(), "{what}");
    for (register, raw) in writes {
        let expected = registers[register.name()].as_u64().unwrap();
        assert_eq!(u64::from(*raw), expected, "{}: {what}", register.name());
    }
}

#[test]
fn captures_set_the_clients_registers() {
    let table = vector("capture_registers_table");
    let rows = table.as_array().unwrap();
    assert_eq!(rows.len(), 152);
    let mut modes = std::collections::BTreeSet::new();
    for row in rows {
        let call = &row["call"];
        let plan = CapturePlan::new(&request(call), Running::default());
        match row["error"].as_str() {
            Some(text) if text.contains("appropriate capture mode") => {
                assert!(matches!(plan, Err(CaptureError::NoMode { .. })), "{call}");
                continue;
            }
            Some(text) if text.contains("timeout too long") => {
                // The host ends such a trace.
                let plan = plan.unwrap();
                assert_eq!(plan.host_timeout_s, call["timeout"].as_f64(), "{call}");
                assert!(plan.writes.contains(&(Register::Timeout, 0)));
                continue;
            }
            Some(text) => {
                // The client's own fault.
                assert!(text.contains("IndexError"), "{text}");
                assert_eq!(plan.unwrap().trigger_sample, 1000);
                continue;
            }
            None => {}
        }
        let plan = plan.unwrap_or_else(|error| panic!("{call}: {error}"));
        modes.insert(plan.timing.mode.trace_mode);
        same(&plan.writes, &row["registers"], call);
        let dumps = plan.dumps(0);
        let expected = row["dumps"].as_array().unwrap();
        assert_eq!(dumps.len(), expected.len(), "{call}");
        for (dump, expected) in dumps.iter().zip(expected) {
            same(&dump.writes(), expected, call);
        }
        let traces = row["traces"].as_object().unwrap();
        assert_eq!(plan.channels.iter().count(), traces.len(), "{call}");
        let bytes: Vec<Vec<u8>> = dumps.iter().map(|dump| vec![0; dump.bytes()]).collect();
        let capture = plan.decode(outpost::bitscope::proto::Cause::Trigger, 0, &bytes);
        for trace in &capture.traces {
            let expected = &traces[&trace.channel.to_string()];
            assert_eq!(trace.samples.len() as u64, expected["n"].as_u64().unwrap());
            let period = expected["sample_period"].as_f64().unwrap();
            assert!((trace.period_s / period - 1.0).abs() < 1e-12, "{call}");
        }
    }
    // All but LogicFast, which a conversation has.
    assert_eq!(modes.len(), 16, "{modes:?}");
}

#[test]
fn waveforms_set_the_clients_registers() {
    let table = vector("waveform_table");
    for row in table.as_array().unwrap() {
        let request = WaveformRequest {
            frequency_hz: row["frequency"].as_f64().unwrap(),
            shape: Shape::parse(row["waveform"].as_str().unwrap_or("sine")).unwrap(),
            ratio: row["ratio"].as_f64().unwrap_or(0.5),
            low_v: row["low"].as_f64().unwrap_or(0.0),
            high_v: row["high"].as_f64().unwrap_or(3.3),
        };
        let plan = WaveformPlan::new(request);
        if row["error"].is_string() {
            assert!(plan.is_err(), "{row}");
            continue;
        }
        let plan = plan.unwrap_or_else(|error| panic!("{row}: {error}"));
        let actual = row["actual"].as_f64().unwrap();
        assert!((plan.frequency_hz() / actual - 1.0).abs() < 1e-12, "{row}");
        same(&plan.table_writes(), &row["registers"][0], row);
        same(&plan.translate_writes(), &row["registers"][1], row);
        same(&plan.start_writes(), &row["registers"][2], row);
    }
}

#[test]
fn clocks_set_the_clients_registers() {
    let table = vector("clock_table");
    for row in table.as_array().unwrap() {
        let number = |name: &str| row[name].as_f64().unwrap();
        let plan = ClockPlan::new(number("frequency"), number("ratio"));
        if row["error"].is_string() {
            assert!(plan.is_err(), "{row}");
            continue;
        }
        let plan = plan.unwrap();
        assert_eq!(plan.frequency_hz(), row["actual"][0].as_f64().unwrap());
        assert!((plan.ratio() - row["actual"][1].as_f64().unwrap()).abs() < 1e-12);
        same(&plan.writes(), &row["registers"][0], row);
    }
}

#[test]
fn nonsense_is_refused_with_its_value() {
    let text = |change: &dyn Fn(&mut outpost::bitscope::proto::CaptureRequest)| {
        let mut request = Default::default();
        change(&mut request);
        CapturePlan::new(&request, Running::default())
            .unwrap_err()
            .to_string()
    };
    assert!(text(&|r| r.period_s = f64::NAN).contains("cannot take NaN s"));
    assert!(text(&|r| r.period_s = -1.0).contains("cannot take -1 s"));
    assert!(text(&|r| r.samples = 0).contains("0 samples"));
    assert!(text(&|r| r.samples = u32::MAX).contains("4294967295 samples"));
    assert!(text(&|r| r.low = Some(9.0)).contains("from 9 to 8 is empty"));
    assert!(text(&|r| r.high = Some(f64::INFINITY)).contains("is empty"));
    assert!(text(&|r| r.level = Some(f64::NAN)).contains("trigger level NaN"));
    assert!(text(&|r| r.position = 1.5).contains("trigger position 1.5"));
    assert!(text(&|r| r.timeout_s = Some(-1.0)).contains("-1 s"));
    assert!(text(&|r| r.channels = Default::default()).contains("no channel"));
    let only_l4 = outpost::bitscope::proto::CaptureRequest {
        channels: crate::support::channels("L4"),
        ..Default::default()
    };
    let running = Running {
        waveform: true,
        clock: false,
    };
    assert_eq!(
        CapturePlan::new(&only_l4, running).unwrap_err(),
        CaptureError::NoChannel
    );
    for (frequency_hz, ratio) in [(f64::NAN, 0.5), (0.0, 0.5), (-5.0, 0.5), (1e3, 1.5)] {
        assert!(ClockPlan::new(frequency_hz, ratio).is_err());
        let request = WaveformRequest {
            frequency_hz,
            ratio,
            ..Default::default()
        };
        assert!(WaveformPlan::new(request).is_err(), "{frequency_hz}");
    }
}
