//! One pixel kernel on a small frame, for counting its instructions from outside: `instructions SET CASE ROUNDS`.
//!
//! `.ci/arm64` runs it under an emulator that logs every instruction, once and twice through the kernel; start-up and
//! the making of the frame drop out of the difference. Without arguments it lists the cases and counts nothing.

use std::hint::black_box;
use std::process::ExitCode;

use outpost::raw::{BayerOrder, Kernels, Layout, Mode, Packing, Reducer, Window};

/// Rows as wide as the HQ camera's; as many as three binnings need, twice.
const WIDTH: usize = 4056;
const HEIGHT: usize = 16;

const CASES: [(&str, Packing, Mode); 9] = [
    ("raw", Packing::Csi2p12, Mode::PackedBytes),
    ("unpack", Packing::Csi2p12, Mode::Pixels),
    ("bin1", Packing::Csi2p12, Mode::Binned(1)),
    ("bin2", Packing::Csi2p12, Mode::Binned(2)),
    ("bin3", Packing::Csi2p12, Mode::Binned(3)),
    ("pi5-unpack", Packing::U16High, Mode::Pixels),
    ("pi5-bin1", Packing::U16High, Mode::Binned(1)),
    ("pi5-bin2", Packing::U16High, Mode::Binned(2)),
    ("pi5-bin3", Packing::U16High, Mode::Binned(3)),
];

fn main() -> ExitCode {
    // Cargo passes `--bench`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let [set, case, rounds] = words.as_slice() else {
        list();
        return ExitCode::SUCCESS;
    };
    let kernels = Kernels::available().into_iter().find(|k| k.name() == set);
    let case = CASES.into_iter().find(|(name, ..)| name == case);
    match (kernels, case, rounds.parse()) {
        (Some(kernels), Some((_, packing, mode)), Ok(rounds)) => {
            run(kernels, packing, mode, rounds);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("no such kernel set or case, or no number of rounds: {words:?}");
            ExitCode::from(2)
        }
    }
}

/// `pixels N`, then the words for each count.
fn list() {
    println!("pixels {}", WIDTH * HEIGHT);
    for (name, ..) in CASES {
        for kernels in Kernels::available() {
            println!("{} {name}", kernels.name());
        }
    }
}

fn run(kernels: Kernels, packing: Packing, mode: Mode, rounds: usize) {
    let row_bytes = packing
        .bytes(WIDTH)
        .expect("a row because the width is even");
    let layout = Layout {
        width: WIDTH,
        height: HEIGHT,
        stride_bytes: row_bytes.next_multiple_of(64),
        packing,
        bayer: BayerOrder::Bggr,
    };
    let window = Window {
        x: 0,
        y: 0,
        w: WIDTH,
        h: HEIGHT,
    };
    let shape = Reducer::shape(&layout, &window, mode).expect("a shape because the window is even");
    let frame = noise(layout.stride_bytes * HEIGHT);
    let mut out = vec![0; shape.element_count()];
    let mut reducer = Reducer::new(kernels);
    for _ in 0..rounds {
        reducer
            .reduce(black_box(&frame), &layout, &window, mode, &mut out)
            .expect("a result because shape and sizes fit");
        black_box(&mut out);
    }
}

/// Bytes of a fixed sequence (xorshift): pixels of every brightness, saturated ones among them.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words
        .take(bytes.div_ceil(8))
        .flat_map(u64::to_le_bytes)
        .take(bytes)
        .collect()
}
