//! The status model of a connection, and the long operations it follows (scpi.md 6 to 9).

use serde_json::Value;

use super::harness::{Client, Setup, eventually, number};

const MEASURING: u32 = 16;
const ARCHIVING: u32 = 256;

/// Starts a capture that takes long and gives its job's id.
fn long_capture(client: &mut Client) -> String {
    client.command("CAP:SEQFET 'long',(1000),1000,0,0");
    client.query("SYST:JOB:LAST?")
}

fn state(client: &mut Client, job: &str) -> String {
    let reply = client.query(&format!("SYST:JOB:STAT? {job}"));
    let fields: Vec<&str> = reply.split(',').collect();
    assert_eq!((fields.len(), fields[0]), (5, job), "{reply}");
    fields[2].to_owned()
}

#[test]
fn a_new_connection_starts_afresh() {
    let station = Setup::small().start();
    for mut client in [station.client(), station.legacy_client()] {
        assert_eq!(client.query("*STB?;*ESE?;*SRE?;:SYST:ERR:COUN?"), "0;0;0;0");
        assert_eq!(client.query("*ESR?"), "128");
        assert_eq!(client.query("*ESR?"), "0");
        assert_eq!(
            client.query("STAT:OPER:ENAB?;PTR?;NTR?;:STAT:QUES:ENAB?;PTR?;NTR?"),
            "0;32767;0;0;32767;0"
        );
    }
    let mut client = station.client();
    client.command("*CLS");
    assert_eq!(client.query("*ESR?"), "0");
    station.stop();
}

#[test]
fn status_belongs_to_the_connection_and_settings_to_all() {
    let station = Setup::small().start();
    let (mut one, mut two) = (station.client(), station.legacy_client());
    one.command(
        "*CLS;*ESE 60;*SRE 32;:STAT:OPER:ENAB 16;PTR 1;NTR 2;:STAT:QUES:ENAB 3;PTR 4;NTR 5",
    );
    two.command("*CLS");
    one.send("*FOO;*ESE 300\n");
    assert_eq!(one.query("*STB?"), "100");
    assert_eq!(two.query("*STB?;*ESE?;*SRE?;*ESR?"), "0;0;0;0");
    assert_eq!(
        two.query("STAT:OPER:ENAB?;PTR?;NTR?;:STAT:QUES:ENAB?;PTR?;NTR?"),
        "0;32767;0;0;32767;0"
    );
    assert_eq!(one.query("*ESR?"), "48");
    assert_eq!(
        one.errors().iter().map(|e| number(e)).collect::<Vec<_>>(),
        [-113, -222]
    );
    // Presetting leaves ESE, SRE and the events alone.
    one.command("STAT:PRES");
    assert_eq!(one.query("*ESE?;*SRE?"), "60;32");
    assert_eq!(
        one.query("STAT:OPER:ENAB?;PTR?;NTR?;:STAT:QUES:ENAB?;PTR?;NTR?"),
        "0;32767;0;0;32767;0"
    );
    assert_eq!(two.ask("CAM:CONF:SS 4321"), "ack");
    assert_eq!(one.query("CAM:CONF:SS?"), "4321");
    station.stop();
}

#[test]
fn registers_take_their_ranges_and_no_more() {
    let station = Setup::small().start();
    let mut client = station.client();
    for (header, max) in [
        ("*ESE", 255),
        ("STAT:OPER:ENAB", 32767),
        ("STAT:OPER:PTR", 32767),
        ("STAT:OPER:NTR", 32767),
        ("STAT:QUES:ENAB", 32767),
    ] {
        client.command(&format!("{header} {max}"));
        assert_eq!(client.refused(&format!("{header} {}", max + 1)), -222);
        assert_eq!(client.refused(&format!("{header} -1")), -222);
        assert_eq!(client.query(&format!("{header}?")), max.to_string());
    }
    client.command("*SRE 64");
    assert_eq!(client.query("*SRE?"), "0");
    station.stop();
}

#[test]
fn errors_set_their_bit_of_the_event_register() {
    let station = Setup::small().start();
    let mut client = station.client();
    client.command("*CLS");
    for (message, error, bit) in [
        ("*FOO", -113, "32"),
        ("*ESE 999", -222, "16"),
        ("MMEM:DATA? 'no'", -256, "16"),
    ] {
        assert_eq!(client.refused(message), error);
        assert_eq!(client.query("*ESR?"), bit, "{message}");
    }
    let overlong = "x".repeat(20_000);
    assert_eq!(client.refused(&overlong), -363);
    assert_eq!(client.query("*ESR?"), "8");
    station.stop();
}

#[test]
fn a_waiting_reply_shows_in_the_status_byte() {
    let station = Setup::small().start();
    let mut client = station.client();
    assert_eq!(client.query("*STB?"), "0");
    assert_eq!(client.query("*ESE?;*STB?"), "0;16");
    assert_eq!(client.query("*SRE 16;*ESE?;*STB?"), "0;80");
    assert_eq!(client.query("*STB?"), "0");
    station.stop();
}

