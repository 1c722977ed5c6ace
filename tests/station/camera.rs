//! The camera on SCPI's port: settings, refusals, frames and formats (design.md 2.5; hq-camera.md 3, 7).

use super::harness::{Client, Setup};

#[test]
fn exposure_takes_units_and_limits_by_name() {
    let station = Setup::simulated().start();
    let mut client = station.client();
    for (message, us) in [
        ("10000", "10000"),
        ("20000US", "20000"),
        ("30 ms", "30000"),
        ("0.04S", "40000"),
        ("5E4", "50000"),
        ("#HEA60", "60000"),
        ("MIN", "114"),
        ("MAX", "99371"),
        ("DEF", "0"),
        ("0", "0"),
    ] {
        client.command(&format!("CAM:CONF:SS {message}"));
        assert_eq!(client.query("CAM:CONF:SS?"), us, "{message}");
    }
    // At 10 frames a second: 4 lines, and 3478 lines (hq-camera.md 7).
    assert_eq!(
        client.query("CAM:CONF:SS? MIN;SS? MAX;SS? DEF"),
        "114;99371;0"
    );
    client.command("CAM:CONF:SS 5000");
    for message in ["99373", "113", "-1", "1S", "9.9E37"] {
        assert_eq!(
            client.refused(&format!("CAM:CONF:SS {message}")),
            -222,
            "{message}"
        );
    }
    assert_eq!(client.refused("CAM:CONF:SS ABC"), -104);
    assert_eq!(client.query("CAM:CONF:SS?"), "5000");
    station.stop();
}

#[test]
fn rate_gain_color_and_crop() {
    let station = Setup::simulated().start();
    let mut client = station.client();
    client.command("CAM:CONF:FR 5;AG 4");
    assert_eq!(client.query("CAM:CONF:FR?;AG?"), "5;4");
    // The limits that follow from the sensor: gain 1024/(1024-978), and 3500 lines.
    let gain: f64 = client.query("CAM:CONF:AG? MAX").parse().unwrap();
    assert!((gain - 1024.0 / 46.0).abs() < 1e-3, "{gain}");
    assert_eq!(
        client.query("CAM:CONF:AG? MIN;FR? MAX;AG? DEF;FR? DEF"),
        "1;10;1;10"
    );
    let longest: f64 = client.query("CAM:CONF:SS? MAX").parse().unwrap();
    assert!((199_370.0..200_000.0).contains(&longest), "{longest}");
    for message in [
        "CAM:CONF:AG 23",
        "CAM:CONF:AG 0.5",
        "CAM:CONF:AG 0",
        "CAM:CONF:AG -1",
        "CAM:CONF:FR 0",
        "CAM:CONF:FR 11",
        "CAM:CONF:AWB 33,1",
        "CAM:CONF:AWB 1,-1",
        "CAM:CONF:SCLCRP 0,0,0,10",
        "CAM:CONF:SCLCRP 4000,0,100,10",
    ] {
        assert_eq!(client.refused(message), -222, "{message}");
    }
    assert_eq!(
        client.query("CAM:CONF:FR?;AG?;AWB?;SCLCRP?"),
        "5;4;0,0;0,0,4056,3040"
    );
    client.command("CAM:CONF:AWB 2.5,1.8;SCLCRP 100,200,640,480");
    assert_eq!(
        client.query("CAM:CONF:AWB?;SCLCRP?"),
        "2.5,1.8;100,200,640,480"
    );
    assert_eq!(client.refused("CAM:CONF:AWB 2.5"), -109);
    assert_eq!(client.refused("CAM:CONF:SCLCRP 1,2,3"), -109);
    client.command("CAM:CONF:FR 8HZ;FR MAX");
    station.stop();
}

