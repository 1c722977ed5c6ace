//! The replay of recorded frames as the camera thread sees it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::future::poll_once;
use jiff::Timestamp;
use outpost::base::clock::Clock;
use outpost::camera::backend::{
    Backend, BackendError, Controls, Exposure, Frame, FrameStatus, Request,
};
use outpost::camera::replay::ReplayCamera;
use outpost::raw::{BayerOrder, Packing};

const SETTINGS: &str = "width = 64\nheight = 48\nstride = 128\npacking = \"csi2p12\"\nbayer = \"BGGR\"\nblack_level = 256\n";
const KINDS: [&str; 3] = ["black", "ramp", "scene"];

fn recorded(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/hq-camera")
        .join(format!("frame_{kind}_64x48_s128.bin"))
}

fn replay_folder(settings: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("replay.toml"), settings).unwrap();
    for (index, kind) in KINDS.iter().enumerate() {
        let name = format!("{index}_{kind}.bin");
        std::fs::copy(recorded(kind), folder.path().join(name)).unwrap();
    }
    folder
}

fn replay(settings: &str) -> ReplayCamera {
    let (clock, _) = Clock::manual(Timestamp::UNIX_EPOCH);
    ReplayCamera::open(replay_folder(settings).path(), clock).unwrap()
}

fn controls(exposure_us: u32) -> Controls {
    Controls {
        exposure: Exposure::Manual(exposure_us),
        analogue_gain: 1.0,
        frame_duration_us: 100_000,
        colour_gains: None,
        scaler_crop: None,
    }
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

#[test]
fn replay_uses_a_file_for_every_frame_looked_at() {
    let folder = replay_folder(&format!("{SETTINGS}paced = false\n"));
    let (clock, _) = Clock::manual(Timestamp::UNIX_EPOCH);
    let mut camera = ReplayCamera::open(folder.path(), clock).unwrap();
    let info = camera.start(&controls(1_000)).unwrap();
    assert_eq!((info.layout.width, info.layout.height), (64, 48));
    assert_eq!(info.layout.bayer, BayerOrder::Bggr);
    assert_eq!(info.control_latency_frames, 0);
    assert!(info.obeys_controls);
    let mut unseen = take(&mut camera, &controls(1_000));
    for kind in ["black", "ramp"] {
        take(&mut camera, &controls(1_000));
        let mut frame = take(&mut camera, &controls(1_000));
        let expected = std::fs::read(recorded(kind)).unwrap();
        assert!(bytes(&mut frame) == expected, "{kind}");
        assert!(bytes(&mut frame) == expected, "{kind}, read again");
    }
    camera.stop();
    camera.start(&controls(1_000)).unwrap();
    for kind in ["scene", "black"] {
        let frame = bytes(&mut take(&mut camera, &controls(1_000)));
        assert!(frame == std::fs::read(recorded(kind)).unwrap(), "{kind}");
    }
    assert!(bytes(&mut unseen) == std::fs::read(recorded("ramp")).unwrap());
}

#[test]
fn replay_without_loop_ends_with_an_error() {
    let folder = replay_folder(&format!("{SETTINGS}loop = false\npaced = false\n"));
    let (clock, _) = Clock::manual(Timestamp::UNIX_EPOCH);
    let mut camera = ReplayCamera::open(folder.path(), clock).unwrap();
    camera.start(&controls(1_000)).unwrap();
    for _ in KINDS {
        bytes(&mut take(&mut camera, &controls(1_000)));
    }
    let mut frame = take(&mut camera, &controls(1_000));
    for _ in 0..2 {
        let error = frame
            .buffer
            .read(&mut |_| panic!("nothing is left"))
            .unwrap_err();
        let message = error.to_string();
        assert!(message.contains("last of 3 frames"), "{message}");
    }
}

#[test]
fn replay_repeats_what_is_asked_or_states_what_was() {
    let mut camera = replay(&format!("{SETTINGS}paced = false\n"));
    let asked = Controls {
        analogue_gain: 3.0,
        ..controls(1_234)
    };
    camera.start(&asked).unwrap();
    let metadata = take(&mut camera, &asked).metadata;
    assert_eq!((metadata.exposure_us, metadata.analogue_gain), (1_234, 3.0));
    assert_eq!(metadata.status, FrameStatus::Success);

    let stated = format!("{SETTINGS}exposure_us = 777\nanalogue_gain = 2.0\npaced = false\n");
    let mut camera = replay(&stated);
    assert!(!camera.start(&asked).unwrap().obeys_controls);
    let metadata = take(&mut camera, &asked).metadata;
    assert_eq!((metadata.exposure_us, metadata.analogue_gain), (777, 2.0));
}

#[test]
fn replay_keeps_the_frame_rate_and_the_queue_limit() {
    let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
    let mut camera = ReplayCamera::open(replay_folder(SETTINGS).path(), clock).unwrap();
    let start_ns = camera.now_ns();
    camera.start(&controls(1_000)).unwrap();
    for id in 0..4 {
        ask(&mut camera, id, &controls(1_000));
    }
    let request = Request {
        id: 4,
        controls: controls(1_000),
    };
    let fifth = camera.queue(request);
    assert!(matches!(
        fifth,
        Err(BackendError::QueueFull { in_flight: 4 })
    ));
    for frame in 0..4 {
        assert!(ready(&mut camera).is_none());
        hand.advance(Duration::from_millis(100));
        let metadata = ready(&mut camera).unwrap().metadata;
        assert_eq!(metadata.sensor_timestamp_ns - start_ns, frame * 100_000_000);
    }
}

#[test]
fn replay_takes_both_alignments_of_16_bit_samples() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.bin"), [0; 16]).unwrap();
    let settings =
        "width = 4\nheight = 2\nstride = 8\nbayer = \"RGGB\"\nblack_level = 0\npacking = \"u16\"\n";
    for (shift, packing) in [
        ("", Packing::U16Low),
        ("shift = 0\n", Packing::U16Low),
        ("shift = 4\n", Packing::U16High),
    ] {
        std::fs::write(
            folder.path().join("replay.toml"),
            format!("{settings}{shift}"),
        )
        .unwrap();
        let (clock, _) = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut camera = ReplayCamera::open(folder.path(), clock).unwrap();
        let info = camera.start(&controls(1_000)).unwrap();
        assert_eq!(info.layout.packing, packing);
    }
}

#[test]
fn replay_names_files_that_fail_later() {
    let folder = replay_folder(&format!("{SETTINGS}paced = false\n"));
    let (clock, _) = Clock::manual(Timestamp::UNIX_EPOCH);
    let mut camera = ReplayCamera::open(folder.path(), clock).unwrap();
    camera.start(&controls(1_000)).unwrap();
    std::fs::write(folder.path().join("0_black.bin"), [0; 7000]).unwrap();
    std::fs::remove_file(folder.path().join("1_ramp.bin")).unwrap();
    for reason in ["0_black.bin: the file changed its size", "cannot read"] {
        let mut frame = take(&mut camera, &controls(1_000));
        let message = frame.buffer.read(&mut |_| ()).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
    bytes(&mut take(&mut camera, &controls(1_000)));
}