#[test]
fn an_overflowing_error_queue_keeps_the_oldest_31() {
    let station = Setup::small().start();
    let mut client = station.client();
    client.command("*CLS");
    for n in 0..40 {
        client.send(format!("NO:SUCH{n}?\n"));
    }
    assert_eq!(client.query("SYST:ERR:COUN?"), "32");
    let entries = client.errors();
    assert_eq!(entries.len(), 32);
    for (n, entry) in entries[..31].iter().enumerate() {
        assert!(entry.starts_with("-113,\"Undefined header;"), "{entry}");
        assert!(entry.contains(&format!("SUCH{n}")), "{entry}");
    }
    assert_eq!(entries[31], "-350,\"Queue overflow\"");
    // Reading one makes room for one.
    for _ in 0..33 {
        client.send("NO:SUCH?\n");
    }
    assert_eq!(number(&client.query("SYST:ERR?")), -113);
    client.send("*ESE 999\n");
    let numbers: Vec<i32> = client.errors().iter().map(|e| number(e)).collect();
    assert_eq!((numbers.len(), numbers[30], numbers[31]), (32, -350, -222));
    client.send("NO:SUCH?\nNO:SUCH?\n");
    assert_eq!(client.query("SYST:ERR:ALL?").matches("-113").count(), 2);
    client.send("NO:SUCH?\n*RST\n");
    assert_eq!(client.query("SYST:ERR:COUN?"), "1");
    assert_eq!(client.query("*CLS;:SYST:ERR:ALL?"), "0,\"No error\"");
    station.stop();
}

#[test]
fn operation_complete_follows_a_capture() {
    let station = Setup::slow().start();
    let mut client = station.client();
    client.command("*CLS");
    assert_eq!(client.query("*OPC;*ESR?"), "1");
    client.command("CAP:SEQFET 'P',(1000,2000),3,0,1;*OPC");
    let job = client.query("SYST:JOB:LAST?");
    assert_eq!(client.query("*ESR?"), "0");
    // Others do not wait for it.
    let mut other = station.client();
    assert_eq!(other.query("*OPC?"), "1");
    assert_eq!(
        client.query(&format!("*OPC?;:SYST:JOB:STAT? {job}")),
        format!("1;{job},\"capture P\",DONE,100,0")
    );
    assert_eq!(station.files().len(), 7);
    eventually("bit 0", || client.query("*ESR?") == "1");
    station.stop();
}

#[test]
fn later_commands_wait_when_told() {
    let station = Setup::slow().start();
    let mut client = station.client();
    client.command("CAP:SEQFET 'W',(1000),3,0,0");
    let job = client.query("SYST:JOB:LAST?");
    assert_eq!(
        client.query(&format!("*WAI;:SYST:JOB:STAT? {job}")),
        format!("{job},\"capture W\",DONE,100,0")
    );
    assert_eq!(station.files().len(), 3);
    station.stop();
}

#[test]
fn clearing_and_resetting_forget_a_pending_operation_complete() {
    let station = Setup::slow().start();
    let mut client = station.client();
    for forget in ["*CLS", "*RST"] {
        client.command("*CLS");
        let job = long_capture(&mut client);
        client.send(format!("*OPC;{forget}\n"));
        client.command(&format!("SYST:JOB:ABOR {job}"));
        assert_eq!(client.query("*OPC?"), "1");
        assert_eq!(client.query("SYST:VERS?;*ESR?"), "1999.0;0", "{forget}");
    }
    station.stop();
}

#[test]
fn a_capture_shows_in_the_operation_register_of_every_connection() {
    let station = Setup::slow().start();
    let (mut client, mut other) = (station.client(), station.client());
    other.command("STAT:OPER:ENAB 16;NTR 16");
    client.command("STAT:OPER:PTR 0");
    let job = long_capture(&mut client);
    let condition: u32 = client.query("STAT:OPER:COND?").parse().unwrap();
    assert_eq!(condition & MEASURING, MEASURING);
    assert_eq!(
        other.query("*STB?;:STAT:OPER?;:STAT:OPER?;*STB?"),
        "128;16;0;16"
    );
    assert_eq!(client.query("STAT:OPER:EVEN?"), "0");
    client.command(&format!("SYST:JOB:ABOR {job}"));
    assert_eq!(client.query("*OPC?"), "1");
    assert_eq!(client.query("STAT:OPER:COND?"), "0");
    // The fall is an event where it is asked for, and not elsewhere.
    assert_eq!(other.query("STAT:OPER?"), "16");
    assert_eq!(client.query("STAT:OPER?"), "0");
    station.stop();
}

