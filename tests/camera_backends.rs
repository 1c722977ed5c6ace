//! The simulated IMX477 as the camera thread sees it.

use std::time::Duration;

use futures_lite::future::poll_once;
use jiff::Timestamp;
use outpost::base::clock::{Clock, ManualClock};
use outpost::camera::backend::{
    Backend, BackendError, Controls, Exposure, Frame, FrameStatus, Request,
};
use outpost::camera::sim::{FAULTS, Faults, SimCamera, SimConfig};
use outpost::raw::{BayerOrder, Packing};

const WIDTH: usize = 4056;
const HEIGHT: usize = 3040;
const STRIDE: usize = 6112;
const FRAME: Duration = Duration::from_millis(100);

fn controls(exposure_us: u32) -> Controls {
    Controls {
        exposure: Exposure::Manual(exposure_us),
        analogue_gain: 1.0,
        frame_duration_us: 100_000,
        colour_gains: None,
        scaler_crop: None,
    }
}

/// A simulated camera that delivers at once.
fn unpaced(seed: u64) -> (SimCamera, Faults) {
    let faults = Faults::none();
    let config = SimConfig { seed, paced: false };
    let (clock, _) = Clock::manual(Timestamp::UNIX_EPOCH);
    (SimCamera::new(clock, faults.clone(), config), faults)
}

/// A simulated camera paced by a hand-driven clock.
fn paced() -> (SimCamera, ManualClock, Faults) {
    let faults = Faults::none();
    let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
    let config = SimConfig {
        seed: 1,
        paced: true,
    };
    (SimCamera::new(clock, faults.clone(), config), hand, faults)
}

fn ask(camera: &mut impl Backend, id: u64, controls: &Controls) {
    let controls = *controls;
    camera.queue(Request { id, controls }).unwrap();
}

fn take(camera: &mut impl Backend, controls: &Controls) -> Frame {
    ask(camera, 0, controls);
    smol::block_on(camera.next_frame()).unwrap()
}

/// The frame that is complete now, if one is.
fn ready(camera: &mut impl Backend) -> Option<Frame> {
    smol::block_on(poll_once(camera.next_frame())).map(Result::unwrap)
}

fn bytes(frame: &mut Frame) -> Vec<u8> {
    let mut copy = Vec::new();
    frame
        .buffer
        .read(&mut |bytes| copy.extend_from_slice(bytes))
        .unwrap();
    copy
}

/// A pixel of a packed frame.
fn pixel(frame: &[u8], row: usize, column: usize) -> u16 {
    let group = &frame[row * STRIDE + column / 2 * 3..][..3];
    if column.is_multiple_of(2) {
        u16::from(group[0]) << 4 | u16::from(group[2] & 15)
    } else {
        u16::from(group[1]) << 4 | u16::from(group[2] >> 4)
    }
}

