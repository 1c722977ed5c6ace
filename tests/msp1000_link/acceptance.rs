//! The simulated instrument as its documents want it: what the vendor's client relies on.

use std::time::{Duration, Instant};

use futures_lite::future::{or, yield_now, zip};
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use outpost::base::clock::Clock;
use outpost::base::trace::Trace;
use outpost::msp1000::driver::{Link, Port, Setting, plain};
use outpost::msp1000::proto::{Announcement, Calibration, Dark, OffsetRange, PeakFinder};
use outpost::msp1000::sim::{Announce, Config};

use crate::rig::{ANY, Rig, run};

#[test]
fn twelve_frames_in_a_row_differ_by_their_noise_alone() {
    let rig = Rig::tls();
    run(async {
        let mut link = rig.link().await;
        assert_eq!(link.exposure().await.unwrap(), 2);
        assert_eq!(link.calibration().await.unwrap(), Calibration::EXAMPLE);
        let mut frames = vec![link.spectrum().await.unwrap()];
        for _ in 0..12 {
            link.take().await.unwrap();
            frames.push(link.spectrum().await.unwrap());
        }
        for pair in frames.windows(2) {
            assert!(pair[0] != pair[1]);
        }
        // Until the next take the last frame stays.
        assert!(link.spectrum().await.unwrap() == frames[12]);
        assert_eq!(rig.simulator.exposures(), 12);
        assert_eq!(link.skipped_lines(), 0);
        link.close().await;
    });
}

#[test]
fn exposures_are_read_back() {
    let rig = Rig::tls();
    run(async {
        let mut link = rig.link().await;
        for ms in [10, 137, 25, 1, 60_000] {
            assert_eq!(link.set_exposure(ms).await.unwrap(), Setting::Accepted(ms));
            assert_eq!(link.exposure().await.unwrap(), ms);
        }
        // Out of range: ignored.
        for ms in [0, 60_001] {
            let kept = Setting::Elsewhere {
                asked: ms,
                kept: 60_000,
            };
            assert_eq!(link.set_exposure(ms).await.unwrap(), kept);
        }
        let new = Calibration::new([1.5e-12, -8.1e-06, 0.1625, 398.25]).unwrap();
        assert_eq!(
            link.set_calibration(new).await.unwrap(),
            Setting::Accepted(new)
        );
    });
}

#[test]
fn an_exposure_takes_its_time() {
    let rig = Rig::tls();
    run(async {
        let mut link = rig.link().await;
        link.set_exposure(400).await.unwrap();
        let start = Instant::now();
        link.take().await.unwrap();
        let took = start.elapsed();
        assert!((400..2000).contains(&took.as_millis()), "{took:?}");
    });
}

#[test]
fn a_minute_passes_by_the_clock() {
    let (clock, hand) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
    let rig = Rig::with_clock(
        Config {
            plain: true,
            ..Config::default()
        },
        clock.clone(),
    );
    run(async {
        // Only the instrument's time is hurried.
        let port = plain(rig.socket().await, rig.address()).unwrap();
        let mut link = Link::new(port, Clock::real(), Trace::new(Clock::real()));
        link.set_exposure(60_000).await.unwrap();
        let before = clock.now();
        let pass = async {
            loop {
                hand.advance(Duration::from_millis(100));
                (0..200).for_each(|_| std::thread::yield_now());
                yield_now().await;
            }
        };
        or(link.take(), pass).await.unwrap();
        assert!(clock.now() - before >= Duration::from_secs(60));
    });
}

#[test]
fn the_first_connection_controls_until_it_closes_and_nobody_inherits() {
    let rig = Rig::tls();
    run(async {
        let (mut first, mut second) = (rig.link().await, rig.link().await);
        first.set_exposure(5).await.unwrap();
        let refused = second.set_exposure(30).await.unwrap();
        assert_eq!(refused, Setting::Elsewhere { asked: 30, kept: 5 });
        let asked = Calibration::new([0.0, 0.0, 1.0, 0.0]).unwrap();
        let kept = Calibration::EXAMPLE;
        assert_eq!(
            second.set_calibration(asked).await.unwrap(),
            Setting::Elsewhere { asked, kept }
        );
        // Both get frames at once.
        let (one, two) = zip(acquire(&mut first), acquire(&mut second)).await;
        assert_eq!((one, two), (5, 5));
        assert_eq!(rig.simulator.exposures(), 10);
        first.close().await;
        // When the instrument notices the end is its own affair: the reader tries until it may.
        let mut third = rig.link().await;
        while third.set_exposure(7).await.unwrap() != Setting::Accepted(7) {}
        let refused = second.set_exposure(30).await.unwrap();
        assert_eq!(refused, Setting::Elsewhere { asked: 30, kept: 7 });
        drop((second, third));
        let mut fourth = rig.link().await;
        while fourth.set_exposure(9).await.unwrap() != Setting::Accepted(9) {}
    });
}

