//! Which board a device tree means.

use std::fs;
use std::path::PathBuf;

use outpost::board::{Detected, DeviceTree, detect};
use outpost::config::{Config, Sources};

/// A device tree with these contents.
fn tree(compatible: Option<&[u8]>, model: Option<&[u8]>) -> Detected {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: Option<&[u8]>| -> PathBuf {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        path
    };
    detect(&DeviceTree {
        compatible_path: file("compatible", compatible),
        model_path: file("model", model),
    })
}

#[test]
fn boards_are_detected_as_their_firmware_names_them() {
    let machines: [(&str, &[u8], &[u8]); 7] = [
        (
            "pi3b",
            b"raspberrypi,3-model-b\0brcm,bcm2837\0",
            b"Raspberry Pi 3 Model B Rev 1.2\0",
        ),
        (
            "pi3b",
            b"raspberrypi,3-model-b-plus\0brcm,bcm2837\0",
            b"Raspberry Pi 3 Model B Plus Rev 1.3\0",
        ),
        (
            "zero2w",
            b"raspberrypi,model-zero-2-w\0brcm,bcm2837\0",
            b"Raspberry Pi Zero 2 W Rev 1.0\0",
        ),
        (
            "pi4b",
            b"raspberrypi,4-model-b\0brcm,bcm2711\0",
            b"Raspberry Pi 4 Model B Rev 1.2\0",
        ),
        (
            "cm4",
            b"raspberrypi,4-compute-module\0brcm,bcm2711\0",
            b"Raspberry Pi Compute Module 4 Rev 1.1\0",
        ),
        (
            "pi5",
            b"raspberrypi,5-model-b\0brcm,bcm2712\0",
            b"Raspberry Pi 5 Model B Rev 1.0\0",
        ),
        // As QEMU names its machine: no revision.
        (
            "pi3b",
            b"raspberrypi,3-model-b\0brcm,bcm2837\0",
            b"Raspberry Pi 3 Model B\0",
        ),
    ];
    for (id, compatible, model) in machines {
        for (compatible, model) in [
            (Some(compatible), Some(model)),
            (Some(compatible), None),
            (None, Some(model)),
            (
                Some(&compatible[..compatible.len() - 1]),
                Some(&model[..model.len() - 1]),
            ),
        ] {
            let found = tree(compatible, model);
            assert_eq!((found.id.as_str(), &found.warning), (id, &None));
        }
    }
}

#[test]
fn compatible_decides_before_the_model() {
    let found = tree(
        Some(b"raspberrypi,4-model-b\0brcm,bcm2711\0"),
        Some(b"Raspberry Pi 5 Model B Rev 1.0\0"),
    );
    assert_eq!(found.id, "pi4b");
    assert_eq!(
        found.model.as_deref(),
        Some("Raspberry Pi 5 Model B Rev 1.0")
    );
}

#[test]
fn an_unknown_machine_gets_the_simulated_board_with_a_warning() {
    let machines: [(&[u8], &[u8], &str); 4] = [
        (
            b"raspberrypi,500\0brcm,bcm2712\0",
            b"Raspberry Pi 500 Rev 1.0\0",
            "Raspberry Pi 500 Rev 1.0",
        ),
        (
            b"raspberrypi,6-model-b\0",
            b"Raspberry Pi 6 Model B Rev 1.0\0",
            "Raspberry Pi 6 Model B Rev 1.0",
        ),
        (
            b"raspberrypi,4-compute-module-s\0",
            b"Raspberry Pi Compute Module 4S Rev 1.0\0",
            "Raspberry Pi Compute Module 4S Rev 1.0",
        ),
        (b"pine64,rock64\0", b"", "pine64,rock64"),
    ];
    for (compatible, model, name) in machines {
        let found = tree(Some(compatible), Some(model));
        assert_eq!(found.id, "sim");
        assert_eq!(
            found.warning,
            Some(format!(
                "unknown board \"{name}\": running the simulated board; choose a profile with \
                 --board or the key board"
            ))
        );
    }
}

#[test]
fn a_machine_without_a_device_tree_is_simulated_without_a_word() {
    let found = tree(None, None);
    assert_eq!(
        (found.id.as_str(), found.model, found.warning),
        ("sim", None, None)
    );
}

#[test]
fn the_configuration_takes_the_detected_board_and_its_warning() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let mut sources = Sources {
        system_config: "/nonexistent/outpost.toml".into(),
        device_tree: DeviceTree {
            compatible_path: folder.path().join("compatible"),
            model_path: model.clone(),
        },
        ..Sources::from_environment()
    };
    fs::write(&model, "Raspberry Pi 4 Model B Rev 1.5\0").unwrap();
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(loaded.board.id, "pi4b");
    fs::write(&model, "Raspberry Pi 9\0").unwrap();
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(loaded.board.id, "sim");
    assert!(
        loaded
            .warnings
            .iter()
            .any(|warning| warning.contains("\"Raspberry Pi 9\""))
    );
    // Whoever chooses a board knows better.
    sources.board = Some("pi5".into());
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(
        (loaded.board.id.as_str(), loaded.warnings),
        ("pi5", Vec::new())
    );
}
