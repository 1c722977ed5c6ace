//! Images: fetched at once, checked, counted when they are no use.

use std::path::Path;

use outpost::base::health::State;
use outpost::tcam::proto::Command;
use outpost::tcam::proto::spi::MAX_READ;
use outpost::tcam::{LinkKind, TcamError};

use super::rig::{Rig, image, run_ready};

/// Asks for one image and hears the camera being asked.
async fn ask(rig: &mut Rig) -> smol::Task<Result<std::rc::Rc<outpost::tcam::Image>, TcamError>> {
    let thermal = rig.thermal.clone();
    let asked = rig.spawn(async move { thermal.image().await });
    assert_eq!(rig.camera.command().await, Command::GetImage);
    asked
}

#[test]
fn one_image_on_either_link() {
    for kind in [LinkKind::Hardware, LinkKind::Network] {
        run_ready(kind, |mut rig| async move {
            let asked = ask(&mut rig).await;
            let packet = image(29_315, 9000);
            rig.give(&packet).await;
            let got = asked.await.unwrap();
            assert_eq!(got.packet, packet);
            assert_eq!(got.text(), &packet[1..packet.len() - 1]);
            assert_eq!((got.sequence, got.telemetry().uptime_ms), (1, 9000));
            assert_eq!(got.temperatures().unwrap().pixel(0, 0).unwrap(), 20.0);
            assert_eq!(rig.counter("frames"), 1);
            assert_eq!(rig.thermal.latest().unwrap().sequence, 1);
            if kind == LinkKind::Hardware {
                let lengths = rig.camera.spi.lengths.lock().unwrap().clone();
                assert_eq!(lengths, [(packet.len() + 4).next_multiple_of(4)]);
            }
        });
    }
}

#[test]
fn an_image_is_fetched_while_a_command_waits_for_its_answer() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let asked = ask(&mut rig).await;
        let thermal = rig.thermal.clone();
        let config = rig.spawn(async move { thermal.get_config().await });
        assert_eq!(rig.camera.command().await, Command::GetConfig);
        // The camera answers nothing until the image was read.
        rig.camera.offer(&image(1, 1)).await;
        asked.await.unwrap();
        assert!(!config.is_finished());
        rig.camera
            .say("{\"config\":{\"agc_enabled\":0,\"emissivity\":98,\"gain_mode\":2}}")
            .await;
        config.await.unwrap();
    });
}

#[test]
fn hostile_announcements_are_not_read() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let stream = rig.thermal.subscribe(Default::default());
        rig.camera.acknowledge("stream_on").await;
        let hostile = [
            "60000",
            "0",
            "-1",
            "5",
            "54273",
            "9223372036854775807",
            "1e300",
            "\"51988\"",
            "null",
            "[]",
        ];
        for length in hostile {
            rig.camera.announce(length).await;
        }
        let bad = |rig: &Rig| rig.counter("damaged_images") + rig.counter("malformed_packets");
        rig.until(|rig| bad(rig) == hostile.len() as u64).await;
        assert_eq!(rig.camera.spi.reads(), 0);
        // The longest that is allowed is read, and never more.
        rig.camera.announce(&MAX_READ.to_string()).await;
        rig.until(|rig| rig.camera.spi.reads() == 1).await;
        assert_eq!(*rig.camera.spi.lengths.lock().unwrap(), [MAX_READ]);
        rig.camera.offer(&image(5, 5)).await;
        rig.until(|rig| rig.counter("frames") == 1).await;
        drop(stream);
    });
}

