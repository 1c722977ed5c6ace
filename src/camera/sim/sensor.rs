//! The IMX477 at full size as a timetable: which frame starts when, and with which registers.
//!
//! Holds no clock and no thread; the time is passed in. The sensor runs on its own grid whether or not anybody
//! asks for frames. A request takes the next frame whose exposure has not begun, and its controls show
//! [`CONTROL_LATENCY_FRAMES`] frames after that one:
//!
//! ```text
//! frame              0    1    2    3    4    5
//! request            A    B    C    D    E    F
//! registers shown  start start start A    B    C
//! ```
//!
//! Timing after the kernel driver and libcamera's control delays (Raspberry Pi 6.6 series).

use std::collections::VecDeque;

use crate::camera::backend::{Controls, Exposure, Limits};

/// Columns of the full-size mode.
pub const WIDTH: usize = 4056;
/// Rows of the full-size mode.
pub const HEIGHT: usize = 3040;
/// Frames between a request's own frame and the first that shows its controls.
pub const CONTROL_LATENCY_FRAMES: u32 = 3;
/// Frame durations that pass between the start of the stream and the first exposure.
pub const START_COST_FRAMES: u64 = 3;

/// Clock periods of one line; with [`PIXELS_PER_US`] the line time, 28.57 us.
const LINE_PIXELS: u64 = 24_000;
/// Pixel rate, 840 MHz.
const PIXELS_PER_US: u64 = 840;
const EXPOSURE_MIN_LINES: u64 = 4;
const BLANKING_LINES: u64 = 22;
const FRAME_MIN_LINES: u64 = 3_500;
/// Least time between the read-out of one frame and the next: the lines of the shortest frame that no row is read in.
pub const BLANKING_NS: u64 =
    (FRAME_MIN_LINES - HEIGHT as u64) * LINE_PIXELS * 1_000 / PIXELS_PER_US;
/// Frame length register times its longest extension, with the longest line of 65520 pixels (78 us). The model
/// keeps counting such frames in lines of the normal length: same times, finer steps.
const FRAME_MAX_US: u64 = 65_500 * 128 * 78;
const EXPOSURE_MAX_US: u64 = (65_500 * 128 - 22) * 78;
const GAIN_CODE_MAX: u16 = 978;
/// Where automatic exposure starts from.
const AUTO_START_US: u64 = 20_000;
/// Mean of the green pixels above black that automatic exposure aims at, counts.
pub const AUTO_TARGET_COUNTS: f64 = 800.0;

/// The mode's limits as the camera reports them after it was configured.
pub fn limits() -> Limits {
    Limits {
        exposure_min_us: exposure_us(EXPOSURE_MIN_LINES),
        exposure_max_us: EXPOSURE_MAX_US as u32,
        line_time_us: (LINE_PIXELS as u32, PIXELS_PER_US as u32),
        blanking_lines: BLANKING_LINES as u32,
        analogue_gain_min: gain(0) as f32,
        analogue_gain_max: gain(GAIN_CODE_MAX) as f32,
        frame_duration_min_us: exposure_us(FRAME_MIN_LINES),
        frame_duration_max_us: FRAME_MAX_US as u32,
    }
}

/// Exposure time of `lines`, microseconds, truncated.
pub fn exposure_us(lines: u64) -> u32 {
    u32::try_from(lines.saturating_mul(LINE_PIXELS) / PIXELS_PER_US).unwrap_or(u32::MAX)
}

/// The most lines whose time, truncated to microseconds as metadata state it, is at most `us`: a time that metadata
/// gave is the same time when it is asked for.
pub fn whole_lines(us: u64) -> u64 {
    ((us + 1) * PIXELS_PER_US - 1) / LINE_PIXELS
}

/// Register code of the largest gain not above `asked`; gains outside the range give its ends.
pub fn gain_code(asked: f32) -> u16 {
    // A gain read back as a 32-bit float is up to 6e-5 codes low; without the allowance, asking for a gain
    // that the sensor itself reported would step down by one code.
    let code = 1024.0 - 1024.0 / f64::from(asked).max(1.0) + 1e-4;
    (code as u16).min(GAIN_CODE_MAX)
}

