//! The libcamera backend against libcamera's Virtual pipeline: everything that does not need a sensor. The cameras are
//! those that `image-build/libcamera-chroot` configures; without them each test says so and passes.
#![cfg(feature = "libcamera")]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outpost::camera::backend::{
    Backend, BackendError, Controls, Exposure, Frame, FrameStatus, Request, StreamInfo,
};
use outpost::camera::libcamera::{LibCamera, close};
use outpost::camera::stream_format::{RawWish, Role, StreamWish};
use smol::future::{FutureExt, poll_once};

const CONFIGURED: &str = "/usr/share/libcamera/pipeline/virtual/virtual.yaml";
const CONTROLS: Controls = Controls {
    exposure: Exposure::Manual(5_000),
    analogue_gain: 2.0,
    frame_duration_us: 100_000,
    colour_gains: None,
    scaler_crop: None,
};
/// Anything that takes longer is a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// libcamera is there once a process: tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> Option<MutexGuard<'static, ()>> {
    if !Path::new(CONFIGURED).exists() {
        println!("skipped: no Virtual camera, {CONFIGURED} is missing");
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn wish(size: (u32, u32)) -> StreamWish {
    StreamWish {
        model: "imx477".into(),
        role: Role::Viewfinder,
        size: Some(size),
    }
}

fn small() -> LibCamera {
    LibCamera::new(wish((64, 48)))
}

fn request(id: u64) -> Request {
    Request {
        id,
        controls: CONTROLS,
    }
}

fn next(camera: &mut LibCamera) -> Frame {
    let late = async {
        smol::Timer::after(PATIENCE).await;
        panic!("no frame within {PATIENCE:?}")
    };
    smol::block_on(camera.next_frame().or(late)).unwrap()
}

fn bytes(frame: &mut Frame) -> Vec<u8> {
    let mut seen = Vec::new();
    frame
        .buffer
        .read(&mut |bytes| seen.extend_from_slice(bytes))
        .unwrap();
    seen
}

/// Starts, takes some frames with as many requests in flight as there may be, stops.
fn round(camera: &mut LibCamera, frames: u64) -> StreamInfo {
    let info = camera.start(&CONTROLS).unwrap();
    let mut asked = 0;
    for taken in 0..frames {
        while asked < frames && asked - taken < info.max_in_flight as u64 {
            camera.queue(request(asked)).unwrap();
            asked += 1;
        }
        let mut frame = next(camera);
        assert_eq!(frame.metadata.request_id, taken);
        assert_eq!(frame.metadata.status, FrameStatus::Success);
        let bytes = bytes(&mut frame);
        assert_eq!(bytes.len(), info.layout.frame_bytes());
        assert!(bytes.iter().any(|&byte| byte != bytes[0]), "a flat picture");
    }
    camera.stop();
    info
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kb() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

#[test]
fn plane_0_of_the_chosen_camera_arrives_with_its_stamp() {
    let Some(_turn) = turn() else { return };
    let mut camera = small();
    let opened = camera.open().unwrap();
    assert!(!opened.paced && !opened.obeys_controls);
    assert_eq!((opened.layout.height, opened.layout.stride_bytes), (48, 64));
    let info = camera.start(&CONTROLS).unwrap();
    assert_eq!(info.layout, opened.layout);
    let before = camera.now_ns();
    camera.queue(request(7)).unwrap();
    let mut frame = next(&mut camera);
    assert_eq!(frame.metadata.request_id, 7);
    assert!(
        (before..=camera.now_ns()).contains(&frame.metadata.sensor_timestamp_ns),
        "stamp {} is not of the time since {before}",
        frame.metadata.sensor_timestamp_ns
    );
    // What the pipeline does not tell is what was asked.
    assert_eq!(frame.metadata.exposure_us, 5_000);
    assert_eq!(frame.metadata.analogue_gain, 2.0);
    assert_eq!(frame.metadata.black_level, 256);
    assert_eq!(bytes(&mut frame).len(), 64 * 48);
}

#[test]
fn a_hundred_reconfigurations_leave_nothing_behind() {
    let Some(_turn) = turn() else { return };
    let mut camera = small();
    camera.open().unwrap();
    for _ in 0..5 {
        round(&mut camera, 8);
    }
    let (descriptors_before, resident_before) = (descriptors(), resident_kb());
    let begun = Instant::now();
    for _ in 0..100 {
        round(&mut camera, 8);
    }
    let (descriptors_after, grown_kb) = (descriptors(), resident_kb() - resident_before);
    println!(
        "100 reconfigurations of 8 frames in {} ms: descriptors {descriptors_before} -> {descriptors_after}, resident {resident_before} kB {grown_kb:+} kB",
        begun.elapsed().as_millis()
    );
    assert_eq!(descriptors_before, descriptors_after);
    assert!(grown_kb < 1_024, "grown by {grown_kb} kB");
}

#[test]
fn full_frames_come_and_their_memory_goes() {
    let Some(_turn) = turn() else { return };
    let mut camera = LibCamera::new(wish((4056, 3040)));
    camera.open().unwrap();
    round(&mut camera, 2);
    let (descriptors_before, resident_before) = (descriptors(), resident_kb());
    for _ in 0..5 {
        let info = round(&mut camera, 6);
        assert_eq!(info.layout.row_bytes(), 4056);
    }
    assert_eq!(descriptors(), descriptors_before);
    let grown_kb = resident_kb() - resident_before;
    println!("5 rounds of 6 full frames: resident {resident_before} kB {grown_kb:+} kB");
    // Less than one frame of 18.5 MB.
    assert!(grown_kb < 12_000, "grown by {grown_kb} kB");
}

#[test]
fn opening_and_letting_go_leaves_nothing_behind() {
    let Some(_turn) = turn() else { return };
    let once = || {
        let mut camera = small();
        camera.open().unwrap();
        round(&mut camera, 2);
    };
    once();
    let before = descriptors();
    (0..20).for_each(|_| once());
    assert_eq!(descriptors(), before);
}

#[test]
fn a_frame_that_is_being_read_is_not_written_again() {
    let Some(_turn) = turn() else { return };
    let mut camera = small();
    camera.start(&CONTROLS).unwrap();
    camera.queue(request(0)).unwrap();
    let mut held = next(&mut camera);
    let seen = bytes(&mut held);
    for id in 1..20 {
        camera.queue(request(id)).unwrap();
        let mut frame = next(&mut camera);
        assert_eq!(frame.metadata.request_id, id);
        // The pattern moves, so a buffer used twice would show.
        assert_ne!(bytes(&mut frame), seen, "frame {id}");
    }
    assert_eq!(bytes(&mut held), seen);
}

#[test]
fn requests_wait_for_buffers_that_are_read() {
    let Some(_turn) = turn() else { return };
    let mut camera = small();
    let info = camera.start(&CONTROLS).unwrap();
    let buffers = info.max_in_flight as u64 + 1;
    let mut held: Vec<Frame> = (0..buffers)
        .map(|id| {
            camera.queue(request(id)).unwrap();
            next(&mut camera)
        })
        .collect();
    for id in buffers..buffers + info.max_in_flight as u64 {
        camera.queue(request(id)).unwrap();
    }
    assert!(matches!(
        camera.queue(request(99)),
        Err(BackendError::QueueFull { in_flight }) if in_flight == info.max_in_flight
    ));
    assert!(smol::block_on(poll_once(camera.next_frame())).is_none());
    held.pop();
    assert_eq!(next(&mut camera).metadata.request_id, buffers);
    drop(held);
    assert_eq!(next(&mut camera).metadata.request_id, buffers + 1);
}

#[test]
fn stopping_ends_requests_in_flight_and_keeps_frames_readable() {
    let Some(_turn) = turn() else { return };
    let mut camera = small();
    let info = camera.start(&CONTROLS).unwrap();
    camera.queue(request(0)).unwrap();
    let mut held = next(&mut camera);
    for id in 1..=info.max_in_flight as u64 {
        camera.queue(request(id)).unwrap();
    }
    camera.stop();
    camera.stop();
    assert_eq!(bytes(&mut held).len(), 64 * 48);
    assert!(matches!(
        camera.queue(request(9)),
        Err(BackendError::NotStreaming)
    ));
    assert!(matches!(
        smol::block_on(camera.next_frame()),
        Err(BackendError::NotStreaming)
    ));
    camera.start(&CONTROLS).unwrap();
    camera.queue(request(10)).unwrap();
    assert_eq!(next(&mut camera).metadata.request_id, 10);
    drop(held);
}

#[test]
fn what_cannot_be_is_said_and_leaves_the_way_free() {
    let Some(_turn) = turn() else { return };
    let failure = |wish: StreamWish| {
        let error = LibCamera::new(wish).open().unwrap_err();
        error.to_string()
    };
    let absent = failure(StreamWish {
        model: "imx708".into(),
        ..wish((64, 48))
    });
    assert!(
        absent.contains("no imx708") && absent.contains("Webcam") && absent.contains("imx477"),
        "{absent}"
    );
    let raw = failure(StreamWish {
        role: Role::Raw(RawWish::Packed12),
        ..wish((4056, 3040))
    });
    assert!(raw.contains("no raw stream"), "{raw}");
    let size = failure(wish((100, 80)));
    assert!(size.contains("asked for frames of 100 x 80"), "{size}");
    let mut first = small();
    first.open().unwrap();
    let second = failure(wish((64, 48)));
    assert!(second.contains("has not come back"), "{second}");
    drop(first);
    small().open().unwrap();
}

#[test]
fn libcamera_ends_and_begins_again() {
    let Some(_turn) = turn() else { return };
    round(&mut small(), 2);
    close(PATIENCE);
    round(&mut small(), 2);
    // A backend that is still there keeps it.
    let mut camera = small();
    camera.open().unwrap();
    close(Duration::ZERO);
    round(&mut camera, 2);
}