#[test]
fn an_archive_shows_in_the_operation_register() {
    let station = Setup::small().start();
    let mut client = station.client();
    std::fs::write(station.images().join("data.bin"), vec![7; 1 << 20]).unwrap();
    let (images, file) = (
        station.images().display().to_string(),
        station.ramdisk().join("a.tar.gz"),
    );
    client.command("STAT:OPER:NTR 256;ENAB 256");
    client.command(&format!("SRV:ARCHV '{images}','{}',1,0,1", file.display()));
    assert_eq!(client.query("*OPC?"), "1");
    eventually("the end of archiving", || {
        client.query("STAT:OPER:COND?") == "0"
    });
    let event: u32 = client.query("STAT:OPER?").parse().unwrap();
    assert_eq!(event, ARCHIVING);
    assert!(file.exists());
    station.stop();
}

#[test]
fn jobs_can_be_listed_looked_at_and_aborted() {
    let station = Setup::slow().start();
    let (mut client, mut other) = (station.client(), station.client());
    assert_eq!(client.query("SYST:JOB:LAST?"), "0");
    assert_eq!(client.json("SYST:JOB:LIST?"), Value::Array(vec![]));
    let job = long_capture(&mut client);
    assert_eq!(other.query("SYST:JOB:LAST?"), "0");
    assert_eq!(state(&mut other, &job), "RUN");
    let list = other.json("SYST:JOB:LIST?");
    assert_eq!(list[0]["id"].to_string(), job);
    assert_eq!(
        (&list[0]["name"], &list[0]["state"]),
        (&"capture long".into(), &"running".into())
    );
    let percent = list[0]["percent"].as_f64().unwrap();
    assert!((0.0..100.0).contains(&percent), "{list}");
    let created = list[0]["created"].as_str().unwrap();
    assert!(
        created.starts_with("20") && created.ends_with('Z'),
        "{created}"
    );
    assert_eq!(other.refused("SYST:JOB:STAT? 4000000"), -224);
    other.command(&format!("SYST:JOB:ABOR {job}"));
    assert_eq!(client.query("*OPC?"), "1");
    assert_eq!(state(&mut client, &job), "ABOR");
    // The user ended it; that is no error.
    assert_eq!(client.errors(), Vec::<String>::new());
    assert!(station.files().iter().all(|name| !name.starts_with('.')));
    station.stop();
}

#[test]
fn resetting_aborts_captures_and_restores_settings() {
    let station = Setup::slow().start();
    let mut client = station.client();
    client.command(
        "*ESE 4;*SRE 4;:CAM:CONF:AG 2;:CAM:CONF:FR 25;:SRV:IMG:BCLP 10,10;SRNK 1;:CAM:FORM NPY",
    );
    let job = long_capture(&mut client);
    client.command("*RST");
    assert_eq!(state(&mut client, &job), "ABOR");
    assert_eq!(
        client.query("CAM:CONF:SS?;AG?;FR?;:SRV:IMG:BCLP?;DBAY?;SRNK?;:CAM:FORM?;*ESE?;*SRE?"),
        "0;1;20;0,0,64,48;0;0;RAW;4;4"
    );
    station.stop();
}

#[test]
fn a_capture_that_fails_tells_its_own_connection_alone() {
    // Two frames, and then no more: the third picture cannot be taken.
    let mut replay = super::harness::Replay::counting();
    replay.frames.truncate(2);
    replay.more = "loop = false\npaced = false\n".into();
    let station = Setup::replay(replay).start();
    let (mut client, mut other) = (station.client(), station.client());
    client.command("*CLS");
    other.command("*CLS");
    client.send("CAP:SEQFET 'F',(1000),3,0,1;:SYST:JOB:LAST?\n");
    let job = client.line();
    assert_eq!(client.query("*OPC?"), "1");
    assert_eq!(state(&mut client, &job), "FAIL");
    let errors = client.errors();
    assert_eq!(
        errors.iter().map(|e| number(e)).collect::<Vec<_>>(),
        [-240],
        "{errors:?}"
    );
    assert_eq!(client.query("*ESR?"), "16");
    assert_eq!(other.query("*ESR?;:SYST:ERR:COUN?"), "0;0");
    let list = other.json("SYST:JOB:LIST?");
    assert!(
        list[0]["error"].as_str().unwrap().contains("frames"),
        "{list}"
    );
    station.stop();
}

#[test]
fn self_test_and_options() {
    let station = Setup::small().start();
    let mut client = station.client();
    client.command("CAM:CONF:SS 777");
    assert_eq!(client.query("*TST?"), "0");
    assert_eq!(
        client.query("*OPT?"),
        "camera,thermal,particles,oscilloscope,spectrometer"
    );
    assert_eq!(client.query("CAM:CONF:SS?"), "777");
    let identity = client.query("*IDN?");
    assert_eq!(identity.split(',').count(), 4);
    assert!(
        identity.len() <= 72 && !identity.contains(';'),
        "{identity}"
    );
    station.stop();
}
