//! One stream of the camera for any number of subscribers.

use std::time::Duration;

use outpost::tcam::proto::Command;
use outpost::tcam::proto::command::StreamOn;
use outpost::tcam::{Interest, LinkKind, QUEUE};

use super::rig::{image, run_ready};

#[test]
fn the_camera_streams_while_anybody_wants_it() {
    for kind in [LinkKind::Hardware, LinkKind::Network] {
        run_ready(kind, |mut rig| async move {
            let mut one = rig.thermal.subscribe(Interest::default());
            let all = rig.camera.acknowledge("stream_on").await;
            assert_eq!(all, Command::StreamOn(StreamOn::default()));
            let mut two = rig.thermal.subscribe(Interest::default());
            let thermal = rig.thermal.clone();
            // Served from the stream: get_image would end it.
            let single = rig.spawn(async move { thermal.image().await });
            rig.settle().await;
            assert!(rig.thermal.report().streaming);
            rig.give(&image(1, 1)).await;
            let (first, second) = (one.next().await.unwrap(), two.next().await.unwrap());
            assert!(std::rc::Rc::ptr_eq(&first, &second));
            assert_eq!(single.await.unwrap().sequence, 1);
            drop(one);
            rig.give(&image(2, 2)).await;
            assert_eq!(two.next().await.unwrap().sequence, 2);
            assert_eq!(rig.thermal.report().subscribers, 1);
            drop(two);
            rig.camera.acknowledge("stream_off").await;
            assert!(!rig.thermal.report().streaming);
            // One more image usually follows; nobody minds.
            rig.give(&image(3, 3)).await;
            rig.until(|rig| rig.counter("frames") == 3).await;
        });
    }
}

#[test]
fn a_slow_subscriber_loses_images_and_nobody_else_does() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let mut slow = rig.thermal.subscribe(Interest::default());
        let mut fast: Vec<_> = (0..31)
            .map(|_| rig.thermal.subscribe(Interest::default()))
            .collect();
        rig.camera.acknowledge("stream_on").await;
        let extra = 5;
        for number in 1..=QUEUE as u64 + extra {
            rig.give(&image(number as u16, number as u32)).await;
            for subscription in &mut fast {
                assert_eq!(subscription.next().await.unwrap().sequence, number);
            }
        }
        assert!(fast.iter().all(|subscription| subscription.dropped() == 0));
        assert_eq!((slow.dropped(), slow.waiting()), (extra, QUEUE));
        assert_eq!(rig.counter("dropped"), extra);
        assert_eq!(slow.next().await.unwrap().sequence, extra + 1);
    });
}

#[test]
fn a_count_is_kept_exactly_and_ends_the_interest() {
    run_ready(LinkKind::Network, |mut rig| async move {
        let interest = Interest {
            frames: Some(QUEUE as u32 + 2),
            ..Interest::default()
        };
        let mut counted = rig.thermal.subscribe(interest);
        rig.camera.acknowledge("stream_on").await;
        // Three are lost while it does not look.
        for number in 1..=QUEUE as u32 + 3 {
            rig.give(&image(1, number)).await;
        }
        rig.until(|rig| rig.counter("frames") == QUEUE as u64 + 3)
            .await;
        assert_eq!(counted.dropped(), 3);
        let mut got = 0;
        for number in 0..2 {
            while counted.try_next().is_some() {
                got += 1;
            }
            rig.give(&image(1, 100 + number)).await;
            rig.until(|rig| rig.counter("frames") == QUEUE as u64 + 4 + u64::from(number))
                .await;
        }
        rig.camera.acknowledge("stream_off").await;
        while counted.next().await.is_some() {
            got += 1;
        }
        assert_eq!(got, QUEUE + 2);
        let none = Interest {
            frames: Some(0),
            ..Interest::default()
        };
        assert!(rig.thermal.subscribe(none).next().await.is_none());
    });
}

#[test]
fn a_delay_is_kept_from_due_time_to_due_time() {
    run_ready(LinkKind::Network, |mut rig| async move {
        let interest = Interest {
            delay: Duration::from_millis(300),
            frames: None,
        };
        let mut paced = rig.thermal.subscribe(interest);
        rig.camera.acknowledge("stream_on").await;
        let mut got = Vec::new();
        for number in 0..10 {
            rig.give(&image(1, number)).await;
            rig.until(|rig| rig.counter("frames") == u64::from(number) + 1)
                .await;
            got.extend(paced.try_next().map(|image| image.sequence));
            rig.pass(100);
        }
        assert_eq!(got, [1, 4, 7, 10]);
    });
}

#[test]
fn the_station_stops_the_stream_when_it_ends() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let mut stream = rig.thermal.subscribe(Interest::default());
        rig.camera.acknowledge("stream_on").await;
        rig.settle().await;
        rig.trigger.fire();
        rig.camera.acknowledge("stream_off").await;
        assert!(rig.camera.is_closed().await);
        assert!(stream.next().await.is_none());
        assert!(rig.thermal.get_status().await.is_err());
    });
}

#[test]
fn a_stream_uses_the_same_few_images_again_and_again() {
    for kind in [LinkKind::Hardware, LinkKind::Network] {
        run_ready(kind, |mut rig| async move {
            let mut stream = rig.thermal.subscribe(Interest::default());
            rig.camera.acknowledge("stream_on").await;
            let mut places = std::collections::BTreeSet::new();
            for number in 1..=50 {
                rig.give(&image(1, number)).await;
                let image = stream.next().await.unwrap();
                places.insert((image.packet.as_ptr(), image.frame.pixels.as_ptr()));
            }
            assert!(places.len() <= 3, "{} buffers", places.len());
        });
    }
}