#[test]
fn window_unpacking_and_binning_depend_on_each_other_as_documented() {
    let station = Setup::small().start();
    let mut client = station.client();
    assert_eq!(client.query("SRV:IMG:BCLP?;DBAY?;SRNK?"), "0,0,64,48;0;0");
    for (message, window) in [
        ("32,16", "16,16,32,16"),
        ("10,6,40,20", "10,6,40,20"),
        ("11,7,41,21", "10,6,40,20"),
        ("62,46", "0,0,62,46"),
        ("64,48", "0,0,64,48"),
        ("58,42,2,2", "58,42,2,2"),
    ] {
        client.command(&format!("SRV:IMG:BCLP {message}"));
        assert_eq!(client.query("SRV:IMG:BCLP?"), window, "{message}");
    }
    for message in [
        "1,1",
        "0,10",
        "66,48",
        "-2,0,32,16",
        "60,0,6,4",
        "0,0,80,48",
        "100,100,10,10",
        "-10,-10",
    ] {
        assert_eq!(
            client.refused(&format!("SRV:IMG:BCLP {message}")),
            -222,
            "{message}"
        );
    }
    for message in ["1", "1,2,3", "1,2,3,4,5", ""] {
        client.send(format!("SRV:IMG:BCLP {message}\n"));
        assert_eq!(client.errors().len(), 1, "{message}");
    }
    assert_eq!(client.query("SRV:IMG:BCLP?"), "58,42,2,2");
    for (message, after) in [
        ("SRNK 2", "1;2"),
        ("SRNK 0", "1;0"),
        ("SRNK 3", "1;3"),
        ("DBAY OFF", "0;0"),
        ("SRNK -5", "0;0"),
        ("SHRNK 6", "1;6"),
        ("SRNK MAX", "1;6"),
        ("DBAY ON", "1;6"),
    ] {
        client.command(&format!("SRV:IMG:{message}"));
        assert_eq!(client.query("SRV:IMG:DBAY?;SRNK?"), after, "{message}");
    }
    assert_eq!(client.query("SRV:IMG:SHRNK?"), "6");
    assert_eq!(client.refused("SRV:IMG:SRNK 7"), -222);
    assert_eq!(client.query("SRV:IMG:SRNK?"), "6");
    station.stop();
}

#[test]
fn a_window_that_does_not_suit_the_binning_is_refused_by_the_capture() {
    let station = Setup::small().start();
    let mut client = station.client();
    client.command("SRV:IMG:BCLP 58,42;SRNK 2");
    assert_eq!(client.refused("CAP:SEQFET 'C',(1000),1,0,1"), -221);
    client.send("CAM:FRAM? NPY\n");
    assert_eq!(client.errors().len(), 1);
    assert_eq!(client.query("SRV:IMG:BCLP?;SRNK?"), "2,2,58,42;2");
    assert_eq!(station.files(), Vec::<String>::new());
    station.stop();
}

#[test]
fn a_dng_of_binned_data_is_refused() {
    let station = Setup::small().start();
    let mut client = station.client();
    client.command("SRV:IMG:SRNK 1;:CAM:FORM RAW,DNG");
    assert_eq!(client.refused("CAP:SEQFET 'D',(1000),1,0,1"), -221);
    assert_eq!(client.refused("CAM:FRAM? DNG"), -221);
    assert_eq!(station.files(), Vec::<String>::new());
    client.command("SRV:IMG:SRNK 0;:CAP:SEQFET 'D',(1000),1,0,0;*WAI");
    assert_eq!(
        station.files(),
        ["D_ss=1000_0000.dng", "D_ss=1000_0000.raw"]
    );
    station.stop();
}

#[test]
fn a_second_capture_is_refused_while_one_runs() {
    let station = Setup::slow().start();
    let (mut client, mut other) = (station.client(), station.client());
    client.command("CAP:SEQFET 'one',(1000),200,0,0");
    assert_eq!(other.refused("CAP:SEQFET 'two',(1000),1,0,0"), -213);
    assert_eq!(client.refused("CAP:SEQFET 'two',(1000),1,0,0"), -213);
    let job = client.query("SYST:JOB:LAST?");
    client.command(&format!(
        "SYST:JOB:ABOR {job};*WAI;:CAP:SEQFET 'two',(1000),1,0,0;*WAI"
    ));
    assert!(station.files().contains(&"two_ss=1000_0000.raw".into()));
    station.stop();
}

