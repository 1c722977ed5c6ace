//! Frame bytes of the simulated camera, made only when somebody looks.
//!
//! For each pair of exposure and gain, the noise of every surface is prepared as a few packed rows (a *pool*).
//! A frame is then put together by copying, for every span of every row, one of them, chosen by a hash of seed,
//! frame number and row: little more than a copy. The last two pools are kept, so that alternating exposures
//! do not prepare again.
//!
//! Signal: counts = 256 + rate * exposure * gain, rounded, at most 4095. Noise: Gaussian with
//! sigma^2 = read noise^2 + signal * gain / 2.1 electrons per count (full well about 8000 electrons).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::scene::{Scene, Surface};
use super::sensor::{HEIGHT, Registers, WIDTH, gain};
use crate::camera::backend::{BackendError, FrameBuffer};

/// Bytes from one row to the next: 6084 of pixels, rounded up to 32.
pub(super) const STRIDE_BYTES: usize = 6112;
/// Counts of a pixel without light.
pub(super) const BLACK_LEVEL: u16 = 256;
/// Counts of a saturated pixel.
pub(super) const WHITE_LEVEL: u16 = 4095;

const FRAME_BYTES: usize = STRIDE_BYTES * HEIGHT;
const ROW_BYTES: usize = WIDTH * 3 / 2;
/// Real padding is undefined; this value shows up wherever it is taken for pixels.
const PADDING: u8 = 0xA5;
const ELECTRONS_PER_COUNT: f64 = 2.1;
const NOISE_VALUES: usize = 1 << 15;
/// glibc gives blocks above 32 MiB back to the system when they are freed, whatever it learned from earlier
/// ones; smaller ones may stay with the process. Memory that is never touched costs nothing.
const ARENA_MIN_BYTES: usize = 33 << 20;

/// The memory frames are rendered in: taken by the first look, given back with the last owner.
#[derive(Debug)]
pub(super) struct Darkroom {
    seed: u64,
    held: Arc<AtomicUsize>,
    renderer: Mutex<Option<Renderer>>,
}

impl Darkroom {
    /// `held` counts the bytes that frames take at any time.
    pub(super) fn new(seed: u64, held: Arc<AtomicUsize>) -> Self {
        Self {
            seed,
            held,
            renderer: Mutex::new(None),
        }
    }
}

impl Drop for Darkroom {
    fn drop(&mut self) {
        let renderer = self
            .renderer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(renderer) = renderer {
            self.held.fetch_sub(renderer.arena.len(), Ordering::SeqCst);
        }
    }
}

/// A frame that exists as a recipe until it is read.
#[derive(Debug)]
pub(super) struct Negative {
    pub(super) darkroom: Arc<Darkroom>,
    pub(super) frame_number: u64,
    pub(super) registers: Registers,
}

impl FrameBuffer for Negative {
    fn read(&mut self, look: &mut dyn FnMut(&[u8])) -> Result<(), BackendError> {
        let darkroom = &*self.darkroom;
        let mut renderer = darkroom
            .renderer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let renderer = renderer.get_or_insert_with(|| {
            let renderer = Renderer::new(darkroom.seed);
            darkroom
                .held
                .fetch_add(renderer.arena.len(), Ordering::SeqCst);
            renderer
        });
        look(renderer.render(self.frame_number, self.registers));
        Ok(())
    }
}

/// What a pool was prepared for: exposure lines and gain code.
type PoolKey = (u64, u16);

#[derive(Debug)]
struct Renderer {
    seed: u64,
    scene: Scene,
    noise: Vec<f32>,
    /// One frame, then two pools.
    arena: Vec<u8>,
    keys: [Option<PoolKey>; 2],
    newest: usize,
}

impl Renderer {
    fn new(seed: u64) -> Self {
        let scene = Scene::new();
        let mut arena = vec![0; ARENA_MIN_BYTES.max(FRAME_BYTES + 2 * scene.pool_bytes)];
        for row in arena[..FRAME_BYTES].chunks_exact_mut(STRIDE_BYTES) {
            row[ROW_BYTES..].fill(PADDING);
        }
        Self {
            seed,
            scene,
            noise: gaussian(),
            arena,
            keys: [None; 2],
            newest: 0,
        }
    }

    fn render(&mut self, frame_number: u64, registers: Registers) -> &[u8] {
        self.prepare(registers);
        let (frame, pools) = self.arena.split_at_mut(FRAME_BYTES);
        let pool = &pools[self.newest * self.scene.pool_bytes..][..self.scene.pool_bytes];
        let frame_hash = mix(mix(self.seed) ^ frame_number);
        let rows = frame.chunks_exact_mut(STRIDE_BYTES);
        for (row, (bytes, spans)) in rows.zip(self.scene.rows()).enumerate() {
            let mut choice = mix(frame_hash ^ row as u64);
            for span in spans {
                let surface = &self.scene.surfaces[usize::from(span.surface)];
                choice = choice.rotate_right(11).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let copy = (choice >> 32) as usize & (surface.copies - 1);
                let pattern = (row & 1) * surface.copies + copy;
                let (from, to) = (usize::from(span.from), usize::from(span.to));
                let start = surface.offset
                    + pattern * surface.pattern_bytes()
                    + (from - surface.pairs.start) * 3;
                let source = &pool[start..start + (to - from) * 3];
                bytes[from * 3..to * 3].copy_from_slice(source);
            }
        }
        frame
    }

