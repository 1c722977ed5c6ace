//! Full-frame kernels against a plain copy: `cargo bench --bench kernels [filter]`.
//!
//! Each measured round copies max(input, output) bytes and runs one kernel, in turn, both on sources rotated beyond
//! the cache and into buffers touched before, on one thread. The ratio is that of the medians. The budget holds for
//! full packed frames, unpacked or binned one to three times, with the fastest kernel set; the rest is for comparison.

use std::hint::black_box;
use std::time::{Duration, Instant};

use outpost::raw::{BayerOrder, Kernels, Layout, Mode, Packing, Reducer, Window};

const BUDGET: f64 = 1.5;
/// Cases that the budget is for.
const BUDGETED: [&str; 4] = ["unpack", "bin1", "bin2", "bin3"];
const ROUNDS: usize = 40;
/// Bytes of all sources together: several times any last-level cache this is likely to run on.
const POOL_BYTES: usize = 320 << 20;

struct Case {
    name: &'static str,
    packing: Packing,
    window: Window,
    mode: Mode,
}

fn main() {
    // Cargo passes `--bench`; what else is given selects cases by name.
    let filter: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let pool = noise(POOL_BYTES);
    let fastest = Kernels::detect().name();
    for case in cases() {
        if !filter.is_empty() && !filter.iter().any(|f| case.name.contains(f.as_str())) {
            continue;
        }
        for kernels in Kernels::available().into_iter().rev() {
            let verdict = if kernels.name() == fastest && BUDGETED.contains(&case.name) {
                format!("(budget {BUDGET})")
            } else {
                String::new()
            };
            measure(&case, kernels, &pool, &verdict);
        }
    }
}

fn cases() -> Vec<Case> {
    let full = Window {
        x: 0,
        y: 0,
        w: 4056,
        h: 3040,
    };
    let clip = Window {
        x: 1014,
        y: 760,
        w: 2028,
        h: 1520,
    };
    use Packing::*;
    [
        ("unpack", Csi2p12, full, Mode::Pixels),
        ("bin1", Csi2p12, full, Mode::Binned(1)),
        ("bin2", Csi2p12, full, Mode::Binned(2)),
        ("bin3", Csi2p12, full, Mode::Binned(3)),
        ("raw", Csi2p12, full, Mode::PackedBytes),
        ("clip-raw", Csi2p12, clip, Mode::PackedBytes),
        ("clip-unpack", Csi2p12, clip, Mode::Pixels),
        ("clip-bin2", Csi2p12, clip, Mode::Binned(2)),
        ("pi5-unpack", U16High, full, Mode::Pixels),
        ("pi5-bin1", U16High, full, Mode::Binned(1)),
        ("pi5-bin2", U16High, full, Mode::Binned(2)),
        ("pi5-bin3", U16High, full, Mode::Binned(3)),
        ("pi5-raw", U16High, full, Mode::PackedBytes),
    ]
    .map(|(name, packing, window, mode)| Case {
        name,
        packing,
        window,
        mode,
    })
    .into()
}

fn measure(case: &Case, kernels: Kernels, pool: &[u8], verdict: &str) {
    let layout = Layout {
        width: 4056,
        height: 3040,
        stride_bytes: match case.packing {
            Packing::Csi2p12 => 6112,
            Packing::U16Low | Packing::U16High => 8128,
        },
        packing: case.packing,
        bayer: BayerOrder::Rggb,
    };
    let shape = case.mode.shape(&case.window).expect("cases divide");
    let mut out = vec![1u16; shape.element_count()];
    let out_bytes = 2 * out.len();
    // A clipped window reads its own rows only.
    let row_bytes = case.packing.bytes(case.window.w).expect("small");
    let in_bytes = if case.window.w == layout.width {
        layout.frame_bytes()
    } else {
        row_bytes * case.window.h
    };
    let copy_bytes = in_bytes.max(out_bytes);
    let mut copied = vec![1u8; copy_bytes];
    let slot_bytes = copy_bytes.max(layout.frame_bytes());
    let slots: Vec<&[u8]> = pool.chunks_exact(slot_bytes).collect();
    let mut reducer = Reducer::new(kernels);
    let (mut copies, mut runs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let copy_from = slots[2 * round % slots.len()];
        let frame = slots[(2 * round + 1) % slots.len()];
        let start = Instant::now();
        copied.copy_from_slice(black_box(&copy_from[..copy_bytes]));
        black_box(&mut copied);
        copies.push(start.elapsed());
        let start = Instant::now();
        reducer
            .reduce(black_box(frame), &layout, &case.window, case.mode, &mut out)
            .expect("cases fit");
        black_box(&mut out);
        runs.push(start.elapsed());
    }
    let (copy, run) = (median(&mut copies), median(&mut runs));
    let rate = |bytes: usize| bytes as f64 / run.as_secs_f64() / 1e9;
    println!(
        "{:<12} {}x{} {:<7} {:6.2} ms  {:5.2} GB/s in  {:5.2} GB/s out  {:.2}x of copy ({:.2} ms) {verdict}",
        case.name,
        case.window.w,
        case.window.h,
        kernels.name(),
        run.as_secs_f64() * 1e3,
        rate(in_bytes),
        rate(out_bytes),
        run.as_secs_f64() / copy.as_secs_f64(),
        copy.as_secs_f64() * 1e3,
    );
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Bytes of a fixed pseudo-random sequence (xorshift).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