/// Mean and variance of the pixels of one Bayer site in a window of the simulated scene.
fn statistics(
    frame: &[u8],
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> (f64, f64) {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for row in rows.step_by(2) {
        for column in columns.clone().step_by(2) {
            let value = f64::from(pixel(frame, row, column));
            n += 1.0;
            sum += value;
            squares += value * value;
        }
    }
    let mean = sum / n;
    (mean, squares / n - mean * mean)
}

#[test]
fn the_stream_is_the_full_size_mode() {
    let (mut camera, _) = unpaced(1);
    let info = camera.start(&controls(1_000)).unwrap();
    assert_eq!((info.layout.width, info.layout.height), (WIDTH, HEIGHT));
    assert_eq!(info.layout.stride_bytes, STRIDE);
    assert_eq!(info.layout.packing, Packing::Csi2p12);
    assert_eq!(info.layout.bayer, BayerOrder::Rggb);
    assert_eq!((info.black_level, info.white_level), (256, 4095));
    assert_eq!((info.control_latency_frames, info.max_in_flight), (3, 4));
    assert_eq!(info.limits.exposure_min_us, 114);
    assert_eq!(info.limits.frame_duration_min_us, 100_000);
    assert_eq!(info.limits.longest_exposure_us(100_000), 99_371);
    assert!(info.obeys_controls);
}

#[test]
fn metadata_show_what_the_sensor_made_of_the_request() {
    let (mut camera, _) = unpaced(1);
    let asked = Controls {
        analogue_gain: 22.0,
        colour_gains: Some((2.5, 1.25)),
        scaler_crop: Some([4000, 10, 200, 100]),
        ..controls(200_000)
    };
    camera.start(&asked).unwrap();
    ask(&mut camera, 77, &asked);
    let metadata = smol::block_on(camera.next_frame()).unwrap().metadata;
    assert_eq!(metadata.request_id, 77);
    assert_eq!(metadata.exposure_us, 99_371);
    assert!((metadata.analogue_gain - 21.79).abs() < 0.005);
    assert!((metadata.analogue_gain * metadata.digital_gain - 22.0).abs() < 1e-4);
    assert_eq!(metadata.frame_duration_us, 100_000);
    assert_eq!(metadata.colour_gains, (2.5, 1.25));
    assert_eq!(metadata.scaler_crop, [3856, 10, 200, 100]);
    assert_eq!(metadata.black_level, 256);
    assert!((20.0..60.0).contains(&metadata.sensor_temperature_celsius.unwrap()));
    assert!(metadata.lux.unwrap() > 0.0);
    assert!((2000..10_000).contains(&metadata.colour_temperature_kelvin.unwrap()));
}

#[test]
fn controls_show_three_frames_after_their_request() {
    let (mut camera, _) = unpaced(1);
    camera.start(&controls(1_000)).unwrap();
    let shown = [2_000, 3_000, 4_000, 100, 100]
        .map(|us| take(&mut camera, &controls(us)).metadata.exposure_us);
    assert_eq!(shown, [1_000, 1_000, 1_000, 2_000, 3_000]);
    let shown = [(); 3].map(|()| take(&mut camera, &controls(100)).metadata.exposure_us);
    assert_eq!(shown, [4_000, 114, 114]);
}

#[test]
fn at_most_four_requests_are_in_flight() {
    let (mut camera, _) = unpaced(1);
    let request = Request {
        id: 1,
        controls: controls(1_000),
    };
    assert!(matches!(
        camera.queue(request),
        Err(BackendError::NotStreaming)
    ));
    let idle = smol::block_on(camera.next_frame());
    assert!(matches!(idle, Err(BackendError::NotStreaming)));
    camera.start(&controls(1_000)).unwrap();
    assert!(ready(&mut camera).is_none());
    for id in 0..4 {
        ask(&mut camera, id, &controls(1_000));
    }
    let fifth = camera.queue(request);
    assert!(matches!(
        fifth,
        Err(BackendError::QueueFull { in_flight: 4 })
    ));
    let ids = [(); 4].map(|()| ready(&mut camera).unwrap().metadata.request_id);
    assert_eq!(ids, [0, 1, 2, 3]);
    assert!(ready(&mut camera).is_none());
    ask(&mut camera, 4, &controls(1_000));
    camera.stop();
    camera.start(&controls(1_000)).unwrap();
    assert!(
        ready(&mut camera).is_none(),
        "requests end with their stream"
    );
}

#[test]
fn frames_take_their_time_on_the_clock() {
    let (mut camera, hand, _) = paced();
    let start_ns = camera.now_ns();
    camera.start(&controls(1_000)).unwrap();
    for id in 0..4 {
        ask(&mut camera, id, &controls(1_000));
    }
    hand.advance(4 * FRAME - Duration::from_nanos(1));
    assert!(ready(&mut camera).is_none(), "the start costs three frames");
    hand.advance(Duration::from_nanos(1));
    let first = ready(&mut camera).unwrap().metadata;
    assert_eq!((first.request_id, first.sequence), (0, 0));
    assert_eq!(first.sensor_timestamp_ns - start_ns, 300_000_000);
    assert_eq!(camera.now_ns() - start_ns, 400_000_000);
    assert!(ready(&mut camera).is_none());
    hand.advance(3 * FRAME);
    let sequence = [(); 3].map(|()| ready(&mut camera).unwrap().metadata.sequence);
    assert_eq!(sequence, [1, 2, 3]);
}

#[test]
fn a_waiting_caller_is_woken_and_may_give_up() {
    let (mut camera, hand, _) = paced();
    camera.start(&controls(1_000)).unwrap();
    ask(&mut camera, 5, &controls(1_000));
    let mut waiting = Box::pin(camera.next_frame());
    assert!(smol::block_on(poll_once(&mut waiting)).is_none());
    drop(waiting);
    let mut waiting = Box::pin(camera.next_frame());
    assert!(smol::block_on(poll_once(&mut waiting)).is_none());
    hand.advance(4 * FRAME);
    let frame = smol::block_on(waiting).unwrap();
    assert_eq!(frame.metadata.request_id, 5);
}

#[test]
fn a_request_takes_the_next_frame_that_has_not_begun() {
    let (mut camera, hand, _) = paced();
    camera.start(&controls(1_000)).unwrap();
    hand.advance(10 * FRAME + FRAME / 2);
    let asked_ns = camera.now_ns();
    ask(&mut camera, 1, &controls(1_000));
    hand.advance(FRAME + FRAME / 2);
    let metadata = ready(&mut camera).unwrap().metadata;
    assert_eq!(
        metadata.sequence, 8,
        "frames 0 to 7 began before the request"
    );
    assert_eq!(metadata.sensor_timestamp_ns - asked_ns, 50_000_000);
    assert_eq!(metadata.status, FrameStatus::Success);
}

#[test]
fn frames_without_a_pace_never_fall_behind_the_clock() {
    let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
    let config = SimConfig {
        seed: 1,
        paced: false,
    };
    let mut camera = SimCamera::new(clock, Faults::none(), config);
    camera.start(&controls(1_000)).unwrap();
    let first = take(&mut camera, &controls(1_000)).metadata;
    let second = take(&mut camera, &controls(1_000)).metadata;
    assert_eq!(
        second.sensor_timestamp_ns - first.sensor_timestamp_ns,
        100_000_000
    );
    assert!(camera.now_ns() >= second.sensor_timestamp_ns + 100_000_000);
    hand.advance(Duration::from_secs(60));
    let commanded_ns = camera.now_ns();
    let third = take(&mut camera, &controls(1_000)).metadata;
    assert_eq!(third.sequence, 2);
    assert!(third.sensor_timestamp_ns >= commanded_ns);
}

#[test]
fn frame_memory_comes_with_the_first_look_and_goes_with_the_last_frame() {
    let (mut camera, _) = unpaced(1);
    camera.start(&controls(1_000)).unwrap();
    let mut frame = take(&mut camera, &controls(1_000));
    assert_eq!(camera.frame_memory_bytes(), 0);
    assert_eq!(bytes(&mut frame).len(), STRIDE * HEIGHT);
    let held = camera.frame_memory_bytes();
    assert!(held >= STRIDE * HEIGHT);
    bytes(&mut take(&mut camera, &controls(1_000)));
    assert_eq!(camera.frame_memory_bytes(), held, "frames share one memory");
    camera.stop();
    assert_eq!(camera.frame_memory_bytes(), held, "a frame is still out");
    bytes(&mut frame);
    drop(frame);
    assert_eq!(camera.frame_memory_bytes(), 0);
}

#[test]
fn the_same_seed_and_frame_number_give_the_same_bytes() {
    let frames = |seed| {
        let (mut camera, _) = unpaced(seed);
        camera.start(&controls(5_000)).unwrap();
        [(); 2].map(|()| bytes(&mut take(&mut camera, &controls(5_000))))
    };
    let (first, again, other) = (frames(7), frames(7), frames(8));
    assert!(first == again);
    assert!(first[0] != first[1]);
    assert!(first[0] != other[0]);
}

#[test]
fn bytes_do_not_depend_on_what_was_looked_at_before() {
    let look_at = |looks: [bool; 6]| {
        let (mut camera, _) = unpaced(3);
        camera.start(&controls(114)).unwrap();
        let mut last = Vec::new();
        for (us, look) in [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]
            .into_iter()
            .zip(looks)
        {
            let mut frame = take(&mut camera, &controls(us));
            if look {
                last = bytes(&mut frame);
            }
        }
        last
    };
    assert!(look_at([true; 6]) == look_at([false, false, false, false, false, true]));
}

#[test]
fn a_restarted_stream_does_not_repeat_its_frames() {
    let (mut camera, _) = unpaced(1);
    camera.start(&controls(1_000)).unwrap();
    let first = bytes(&mut take(&mut camera, &controls(1_000)));
    camera.stop();
    camera.start(&controls(1_000)).unwrap();
    let mut restarted = take(&mut camera, &controls(1_000));
    assert_eq!(restarted.metadata.sequence, 0);
    assert!(first != bytes(&mut restarted));
}

#[test]
fn black_is_256_and_padding_is_not_pixels() {
    let (mut camera, _) = unpaced(1);
    camera.start(&controls(114)).unwrap();
    let frame = bytes(&mut take(&mut camera, &controls(114)));
    for row in frame.chunks_exact(STRIDE) {
        assert!(row[WIDTH * 3 / 2..].iter().all(|&byte| byte == 0xA5));
    }
    // The left margin of the scene is dark.
    for first in [0, 1] {
        let (mean, variance) = statistics(&frame, first..2500, 0..100);
        assert!((255.9..257.3).contains(&mean), "{mean}");
        assert!((1.0..9.0).contains(&variance), "{variance}");
    }
}

#[test]
fn brightness_is_linear_in_exposure_and_gain() {
    let (mut camera, _) = unpaced(1);
    let mut signal = |exposure_us, analogue_gain| {
        let asked = Controls {
            analogue_gain,
            ..controls(exposure_us)
        };
        camera.start(&asked).unwrap();
        let frame = bytes(&mut take(&mut camera, &asked));
        // Green pixels of even rows, in the upper right of the scene.
        statistics(&frame, 0..100, 3901..4001).0 - 256.0
    };
    let reference = signal(10_000, 1.0);
    assert!(reference > 100.0);
    for (exposure_us, gain) in [(20_000, 1.0), (10_000, 2.0), (5_000, 4.0)] {
        let ratio = signal(exposure_us, gain) / reference;
        let expected = f64::from(exposure_us) / 10_000.0 * f64::from(gain);
        assert!(
            (ratio / expected - 1.0).abs() < 0.01,
            "{ratio} for {expected}"
        );
    }
}

#[test]
fn spots_saturate_at_4095_and_colors_differ() {
    let (mut camera, _) = unpaced(1);
    camera.start(&controls(20_000)).unwrap();
    let frame = bytes(&mut take(&mut camera, &controls(20_000)));
    // The core of the brightest spot.
    for row in 1410..1430 {
        for column in 1180..1200 {
            assert_eq!(pixel(&frame, row, column), 4095);
        }
    }
    let (red, _) = statistics(&frame, 0..100, 3900..4000);
    let (green, _) = statistics(&frame, 0..100, 3901..4001);
    let (blue, _) = statistics(&frame, 1..101, 3901..4001);
    assert!(
        red + 50.0 < blue && blue + 50.0 < green,
        "{red} {green} {blue}"
    );
}

#[test]
fn noise_changes_from_frame_to_frame_as_light_demands() {
    let (mut camera, _) = unpaced(1);
    let mut temporal_variance = |exposure_us| {
        camera.start(&controls(exposure_us)).unwrap();
        let [first, second] =
            [(); 2].map(|()| bytes(&mut take(&mut camera, &controls(exposure_us))));
        let mut squares = 0.0;
        for row in (0..100).step_by(2) {
            for column in (3901..4001).step_by(2) {
                let step =
                    f64::from(pixel(&first, row, column)) - f64::from(pixel(&second, row, column));
                squares += step * step;
            }
        }
        squares / 2500.0 / 2.0
    };
    let (dark, bright) = (temporal_variance(114), temporal_variance(50_000));
    assert!((1.0..9.0).contains(&dark), "{dark}");
    // About 1450 counts of signal at 2.1 electrons each, one choice in sixteen the same in both frames.
    assert!((500.0..850.0).contains(&bright), "{bright}");
}

#[test]
fn automatic_exposure_reaches_a_mid_level() {
    let (mut camera, _) = unpaced(1);
    let auto = Controls {
        exposure: Exposure::Auto,
        ..controls(0)
    };
    camera.start(&auto).unwrap();
    for _ in 0..9 {
        take(&mut camera, &auto);
    }
    let mut frame = take(&mut camera, &auto);
    assert_eq!(frame.metadata.analogue_gain, 1.0);
    let bytes = bytes(&mut frame);
    let (mean, _) = statistics(&bytes, 0..HEIGHT, 1..WIDTH);
    assert!((800.0..1600.0).contains(&mean), "{mean}");
}

#[test]
fn a_hung_camera_goes_on_when_the_fault_is_cleared() {
    let (mut camera, hand, faults) = paced();
    camera.start(&controls(1_000)).unwrap();
    ask(&mut camera, 1, &controls(1_000));
    faults.set("hang", None).unwrap();
    hand.advance(Duration::from_secs(60));
    let mut waiting = Box::pin(camera.next_frame());
    assert!(smol::block_on(poll_once(&mut waiting)).is_none());
    faults.clear();
    assert_eq!(smol::block_on(waiting).unwrap().metadata.request_id, 1);
}

#[test]
fn a_restart_cures_a_hang_of_one_stream() {
    let (mut camera, faults) = unpaced(1);
    faults.set("hang", Some(1)).unwrap();
    camera.start(&controls(1_000)).unwrap();
    ask(&mut camera, 1, &controls(1_000));
    assert!(ready(&mut camera).is_none());
    camera.stop();
    camera.start(&controls(1_000)).unwrap();
    ask(&mut camera, 2, &controls(1_000));
    assert_eq!(ready(&mut camera).unwrap().metadata.request_id, 2);
}

#[test]
fn every_fault_can_be_set_and_does_what_it_says() {
    let (mut camera, faults) = unpaced(1);
    for fault in FAULTS {
        faults.set(fault.name, Some(1)).unwrap();
    }
    faults.clear();
    assert!(faults.set("explode", None).is_err());

    faults.set("refuse-start", Some(1)).unwrap();
    let refused = camera.start(&controls(1_000));
    assert!(matches!(refused, Err(BackendError::Device(_))));
    camera.start(&controls(1_000)).unwrap();
    take(&mut camera, &controls(1_000));

    faults.set("bad-status", Some(1)).unwrap();
    let bad = take(&mut camera, &controls(1_000)).metadata;
    assert_eq!((bad.sequence, bad.status), (1, FrameStatus::Error));

    faults.set("drop-frame", None).unwrap();
    let lost = take(&mut camera, &controls(1_000)).metadata;
    assert_eq!((lost.sequence, lost.status), (3, FrameStatus::Error));
    let good = take(&mut camera, &controls(1_000)).metadata;
    assert_eq!((good.sequence, good.status), (4, FrameStatus::Success));

    faults.set("wrong-exposure", Some(1)).unwrap();
    let shown = [(); 2].map(|()| take(&mut camera, &controls(1_000)).metadata.exposure_us);
    assert_eq!(shown, [485, 1_000], "17 lines for 35");

    faults.set("late-control", Some(2)).unwrap();
    let shown = [(); 6].map(|()| take(&mut camera, &controls(2_000)).metadata.exposure_us);
    assert_eq!(shown, [1_000, 1_000, 1_000, 1_000, 1_000, 2_000]);
}