/// Gain of a register code, 0..=978.
pub fn gain(code: u16) -> f64 {
    1024.0 / (1024.0 - f64::from(code.min(GAIN_CODE_MAX)))
}

/// The registers one frame is taken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Registers {
    /// Exposure, lines.
    pub exposure_lines: u64,
    /// Frame length, lines.
    pub frame_lines: u64,
    /// Analogue gain code.
    pub gain_code: u16,
}

impl Registers {
    /// What the sensor makes of `controls`; with automatic exposure at `auto_lines`.
    ///
    /// The frame duration wins over the exposure: a longer one is cut to what the frame holds.
    pub fn new(controls: &Controls, auto_lines: u64) -> Self {
        let frame_us = u64::from(controls.frame_duration_us).min(FRAME_MAX_US);
        let frame_lines = whole_lines(frame_us).max(FRAME_MIN_LINES);
        let lines = match controls.exposure {
            Exposure::Auto => auto_lines,
            Exposure::Manual(us) => whole_lines(u64::from(us)),
        };
        let longest = (frame_lines - BLANKING_LINES).min(whole_lines(EXPOSURE_MAX_US));
        Self {
            exposure_lines: lines.clamp(EXPOSURE_MIN_LINES, longest),
            frame_lines,
            gain_code: gain_code(controls.analogue_gain),
        }
    }

    /// Time from this frame's start to the next, nanoseconds.
    pub fn frame_ns(&self) -> u64 {
        self.frame_lines * LINE_PIXELS * 1_000 / PIXELS_PER_US
    }

    /// Light gathered, relative to 1 us at gain 1.
    pub fn light(&self) -> f64 {
        let us = (self.exposure_lines * LINE_PIXELS) as f64 / PIXELS_PER_US as f64;
        us * gain(self.gain_code)
    }
}

/// One frame of the sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposed {
    /// Frame counter since the stream started.
    pub sequence: u64,
    /// Start of the exposure, nanoseconds.
    pub start_ns: u64,
    /// What it was taken with.
    pub registers: Registers,
    /// The controls behind the registers.
    pub controls: Controls,
}

impl Exposed {
    /// When the frame is complete, nanoseconds.
    pub fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.registers.frame_ns())
    }
}

/// A streaming sensor.
#[derive(Debug)]
pub struct Sensor {
    next: Exposed,
    pending: VecDeque<(u64, Controls)>,
    auto_lines: f64,
    metered_rate: f64,
}

impl Sensor {
    /// Starts streaming at `now_ns` with `controls` in effect from the first frame.
    ///
    /// `metered_rate` is what the light meter sees: mean green counts above black per microsecond at gain 1.
    pub fn start(controls: &Controls, metered_rate: f64, now_ns: u64) -> Self {
        let auto_lines = whole_lines(AUTO_START_US);
        let registers = Registers::new(controls, auto_lines);
        Self {
            next: Exposed {
                sequence: 0,
                start_ns: now_ns + START_COST_FRAMES * registers.frame_ns(),
                registers,
                controls: *controls,
            },
            pending: VecDeque::new(),
            auto_lines: registers.exposure_lines as f64,
            metered_rate,
        }
    }

    /// Lets the frames pass whose exposure has begun before `now_ns`.
    pub fn skip_until(&mut self, now_ns: u64) {
        while self.next.start_ns < now_ns {
            if self.is_steady() {
                let frame_ns = self.next.registers.frame_ns();
                let frames = (now_ns - self.next.start_ns).div_ceil(frame_ns);
                self.next.sequence += frames;
                self.next.start_ns += frames * frame_ns;
            } else {
                self.step();
            }
        }
    }

    /// Holds the next frame back until `now_ns`, as no real sensor would: for frames without a pace.
    pub fn hold_until(&mut self, now_ns: u64) {
        self.next.start_ns = self.next.start_ns.max(now_ns);
    }