#[test]
fn a_capture_that_cannot_fit_writes_nothing() {
    let station = Setup::small().storage("ramdisk_limit_mb = 1").start();
    let mut client = station.client();
    assert_eq!(client.refused("CAP:SEQFET 'big',(1000),1000,0,1"), -254);
    assert_eq!(station.files(), Vec::<String>::new());
    assert_eq!(
        station
            .legacy_client()
            .ask("CAP:SEQFET big 1000 1000 0.2 1"),
        "nak"
    );
    assert_eq!(station.files(), Vec::<String>::new());
    // What was not taken is free for others.
    client.command("CAP:SEQFET 'small',(1000),20,0,1;*WAI");
    assert_eq!(station.files().len(), 21);
    station.stop();
}

#[test]
fn captures_are_checked_before_they_begin() {
    let station = Setup::small().start();
    let mut client = station.client();
    for (parameters, error) in [
        ("'../esc',(1000),1,0,1", -257),
        ("'',(1000),1,0,1", -257),
        ("'a b',(1000),1,0,1", -257),
        ("'.hidden',(1000),1,0,1", -257),
        ("'ok',(1000,-5),1,0,1", -222),
        ("'ok',(1000),-1,0,1", -222),
        ("'ok',(1000),1,0", -109),
        ("'ok',(1000),1,0,1,1", -108),
        ("'ok',(1000),1,0,PERHAPS", -224),
        ("ok,(1000),1,0,1", -148),
    ] {
        assert_eq!(
            client.refused(&format!("CAP:SEQFET {parameters}")),
            error,
            "{parameters}"
        );
    }
    assert_eq!(station.files(), Vec::<String>::new());
    assert_eq!(client.query("SYST:JOB:LAST?"), "0");
    station.stop();
}

#[test]
fn single_frames_come_in_every_format() {
    let station = Setup::small().start();
    let mut client = station.client();
    client.command("SRV:IMG:BCLP 32,16;DBAY 1");
    for (format, magic) in [
        ("RAW", &b"\x80\x03cnumpy"[..]),
        ("NPY", b"\x93NUMPY"),
        ("FITS", b"SIMPLE  ="),
        ("TIFF", b"II*\0"),
        ("DNG", b"II*\0"),
        ("PNG", b"\x89PNG\r\n\x1a\n"),
    ] {
        let file = client.block(&format!("CAM:FRAM? {format}"));
        assert!(file.starts_with(magic), "{format}");
        assert!(file.len() >= 32 * 16 || format == "PNG", "{format}");
        assert!(
            client
                .block(&format!("cam:fram? {}", format.to_lowercase()))
                .starts_with(magic)
        );
    }
    assert_eq!(client.refused("CAM:FRAM? JPEG"), -224);
    assert_eq!(client.refused("CAM:FRAM?"), -109);
    // Between two other answers of one message.
    client.send("*ESE?;:CAM:FRAM? NPY;:SYST:VERS?\n");
    assert_eq!(client.take(2), b"0;");
    assert!(client.block_content().starts_with(b"\x93NUMPY"));
    assert_eq!(client.line(), ";1999.0");
    assert_eq!(station.files(), Vec::<String>::new());
    station.stop();
}

#[test]
fn a_single_frame_shows_the_present_exposure_window_and_binning() {
    let station = Setup::simulated().start();
    let mut client = station.client();
    client.command("SRV:IMG:BCLP 64,32;SRNK 2;:CAM:CONF:SS 2000;AG 2");
    let frame = client.block("CAM:FRAM? NPY");
    let (head, values) = frame.split_at(128);
    let head = String::from_utf8_lossy(head);
    assert!(
        head.contains("'descr': '<u2'") && head.contains("'shape': (8, 16)"),
        "{head}"
    );
    assert_eq!(values.len(), 8 * 16 * 2);
    let metadata = client.json("CAM:MET?");
    assert_eq!(metadata["exposure_us"], 2000);
    assert_eq!(metadata["analogue_gain"], 2.0);
    assert_eq!(metadata["black_level"], 256);
    assert!(
        (99_990..=100_000).contains(&metadata["frame_duration_us"].as_u64().unwrap()),
        "{metadata}"
    );
    let status = client.json("CAM:STAT?");
    assert_eq!(status["window"], serde_json::json!([1996, 1504, 64, 32]));
    assert_eq!(
        (&status["exposure_us"], &status["binning"]),
        (&2000.into(), &2.into())
    );
    let limits = client.json("CAM:LIM?");
    assert_eq!(
        (&limits["width"], &limits["height"]),
        (&4056.into(), &3040.into())
    );
    assert_eq!(limits["exposure_min_us"], 114);
    station.stop();
}

