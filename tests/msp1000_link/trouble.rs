//! Links that fail, and instruments that misbehave: the right error, no hang, no wrong values.

use std::time::Duration;

use outpost::base::error::Kind;
use outpost::msp1000::driver::{ConnectError, LinkError, Setting, plain};
use outpost::msp1000::proto::Calibration;

use crate::rig::{Act, Rig, Script, after, run};

const FRAME: [u8; 7388] = [7; 7388];

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

#[test]
fn each_command_has_its_time() {
    let seconds = Duration::from_secs;
    let (mut link, hand) = Script::default().link();
    let told = after(&hand, seconds(2), link.exposure()).unwrap_err();
    assert_eq!(
        told.to_string(),
        "the spectrometer did not answer get_exposure within 2s"
    );
    assert_eq!(told.kind(), Kind::TimedOut);
    assert!(!link.is_usable());

    let (mut link, hand) = Script::default().link();
    let told = after(&hand, seconds(2), link.calibration()).unwrap_err();
    assert!(matches!(
        told,
        LinkError::TimedOut {
            command: "get_calibration",
            ..
        }
    ));

    let (mut link, hand) = Script::default().link();
    let told = after(&hand, seconds(3), link.spectrum()).unwrap_err();
    assert!(matches!(
        told,
        LinkError::TimedOut {
            command: "get_spectrum",
            ..
        }
    ));

    // 14 bytes ask for the exposure; the take waits for it and two seconds more.
    let device = Script::new([Act::After(14, b"exposure:5000\r\n".to_vec())]);
    let (mut link, hand) = device.link();
    let told = after(&hand, seconds(7), link.take()).unwrap_err();
    assert!(matches!(
        told,
        LinkError::TimedOut {
            command: "take_spectrum",
            ..
        }
    ));
    assert_eq!(device.written(), "get_exposure\r\ntake_spectrum\r\n");

    // Nobody waits for 49 days because an instrument says so.
    let device = Script::new([Act::After(14, b"exposure:4294967295\r\n".to_vec())]);
    let (mut link, hand) = device.link();
    let told = after(&hand, seconds(602), link.take()).unwrap_err();
    assert_eq!(told.kind(), Kind::TimedOut);
}

#[test]
fn an_answer_that_never_ends_is_none() {
    for beginning in [
        "exposure:20",
        "calibration:1,2,3,4",
        "spectrum:abc",
        "hello\r\n",
    ] {
        let device = Script::new([Act::After(14, beginning.as_bytes().to_vec())]);
        let (mut link, hand) = device.link();
        let told = after(&hand, Duration::from_secs(2), link.exposure()).unwrap_err();
        assert!(matches!(told, LinkError::TimedOut { .. }), "{beginning}");
    }
}

#[test]
fn after_a_failure_only_a_new_connection_helps() {
    let device = Script::default();
    let (mut link, hand) = device.link();
    after(&hand, Duration::from_secs(2), link.exposure()).unwrap_err();
    let written = device.written();
    for told in [
        smol::block_on(link.exposure()).unwrap_err(),
        smol::block_on(link.take()).unwrap_err(),
        smol::block_on(link.set_exposure(5)).unwrap_err(),
    ] {
        assert!(told.to_string().contains("reconnect"), "{told}");
    }
    assert_eq!(device.written(), written);

    // The same when the caller gave up.
    let (mut link, _hand) = Script::default().link();
    let given_up = smol::block_on(futures_lite::future::poll_once(link.exposure()));
    assert!(given_up.is_none());
    let told = smol::block_on(link.exposure()).unwrap_err();
    assert!(matches!(told, LinkError::Unusable));
}

#[test]
fn what_was_not_asked_for_is_passed_over() {
    let mut frame = b"spectrum:".to_vec();
    frame.extend_from_slice(&FRAME);
    let device = Script::new([
        // Left from before.
        say("exposure:99\r\nspectrum_complete\r\n"),
        Act::After(
            14,
            b"ok\r\nspectrum_complete\r\nexposure:20\r\nexposure:21\r\n".to_vec(),
        ),
        Act::After(
            28,
            [b"calibration:1,2,3,4\r\n", &frame[..], b"\nexposure:7\r\n"].concat(),
        ),
    ]);
    let (mut link, _hand) = device.link();
    assert_eq!(smol::block_on(link.exposure()).unwrap(), 20);
    assert_eq!(smol::block_on(link.exposure()).unwrap(), 7);
    assert_eq!(link.skipped_lines(), 1);
}