    /// Makes the pool for `registers` the newest.
    fn prepare(&mut self, registers: Registers) {
        let key = (registers.exposure_lines, registers.gain_code);
        if self.keys[self.newest] == Some(key) {
            return;
        }
        self.newest ^= 1;
        if self.keys[self.newest] == Some(key) {
            return;
        }
        self.keys[self.newest] = Some(key);
        let start = FRAME_BYTES + self.newest * self.scene.pool_bytes;
        let pool = &mut self.arena[start..start + self.scene.pool_bytes];
        let mut painter = Painter::new(self.seed, &self.noise, registers);
        for (index, surface) in self.scene.surfaces.iter().enumerate() {
            painter.paint(index, surface, pool);
        }
    }
}

/// Fills the patterns of surfaces for one exposure and gain.
struct Painter<'a> {
    seed: u64,
    noise: &'a [f32],
    light: f32,
    read_variance: f32,
    variance_per_count: f32,
    mean: Vec<f32>,
    sigma: Vec<f32>,
    counts: Vec<u16>,
}

impl<'a> Painter<'a> {
    fn new(seed: u64, noise: &'a [f32], registers: Registers) -> Self {
        let gain = gain(registers.gain_code);
        let read_noise = 1.0 + 0.5 * gain;
        Self {
            seed,
            noise,
            light: registers.light() as f32,
            read_variance: (read_noise * read_noise) as f32,
            variance_per_count: (gain / ELECTRONS_PER_COUNT) as f32,
            mean: Vec::with_capacity(WIDTH),
            sigma: Vec::with_capacity(WIDTH),
            counts: Vec::with_capacity(WIDTH),
        }
    }

    fn paint(&mut self, index: usize, surface: &Surface, pool: &mut [u8]) {
        let bytes = surface.pattern_bytes();
        let patterns = &mut pool[surface.offset..][..2 * surface.copies * bytes];
        for (parity, rows) in patterns
            .chunks_exact_mut(surface.copies * bytes)
            .enumerate()
        {
            self.expect(surface, parity);
            for (copy, row) in rows.chunks_exact_mut(bytes).enumerate() {
                let id = ((index * 2 + parity) << 8 | copy) as u64;
                let shift = mix(self.seed ^ mix(id)) as usize % (NOISE_VALUES - WIDTH);
                self.expose(&self.noise[shift..]);
                pack(&self.counts, row);
            }
        }
    }

    /// Mean and sigma of every pixel; even rows see R G R G, odd rows G B G B.
    fn expect(&mut self, surface: &Surface, parity: usize) {
        self.mean.clear();
        let columns = 2 * surface.pairs.start..2 * surface.pairs.end;
        self.mean
            .extend(columns.map(|x| surface.rates(x)[(x & 1) + parity] * self.light));
        self.sigma.clear();
        let (read, shot) = (self.read_variance, self.variance_per_count);
        self.sigma
            .extend(self.mean.iter().map(|mean| (read + shot * mean).sqrt()));
    }

    fn expose(&mut self, noise: &'a [f32]) {
        // Half a count more, because the conversion to integer truncates.
        let black = f32::from(BLACK_LEVEL) + 0.5;
        let white = f32::from(WHITE_LEVEL);
        self.counts.clear();
        let pixels = self.mean.iter().zip(&self.sigma).zip(noise);
        self.counts.extend(pixels.map(|((mean, sigma), noise)| {
            (black + mean + sigma * noise).clamp(0.0, white) as i32 as u16
        }));
    }
}

/// Packs 12-bit counts two in three bytes: high bytes of both, then low nibbles, the even pixel's in bits 0-3.
fn pack(counts: &[u16], bytes: &mut [u8]) {
    for (bytes, pair) in bytes.chunks_exact_mut(3).zip(counts.chunks_exact(2)) {
        bytes[0] = (pair[0] >> 4) as u8;
        bytes[1] = (pair[1] >> 4) as u8;
        bytes[2] = (pair[0] & 15 | (pair[1] & 15) << 4) as u8;
    }
}

/// Standard normal values, always the same: rows start at places given by the seed.
fn gaussian() -> Vec<f32> {
    let uniform = |n: usize| (mix(n as u64) >> 11) as f64 / (1_u64 << 53) as f64;
    (0..NOISE_VALUES / 2)
        .flat_map(|pair| {
            let radius = (-2.0 * (1.0 - uniform(2 * pair)).ln()).sqrt();
            let (sin, cos) = (uniform(2 * pair + 1) * std::f64::consts::TAU).sin_cos();
            [(radius * sin) as f32, (radius * cos) as f32]
        })
        .collect()
}

/// Spreads a counter over all 64 bits (the finalizer of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}