async fn acquire(link: &mut Link<Port>) -> u32 {
    let mut frames = 0;
    for _ in 0..5 {
        link.take().await.unwrap();
        link.spectrum().await.unwrap();
        frames += 1;
    }
    frames
}

#[test]
fn without_greed_everybody_sets() {
    let rig = Rig::plain();
    rig.fault("greedy", None);
    run(async {
        let (mut first, mut second) = (rig.link().await, rig.link().await);
        assert_eq!(first.set_exposure(5).await.unwrap(), Setting::Accepted(5));
        assert_eq!(second.set_exposure(6).await.unwrap(), Setting::Accepted(6));
    });
}

#[test]
fn commands_are_taken_from_any_number_of_reads() {
    let rig = Rig::plain();
    run(async {
        let mut socket = rig.socket().await;
        let glued = b"get_exposure\r\nset_exposure7\nhello\r\n\r\nget_expo";
        socket.write_all(glued).await.unwrap();
        let mut reply = vec![0; 12];
        socket.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, b"exposure:2\r\n");
        for byte in b"sure\r\nset_exposure2.9\r\nset_cal1,2,3\r\nset_exposure-4\r\nget_exposure\r\n"
        {
            socket.write_all(&[*byte]).await.unwrap();
        }
        let mut reply = vec![0; 24];
        socket.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, b"exposure:7\r\nexposure:7\r\n");
        socket.write_all(b"get_calibration\r\n").await.unwrap();
        let expected = b"calibration:1.21419996e-12,-8.04026968e-06,0.161927998,399.615997\r\n";
        let mut reply = vec![0; expected.len()];
        socket.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, expected);
        socket.write_all(b"get_spectrum\r\n").await.unwrap();
        let mut reply = vec![0; 7398];
        socket.read_exact(&mut reply).await.unwrap();
        assert_eq!((&reply[..9], reply[7397]), (&b"spectrum:"[..], b'\n'));
    });
}

#[test]
fn the_lamps_lines_are_found_in_the_light_less_the_dark() {
    let rig = Rig::tls();
    run(async {
        let mut link = rig.link().await;
        link.set_exposure(20).await.unwrap();
        rig.fault("lamp", None);
        link.take().await.unwrap();
        let range = OffsetRange::default();
        let dark = link.spectrum().await.unwrap().remove_bias(&range);
        let dark = Dark::new(&dark, 20, jiff::Timestamp::now(), "42").unwrap();
        rig.faults.clear();
        link.take().await.unwrap();
        let mut light = link.spectrum().await.unwrap().remove_bias(&range);
        light.subtract(&dark, 20, "42").unwrap();
        let peaks = PeakFinder::default()
            .find(light.values(), &Calibration::EXAMPLE)
            .unwrap();
        let found: Vec<f64> = peaks.iter().map(|peak| peak.wavelength_nm).collect();
        let lines = [
            404.66, 435.83, 546.07, 576.96, 579.07, 696.54, 763.51, 811.53,
        ];
        assert_eq!(found.len(), lines.len(), "{found:?}");
        for (found, line) in found.iter().zip(lines) {
            assert!((found - line).abs() < 0.05, "{found} is not {line}");
        }
    });
}

#[test]
fn it_announces_itself_every_second() {
    let receiver = std::net::UdpSocket::bind(ANY).unwrap();
    let receiver = smol::Async::new(receiver).unwrap();
    let to = receiver.get_ref().local_addr().unwrap();
    let (clock, hand) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
    let announce = Announce {
        to,
        ..Announce::new()
    };
    let config = Config {
        plain: true,
        announce: Some(announce),
        ..Config::default()
    };
    let rig = Rig::with_clock(config, clock.clone());
    run(async {
        let mut datagram = [0; 512];
        let mut heard = 0;
        let start = clock.now();
        while heard < 4 {
            let pass = async {
                loop {
                    hand.advance(Duration::from_millis(1));
                    (0..50).for_each(|_| std::thread::yield_now());
                    yield_now().await;
                }
            };
            let (count, from) = or(receiver.recv_from(&mut datagram), pass).await.unwrap();
            assert_eq!(&datagram[..count], b"msp1000eth0,81985529216486895");
            assert_ne!(from.port(), rig.address().port());
            let read = Announcement::parse(&datagram[..count]).unwrap();
            assert_eq!(
                (read.interface.as_str(), read.serial.as_str()),
                ("eth0", "81985529216486895")
            );
            heard += 1;
        }
        // The first at once, then one a second.
        assert!(clock.now() - start >= Duration::from_secs(2));
    });
}
