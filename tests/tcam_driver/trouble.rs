//! A camera that is unplugged, restarted, silent or broken, and the way back.

use std::time::Duration;

use outpost::base::health::State;
use outpost::tcam::proto::command::SetConfig;
use outpost::tcam::proto::{Command, SpotArea};
use outpost::tcam::{Interest, LinkKind, TcamError};

use super::rig::{Rig, ack, image, info, run, run_ready, status};

/// Waits for the failure, then for the next try.
pub async fn try_again(rig: &Rig) {
    rig.until(|rig| matches!(rig.health.state(), State::Failed { .. }))
        .await;
    let answer = rig.thermal.get_status().await;
    assert!(matches!(answer, Err(TcamError::Absent(_))));
    rig.pass(30_000);
}

#[test]
fn unplugged_and_replugged_in_the_middle_of_a_stream() {
    for kind in [LinkKind::Hardware, LinkKind::Network] {
        run_ready(kind, |mut rig| async move {
            let mut stream = rig.thermal.subscribe(Interest::default());
            rig.camera.acknowledge("stream_on").await;
            rig.give(&image(1, 50_000)).await;
            assert_eq!(stream.next().await.unwrap().sequence, 1);
            let thermal = rig.thermal.clone();
            let asked = rig.spawn(async move { thermal.get_config().await });
            rig.camera.command().await;
            // Pulled out in the middle of a packet, with a command under way.
            rig.camera.send(b"\x02{\"metad").await;
            rig.replug();
            assert!(matches!(asked.await, Err(TcamError::Absent(_))));
            try_again(&rig).await;
            let seen = rig.camera.set_up().await;
            assert!(matches!(seen[2], Command::SetConfig(_)));
            rig.camera.acknowledge("stream_on").await;
            // It was without power, so that its uptime starts anew: that is no second restart.
            rig.give(&image(2, 900)).await;
            assert_eq!(stream.next().await.unwrap().sequence, 2);
            assert_eq!(rig.health.state(), State::Ready);
            let counts = ["reconnects", "camera_restarts", "frames"].map(|name| rig.counter(name));
            assert_eq!(counts, [1, 0, 2]);
        });
    }
}

#[test]
fn a_restarted_camera_gets_its_settings_again() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let thermal = rig.thermal.clone();
        let area = SpotArea::clamped(10, 20, 30, 40);
        let set = rig.spawn(async move {
            let config = SetConfig {
                emissivity: Some(77),
                ..SetConfig::default()
            };
            thermal.set_config(config).await.unwrap();
            thermal.set_spotmeter(area).await.unwrap();
        });
        rig.camera.acknowledge("set_config").await;
        rig.camera.acknowledge("set_spotmeter").await;
        set.await;
        let mut stream = rig.thermal.subscribe(Interest::default());
        rig.camera.acknowledge("stream_on").await;
        rig.give(&image(1, 50_000)).await;
        rig.until(|rig| rig.counter("frames") == 1).await;
        rig.give(&image(2, 700)).await;
        let seen = rig.camera.set_up().await;
        let emissivity = |command: &Command| match command {
            Command::SetConfig(config) => config.emissivity,
            _ => None,
        };
        assert_eq!(seen.iter().find_map(emissivity), Some(77));
        assert!(seen.contains(&Command::SetSpotmeter(area)));
        rig.camera.acknowledge("stream_on").await;
        rig.give(&image(3, 1000)).await;
        for sequence in 1..=3 {
            assert_eq!(stream.next().await.unwrap().sequence, sequence);
        }
        assert_eq!(rig.counter("camera_restarts"), 1);
    });
}

#[test]
fn an_idle_camera_is_looked_at_and_its_clock_tells_a_restart() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        rig.pass(10_000);
        assert_eq!(rig.camera.command().await, Command::GetStatus);
        rig.camera.say(&status("8:09:20.5", "11/20/26")).await;
        rig.until(|rig| rig.thermal.status().unwrap().metadata.time == "8:09:20.5")
            .await;
        rig.pass(10_000);
        assert_eq!(rig.camera.command().await, Command::GetStatus);
        rig.camera.say(&status("0:00:03.12", "1/1/-30")).await;
        let seen = rig.camera.set_up().await;
        assert!(matches!(seen[1], Command::SetTime(time) if (time.hour, time.sec) == (8, 30)));
        assert_eq!(rig.counter("camera_restarts"), 1);
    });
}