#[test]
fn what_is_no_image_is_counted_and_the_next_one_is_taken() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let mut stream = rig.thermal.subscribe(Default::default());
        rig.camera.acknowledge("stream_on").await;
        let good = image(3, 3);
        let length = good.len() + 4;
        let sealed = |packet: &[u8]| {
            let mut armed = packet.to_vec();
            let sum: u32 = packet.iter().map(|&byte| u32::from(byte)).sum();
            armed.extend_from_slice(&sum.to_be_bytes());
            armed
        };
        let mut flipped = sealed(&good);
        flipped[20_000] ^= 1;
        let mut not_json = good.clone();
        not_json[1] = b'[';
        let mut short = good.clone();
        short.drain(1000..1004);
        short.splice(1000..1000, *b"====");
        // No image armed, all zeros (whose sum of 0 holds), a flipped bit, what passes the sum and is no image.
        let bad = [
            vec![0xff; length],
            vec![0; length],
            flipped,
            sealed(&not_json),
            sealed(&short),
        ];
        for (number, armed) in bad.into_iter().enumerate() {
            rig.camera.spi.arm(armed);
            rig.camera.announce(&length.to_string()).await;
            let seen = |rig: &Rig| rig.counter("damaged_images") + rig.counter("checksum_errors");
            rig.until(|rig| seen(rig) == number as u64 + 1).await;
        }
        assert_eq!(rig.counter("checksum_errors"), 1);
        assert_eq!(rig.counter("damaged_images"), 4);
        // The bus itself fails (EMSGSIZE), then works.
        rig.camera.spi.fail(90);
        rig.camera.announce(&length.to_string()).await;
        rig.until(|rig| rig.counter("damaged_images") == 5).await;
        rig.camera.offer(&good).await;
        assert_eq!(stream.next().await.unwrap().packet, good);
        assert_eq!(
            (rig.counter("frames"), rig.health.state()),
            (1, State::Ready)
        );
    });
}

#[test]
fn the_corrupt_vectors_are_rejected_by_their_sum() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/tcam");
    let files = [
        "spi_fox_corrupt_byte.spi.bin",
        "spi_fox_corrupt_drop.spi.bin",
    ];
    let read = |name: &&str| std::fs::read(folder.join(name)).ok();
    let Some(armed) = files.iter().map(read).collect::<Option<Vec<_>>>() else {
        return;
    };
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let mut stream = rig.thermal.subscribe(Default::default());
        rig.camera.acknowledge("stream_on").await;
        for bytes in armed {
            rig.camera.spi.arm(bytes);
            let before = rig.counter("checksum_errors");
            rig.camera.announce("51988").await;
            rig.until(|rig| rig.counter("checksum_errors") > before)
                .await;
        }
        rig.camera.offer(&image(3, 3)).await;
        assert!(stream.next().await.is_some());
        assert_eq!(rig.counter("frames"), 1);
    });
}

#[test]
fn a_damaged_single_shot_is_taken_again_twice() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let asked = ask(&mut rig).await;
        rig.camera.announce("51988").await;
        assert_eq!(rig.camera.command().await, Command::GetImage);
        rig.camera.announce("51988").await;
        assert_eq!(rig.camera.command().await, Command::GetImage);
        rig.camera.announce("51988").await;
        match asked.await {
            Err(TcamError::Damaged { tries: 3, reason }) => assert!(reason.contains("0xff")),
            other => panic!("{other:?}"),
        }
        // Then it works again.
        let asked = ask(&mut rig).await;
        rig.camera.announce("51988").await;
        assert_eq!(rig.camera.command().await, Command::GetImage);
        rig.camera.offer(&image(3, 3)).await;
        asked.await.unwrap();
    });
}

#[test]
fn single_shots_share_an_image_and_do_not_wait_for_ever() {
    run_ready(LinkKind::Network, |mut rig| async move {
        let asked = ask(&mut rig).await;
        let thermal = rig.thermal.clone();
        let other = rig.spawn(async move { thermal.image().await });
        rig.settle().await;
        rig.camera.send(&image(3, 3)).await;
        let (first, second) = (asked.await.unwrap(), other.await.unwrap());
        assert!(std::rc::Rc::ptr_eq(&first, &second));
    });
    run_ready(LinkKind::Network, |mut rig| async move {
        let asked = ask(&mut rig).await;
        rig.pass(5000);
        assert!(matches!(
            asked.await,
            Err(TcamError::NoImage { waited_ms: 5000 })
        ));
        rig.camera.set_up().await;
        rig.until(|rig| rig.reason().contains("the sensor is at fault"))
            .await;
        let asked = ask(&mut rig).await;
        rig.camera.send(&image(3, 3)).await;
        asked.await.unwrap();
        assert_eq!(rig.health.state(), State::Ready);
    });
}