    /// Takes the next frame for a request with `controls`, which show `late_frames` later than normal.
    pub fn expose(&mut self, controls: &Controls, late_frames: u64) -> Exposed {
        let shown =
            (self.next.sequence + u64::from(CONTROL_LATENCY_FRAMES)).saturating_add(late_frames);
        // A later request overrules an earlier one that would show after it.
        self.pending.retain(|(frame, _)| *frame < shown);
        self.pending.push_back((shown, *controls));
        self.step()
    }

    /// Lets one frame pass.
    pub fn step(&mut self) -> Exposed {
        let taken = self.next;
        self.next.sequence += 1;
        self.next.start_ns = taken.end_ns();
        while let Some((frame, controls)) = self.pending.front().copied()
            && frame <= self.next.sequence
        {
            self.next.controls = controls;
            self.pending.pop_front();
        }
        self.meter(&taken);
        self.next.registers = Registers::new(&self.next.controls, self.auto_lines as u64);
        taken
    }

    /// Sequence number of the next frame.
    pub fn next_sequence(&self) -> u64 {
        self.next.sequence
    }

    fn is_steady(&self) -> bool {
        let settled = match self.next.controls.exposure {
            Exposure::Manual(_) => true,
            Exposure::Auto => self.auto_lines == self.ideal_lines(),
        };
        self.pending.is_empty() && settled
    }

    /// One step of automatic exposure; with manual exposure it follows, to start from there.
    fn meter(&mut self, taken: &Exposed) {
        if self.next.controls.exposure != Exposure::Auto {
            self.auto_lines = taken.registers.exposure_lines as f64;
            return;
        }
        let ideal = self.ideal_lines();
        let rest = (ideal - self.auto_lines) * 0.4;
        self.auto_lines = if rest.abs() < 1.0 {
            ideal
        } else {
            ideal - rest
        };
    }

