//! The oscilloscope by SCPI, on the simulated board: A is 1.5 V + 1.2 V sin(2 kHz), B is 2.5 V for 30 % of 1 ms and
//! 0.5 V else, the logic channels count in steps of 32 us; a running generator is wired to A (bitscope.md 12).

use serde_json::Value;

use super::client::Client;
use super::harness::{Setup, Station, eventually};

/// 8-bit samples over 13.5 V.
const COARSE_V: f64 = 0.06;
/// 16-bit samples.
const FINE_V: f64 = 0.03;

impl Station {
    /// Waits until the oscilloscope's health is `state`.
    pub fn wait_for_scope(&self, state: &str) {
        let mut client = self.client();
        eventually(&format!("the oscilloscope to be {state}"), || {
            client.json("SYST:HEAL? bitscope")["state"] == state
        });
    }
}

/// A station without other instruments, and a client of its oscilloscope.
pub fn started() -> (Station, Client) {
    started_with(Setup::small())
}

pub fn started_with(setup: Setup) -> (Station, Client) {
    let station = setup.tcam("enabled = false").opc("enabled = false").start();
    station.wait_for_scope("ready");
    let client = station.client();
    (station, client)
}

/// Captures and gives what is told of it.
pub fn acquire(client: &mut Client) -> Value {
    assert_eq!(client.query("SCOP:ACQ;*OPC?"), "1");
    assert_eq!(client.errors(), Vec::<String>::new());
    client.json("SCOP:INFO?")
}

/// Volts of a channel.
pub fn volts(client: &mut Client, channel: &str) -> Vec<f64> {
    let block = client.block(&format!("SCOP:DATA? {channel}"));
    let (values, rest) = block.as_chunks::<4>();
    assert!(rest.is_empty());
    values
        .iter()
        .map(|v| f64::from(f32::from_le_bytes(*v)))
        .collect()
}

/// First sample, period, and count of a channel.
pub fn scale(client: &mut Client, channel: &str) -> (f64, f64, usize) {
    let reply = client.query(&format!("SCOP:XSC? {channel}"));
    let fields: Vec<&str> = reply.split(',').collect();
    let real = |index: usize| fields[index].parse::<f64>().unwrap();
    (real(0), real(1), fields[2].parse().unwrap())
}

/// Hz, by the rising passages through the middle, each to a part of a sample.
pub fn frequency(samples: &[f64], period_s: f64) -> f64 {
    let low = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let high = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let middle = (low + high) / 2.0;
    let passages: Vec<f64> = samples
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < middle && pair[1] >= middle)
        .map(|(index, pair)| index as f64 + (middle - pair[0]) / (pair[1] - pair[0]))
        .collect();
    assert!(passages.len() > 1, "no wave");
    let span = passages[passages.len() - 1] - passages[0];
    (passages.len() - 1) as f64 / (span * period_s)
}

fn extremes(samples: &[f64]) -> (f64, f64) {
    let low = samples.iter().copied().fold(f64::INFINITY, f64::min);
    (
        low,
        samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    )
}

fn assert_near(what: &str, value: f64, expected: f64, within: f64) {
    assert!(
        (value - expected).abs() <= within,
        "{what}: {value} for {expected}"
    );
}