#[test]
fn wrong_answers_are_told() {
    let device = Script::new([Act::After(14, b"exposure:many\r\n".to_vec())]);
    let (mut link, _hand) = device.link();
    let told = smol::block_on(link.exposure()).unwrap_err();
    assert_eq!(told.to_string(), "get_exposure was answered wrongly");
    assert_eq!(told.kind(), Kind::Hardware);
    assert!(!link.is_usable());

    let device = Script::new([Act::After(14, vec![b'x'; 5000])]);
    let (mut link, _hand) = device.link();
    assert!(matches!(
        smol::block_on(link.exposure()).unwrap_err(),
        LinkError::Malformed { .. }
    ));

    let device = Script::new([Act::Babble(b"hello\r\n".to_vec())]);
    let (mut link, _hand) = device.link();
    let told = smol::block_on(link.exposure()).unwrap_err();
    assert!(matches!(told, LinkError::Babble), "{told}");
}

#[test]
fn a_closed_connection_is_told() {
    let (mut link, _hand) = Script::new([Act::Close]).link();
    let told = smol::block_on(link.exposure()).unwrap_err();
    assert!(matches!(told, LinkError::Closed { .. }));
    assert_eq!(told.kind(), Kind::Absent);
}

#[test]
fn without_tls_only_this_machine_is_reached() {
    for address in [
        "127.0.0.1:8001",
        "127.9.9.9:1",
        "[::1]:8001",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert!(
            plain(Script::default(), address.parse().unwrap()).is_ok(),
            "{address}"
        );
    }
    for address in ["192.168.1.5:8000", "0.0.0.0:1", "[::]:1", "[fe80::1]:8000"] {
        let told = plain(Script::default(), address.parse().unwrap())
            .err()
            .unwrap();
        assert!(matches!(told, ConnectError::NotLoopback(_)), "{address}");
        assert!(told.to_string().contains("loopback"), "{told}");
    }
}

#[test]
fn replies_in_pieces_are_whole() {
    for encrypted in [true, false] {
        let rig = if encrypted { Rig::tls() } else { Rig::plain() };
        rig.fault("chunk", Some(700));
        run(async {
            let mut link = rig.link().await;
            link.take().await.unwrap();
            let frame = link.spectrum().await.unwrap();
            rig.fault("chunk", Some(3));
            assert_eq!(link.calibration().await.unwrap(), Calibration::EXAMPLE);
            rig.faults.clear();
            assert!(link.spectrum().await.unwrap() == frame);
        });
    }
}

#[test]
fn other_ends_of_lines_are_understood() {
    let rig = Rig::plain();
    run(async {
        let mut link = rig.link().await;
        for (eol, frame_end) in [(1, 0), (0, 1), (1, 2), (0, 2)] {
            rig.fault("eol", Some(eol));
            rig.fault("frame-end", Some(frame_end));
            rig.fault("answer-set", None);
            rig.fault("long-cal", None);
            rig.fault("junk", Some(3));
            assert_eq!(link.set_exposure(3).await.unwrap(), Setting::Accepted(3));
            link.take().await.unwrap();
            link.spectrum().await.unwrap();
            assert_eq!(link.calibration().await.unwrap(), Calibration::EXAMPLE);
        }
        // Without any end, what has a known length is understood.
        rig.fault("eol", Some(2));
        link.take().await.unwrap();
        link.spectrum().await.unwrap();
    });
}

#[test]
fn a_connection_that_breaks_is_told_and_the_next_one_works() {
    for encrypted in [true, false] {
        let rig = if encrypted { Rig::tls() } else { Rig::plain() };
        run(async {
            let mut link = rig.link().await;
            rig.fault("cut-frame", None);
            link.take().await.unwrap();
            let told = link.spectrum().await.unwrap_err();
            assert!(
                matches!(told, LinkError::Closed { .. } | LinkError::Io { .. }),
                "{told:?}"
            );
            let mut link = rig.link().await;
            link.spectrum().await.unwrap();
            rig.fault("drop-after", Some(2));
            link.exposure().await.unwrap();
            let told = link.exposure().await.unwrap_err();
            assert_eq!(told.kind(), Kind::Absent, "{told:?}");
            let mut link = rig.link().await;
            rig.fault("bad-number", Some(1));
            let told = link.exposure().await.unwrap_err();
            assert!(matches!(told, LinkError::Malformed { .. }), "{told:?}");
            rig.link().await.exposure().await.unwrap();
        });
    }
}

#[test]
fn an_instrument_comes_back_after_it_was_away() {
    let rig = Rig::tls();
    run(async {
        let mut link = rig.link().await;
        link.exposure().await.unwrap();
        rig.fault("vanish", Some(50));
        while link.exposure().await.is_ok() {}
        loop {
            let address = rig.address();
            match smol::net::TcpStream::connect(address).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
            }
        }
        rig.link().await.spectrum().await.unwrap();
    });
}

#[test]
fn a_late_answer_comes_in_time_or_not_at_all() {
    let rig = Rig::plain();
    run(async {
        let mut link = rig.link().await;
        rig.fault("delay-ms", Some(100));
        let start = std::time::Instant::now();
        link.exposure().await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(100));
    });
}
