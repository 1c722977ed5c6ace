//! The simulated HQ camera: an IMX477 at full size, with its timing, its noise and its faults.
//!
//! Frames are 4056 x 3040, packed 12 bit, RGGB, stride 6112, padding 0xA5. Their bytes are made when they are
//! read, in memory that the first look takes and [`Backend::stop`] gives back; a frame nobody looks at costs
//! nothing. The same seed and frame number give the same bytes.

mod faults;
mod render;
mod scene;
pub mod sensor;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use faults::{FAULTS, Faults};

use crate::base::clock::Clock;
use crate::camera::backend::{
    Backend, BackendError, Controls, Frame, FrameStatus, Metadata, Request, StampClock, StreamInfo,
};
use crate::raw::{BayerOrder, Layout, Packing};
use faults::Fault;
use render::{BLACK_LEVEL, Darkroom, Negative, STRIDE_BYTES, WHITE_LEVEL};
use scene::{METERED_RATE, WHITE_GAINS};
use sensor::{CONTROL_LATENCY_FRAMES, Exposed, HEIGHT, Sensor, WIDTH};

/// Frame buffers, so requests in flight.
const MAX_IN_FLIGHT: usize = 4;

/// How the camera is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimConfig {
    /// Chooses the noise.
    pub seed: u64,
    /// Whether frames take their time on the clock. Without it they complete at once and the sensor makes
    /// frames only on request, its time never behind the clock.
    pub paced: bool,
}

/// The simulated camera.
#[derive(Debug)]
pub struct SimCamera {
    clock: StampClock,
    faults: Faults,
    config: SimConfig,
    memory: Arc<AtomicUsize>,
    stream: Option<Stream>,
    /// Number of the next stream's first frame, counted over the camera's life.
    frame_base: u64,
    /// End of the last frame delivered without a pace.
    reached_ns: u64,
}

#[derive(Debug)]
struct Stream {
    started_ns: u64,
    sensor: Sensor,
    in_flight: VecDeque<Shot>,
    darkroom: Arc<Darkroom>,
    hung: bool,
}

/// A request and the frame that answers it.
#[derive(Debug)]
struct Shot {
    request_id: u64,
    exposed: Exposed,
    damaged: bool,
}

impl SimCamera {
    /// A camera that runs on `clock` and suffers from `faults`.
    pub fn new(clock: Clock, faults: Faults, config: SimConfig) -> Self {
        Self {
            clock: StampClock::new(clock),
            faults,
            config,
            memory: Arc::default(),
            stream: None,
            frame_base: 0,
            reached_ns: 0,
        }
    }

    /// Bytes reserved for frames now: none before the first frame is read.
    pub fn frame_memory_bytes(&self) -> usize {
        self.memory.load(Ordering::SeqCst)
    }
}

impl Backend for SimCamera {
    fn open(&mut self) -> Result<StreamInfo, BackendError> {
        Ok(stream_info(self.config))
    }

    fn start(&mut self, controls: &Controls) -> Result<StreamInfo, BackendError> {
        self.stop();
        if self.faults.strike(Fault::RefuseStart) {
            return Err(BackendError::Device(
                "the simulated sensor refuses to start".into(),
            ));
        }
        let started_ns = self.now_ns();
        self.stream = Some(Stream {
            started_ns,
            sensor: Sensor::start(controls, METERED_RATE, started_ns),
            in_flight: VecDeque::with_capacity(MAX_IN_FLIGHT),
            darkroom: Arc::new(Darkroom::new(self.config.seed, self.memory.clone())),
            hung: false,
        });
        Ok(stream_info(self.config))
    }

    fn queue(&mut self, request: Request) -> Result<(), BackendError> {
        let now_ns = self.now_ns();
        let stream = self.stream.as_mut().ok_or(BackendError::NotStreaming)?;
        let in_flight = stream.in_flight.len();
        if in_flight >= MAX_IN_FLIGHT {
            return Err(BackendError::QueueFull { in_flight });
        }
        if self.config.paced {
            // Between the read-out of one frame and the next lies the vertical blanking: a buffer that comes
            // within it still takes the next frame.
            stream
                .sensor
                .skip_until(now_ns.saturating_sub(sensor::BLANKING_NS));
        } else {
            stream.sensor.hold_until(now_ns);
        }
        let damaged = self.faults.strike(Fault::DropFrame);
        if damaged {
            stream.sensor.step();
        }
        let late_frames = self.faults.number(Fault::LateControl);
        stream.in_flight.push_back(Shot {
            request_id: request.id,
            exposed: stream.sensor.expose(&request.controls, late_frames),
            damaged,
        });
        Ok(())
    }