#[test]
fn every_mode_shows_what_is_connected() {
    let (_station, mut client) = started();
    for (mode, channels, period, samples, within) in [
        ("Macro", "A", "1 ms", 1000, FINE_V),
        ("MacroChop", "A,B", "2 ms", 1000, FINE_V),
        ("Analog", "B", "0.25", 9000, COARSE_V),
        ("AnalogChop", "A,B", "0.25", 9000, COARSE_V),
        ("AnalogFast", "A", "2 ms", 8000, COARSE_V),
        ("AnalogFastChop", "A,B", "2 ms", 8000, COARSE_V),
        ("AnalogShot", "A", "550 us", 11000, COARSE_V),
        ("AnalogShotChop", "A,B", "1.1 ms", 11000, COARSE_V),
        ("Logic", "L", "1 ms", 1000, 0.0),
        ("LogicFast", "L", "1 ms", 10000, 0.0),
        ("LogicShot", "L0,L1", "200 us", 8000, 0.0),
        ("Mixed", "A,L0,L1,L2", "2 ms", 1000, COARSE_V),
        ("MixedChop", "A,B,L", "2 ms", 1000, COARSE_V),
        ("MixedFast", "A,L3", "1.2 ms", 4000, COARSE_V),
        ("MixedFastChop", "A,B,L", "1.2 ms", 6000, COARSE_V),
        ("MixedShot", "A,L0", "510 us", 5100, COARSE_V),
        ("MixedShotChop", "A,B,L0", "600 us", 6000, COARSE_V),
    ] {
        client.command(&format!(
            "SCOP:CONF:DEF;CHAN {channels};PER {period};SAMP {samples};TRIG:TIM 1 ms"
        ));
        let info = acquire(&mut client);
        assert_eq!(info["mode"], mode, "{info}");
        for channel in info["channels"].as_array().unwrap() {
            let name = channel["channel"].as_str().unwrap();
            let (_, period_s, count) = scale(&mut client, name);
            assert_eq!(channel["samples"], count);
            match name {
                "A" => {
                    let samples = volts(&mut client, "A");
                    assert_eq!(samples.len(), count);
                    let (low, high) = extremes(&samples);
                    assert_near(mode, low, 0.3, within);
                    assert_near(mode, high, 2.7, within);
                    if count as f64 * period_s > 1.2e-3 {
                        assert_near(mode, frequency(&samples, period_s), 2000.0, 20.0);
                    }
                }
                "B" => {
                    for sample in volts(&mut client, "B") {
                        let nearest = if sample > 1.5 { 2.5 } else { 0.5 };
                        assert_near(mode, sample, nearest, within);
                    }
                }
                _ => {
                    let levels = client.block(&format!("SCOP:DATA? {name}"));
                    assert_eq!(levels.len(), count);
                    assert!(levels.iter().all(|level| *level < 2));
                    // L0 keeps its level for 32 us.
                    if name == "L0" {
                        let longest = levels.chunk_by(|a, b| a == b).map(<[u8]>::len).max();
                        let time_s = longest.unwrap() as f64 * period_s;
                        assert_near(mode, time_s, 32e-6, 2.0 * period_s);
                    }
                }
            }
        }
    }
}

#[test]
fn each_kind_of_trigger_is_where_it_was_asked_for() {
    let (_station, mut client) = started();
    for (kind, rises) in [("RIS", Some(true)), ("FALL", Some(false)), ("ABOV", None)] {
        client.command(&format!(
            "SCOP:CONF:DEF;TRIG:KIND {kind};LEV 1.5;POS 0.5;SOUR A;TIM 20 ms"
        ));
        let info = acquire(&mut client);
        assert_eq!(info["cause"], "trigger", "{kind}");
        assert_eq!(info["channels"][0]["trigger_sample"], 500);
        let samples = volts(&mut client, "A");
        if let Some(rises) = rises {
            assert_near(kind, samples[500], 1.5, 0.1);
            assert_eq!(samples[520] > samples[480], rises, "{kind}");
        }
    }
    client.command("SCOP:CONF:DEF;CHAN L;TRIG:LOG \"XXXXXX10\";KIND RIS;POS 0.25");
    let info = acquire(&mut client);
    assert_eq!(info["cause"], "trigger");
    let (low, high) = (client.block("SCOP:DATA? L0"), client.block("SCOP:DATA? L1"));
    assert_eq!((low[251], high[251]), (0, 1));
    assert_eq!((low[248], high[248]), (1, 0), "the edge");
    client.command("SCOP:CONF:DEF;TRIG:LEV 7;TIM 10 ms");
    assert_eq!(acquire(&mut client)["cause"], "timeout");
}

