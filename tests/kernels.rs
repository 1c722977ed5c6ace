//! Every kernel set against a slow oracle that knows only the formats' definitions, and hand-made edge cases.

use outpost::raw::{
    BayerOrder, KernelError, Kernels, Layout, LayoutError, Mode, ModeError, Packing, Reducer,
    Window, WindowError,
};

const PACKINGS: [Packing; 3] = [Packing::Csi2p12, Packing::U16Low, Packing::U16High];

/// Pseudo-random numbers of a fixed sequence (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A frame made of pixel values; padding bytes are random.
struct Frame {
    layout: Layout,
    pixels: Vec<Vec<u16>>,
    bytes: Vec<u8>,
}

impl Frame {
    fn new(pixels: Vec<Vec<u16>>, packing: Packing, padding: usize, random: &mut Random) -> Frame {
        let width = pixels[0].len();
        let row_bytes = match packing {
            Packing::Csi2p12 => width * 3 / 2,
            _ => width * 2,
        };
        let mut bytes = Vec::new();
        for row in &pixels {
            let packed: Vec<u8> = match packing {
                Packing::Csi2p12 => pack(row).map(|byte| byte as u8).collect(),
                Packing::U16Low => row.iter().flat_map(|p| p.to_le_bytes()).collect(),
                Packing::U16High => row.iter().flat_map(|p| (p << 4).to_le_bytes()).collect(),
            };
            assert_eq!(packed.len(), row_bytes);
            bytes.extend(packed);
            bytes.extend((0..padding).map(|_| random.next() as u8 | 0xa0));
        }
        let layout = Layout {
            width,
            height: pixels.len(),
            stride_bytes: row_bytes + padding,
            packing,
            bayer: BayerOrder::Bggr,
        };
        Frame {
            layout,
            pixels,
            bytes,
        }
    }

    fn reduce(&self, kernels: Kernels, window: &Window, mode: Mode) -> Vec<u16> {
        let shape = mode.shape(window).unwrap();
        let mut out = vec![0xdead; shape.element_count()];
        Reducer::new(kernels)
            .reduce(&self.bytes, &self.layout, window, mode, &mut out)
            .unwrap();
        out
    }

    /// The definition, block by block in 64 bits.
    fn oracle(&self, window: &Window, mode: Mode) -> Vec<u16> {
        let rows = self.pixels[window.y..window.y + window.h]
            .iter()
            .map(|row| &row[window.x..window.x + window.w]);
        match mode {
            Mode::PackedBytes => rows.flat_map(pack).collect(),
            Mode::Pixels => rows.flatten().copied().collect(),
            Mode::Binned(n) => {
                let rows: Vec<&[u16]> = rows.collect();
                let block = 1usize << n;
                let mut out = Vec::new();
                for y in (0..window.h).step_by(block) {
                    for x in (0..window.w).step_by(block) {
                        let cell = || rows[y..y + block].iter().flat_map(|row| &row[x..x + block]);
                        let sum: u64 = cell().map(|&p| u64::from(p)).sum();
                        let saturated = cell().any(|&p| p >= 4095);
                        out.push(if saturated {
                            65535
                        } else {
                            sum.min(65535) as u16
                        });
                    }
                }
                out
            }
        }
    }
}

/// 12-bit packing of a row, one value a byte.
fn pack(row: &[u16]) -> impl Iterator<Item = u16> {
    row.chunks(2)
        .flat_map(|p| [p[0] >> 4, p[1] >> 4, (p[0] & 15) + 16 * (p[1] & 15)])
}

fn modes() -> impl Iterator<Item = Mode> {
    [Mode::PackedBytes, Mode::Pixels]
        .into_iter()
        .chain((1..=6).map(Mode::Binned))
}

/// Values that saturate sums at every number of rounds: dark, full range, bright, with rare saturated pixels.
fn random_pixels(width: usize, height: usize, random: &mut Random) -> Vec<Vec<u16>> {
    let (low, span, saturated_in) = match random.below(4) {
        0 => (240, 32, 4001),
        1 => (0, 4096, 1 << 40),
        2 => (3500, 595, 301),
        _ => (900, 300, 151),
    };
    let mut row = |_| {
        (0..width)
            .map(|_| match random.below(saturated_in) {
                0 => 4095,
                _ => (low + random.below(span)) as u16,
            })
            .collect()
    };
    (0..height).map(&mut row).collect()
}

#[test]
fn all_sets_agree_with_the_oracle_on_random_frames() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for round in 0..400 {
        let mode = modes().nth(round % 8).unwrap();
        let block = mode.block().max(2);
        let w = block * (1 + random.below(400 / block));
        let h = block * (1 + random.below(40 / block.min(20)).min(160 / block));
        let (x, y) = (2 * random.below(20), 2 * random.below(4));
        let (right, below) = (2 * random.below(20), 2 * random.below(4));
        let pixels = random_pixels(x + w + right, y + h + below, &mut random);
        let packing = PACKINGS[random.below(3)];
        let padding = [0, 0, 1, 28, 77][random.below(5)];
        let frame = Frame::new(pixels, packing, padding, &mut random);
        let window = Window { x, y, w, h };
        let expected = frame.oracle(&window, mode);
        for kernels in Kernels::available() {
            assert_eq!(
                frame.reduce(kernels, &window, mode),
                expected,
                "{kernels:?} {mode:?} {packing:?} {window:?} padding {padding}"
            );
        }
    }
}

