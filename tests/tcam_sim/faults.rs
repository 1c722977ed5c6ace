//! Each fault by itself (reference section 14.6): what the host sees, and that the camera goes on.

use outpost::tcam::proto::spi::SpiError;
use outpost::tcam::proto::{Announcement, Response};
use outpost::tcam::sim::{FAULTS, Output};
use serde_json::Value;

use crate::rig::{Rig, ack, announced, info, ms};

const GET: &str = r#"{"cmd":"get_image"}"#;
const STATUS: &str = r#"{"cmd":"get_status"}"#;

/// One image over SPI, with the next image's fault, and the check of it.
fn spoiled(fault: &str) -> Result<(), SpiError> {
    let mut rig = Rig::hardware();
    rig.faults.set(fault, None).unwrap();
    rig.send(GET);
    let length = announced(&rig.receive()).unwrap();
    let announcement = Announcement::new(length as i64).unwrap();
    let read = rig.transfer(announcement.read_len());
    let result = announcement.image(&read).map(drop);
    // The next one is sound again.
    rig.get_image();
    result
}

#[test]
fn damage_on_spi_is_what_it_says() {
    assert!(matches!(spoiled("flip-byte"), Err(SpiError::Sum { .. })));
    assert!(matches!(
        spoiled("wrong-checksum"),
        Err(SpiError::Sum { .. })
    ));
    assert!(matches!(
        spoiled("drop-byte"),
        Err(SpiError::EndByte { .. })
    ));
    assert!(matches!(
        spoiled("announce-n"),
        Err(SpiError::EndByte { .. })
    ));
    assert!(matches!(
        spoiled("no-arm"),
        Err(SpiError::StartByte { got: 0xff })
    ));
    // No sum sees it.
    assert!(spoiled("transpose").is_ok());
}

#[test]
fn transposed_bytes_change_the_picture_and_not_the_sum() {
    let sound = Rig::hardware().get_image().0;
    let mut rig = Rig::hardware();
    rig.faults.set("transpose", None).unwrap();
    let spoiled = rig.get_image().0;
    let differing = sound
        .pixels
        .iter()
        .zip(spoiled.pixels.iter())
        .filter(|(a, b)| a != b);
    assert!((1..=2).contains(&differing.count()));
}