#[test]
fn generators_give_what_was_asked_for() {
    let (_station, mut client) = started();
    client.command("SCOP:CONF:RANG 0,3.3;PER 8 ms;SAMP 5000;TRIG:TIM 10 ms");
    for (command, hz, low, high) in [
        ("WAV SINE,2 kHz,0.5,2.5", 2000.0, 0.5, 2.5),
        ("WAV TRI,1234.5,0,3.3", 1234.5, 0.0, 3.3),
        ("WAV SQU,4000,0.5,2.5,0.25", 4000.0, 0.5, 2.5),
        ("CLOC 2500,0.3", 2500.0, 0.0, 3.3),
    ] {
        client.command(&format!("SCOP:{command}"));
        acquire(&mut client);
        let (_, period_s, _) = scale(&mut client, "A");
        let samples = volts(&mut client, "A");
        assert_near(command, frequency(&samples, period_s), hz, hz / 100.0);
        let (least, most) = extremes(&samples);
        assert_near(command, least, low, FINE_V);
        assert_near(command, most, high, FINE_V);
        let high_part = samples.iter().filter(|v| **v > (low + high) / 2.0).count();
        let part = high_part as f64 / samples.len() as f64;
        let expected = if command.ends_with("0.25") {
            0.25
        } else if command.ends_with("0.3") {
            0.3
        } else {
            0.5
        };
        assert_near(command, part, expected, 0.02);
    }
    assert_eq!(client.query("SCOP:CLOC?;WAV?"), "2500,0.3;NONE");
    assert_eq!(client.query("SCOP:CLOC:STAT?"), "1");
    // A ramp of one's own.
    let values: Vec<u8> = (0..1024)
        .flat_map(|i| (i as f32 / 1024.0).to_le_bytes())
        .collect();
    client.send("SCOP:WAV:ARB 1000,1,2,#44096");
    client.send(values);
    client.command("");
    assert!(client.query("SCOP:WAV?").starts_with("ARB,1000,1,2"));
    acquire(&mut client);
    let ramp = volts(&mut client, "A");
    let rising = ramp.windows(2).filter(|pair| pair[1] >= pair[0]).count();
    assert!(rising > ramp.len() * 98 / 100, "{rising}");
    client.command("SCOP:WAV:STAT OFF");
    assert_eq!(client.query("SCOP:WAV:STAT?"), "0");
    client.command("*RST");
    assert_eq!(client.query("SCOP:CONF:PER?;SAMP?;CHAN?"), "0.001;1000;A");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let (_station, mut client) = started();
    for (command, number) in [
        ("SCOP:CONF:CHAN C", -224),
        ("SCOP:CONF:CHAN", -109),
        ("SCOP:CONF:SAMP 12289", -222),
        ("SCOP:CONF:PER 0", -222),
        ("SCOP:CONF:PER 1 V", -131),
        ("SCOP:CONF:RANG -6,3", -222),
        ("SCOP:CONF:RANG 3,3", -221),
        ("SCOP:CONF:TRIG:LOG \"0123\"", -224),
        ("SCOP:CONF:TRIG:LOG \"XXXXXXXX\"", -221),
        ("SCOP:CONF:TRIG:POS 1.1", -222),
        ("SCOP:WAV SINE,30 kHz,0,1", -222),
        ("SCOP:WAV SINE,1 kHz,2,1", -221),
        ("SCOP:WAV SINE,1 kHz,0,3.4", -222),
        ("SCOP:WAV:ARB 1000,0,1,#14abcd", -226),
        ("SCOP:CLOC 600", -222),
        ("SCOP:CLOC 3 MHz", -222),
        ("SCOP:DATA? A", -230),
        ("SCOP:SAVE \"x\",CSV", -230),
        ("SCOP:SAVE \"../x\",CSV", -257),
        ("SCOP:REG? NoSuch", -224),
    ] {
        assert_eq!(client.refused(command), number, "{command}");
    }
    assert_eq!(client.query("SCOP:CONF:CHAN?;SAMP?"), "A;1000");
    client.command("SCOP:CONF:CHAN A,B;SAMP 12288;PER 1e-5");
    assert_eq!(client.refused("SCOP:ACQ"), -221);
    client.command("SCOP:CONF:DEF;:SCOP:CONF:CHAN L7");
    acquire(&mut client);
    assert_eq!(client.refused("SCOP:DATA? A"), -221);
}

#[test]
fn a_trace_that_waits_is_ended_and_kept() {
    let (_station, mut client) = started();
    client.command("SCOP:CONF:TRIG:LEV 7;:SCOP:ACQ");
    let id = client.query("SYST:JOB:LAST?");
    let mut state = || client.query(&format!("SYST:JOB:STAT? {id}"));
    eventually("the capture to run", || state().contains(",RUN,"));
    client.command("SCOP:ABOR");
    assert_eq!(client.query("*OPC?"), "1");
    assert!(
        client
            .query(&format!("SYST:JOB:STAT? {id}"))
            .contains(",ABOR,")
    );
    assert_eq!(client.json("SCOP:INFO?")["cause"], "cancel");
    assert_eq!(volts(&mut client, "A").len(), 1000);
    // The link is usable, and one that waits for its turn can be ended as well.
    client.command("SCOP:ACQ;ACQ;ABOR");
    assert_eq!(client.query("*OPC?"), "1");
    client.command("SCOP:CONF:DEF");
    assert_eq!(acquire(&mut client)["cause"], "trigger");
}

