//! Frame after frame, the pixel kernels leave the heap alone. A binary of its own: it counts every allocation.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;

use outpost::raw::{BayerOrder, Kernels, Layout, Mode, Packing, Reducer};

struct Counting;

thread_local! {
    // By thread, because the test harness allocates on its own one meanwhile. Without destructor, so that it may be
    // used at any time of a thread's life.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; realloc and alloc_zeroed default to alloc.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        // SAFETY: `pointer` came from `System.alloc` above with the same layout.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_steady_state_does_not_allocate() {
    let modes = [
        Mode::PackedBytes,
        Mode::Pixels,
        Mode::Binned(1),
        Mode::Binned(2),
        Mode::Binned(3),
    ];
    for packing in [Packing::Csi2p12, Packing::U16Low, Packing::U16High] {
        let layout = Layout {
            width: 4056,
            height: 16,
            stride_bytes: 8128,
            packing,
            bayer: BayerOrder::Rggb,
        };
        let frame = vec![0x5a; layout.frame_bytes()];
        let window = layout.full_window();
        let mut out = vec![0; 6084 * 16];
        for kernels in Kernels::available() {
            let mut reducer = Reducer::new(kernels);
            let mut frames = |count: usize| {
                let before = ALLOCATIONS.get();
                for _ in 0..count {
                    for mode in modes {
                        let len = mode.shape(&window).unwrap().element_count();
                        reducer
                            .reduce(&frame, &layout, &window, mode, &mut out[..len])
                            .unwrap();
                    }
                }
                ALLOCATIONS.get() - before
            };
            assert_eq!(
                frames(1),
                1,
                "the accumulators, which also shows that counting works"
            );
            assert_eq!(frames(10), 0, "{kernels:?} {packing:?}");
        }
    }
}
