//! What the FE-PyCam2 measurement program does with a station, from its first message to its last (hq-camera.md 1).

use std::fs;

use super::harness::{Client, Setup, Station, eventually};

/// One receive into 32 bytes of which one must stay unused.
const REPLY_LIMIT: usize = 31;

/// Sends a message and gives the reply, which the program must be able to read.
fn say(client: &mut Client, message: &str) -> String {
    let reply = client.ask(message);
    assert!(
        (1..=REPLY_LIMIT).contains(&reply.len()),
        "{message}: {reply}"
    );
    reply
}

fn acknowledged(client: &mut Client, message: &str) {
    assert_eq!(say(client, message), "ack", "{message}");
}

fn begin(station: &Station) -> (Client, String, String) {
    let mut client = station.legacy_client();
    assert_eq!(
        say(&mut client, "SRV:PATH:SDDIR?"),
        "/home/pi/Pictures/Captures"
    );
    let rddir = say(&mut client, "SRV:PATH:RDDIR?");
    let imdir = say(&mut client, "SRV:PATH:IMDIR?");
    assert_eq!(rddir, station.ramdisk().display().to_string());
    assert_eq!(imdir, station.images().display().to_string());
    for message in [
        "CAM:CONF:SS 1000",
        "CAM:CONF:AG -1",
        "CAM:CONF:AWB 2,5:1,8",
        "SRV:IMG:BCLP 64:48",
        "SRV:IMG:DBAY 0",
        "SRV:IMG:SRNK 0",
    ] {
        acknowledged(&mut client, message);
    }
    (client, rddir, imdir)
}

#[test]
fn a_measurement_from_beginning_to_end() {
    let station = Setup::small().start();
    let (mut client, rddir, imdir) = begin(&station);
    for (point, name) in ["-BlackSubtraction", "-0000", "-0001"].iter().enumerate() {
        let name = format!("Dev101_rPiHQCam2{name}");
        acknowledged(&mut client, &format!("CAP:SEQFET {name} 1000:3150 3 0,2 1"));
        acknowledged(&mut client, &format!("CAM:CONF:SS {}", 1000 + point));
        assert_eq!(station.files().len(), 7);
        acknowledged(
            &mut client,
            &format!("SRV:ARCHV {imdir} {rddir}/{name}.tar.gz 1 1 1"),
        );
        // The program deletes the pictures over SSH, and fetches and deletes the archive.
        for file in fs::read_dir(&imdir).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        let archive = station.ramdisk().join(format!("{name}.tar.gz"));
        assert!(fs::metadata(&archive).unwrap().len() > 100);
        fs::remove_file(archive).unwrap();
    }
    assert_eq!(
        station.client().query("CAM:CONF:SS?;AWB?;AG?"),
        "1002;2.5,1.8;1"
    );
    acknowledged(&mut client, "SRV:CLOSE");
    assert_eq!(client.rest(), b"");
    // The next measurement finds the service as it was.
    let (mut client, ..) = begin(&station);
    acknowledged(&mut client, "CAP:SEQFET again 1000 1 0.2 0");
    assert_eq!(station.files(), ["again_ss=1000_0000.raw"]);
    station.stop();
}

#[test]
fn numbers_of_a_german_pc() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    acknowledged(&mut client, "CAM:CONF:AG 2,5");
    acknowledged(&mut client, "CAM:CONF:FR 12,5");
    acknowledged(&mut client, "CAM:CONF:AWB 1,25:3,5");
    assert_eq!(
        station.client().query("CAM:CONF:AG?;FR?;AWB?"),
        "2.5;12.5;1.25,3.5"
    );
    acknowledged(&mut client, "CAP:SEQFET de 1000 1 0,2 1");
    station.stop();
}

#[test]
fn every_kind_of_argument_as_the_old_server_read_it() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    for (message, reply) in [
        ("CAM:CONF:SS +1_000", "ack"),
        ("CAM:CONF:SS 100.5", "nak"),
        ("CAM:CONF:SS 1000 surplus arguments", "ack"),
        ("CAM:CONF:SS  1000", "nak"),
        ("CAM:CONF:AG 1e0", "ack"),
        ("CAM:CONF:AG one", "nak"),
        ("CAM:CONF:AG nan", "nak"),
        ("CAM:CONF:AWB 1.0", "nak"),
        ("CAM:CONF:AWB 1:2:3", "nak"),
        ("CAM:CONF:SCLCRP 0:0 64:48", "ack"),
        ("CAM:CONF:SCLCRP 0:0:64:48", "nak"),
        ("SRV:IMG:BCLP 32", "nak"),
        ("SRV:IMG:BCLP 32:16:8", "nak"),
        ("SRV:IMG:BCLP 32:16", "ack"),
        ("SRV:IMG:DBAY YES", "ack"),
        ("SRV:IMG:DBAY", "nak"),
        ("SRV:IMG:SRNK 1.5", "nak"),
        ("CAP:SEQFET", "nak"),
        ("CAP:SEQFET p 1000 1 0.2", "nak"),
        ("CAP:SEQFET p 1000 x 0.2 1", "nak"),
        ("CAP:SEQFET p 10:x 1 0.2 1", "nak"),
        ("CAP:SEQFET p 1000 1 soon 1", "nak"),
    ] {
        assert_eq!(say(&mut client, message), reply, "{message}");
    }
    // A word that is not true is false, without complaint.
    for (word, unpack) in [
        ("y", "1"),
        ("nonsense", "0"),
        ("TRUE", "1"),
        ("2", "0"),
        ("on", "1"),
        ("", "0"),
    ] {
        acknowledged(&mut client, &format!("SRV:IMG:DBAY {word}"));
        assert_eq!(client.query("SRV:IMG:DBAY?"), unpack, "{word}");
    }
    assert_eq!(station.files(), Vec::<String>::new());
    station.stop();
}