#[test]
fn a_time_out_beyond_the_devices_own_is_the_stations() {
    let (_station, mut client) = started();
    // The device counts to 0.42 s.
    client.command("SCOP:CONF:TRIG:LEV 7;TIM 0.6");
    let info = acquire(&mut client);
    assert_eq!(info["cause"], "timeout");
    assert_eq!(volts(&mut client, "A").len(), 1000);
}

#[test]
fn captures_become_files_that_others_read() {
    let (station, mut client) = started();
    client.command("SCOP:CONF:CHAN A,B,L0;PER 2 ms;SAMP 2000");
    acquire(&mut client);
    client.command("SCOP:SAVE \"trace\",CSV;SAVE \"trace\",NPY;SAVE \"trace\",PNG");
    assert_eq!(station.files(), ["trace.csv", "trace.npy", "trace.png"]);
    let csv = String::from_utf8(station.image("trace.csv")).unwrap();
    let mut lines = csv.lines();
    assert_eq!(
        lines.next().unwrap(),
        "A_time_s,A_V,B_time_s,B_V,L0_time_s,L0"
    );
    assert_eq!(lines.count(), 2000);
    let first = csv.lines().nth(1).unwrap();
    let fields: Vec<f64> = first
        .split(',')
        .map(|field| field.parse().unwrap())
        .collect();
    assert_near("A", fields[1], volts(&mut client, "A")[0], 1e-6);
    assert_near("B", fields[2], 1e-6, 1e-12);
    let npy = station.image("trace.npy");
    assert_eq!(npy.len(), 128 + 2000 * 6 * 8);
    let png = client.block("SCOP:PLOT?");
    assert!(png.starts_with(b"\x89PNG"));
    assert_eq!(png, station.image("trace.png"));
}

#[test]
fn clients_share_the_device_and_each_gets_an_answer() {
    let (station, mut client) = started();
    client.command("SCOP:CONF:TRIG:TIM 1 ms");
    let clients = (0..4).map(|_| station.client());
    let threads: Vec<_> = clients
        .map(|mut client| {
            std::thread::spawn(move || {
                for _ in 0..5 {
                    acquire(&mut client);
                    assert_eq!(volts(&mut client, "A").len(), 1000);
                    assert_eq!(client.query("SCOP:REG? TraceMode"), "18");
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(station.counter("bitscope", "captures"), 20);
}

#[test]
fn raw_bytes_go_to_the_device_and_back() {
    let (station, mut client) = started();
    assert_eq!(client.block("SCOP:RAW? \"?\""), b"?\rBS000501\r");
    assert_eq!(
        client.block("SCOP:RAW? \"[11]@[30]sr\""),
        b"[11]@[30]sr\r44\r"
    );
    client.command("SCOP:RAW \"[12]@\"");
    assert_eq!(acquire(&mut client)["cause"], "trigger");
    client.command("SYST:TRAC:STAT ON");
    acquire(&mut client);
    let trace = client.json("SYST:TRAC? bitscope");
    // `>` is echoed before `UD` is sent.
    let sent = |entry: &Value| entry["direction"] == "sent" && entry["text"] == "D";
    assert!(trace.as_array().unwrap().iter().any(sent), "{trace}");
    assert!(client.query("*OPT?").contains("oscilloscope"));
    assert_eq!(client.json("SCOP:STAT?")["serial_number"], "DB98TI79");
    station.stop();
}

#[test]
fn a_station_without_oscilloscope_says_so() {
    let station = Setup::small().bitscope("enabled = false").start();
    assert_eq!(station.scope, None);
    let mut client = station.client();
    for command in ["SCOP:STAT?", "SCOP:ACQ", "SCOP:WAV SINE,1000,0,1"] {
        assert_eq!(client.refused(command), -241, "{command}");
    }
    assert_eq!(client.json("SYST:HEAL? bitscope")["state"], "disabled");
}