#[test]
fn announcements_lie_on_demand() {
    for (fault, text) in [
        ("announce-zero", r#"{"image_ready" : 0}"#),
        ("announce-huge", r#"{"image_ready" : 60000}"#),
        ("announce-negative", r#"{"image_ready" : -1}"#),
    ] {
        let mut rig = Rig::hardware();
        rig.faults.set(fault, None).unwrap();
        rig.send(GET);
        assert_eq!(rig.receive_text(), text);
        // The host leaves it; the camera gives up after its second.
        assert_eq!(rig.listen(ms(1500)).len(), 0);
        rig.get_image();
    }
    let mut rig = Rig::hardware();
    rig.faults.set("announce-string", None).unwrap();
    rig.send(GET);
    let message: Value = serde_json::from_slice(&rig.receive()).unwrap();
    let length: usize = message["image_ready"].as_str().unwrap().parse().unwrap();
    assert!(length > 51_000);
}

#[test]
fn without_no_arm_the_camera_would_have_armed() {
    let mut rig = Rig::hardware();
    rig.faults.set("no-arm", Some(2)).unwrap();
    for armed in [true, false, true, false] {
        rig.send(GET);
        announced(&rig.receive()).unwrap();
        assert_eq!(rig.transfer(1), [if armed { 0x02 } else { 0xff }]);
    }
}

#[test]
fn no_image_lasts_until_cleared_and_commands_are_answered() {
    let mut rig = Rig::hardware();
    rig.faults.set("no-image", None).unwrap();
    rig.ask(r#"{"cmd":"stream_on"}"#);
    assert!(rig.listen(ms(10_000)).is_empty());
    assert!(rig.ask(STATUS).starts_with("{\"status\""));
    rig.faults.clear();
    rig.image();
}

#[test]
fn answers_are_swallowed_or_late() {
    let mut rig = Rig::hardware();
    rig.faults.set("swallow-answer", Some(2)).unwrap();
    let mut answered = 0;
    for _ in 0..6 {
        rig.send(STATUS);
        answered += rig.listen(ms(100)).len();
    }
    assert_eq!(answered, 3);
    rig.faults.clear();
    rig.faults.set("delay-answer", None).unwrap();
    let sent = rig.now;
    rig.ask(STATUS);
    assert!((ms(3005)..=ms(3060)).contains(&(rig.now - sent)));
    let sent = rig.now;
    rig.ask(STATUS);
    assert!(rig.now - sent <= ms(60));
}

#[test]
fn strange_packets_come_before_an_answer() {
    let mut rig = Rig::hardware();
    rig.faults.set("unsolicited", None).unwrap();
    assert_eq!(rig.ask(STATUS), info(4, "Simulated internal error"));
    assert!(rig.receive_text().starts_with("{\"status\""));
    rig.faults.set("bad-utf8", None).unwrap();
    rig.send(STATUS);
    let packet = rig.receive();
    assert!(std::str::from_utf8(&packet).is_err());
    assert!(Response::decode(&packet).is_err());
    assert!(rig.receive_text().starts_with("{\"status\""));
    rig.faults.set("junk", None).unwrap();
    rig.outputs.clear();
    assert!(rig.ask(STATUS).starts_with("{\"status\""));
    let Output::Bytes(junk) = &rig.outputs[0].1 else {
        panic!("bytes expected");
    };
    assert!(!junk.contains(&2) && !junk.contains(&3));
}

#[test]
fn packets_are_glued_or_split() {
    let mut rig = Rig::hardware();
    rig.faults.set("glue", None).unwrap();
    rig.send(STATUS);
    rig.send(r#"{"cmd":"get_config"}"#);
    rig.pass(ms(200));
    let pieces: Vec<_> = rig.outputs.drain(..).map(|(_, output)| output).collect();
    assert!(
        matches!(&pieces[..], [Output::Bytes(bytes)] if bytes.iter().filter(|&&byte| byte == 2).count() == 2)
    );
    assert_eq!(rig.packets.len(), 2);
    rig.packets.clear();
    // Alone it comes after a while.
    rig.faults.set("glue", None).unwrap();
    let sent = rig.now;
    rig.ask(STATUS);
    assert!((ms(305)..=ms(360)).contains(&(rig.now - sent)));
    rig.outputs.clear();
    rig.faults.set("split", None).unwrap();
    let text = rig.ask(STATUS);
    assert_eq!(rig.outputs.len(), text.len() + 2);
}

#[test]
fn the_connection_breaks_or_pauses_in_the_middle_of_an_image() {
    let mut rig = Rig::network();
    rig.faults.set("close", None).unwrap();
    rig.send(GET);
    rig.pass(ms(500));
    assert!(matches!(
        &rig.outputs[..],
        [(_, Output::Bytes(bytes)), (_, Output::Close)] if (25_000..27_000).contains(&bytes.len())
    ));
    let mut rig = Rig::network();
    rig.faults.set("pause", None).unwrap();
    rig.get_image();
    let [(first, _), (second, _)] = &rig.outputs[..] else {
        panic!("two pieces expected");
    };
    assert_eq!(*second - *first, ms(700));
}

#[test]
fn a_dead_spi_slave_is_told_and_only_power_cures_it() {
    let mut rig = Rig::hardware();
    rig.ask(r#"{"cmd":"stream_on"}"#);
    rig.faults.set("spi-dead", None).unwrap();
    let packets = rig.listen(ms(5000));
    let told = info(4, "SPI Slave restart error - images disabled");
    assert_eq!(packets, [told.as_bytes()]);
    assert!(rig.ask(STATUS).starts_with("{\"status\""));
    rig.faults.set("reboot", Some(100)).unwrap();
    rig.pass(ms(200));
    rig.get_image();
}

#[test]
fn a_restart_forgets_settings_clock_and_stream() {
    let mut rig = Rig::hardware();
    rig.ask(r#"{"cmd":"set_config","args":{"emissivity":90,"agc_enabled":1}}"#);
    rig.ask(r#"{"cmd":"set_time","args":{"sec":0,"min":0,"hour":12,"dow":1,"day":1,"mon":1,"year":56}}"#);
    rig.ask(r#"{"cmd":"stream_on"}"#);
    rig.faults.set("reboot", None).unwrap();
    rig.pass(ms(1400));
    rig.packets.clear();
    rig.send(STATUS);
    assert!(rig.listen(ms(300)).is_empty());
    let status = rig.ask(STATUS);
    assert!(status.contains(r#""Date":"1/1/-30""#), "{status}");
    assert_eq!(
        rig.ask(r#"{"cmd":"get_config"}"#),
        r#"{"config":{"agc_enabled":0,"emissivity":100,"gain_mode":0}}"#
    );
    assert!(rig.listen(ms(3000)).is_empty());
}

#[test]
fn in_network_mode_settings_survive_a_restart() {
    let mut rig = Rig::network();
    rig.ask(r#"{"cmd":"set_config","args":{"emissivity":90}}"#);
    rig.faults.set("reboot", Some(10)).unwrap();
    rig.pass(ms(50));
    assert_eq!(rig.outputs.last().unwrap().1, Output::Close);
    assert!(
        rig.ask(r#"{"cmd":"get_config"}"#)
            .contains("\"emissivity\":90")
    );
    assert!(rig.ask(STATUS).contains("1/1/-30"));
}

#[test]
fn a_correction_takes_as_long_as_told() {
    let mut rig = Rig::hardware();
    rig.faults.set("ffc-gap", Some(4000)).unwrap();
    rig.camera.poll(rig.now);
    let start = rig.now;
    rig.get_image();
    assert!((ms(4000)..ms(4200)).contains(&(rig.now - start)));
}

#[test]
fn every_fault_has_a_help_and_leaves_a_camera_that_works() {
    for spec in FAULTS.iter().filter(|spec| spec.name != "vanish") {
        for mut rig in [Rig::hardware(), Rig::network()] {
            assert!(
                !spec.help.is_empty() && spec.help.len() < 100,
                "{}",
                spec.name
            );
            rig.faults.set(spec.name, Some(1)).unwrap();
            rig.send(GET);
            rig.pass(ms(4000));
            rig.send(STATUS);
            rig.pass(ms(4000));
            rig.faults.clear();
            rig.camera.poll(rig.now);
            rig.pass(ms(4000));
            rig.packets.clear();
            let answer = ack("run_ffc");
            assert_eq!(rig.ask(r#"{"cmd":"run_ffc"}"#), answer, "{}", spec.name);
            rig.get_image();
        }
    }
}