/// Remainders of every vector width, with and without bytes to load after the last row.
#[test]
fn all_sets_agree_with_the_oracle_at_every_width() {
    let mut random = Random(77);
    for packing in PACKINGS {
        for w in (2..=200).step_by(2) {
            let pixels = random_pixels(w, 4, &mut random);
            for padding in [0, 64] {
                let frame = Frame::new(pixels.clone(), packing, padding, &mut random);
                let window = frame.layout.full_window();
                for mode in modes().filter(|mode| mode.shape(&window).is_ok()) {
                    let expected = frame.oracle(&window, mode);
                    for kernels in Kernels::available() {
                        let got = frame.reduce(kernels, &window, mode);
                        assert_eq!(got, expected, "{kernels:?} {mode:?} {packing:?} width {w}");
                    }
                }
            }
        }
    }
}

/// All sets on a full-size frame, where the oracle would be slow.
#[test]
fn all_sets_agree_on_a_full_frame() {
    let mut random = Random(5);
    let layout = Layout {
        width: 4056,
        height: 3040,
        stride_bytes: 6112,
        packing: Packing::Csi2p12,
        bayer: BayerOrder::Rggb,
    };
    let bytes: Vec<u8> = (0..layout.frame_bytes() / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    let window = layout.full_window();
    let sets = Kernels::available();
    for mode in [Mode::Pixels, Mode::Binned(3)] {
        let arrays: Vec<Vec<u16>> = sets
            .iter()
            .map(|kernels| {
                let mut out = vec![0; mode.shape(&window).unwrap().element_count()];
                Reducer::new(*kernels)
                    .reduce(&bytes, &layout, &window, mode, &mut out)
                    .unwrap();
                out
            })
            .collect();
        for array in &arrays[1..] {
            assert!(*array == arrays[0], "{mode:?}");
        }
    }
}

/// What one saturated pixel does, at each place of a 4 x 4 frame, and what one just below does not.
#[test]
fn a_saturated_pixel_marks_its_block_alone() {
    let mut random = Random(1);
    for packing in PACKINGS {
        for (x, y) in (0..16).map(|i| (i % 4, i / 4)) {
            for (value, marked) in [(4095, true), (4094, false)] {
                let mut pixels = vec![vec![1000u16; 4]; 4];
                pixels[y][x] = value;
                let frame = Frame::new(pixels, packing, 3, &mut random);
                let window = frame.layout.full_window();
                let mut cells = [4000u16; 4];
                cells[y / 2 * 2 + x / 2] = if marked { 65535 } else { 7094 };
                for kernels in Kernels::available() {
                    assert_eq!(frame.reduce(kernels, &window, Mode::Binned(1)), cells);
                    let whole = if marked { 65535 } else { 19094 };
                    assert_eq!(frame.reduce(kernels, &window, Mode::Binned(2)), [whole]);
                    let unpacked = frame.reduce(kernels, &window, Mode::Pixels);
                    assert_eq!(unpacked[4 * y + x], value);
                }
            }
        }
    }
}

/// 4 x 4 pixels written down as bytes by hand.
#[test]
fn a_hand_made_frame() {
    let layout = Layout {
        width: 4,
        height: 4,
        stride_bytes: 7,
        packing: Packing::Csi2p12,
        bayer: BayerOrder::Rggb,
    };
    #[rustfmt::skip]
    let bytes = [
        0x12, 0xab, 0xc3, 0x00, 0x01, 0x2f, 0xee, // 0x123 0xabc 0x00f 0x012
        0xff, 0xff, 0xfe, 0x10, 0x10, 0x00, 0xee, // 0xffe 0xfff 0x100 0x100
        0x00, 0x00, 0x10, 0xff, 0xff, 0xee, 0xee, // 0x000 0x001 0xffe 0xffe
        0x00, 0x00, 0x00, 0xff, 0xff, 0xee, 0xee, // 0x000 0x000 0xffe 0xffe
    ];
    let reduce = |window: &Window, mode: Mode, kernels: Kernels| {
        let mut out = vec![0; mode.shape(window).unwrap().element_count()];
        Reducer::new(kernels)
            .reduce(&bytes, &layout, window, mode, &mut out)
            .unwrap();
        out
    };
    let full = layout.full_window();
    let right = Window {
        x: 2,
        y: 2,
        w: 2,
        h: 2,
    };
    for kernels in Kernels::available() {
        #[rustfmt::skip]
        assert_eq!(
            reduce(&full, Mode::Pixels, kernels),
            [
                0x123, 0xabc, 0x00f, 0x012,
                0xffe, 0xfff, 0x100, 0x100,
                0x000, 0x001, 0xffe, 0xffe,
                0x000, 0x000, 0xffe, 0xffe,
            ]
        );
        assert_eq!(
            reduce(&full, Mode::Binned(1), kernels),
            [65535, 0x00f + 0x012 + 0x200, 1, 4 * 4094]
        );
        assert_eq!(
            reduce(&right, Mode::PackedBytes, kernels),
            [0xff, 0xff, 0xee, 0xff, 0xff, 0xee]
        );
    }
}

/// 64 pixels of 1023 and 1024: the sum below and at the clamp, 1023.98 being the limit of three rounds.
#[test]
fn sums_are_clamped_not_wrapped() {
    let mut random = Random(2);
    for (value, expected) in [(1023, 65472), (1024, 65535), (4094, 65535)] {
        let frame = Frame::new(vec![vec![value; 8]; 8], Packing::Csi2p12, 0, &mut random);
        for kernels in Kernels::available() {
            let sum = frame.reduce(kernels, &frame.layout.full_window(), Mode::Binned(3));
            assert_eq!(sum, [expected], "{kernels:?} {value}");
        }
    }
}

#[test]
fn bits_beyond_twelve_do_not_count() {
    let layout = Layout {
        width: 2,
        height: 2,
        stride_bytes: 4,
        packing: Packing::U16Low,
        bayer: BayerOrder::Rggb,
    };
    let bytes = [0x34, 0xf2, 0x00, 0x10, 0x01, 0x00, 0x02, 0x80];
    let mut reducer = Reducer::new(Kernels::detect());
    let mut out = [0; 4];
    let window = layout.full_window();
    reducer
        .reduce(&bytes, &layout, &window, Mode::Pixels, &mut out)
        .unwrap();
    assert_eq!(out, [0x234, 0, 1, 2]);
    let high = Layout {
        packing: Packing::U16High,
        ..layout
    };
    reducer
        .reduce(&bytes, &high, &window, Mode::Pixels, &mut out)
        .unwrap();
    assert_eq!(out, [0xf23, 0x100, 0, 0x800]);
}

#[test]
fn the_reducer_refuses_what_does_not_fit() {
    let layout = Layout {
        width: 64,
        height: 48,
        stride_bytes: 128,
        packing: Packing::Csi2p12,
        bayer: BayerOrder::Rggb,
    };
    let frame = vec![0; layout.frame_bytes()];
    let full = layout.full_window();
    let mut reducer = Reducer::new(Kernels::detect());
    let mut refused = |frame: &[u8], layout: Layout, window: Window, mode, len: usize| {
        let mut out = vec![7; len];
        let error = reducer
            .reduce(frame, &layout, &window, mode, &mut out)
            .unwrap_err();
        assert!(out.iter().all(|&v| v == 7), "output touched: {error}");
        error
    };
    assert_eq!(
        refused(&frame[1..], layout, full, Mode::Pixels, 64 * 48),
        KernelError::FrameTooShort {
            expected: 6144,
            got: 6143
        }
    );
    assert_eq!(
        refused(&frame, layout, full, Mode::Binned(1), 64 * 48),
        KernelError::OutputSize {
            expected: 32 * 24,
            got: 64 * 48
        }
    );
    let narrow = Layout {
        stride_bytes: 95,
        ..layout
    };
    assert!(matches!(
        refused(&frame, narrow, full, Mode::Pixels, 64 * 48),
        KernelError::Layout(LayoutError::StrideTooSmall { .. })
    ));
    let beyond = Window { x: 2, ..full };
    assert!(matches!(
        refused(&frame, layout, beyond, Mode::Pixels, 64 * 48),
        KernelError::Window(WindowError::Outside { .. })
    ));
    let odd = Window {
        x: 1,
        y: 0,
        w: 2,
        h: 2,
    };
    assert!(matches!(
        refused(&frame, layout, odd, Mode::Pixels, 4),
        KernelError::Window(WindowError::Odd { .. })
    ));
    assert!(matches!(
        refused(&frame, layout, full, Mode::Binned(5), 2),
        KernelError::Mode(ModeError::NotDivisible { block: 32, .. })
    ));
    for rounds in [0, 7, 64, 255] {
        assert!(matches!(
            refused(&frame, layout, full, Mode::Binned(rounds), 1),
            KernelError::Mode(ModeError::Rounds { .. })
        ));
    }
}

/// A longer slice than the frame, as mapped buffers are, is no error.
#[test]
fn bytes_after_the_frame_are_ignored() {
    let mut random = Random(3);
    let mut frame = Frame::new(vec![vec![500; 64]; 4], Packing::Csi2p12, 32, &mut random);
    frame.bytes.extend([0xff; 4096]);
    for kernels in Kernels::available() {
        let out = frame.reduce(kernels, &frame.layout.full_window(), Mode::Binned(1));
        assert_eq!(out, vec![2000; 64]);
    }
}
