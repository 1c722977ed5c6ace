//! The recorded cases of the old server's arithmetic and files, byte for byte (tests/data/hq-camera/README.md).

use std::path::{Path, PathBuf};

use outpost::raw::{
    BayerOrder, KernelError, Kernels, Layout, Mode, Packing, Reducer, Shape, Window,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/hq-camera")
        .join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn index() -> Value {
    serde_json::from_slice(&read("cases.json")).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Values of a version 1.0 `.npy` file of little-endian 16-bit numbers.
fn npy_values(file: &[u8]) -> Vec<u16> {
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
    let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header_text = std::str::from_utf8(&file[10..10 + header]).unwrap();
    assert!(header_text.contains("'descr': '<u2'"));
    file[10 + header..]
        .chunks_exact(2)
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect()
}

fn layout(frame: &Value) -> Layout {
    Layout {
        width: number(&frame["width"]),
        height: number(&frame["height"]),
        stride_bytes: number(&frame["stride"]),
        packing: Packing::Csi2p12,
        bayer: BayerOrder::Bggr,
    }
}

/// Does what `BCLP`, `DBAY`, `SRNK` and a capture do with a frame.
fn run(case: &Value, frame: &Value, kernels: Kernels) -> Result<(Shape, Vec<u16>), KernelError> {
    let layout = layout(frame);
    let bytes = read(text(&frame["file"]));
    let numbers: Vec<i64> = text(&case["bclp"])
        .split(':')
        .map(|n| n.parse().unwrap())
        .collect();
    let window = match numbers[..] {
        [w, h] => Window::centered(w, h, layout.size())?,
        [x, y, w, h] => Window::even(x, y, w, h, layout.size())?,
        _ => panic!("{case}"),
    };
    let dbay = number(&case["dbay"]) == 1;
    let mode = Mode::from_settings(dbay, case["srnk"].as_i64().unwrap())?;
    let shape = Reducer::shape(&layout, &window, mode)?;
    let mut out = vec![0; shape.element_count()];
    Reducer::new(kernels).reduce(&bytes, &layout, &window, mode, &mut out)?;
    Ok((shape, out))
}

#[test]
fn frames_hold_what_their_index_says() {
    let index = index();
    for (name, frame) in index["frames"].as_object().unwrap() {
        let bytes = read(text(&frame["file"]));
        assert_eq!(bytes.len(), layout(frame).frame_bytes(), "{name}");
        assert_eq!(hex(&Sha256::digest(&bytes)), text(&frame["sha256"]));
        let window = layout(frame).full_window();
        let mut pixels = vec![0; window.w * window.h];
        for kernels in Kernels::available() {
            Reducer::new(kernels)
                .reduce(&bytes, &layout(frame), &window, Mode::Pixels, &mut pixels)
                .unwrap();
            assert!(pixels == npy_values(&read(text(&frame["pixels_file"]))));
        }
    }
}

#[test]
fn every_case_gives_the_correct_array_or_a_refusal() {
    let index = index();
    let cases = index["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 28);
    for case in cases {
        let name = text(&case["name"]);
        let frame = &index["frames"][text(&case["frame"])];
        for kernels in Kernels::available() {
            let result = run(case, frame, kernels);
            if text(&case["correct_result"]) == "nak" {
                let error = result.expect_err(name);
                assert!(
                    matches!(error, KernelError::Window(_) | KernelError::Mode(_)),
                    "{name}: {error}"
                );
                continue;
            }
            let (shape, array) = result.unwrap_or_else(|error| panic!("{name}: {error}"));
            let expected_shape = &case["correct_shape"];
            assert_eq!(shape.rows, number(&expected_shape[0]), "{name}");
            assert_eq!(shape.columns, number(&expected_shape[1]), "{name}");
            let expected = npy_values(&read(text(&case["correct_expected"])));
            assert!(array == expected, "{name} with {kernels:?}");
        }
    }
}

/// The same pixels in the layouts of other boards give the same arrays, packed bytes included.
#[test]
fn every_case_is_the_same_from_16_bit_samples() {
    let index = index();
    for case in index["cases"].as_array().unwrap() {
        if text(&case["correct_result"]) != "array" {
            continue;
        }
        let frame = &index["frames"][text(&case["frame"])];
        let pixels = npy_values(&read(text(&frame["pixels_file"])));
        let expected = npy_values(&read(text(&case["correct_expected"])));
        for (packing, shift) in [(Packing::U16Low, 0), (Packing::U16High, 4)] {
            let packed = layout(frame);
            let layout = Layout {
                packing,
                stride_bytes: 2 * packed.width + 64,
                ..packed
            };
            let mut bytes = Vec::new();
            for row in pixels.chunks(layout.width) {
                bytes.extend(row.iter().flat_map(|p| (p << shift).to_le_bytes()));
                bytes.extend([0xa5; 64]);
            }
            let (x, y) = (
                number(&case["reference_window"]["x1"]) & !1,
                number(&case["reference_window"]["y1"]) & !1,
            );
            let clip: Vec<usize> = case["clip_after_even"]
                .as_array()
                .unwrap()
                .iter()
                .map(number)
                .collect();
            let &[.., w, h] = clip.as_slice() else {
                panic!("{case}")
            };
            let mode =
                Mode::from_settings(number(&case["dbay"]) == 1, case["srnk"].as_i64().unwrap())
                    .unwrap();
            for kernels in Kernels::available() {
                let mut out = vec![0; expected.len()];
                Reducer::new(kernels)
                    .reduce(&bytes, &layout, &Window { x, y, w, h }, mode, &mut out)
                    .unwrap();
                assert!(out == expected, "{} {packing:?}", case["name"]);
            }
        }
    }
}