    /// The exposure that gives the target level, within what the frame holds.
    fn ideal_lines(&self) -> f64 {
        let line_us = LINE_PIXELS as f64 / PIXELS_PER_US as f64;
        let gain = gain(gain_code(self.next.controls.analogue_gain));
        let lines = (AUTO_TARGET_COUNTS / (self.metered_rate * gain * line_us)) as u64;
        Registers::new(&self.next.controls, lines).exposure_lines as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_NS: u64 = 100_000_000;

    fn controls(exposure_us: u32) -> Controls {
        Controls {
            exposure: Exposure::Manual(exposure_us),
            analogue_gain: 1.0,
            frame_duration_us: 100_000,
            colour_gains: None,
            scaler_crop: None,
        }
    }

    fn shown_us(exposed: &Exposed) -> u32 {
        exposure_us(exposed.registers.exposure_lines)
    }

    #[test]
    fn lines_read_as_the_reference_says() {
        for (lines, us) in [(4, 114), (5, 142), (10, 285), (3478, 99_371)] {
            assert_eq!(exposure_us(lines), us);
        }
    }

    #[test]
    fn requests_are_quantized_and_cut() {
        for (asked_us, us) in [
            (0, 114),
            (100, 114),
            (141, 114),
            (142, 142),
            (1_000, 1_000),
            (10_000, 10_000),
            (99_370, 99_342),
            (99_371, 99_371),
            (200_000, 99_371),
            (u32::MAX, 99_371),
        ] {
            let registers = Registers::new(&controls(asked_us), 0);
            assert_eq!(
                exposure_us(registers.exposure_lines),
                us,
                "asked {asked_us}"
            );
            assert_eq!(registers.frame_lines, 3500);
        }
    }

    #[test]
    fn a_longer_frame_holds_a_longer_exposure() {
        let slow = Controls {
            frame_duration_us: 1_000_000,
            ..controls(200_000)
        };
        let registers = Registers::new(&slow, 0);
        assert_eq!(exposure_us(registers.exposure_lines), 200_000);
        assert_eq!(registers.frame_ns(), 1_000_000_000);
        assert_eq!(limits().longest_exposure_us(100_000), 99_371);
        let endless = Controls {
            frame_duration_us: u32::MAX,
            ..controls(u32::MAX)
        };
        let longest_us = exposure_us(Registers::new(&endless, 0).exposure_lines);
        assert!(limits().exposure_max_us - longest_us < 29, "{longest_us}");
        assert_eq!(limits().exposure_max_us, 653_950_284);
    }

    #[test]
    fn gains_are_those_of_the_register_codes() {
        for exact in [1.0, 2.0, 4.0, 8.0, 16.0] {
            assert_eq!(gain(gain_code(exact)), f64::from(exact));
        }
        assert!((gain(gain_code(22.0)) - 21.79).abs() < 0.005);
        assert!((gain(gain_code(1e9)) - 22.26).abs() < 0.005);
        for low in [0.0, -1.0, f32::NAN, f32::NEG_INFINITY] {
            assert_eq!(gain_code(low), 0);
        }
        for code in 0..=978 {
            assert_eq!(gain_code(gain(code) as f32), code);
        }
    }

    #[test]
    fn controls_show_three_frames_after_their_request() {
        let mut sensor = Sensor::start(&controls(1_000), 0.01, 0);
        let asked = [2_000, 3_000, 4_000, 5_000, 6_000, 7_000];
        let shown = asked.map(|us| shown_us(&sensor.expose(&controls(us), 0)));
        assert_eq!(shown, [1_000, 1_000, 1_000, 2_000, 3_000, 4_000]);
        let late = asked.map(|us| shown_us(&sensor.expose(&controls(us * 10), 2)));
        assert_eq!(late, [5_000, 6_000, 7_000, 7_000, 7_000, 20_000]);
    }

    #[test]
    fn controls_show_on_time_even_when_no_request_follows() {
        let mut sensor = Sensor::start(&controls(1_000), 0.01, 0);
        sensor.expose(&controls(2_000), 0);
        sensor.skip_until(1_000 * FRAME_NS);
        let taken = sensor.expose(&controls(2_000), 0);
        assert_eq!(shown_us(&taken), 2_000);
        assert_eq!(taken.start_ns, 1_000 * FRAME_NS);
        assert_eq!(taken.sequence, 997);
    }

    #[test]
    fn a_new_frame_duration_moves_the_grid_when_it_shows() {
        let mut sensor = Sensor::start(&controls(1_000), 0.01, 0);
        let slow = Controls {
            frame_duration_us: 200_000,
            ..controls(1_000)
        };
        let starts: Vec<u64> = (0..6)
            .map(|_| sensor.expose(&slow, 0).start_ns / FRAME_NS)
            .collect();
        assert_eq!(starts, [3, 4, 5, 6, 8, 10]);
    }

    #[test]
    fn a_begun_frame_is_not_given_away() {
        let mut sensor = Sensor::start(&controls(1_000), 0.01, 0);
        sensor.skip_until(3 * FRAME_NS + 1);
        assert_eq!(sensor.expose(&controls(1_000), 0).sequence, 1);
        sensor.skip_until(5 * FRAME_NS);
        assert_eq!(sensor.expose(&controls(1_000), 0).sequence, 2);
    }

    #[test]
    fn automatic_exposure_settles_on_the_target() {
        let auto = Controls {
            exposure: Exposure::Auto,
            analogue_gain: 2.0,
            ..controls(0)
        };
        let mut sensor = Sensor::start(&auto, 0.01, 0);
        let frames: Vec<Exposed> = (0..12).map(|_| sensor.expose(&auto, 0)).collect();
        let level = |frame: &Exposed| frame.registers.light() * 0.01 / AUTO_TARGET_COUNTS;
        assert!(level(&frames[0]) < 0.9);
        assert!(frames[5..].iter().all(|f| (level(f) - 1.0).abs() < 0.05));
        assert_eq!(frames[11].registers, frames[10].registers);
        assert!(frames.iter().all(|f| gain(f.registers.gain_code) == 2.0));
    }

    #[test]
    fn automatic_exposure_stays_within_the_frame() {
        let auto = Controls {
            exposure: Exposure::Auto,
            ..controls(0)
        };
        for (rate, us) in [(1e-9, 99_371), (1e9, 114)] {
            let mut sensor = Sensor::start(&auto, rate, 0);
            sensor.skip_until(100 * FRAME_NS);
            assert_eq!(shown_us(&sensor.expose(&auto, 0)), us);
        }
    }
}