#[test]
fn before_the_first_frame_there_are_no_metadata() {
    let station = Setup::small().start();
    let mut client = station.client();
    assert_eq!(client.refused("CAM:MET?"), -230);
    client.block("CAM:FRAM? RAW");
    assert_eq!(client.json("CAM:MET?")["status"], "success");
    station.stop();
}

/// Files of one capture after `CAMera:FORMat`.
fn files_of(client: &mut Client, formats: &str, station: &super::harness::Station) -> Vec<String> {
    client.command(&format!(
        "CAM:FORM {formats};:CAP:SEQFET 'F',(1000),1,0,0;*WAI"
    ));
    let files = station.files();
    for file in &files {
        client.command(&format!("MMEM:DEL '{file}'"));
    }
    files
}

#[test]
fn each_format_asked_for_is_a_file() {
    let station = Setup::small().start();
    let mut client = station.client();
    let file = |extension: &str| format!("F_ss=1000_0000.{extension}");
    assert_eq!(client.query("CAM:FORM?"), "RAW");
    assert_eq!(files_of(&mut client, "RAW", &station), [file("raw")]);
    assert_eq!(
        files_of(&mut client, "NPY,FITS,NPY", &station),
        [file("fits"), file("npy")]
    );
    assert_eq!(client.query("CAM:FORM?"), "NPY,FITS");
    assert_eq!(
        files_of(&mut client, "raw,npy,fits,tiff,dng,png", &station),
        ["dng", "fits", "npy", "png", "raw", "tiff"].map(file)
    );
    assert_eq!(client.refused("CAM:FORM RAW,JPEG"), -224);
    client.command("CAM:FORM PNG");
    // The dialect's captures always write .raw as well: FE-PyCam2 programs read nothing else.
    assert_eq!(
        station.legacy_client().ask("CAP:SEQFET L 1000 1 0.2 0"),
        "ack"
    );
    assert_eq!(
        station.files(),
        ["L_ss=1000_0000.png", "L_ss=1000_0000.raw"]
    );
    station.stop();
}

#[test]
fn a_paced_sequence_wastes_no_frames() {
    let station = Setup::paced().start();
    let mut client = station.client();
    client.command("SRV:IMG:BCLP 32,32;:CAM:CONF:SS 5000");
    let before = station.counter("camera", "frames");
    client.command("CAP:SEQFET 'P',(5000,10000),3,0,1");
    assert_eq!(client.query("*OPC?"), "1");
    let frames = station.counter("camera", "frames") - before;
    // Six pictures, the control latency once, and the frame that was under way.
    assert!((6..=6 + 3 + 1).contains(&frames), "{frames} frames");
    let log = String::from_utf8(station.image("P_SSCapture.log")).unwrap();
    for (line, exposure) in log.lines().zip([5000, 5000, 5000, 10000, 10000, 10000]) {
        assert!(
            line.contains(&format!(";sSS:{exposure};iSS:{exposure};")),
            "{line}"
        );
    }
    assert_eq!(log.lines().count(), 6);
    station.stop();
}

#[test]
fn a_camera_that_is_switched_off_is_missed_at_once() {
    let station = Setup::small().camera("enabled = false").start();
    let mut client = station.client();
    for message in [
        "CAM:CONF:SS 1000",
        "CAM:CONF:SS?",
        "CAM:FRAM? RAW",
        "CAM:STAT?",
        "CAP:SEQFET 'a',(1000),1,0,0",
        "SRV:IMG:BCLP?",
    ] {
        assert_eq!(client.refused(message), -241, "{message}");
    }
    assert_eq!(
        client.query("*OPT?"),
        "thermal,particles,oscilloscope,spectrometer"
    );
    assert_eq!(client.json("SYST:HEAL? camera")["state"], "disabled");
    let mut legacy = station.legacy_client();
    assert_eq!(legacy.ask("CAM:CONF:SS 1000"), "nak");
    assert_eq!(legacy.ask("IDN?"), "PiCam2");
    station.stop();
}