#[test]
fn no_image_while_commands_are_answered_is_a_fault_of_the_sensor() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let mut stream = rig.thermal.subscribe(Interest::default());
        rig.camera.acknowledge("stream_on").await;
        for round in 1..=2 {
            rig.settle().await;
            rig.pass(5000);
            rig.camera.set_up().await;
            rig.camera.acknowledge("stream_on").await;
            rig.until(|rig| rig.reason().contains("the sensor is at fault"))
                .await;
            assert_eq!(rig.counter("resyncs"), round);
        }
        rig.give(&image(1, 1)).await;
        assert!(stream.next().await.is_some());
        assert_eq!(rig.health.state(), State::Ready);
        // Images are announced but no use: that is told apart.
        rig.camera.announce("51988").await;
        rig.until(|rig| rig.counter("damaged_images") == 1).await;
        rig.pass(5000);
        rig.camera.set_up().await;
        rig.camera.acknowledge("stream_on").await;
        rig.until(|rig| rig.reason().contains("no usable image"))
            .await;
    });
}

#[test]
fn a_silent_camera_is_left_and_its_reset_line_is_the_last_resort() {
    run(LinkKind::Hardware, |mut rig| async move {
        for attempt in 1..=3 {
            // Told twice, then given up.
            for _ in 0..2 {
                assert_eq!(rig.camera.command().await, Command::StreamOff);
                rig.pass(2500);
            }
            rig.until(|rig| rig.counter("reconnects") == attempt).await;
            assert!(rig.reason().contains("MODE jumper"), "{}", rig.reason());
            assert!(rig.resets.borrow().is_empty());
            rig.replug();
            rig.pass(30_000);
        }
        rig.until(|rig| *rig.resets.borrow() == [true]).await;
        rig.pass(1000);
        rig.until(|rig| *rig.resets.borrow() == [true, false]).await;
        rig.pass(3000);
        rig.camera.set_up().await;
        assert!(rig.thermal.wait_connected(Duration::from_secs(1)).await);
        assert_eq!(rig.counter("camera_resets"), 1);
    });
}

#[test]
fn images_disabled_for_good_are_answered_with_the_reset_line() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        rig.camera
            .say(&info(4, "SPI Slave restart error - images disabled"))
            .await;
        rig.until(|rig| *rig.resets.borrow() == [true]).await;
        rig.replug();
        rig.pass(1000);
        rig.until(|rig| *rig.resets.borrow() == [true, false]).await;
        rig.pass(3000);
        try_again(&rig).await;
        rig.camera.set_up().await;
        assert!(rig.thermal.wait_connected(Duration::from_secs(1)).await);
        assert_eq!(rig.counter("unsolicited"), 1);
    });
}

#[test]
fn bytes_that_mean_nothing_are_bounded_and_survived() {
    for kind in [LinkKind::Hardware, LinkKind::Network] {
        run_ready(kind, |mut rig| async move {
            // 200 KB of a packet that never ends, then junk without any packet.
            rig.camera.send(b"\x02").await;
            for _ in 0..200 {
                rig.camera.send(&[b'x'; 1024]).await;
            }
            rig.camera.send(&[0xff; 4096]).await;
            rig.camera.say("{}").await;
            let thermal = rig.thermal.clone();
            let asked = rig.spawn(async move { thermal.run_ffc().await });
            assert_eq!(rig.camera.command().await, Command::RunFfc);
            // The answer, byte by byte.
            let mut answer = vec![2];
            answer.extend_from_slice(ack("run_ffc").as_bytes());
            answer.push(3);
            for byte in answer {
                rig.camera.send(&[byte]).await;
            }
            asked.await.unwrap();
            assert!(rig.counter("malformed_packets") >= 2);
            assert!(rig.counter("junk_bytes") > 4096);
        });
    }
}