    async fn next_frame(&mut self) -> Result<Frame, BackendError> {
        let stream = self.stream.as_mut().ok_or(BackendError::NotStreaming)?;
        let Some(end_ns) = stream.in_flight.front().map(|shot| shot.exposed.end_ns()) else {
            return std::future::pending().await;
        };
        if self.config.paced {
            self.clock.sleep_until_ns(end_ns).await;
        }
        while self.faults.is_on(Fault::Hang) {
            stream.hung = true;
            self.faults.changed().await;
        }
        stream.hung = false;
        self.reached_ns = end_ns;
        let mut shot = stream
            .in_flight
            .pop_front()
            .expect("a shot is in flight because its end was waited for");
        spoil(&mut shot, &self.faults);
        Ok(develop(&shot, stream, self.frame_base))
    }

    fn now_ns(&self) -> u64 {
        let now_ns = self.clock.now_ns();
        if self.config.paced {
            now_ns
        } else {
            now_ns.max(self.reached_ns)
        }
    }

    fn stop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.frame_base += stream.sensor.next_sequence();
            if stream.hung {
                self.faults.strike(Fault::Hang);
            }
        }
    }
}

fn stream_info(config: SimConfig) -> StreamInfo {
    StreamInfo {
        layout: Layout {
            width: WIDTH,
            height: HEIGHT,
            stride_bytes: STRIDE_BYTES,
            packing: Packing::Csi2p12,
            bayer: BayerOrder::Rggb,
        },
        black_level: BLACK_LEVEL,
        white_level: WHITE_LEVEL,
        limits: sensor::limits(),
        control_latency_frames: CONTROL_LATENCY_FRAMES,
        max_in_flight: MAX_IN_FLIGHT,
        paced: config.paced,
        obeys_controls: true,
    }
}

/// Applies the faults that strike as a frame completes.
fn spoil(shot: &mut Shot, faults: &Faults) {
    if faults.strike(Fault::WrongExposure) {
        let lines = &mut shot.exposed.registers.exposure_lines;
        // Halved, but never below the shortest exposure.
        *lines = if *lines >= 8 { *lines / 2 } else { *lines * 2 };
    }
    shot.damaged |= faults.strike(Fault::BadStatus);
}

fn develop(shot: &Shot, stream: &Stream, frame_base: u64) -> Frame {
    Frame {
        metadata: metadata(shot, stream.started_ns),
        buffer: Box::new(Negative {
            darkroom: stream.darkroom.clone(),
            frame_number: frame_base + shot.exposed.sequence,
            registers: shot.exposed.registers,
        }),
    }
}

fn metadata(shot: &Shot, started_ns: u64) -> Metadata {
    let Exposed {
        sequence,
        start_ns,
        registers,
        controls,
    } = shot.exposed;
    // The start-up frames are the ones that starting costs; they are not delivered.
    let status = match shot.damaged {
        true => FrameStatus::Error,
        false => FrameStatus::Success,
    };
    let gain = sensor::gain(registers.gain_code);
    let running_s = start_ns.saturating_sub(started_ns) as f64 / 1e9;
    Metadata {
        request_id: shot.request_id,
        sequence,
        status,
        sensor_timestamp_ns: start_ns,
        exposure_us: sensor::exposure_us(registers.exposure_lines),
        analogue_gain: gain as f32,
        digital_gain: (f64::from(controls.analogue_gain) / gain).max(1.0) as f32,
        frame_duration_us: sensor::exposure_us(registers.frame_lines),
        colour_gains: match controls.colour_gains {
            Some((red, blue)) if red > 0.0 || blue > 0.0 => (red, blue),
            _ => WHITE_GAINS,
        },
        scaler_crop: crop(controls.scaler_crop),
        black_level: BLACK_LEVEL,
        // The sensor reports whole degrees; it warms up within some minutes.
        sensor_temperature_celsius: Some((42.0 - 12.0 * (-running_s / 300.0).exp()).round() as f32),
        lux: Some((400.0 + 5.0 * (running_s / 20.0).sin()) as f32),
        colour_temperature_kelvin: Some(4600),
    }
}

/// The nearest crop that lies on the array.
fn crop(asked: Option<[u32; 4]>) -> [u32; 4] {
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    let [x, y, w, h] = asked.unwrap_or([0, 0, width, height]);
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    [x.min(width - w), y.min(height - h), w, h]
}