#[test]
fn values_outside_their_range_are_clamped_and_acknowledged() {
    let station = Setup::simulated().start();
    let mut client = station.legacy_client();
    let mut scpi = station.client();
    for (message, query, value) in [
        ("CAM:CONF:SS 1", "CAM:CONF:SS?", "114"),
        ("CAM:CONF:SS 5000000", "CAM:CONF:SS?", "99371"),
        ("CAM:CONF:SS 0", "CAM:CONF:SS?", "0"),
        ("CAM:CONF:SS -7", "CAM:CONF:SS?", "0"),
        ("CAM:CONF:FR 1000", "CAM:CONF:FR?", "10"),
        ("CAM:CONF:AG 0.5", "CAM:CONF:AG?", "1"),
        ("SRV:IMG:SRNK -1", "SRV:IMG:SRNK?", "0"),
    ] {
        acknowledged(&mut client, message);
        assert_eq!(scpi.query(query), value, "{message}");
    }
    acknowledged(&mut client, "CAM:CONF:AG 100");
    let (gain, most) = (scpi.query("CAM:CONF:AG?"), scpi.query("CAM:CONF:AG? MAX"));
    assert_eq!(gain, most);
    acknowledged(&mut client, "CAM:CONF:AG 2");
    for gain in ["0", "-1", "-0,5"] {
        acknowledged(&mut client, &format!("CAM:CONF:AG {gain}"));
        assert_eq!(scpi.query("CAM:CONF:AG?"), "2");
    }
    station.stop();
}

#[test]
fn a_refusal_leaves_its_reason_in_the_queue() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    client.command("*CLS");
    for (message, error) in [
        ("CAM:CONF:SS", "-109"),
        ("CAM:CONF:SS abc", "-104"),
        ("SRV:IMG:BCLP 1:1", "-222"),
        ("SRV:IMG:SRNK 7", "-222"),
        ("CAP:SEQFET a/b 1000 1 0.2 1", "-257"),
        ("SRV:ECHO", "-109"),
    ] {
        assert_eq!(say(&mut client, message), "nak", "{message}");
        let entry = client.query("SYST:ERR?");
        assert!(
            entry.starts_with(&format!("{error},")),
            "{message}: {entry}"
        );
    }
    station.stop();
}

#[test]
fn two_programs_share_the_camera_one_after_the_other() {
    let station = Setup::slow().start();
    let (mut one, mut two) = (station.legacy_client(), station.legacy_client());
    one.send("CAP:SEQFET one 1000 4 0.2 1");
    two.send("CAP:SEQFET two 1000 4 0.2 1");
    assert_eq!(
        (one.take(3), two.take(3)),
        (b"ack".to_vec(), b"ack".to_vec())
    );
    assert_eq!(station.files().len(), 10);
    station.stop();
}

#[test]
fn captures_wait_in_a_queue_that_has_an_end() {
    let station = Setup::slow().start();
    let mut running = station.legacy_client();
    running.send("CAP:SEQFET first 1000 4 0.2 0");
    station.wait_for_files(1);
    let mut clients: Vec<Client> = (0..12).map(|_| station.legacy_client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("CAP:SEQFET q{n} 1000 1 0.2 0"));
    }
    let replies: Vec<Vec<u8>> = clients.iter_mut().map(|client| client.take(3)).collect();
    let taken = replies.iter().filter(|reply| *reply == b"ack").count();
    assert!((8..=12).contains(&taken), "{taken}");
    for (reply, client) in replies.iter().zip(&mut clients) {
        if reply != b"ack" {
            assert_eq!(reply, b"nak");
            assert!(client.query("SYST:ERR?").starts_with("-213,"));
        }
    }
    assert_eq!(running.take(3), b"ack");
    assert_eq!(station.files().len(), 4 + taken);
    station.stop();
}

#[test]
fn a_program_is_told_when_somebody_ends_its_capture() {
    let station = Setup::slow().start();
    let mut operator = station.client();
    for end in ["SYST:JOB:ABOR 1", "*RST"] {
        let mut client = station.legacy_client();
        client.send("CAP:SEQFET long 1000 1000 0.2 1");
        eventually("the capture", || {
            operator.json("CAM:STAT?")["state"] == "capturing"
        });
        operator.command(end);
        assert_eq!(client.take(3), b"nak", "{end}");
        assert_eq!(client.ask("IDN?"), "PiCam2");
    }
    station.stop();
}

#[test]
fn close_can_be_told_to_stop_the_service() {
    let mut station = Setup::small()
        .scpi("legacy_close_stops_service = true")
        .start();
    let mut client = station.legacy_client();
    acknowledged(&mut client, "SRV:CLOSE");
    assert_eq!(client.rest(), b"");
    assert_eq!(station.wait().code(), Some(0));
}
