//! Board profiles: every shipped one, their wiring, conflicts, detection, and the words of a refusal.

use std::fs;
use std::path::PathBuf;

use outpost::board::{
    self, Detected, DeviceTree, Pipeline, Profile, Pull, RamdiskSize, RawPolicy, detect,
};
use outpost::config::{Config, Loaded, Sources};
use proptest::prelude::*;

const PI_BOARDS: [&str; 5] = ["pi3b", "pi4b", "pi5", "zero2w", "cm4"];

fn profile(name: &str) -> Profile {
    Profile::named(name).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A configuration for a board, whatever the machine of the test.
fn load(board: &str, text: &str) -> Loaded {
    let sources = Sources {
        board: Some(board.into()),
        system_config: "/nonexistent/outpost.toml".into(),
        ..Sources::from_environment()
    };
    Config::from_text("f", text, &sources).unwrap_or_else(|errors| panic!("{errors}"))
}

fn conflicts(board: &str, text: &str) -> Vec<String> {
    let loaded = load(board, text);
    let conflicts = loaded.board.conflicts(&loaded.config);
    conflicts.iter().map(ToString::to_string).collect()
}

/// The conflicts of a shipped board after a change of its text.
fn conflicts_after(board: &str, change: impl Fn(String) -> String) -> Vec<String> {
    let text = fs::read_to_string(format!("boards/{board}.toml")).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "the change found nothing to change");
    let profile =
        Profile::parse("changed.toml", &changed).unwrap_or_else(|errors| panic!("{errors}"));
    let config = load(board, "").config;
    let conflicts = profile.conflicts(&config);
    conflicts.iter().map(ToString::to_string).collect()
}

fn errors_of(text: &str) -> String {
    let errors = Profile::parse("b.toml", text).expect_err("the profile should be refused");
    errors.to_string()
}

#[test]
fn every_shipped_profile_loads_under_its_own_name() {
    let ids: Vec<String> = Profile::shipped()
        .map(|profile| profile.unwrap().id)
        .collect();
    assert_eq!(ids, board::names());
    assert_eq!(ids, ["sim", "pi3b", "pi4b", "pi5", "zero2w", "cm4"]);
    let mut files: Vec<String> = fs::read_dir("boards")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut expected: Vec<String> = ids.iter().map(|id| format!("{id}.toml")).collect();
    expected.sort();
    assert_eq!(
        files, expected,
        "a profile that is not compiled in cannot be chosen by name"
    );
}

#[test]
fn no_shipped_profile_conflicts_with_the_default_configuration() {
    for name in board::names() {
        assert_eq!(conflicts(name, ""), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_header_is_the_same_on_every_pi() {
    let pairs = [
        (14, 8),
        (15, 10),
        (10, 19),
        (9, 21),
        (11, 23),
        (8, 24),
        (7, 26),
        (4, 7),
        (5, 29),
        (6, 31),
        (18, 12),
        (17, 11),
        (16, 36),
        (19, 35),
        (20, 38),
        (21, 40),
        (2, 3),
        (3, 5),
        (22, 15),
        (23, 16),
        (24, 18),
        (25, 22),
        (26, 37),
        (27, 13),
        (0, 27),
        (1, 28),
        (12, 32),
        (13, 33),
    ];
    let power = [2, 4, 1, 17, 6, 9, 14, 20, 25, 30, 34, 39];
    for name in PI_BOARDS {
        let header = profile(name).header;
        assert_eq!(header.len() + power.len(), 40, "{name}");
        for (gpio, pin) in pairs {
            assert_eq!(header[&gpio].pin, pin, "{name} GPIO {gpio}");
            assert!(!power.contains(&pin));
        }
        assert_eq!(header[&0].reserved.as_deref(), Some("ID EEPROM"));
        assert_eq!(header[&1].reserved.as_deref(), Some("ID EEPROM"));
    }
}

#[test]
fn devices_are_those_of_each_board() {
    for name in PI_BOARDS {
        let board = profile(name);
        let tcam = board.tcam.clone().unwrap();
        let uart = board.uart(&tcam.uart).unwrap();
        assert_eq!(uart.device.to_str(), Some("/dev/ttyAMA0"), "{name}");
        assert_eq!((uart.tx, uart.rx), (14, 15));
        let bus = board.spi(&tcam.spi.bus).unwrap();
        let device = bus.device(tcam.spi.chip_select);
        assert_eq!(device.to_str(), Some("/dev/spidev0.0"));
        assert_eq!((tcam.spi.mode, tcam.spi.hz), (3, 7_000_000));
        let opc = board.opc.clone().unwrap();
        assert_eq!(opc.mode, 1);
        assert!((300_000..=750_000).contains(&opc.hz));
        assert_eq!(board.lines.shutdown_button.unwrap().pull, Pull::Up);
        assert!(!board.is_simulated());
    }
    let label = |name| profile(name).gpio.unwrap().label;
    assert_eq!(label("pi3b"), "pinctrl-bcm2835");
    assert_eq!(label("zero2w"), "pinctrl-bcm2835");
    assert_eq!(label("pi4b"), "pinctrl-bcm2711");
    assert_eq!(label("cm4"), "pinctrl-bcm2711");
    assert_eq!(label("pi5"), "pinctrl-rp1");
    let lines = |name| profile(name).gpio.unwrap().lines;
    assert_eq!((lines("pi3b"), lines("pi4b"), lines("pi5")), (54, 58, 54));
    assert_eq!(
        profile("pi5").gpio.unwrap().node.to_str(),
        Some("/dev/gpiomem0")
    );
}

#[test]
fn a_pi_5_has_another_camera_path_uarts_and_a_reserved_bus() {
    let pi5 = profile("pi5");
    assert_eq!(pi5.camera.pipeline, Pipeline::Pisp);
    assert_eq!(pi5.camera.raw, RawPolicy::Unpacked16 { shift: 4 });
    // serial0 is the debug connector there.
    assert_eq!(pi5.uart("uart0").unwrap().fallback, None);
    assert_eq!(pi5.reserved[0].device.to_str(), Some("/dev/spidev10.0"));
    assert!(
        pi5.spi("spi0")
            .unwrap()
            .config_txt
            .contains(&"dtoverlay=nospi10".into())
    );
    assert_eq!(
        pi5.uart("uart3").map(|uart| (uart.tx, uart.rx)),
        Some((8, 9))
    );
    for name in ["pi3b", "pi4b", "zero2w", "cm4"] {
        let board = profile(name);
        assert_eq!(board.camera.pipeline, Pipeline::Vc4, "{name}");
        assert_eq!(board.camera.raw, RawPolicy::Packed12);
        assert!(
            board
                .uart("uart0")
                .unwrap()
                .shared_with
                .contains(&"bluetooth".into())
        );
    }
    assert_eq!(
        profile("pi4b").uart("uart4").map(|uart| (uart.tx, uart.rx)),
        Some((8, 9))
    );
    assert_eq!(profile("pi3b").uarts.len(), 1);
}

#[test]
fn ram_disks_fit_the_memory() {
    assert!(matches!(
        profile("zero2w").ramdisk,
        RamdiskSize::Megabytes(96..=128)
    ));
    for name in ["pi3b", "pi4b", "pi5", "cm4"] {
        assert_eq!(
            profile(name).ramdisk,
            RamdiskSize::PercentOfRam(25),
            "{name}"
        );
    }
}

#[test]
fn the_wiring_is_that_of_the_thermal_cameras_documentation() {
    for name in PI_BOARDS {
        let loaded = load(name, "");
        let wires = loaded.board.wiring(&loaded.config);
        let row = |pin: u8| {
            let wire = wires.iter().find(|wire| wire.pin == pin).unwrap();
            format!("{} {} -> {}", wire.line, wire.function, wire.to)
        };
        assert_eq!(row(4), "5V supply -> thermal camera 5V");
        assert_eq!(row(6), "GND ground -> thermal camera GND");
        assert_eq!(row(8), "GPIO14 uart0 TX -> thermal camera RX");
        assert_eq!(row(10), "GPIO15 uart0 RX -> thermal camera TX");
        assert_eq!(row(19), "GPIO10 spi0 MOSI -> not connected");
        assert_eq!(row(21), "GPIO9 spi0 MISO -> thermal camera MISO");
        assert_eq!(row(23), "GPIO11 spi0 SCLK -> thermal camera SCLK");
        assert_eq!(row(24), "GPIO8 spi0 CE0 -> thermal camera CSN");
    }
    let off = load("pi4b", "tcam.enabled = false");
    let pins: Vec<u8> = off
        .board
        .wiring(&off.config)
        .iter()
        .map(|wire| wire.pin)
        .collect();
    assert_eq!(pins, [13, 15, 16, 18]);
    let sim = load("sim", "");
    assert_eq!(sim.board.wiring(&sim.config), []);
}

#[test]
fn config_txt_lines_follow_what_is_used() {
    let lines = |board: &str, text: &str| {
        let loaded = load(board, text);
        loaded.board.config_txt_lines(&loaded.config).join(" ")
    };
    assert_eq!(
        lines("pi4b", ""),
        "enable_uart=1 dtoverlay=disable-bt dtparam=spi=on"
    );
    assert_eq!(
        lines("pi5", ""),
        "dtparam=uart0=on dtparam=spi=on dtoverlay=nospi10"
    );
    assert_eq!(
        lines("pi5", "tcam.link = \"network\"\ntcam.host = \"h\""),
        ""
    );
    assert_eq!(
        lines("cm4", "tcam.enabled = false\nopc.link = \"spi\""),
        "dtparam=spi=on"
    );
}

#[test]
fn a_particle_counter_shares_the_bus_on_its_own_chip_select() {
    let loaded = load("pi4b", "opc.link = \"spi\"");
    assert_eq!(loaded.board.conflicts(&loaded.config), []);
    let wires = loaded.board.wiring(&loaded.config);
    let to = |pin: u8| {
        wires
            .iter()
            .find(|wire| wire.pin == pin)
            .unwrap()
            .to
            .clone()
    };
    assert_eq!(to(19), "particle counter SDI");
    assert_eq!(to(21), "thermal camera MISO, particle counter SDO");
    assert_eq!(to(26), "particle counter /SS");
}

#[test]
fn a_pin_claimed_twice_is_named_with_both_claimants() {
    let after =
        |board: &str, from: &str, to: &str| conflicts_after(board, |text| text.replace(from, to));
    assert_eq!(
        after(
            "pi4b",
            "status_led = { gpio = 22",
            "status_led = { gpio = 8"
        ),
        ["GPIO 8 (pin 24) is claimed by spi0 chip-select 0 (thermal camera) and by status_led"]
    );
    assert_eq!(
        after(
            "pi4b",
            "status_led = { gpio = 22",
            "status_led = { gpio = 7"
        ),
        [
            "GPIO 7 (pin 26) is claimed by spi0 chip-select 1 (held by the bus driver) and by status_led"
        ]
    );
    assert_eq!(
        after(
            "pi3b",
            "opc_supply = { gpio = 24",
            "opc_supply = { gpio = 15"
        ),
        ["GPIO 15 (pin 10) is claimed by uart0 RX (thermal camera) and by opc_supply"]
    );
    assert_eq!(
        after(
            "pi5",
            "shutdown_button = { gpio = 27",
            "shutdown_button = { gpio = 22"
        ),
        ["GPIO 22 (pin 15) is claimed by status_led and by shutdown_button"]
    );
    assert_eq!(
        after("cm4", "tcam_reset = { gpio = 23", "tcam_reset = { gpio = 1"),
        ["GPIO 1 (pin 28) is claimed by ID EEPROM and by tcam_reset"]
    );
    assert_eq!(
        after("zero2w", "chip_select = 1", "chip_select = 0"),
        Vec::<String>::new(),
        "the particle counter hangs on USB"
    );
}

#[test]
fn two_devices_on_one_chip_select_conflict() {
    let text = fs::read_to_string("boards/pi4b.toml").unwrap();
    let text = text.replace("chip_select = 1", "chip_select = 0");
    let profile = Profile::parse("b.toml", &text).unwrap();
    let config = load("pi4b", "opc.link = \"spi\"").config;
    let found: Vec<String> = profile
        .conflicts(&config)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "GPIO 8 (pin 24) is claimed by spi0 chip-select 0 (thermal camera) and by spi0 \
          chip-select 0 (particle counter)"
        ]
    );
}

#[test]
fn a_uart_that_overlaps_the_bus_conflicts() {
    assert_eq!(
        conflicts("pi4b", "tcam.uart = \"/dev/ttyAMA4\""),
        [
            "GPIO 9 (pin 21) is claimed by uart4 RX (thermal camera) and by spi0 MISO (thermal camera)",
            "GPIO 8 (pin 24) is claimed by uart4 TX (thermal camera) and by spi0 chip-select 0 \
             (thermal camera)"
        ]
    );
    assert_eq!(
        conflicts("pi5", "tcam.uart = \"/dev/ttyAMA1\""),
        [
            "GPIO 0 (pin 27) is claimed by ID EEPROM and by uart1 TX (thermal camera)",
            "GPIO 1 (pin 28) is claimed by ID EEPROM and by uart1 RX (thermal camera)"
        ]
    );
    assert_eq!(
        conflicts("pi4b", "tcam.uart = \"/dev/ttyAMA5\""),
        Vec::<String>::new()
    );
}

#[test]
fn what_the_board_lacks_is_named() {
    assert_eq!(
        conflicts_after("pi4b", |text| text
            .replace("status_led = { gpio = 22", "status_led = { gpio = 40")),
        ["status_led needs GPIO 40, which the header of pi4b does not have"]
    );
    assert_eq!(
        conflicts("pi3b", "tcam.uart = \"/dev/ttyAMA4\""),
        ["tcam.uart: /dev/ttyAMA4 is not a UART on the header of pi3b (it has /dev/ttyAMA0)"]
    );
    assert_eq!(
        conflicts("zero2w", "tcam.spi = \"/dev/spidev3.0\""),
        [
            "tcam.spi: /dev/spidev3.0 is not an SPI device on the header of zero2w (it has \
          /dev/spidev0.0, /dev/spidev0.1, /dev/spidev1.0, /dev/spidev1.1, /dev/spidev1.2)"
        ]
    );
    assert_eq!(
        conflicts("pi5", "tcam.spi = \"/dev/spidev10.0\""),
        ["tcam.spi: /dev/spidev10.0 must never be used: it is the boot EEPROM"]
    );
    assert_eq!(
        conflicts("sim", "tcam.link = \"hardware\"\nopc.link = \"spi\""),
        [
            "tcam.uart: board sim has no UART for the thermal camera",
            "tcam.spi: board sim has no SPI bus for the thermal camera",
            "opc.link is spi, but board sim has no SPI bus for the particle counter"
        ]
    );
    // A USB adapter uses no pin of the header.
    assert_eq!(
        conflicts("pi4b", "tcam.uart = \"/dev/ttyUSB0\""),
        Vec::<String>::new()
    );
}

#[test]
fn clocks_have_limits() {
    assert_eq!(
        conflicts("pi4b", "tcam.spi_hz = 8000000"),
        ["tcam.spi_hz: 8000000 is above the 7200000 hertz that the thermal camera bears"]
    );
    assert_eq!(
        conflicts("pi4b", "tcam.spi_hz = 7200000"),
        Vec::<String>::new()
    );
    assert_eq!(
        conflicts_after("pi4b", |text| {
            text.replace("max_hz = 125_000_000", "max_hz = 6_000_000")
                .replace("hz = 7_000_000", "hz = 5_000_000")
        }),
        ["tcam.spi_hz: 7000000 is above the 6000000 hertz of spi0"]
    );
}

#[test]
fn a_serial_port_belongs_to_one_instrument() {
    assert_eq!(
        conflicts(
            "pi4b",
            "opc.tty = \"/dev/ttyAMA0\"\nbitscope.url = \"file:/dev/ttyAMA0\""
        ),
        [
            "/dev/ttyAMA0 is claimed by the thermal camera and by the particle counter",
            "/dev/ttyAMA0 is claimed by the thermal camera and by the oscilloscope"
        ]
    );
    let off = "opc.tty = \"/dev/ttyAMA0\"\ntcam.enabled = false";
    assert_eq!(conflicts("pi4b", off), Vec::<String>::new());
}

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

const HEAD: &str = "id = \"b\"\nname = \"B\"\ndescription = \"a board\"\n";
const TAIL: &str = "[camera]\npipeline = \"vc4\"\nraw = \"packed12\"\n[ramdisk]\nsize_mb = 64\n";

#[test]
fn mistakes_of_a_profile_are_named_by_their_place() {
    assert!(Profile::parse("b.toml", &format!("{HEAD}{TAIL}")).is_ok());
    assert_eq!(
        errors_of("name = \"B\"\nid = 4\n"),
        "b.toml:1:1: camera: is missing (allowed: a table with pipeline and raw)\n\
         b.toml:1:1: description: is missing (allowed: a text in quotes)\n\
         b.toml:2:6: id: 4 is not a text in quotes (allowed: a word of letters and digits)"
    );
    let uart = "[[uart]]\nname = \"uart0\"\ndevice = \"ttyAMA0\"\ntx = 99\nbaud = 3\n";
    assert_eq!(
        errors_of(&format!("{HEAD}{uart}{TAIL}")),
        "b.toml:4:1: uart[0].rx: is missing (allowed: 0..63, BCM line)\n\
         b.toml:6:10: uart[0].device: \"ttyAMA0\" is not a full path such as /dev/ttyAMA0\n\
         b.toml:7:6: uart[0].tx: 99 is not in 0..63 (BCM line)\n\
         b.toml:8:1: uart[0].baud: unknown key (allowed: name, device, fallback, tx, rx, \
         shared_with, config_txt)"
    );
    let lines = "[lines]\nstatus_lde = { gpio = 4 }\nstatus_led = 4\nopc_supply = { gpio = 4, active = \"hi\" }\n";
    assert_eq!(
        errors_of(&format!("{HEAD}{lines}{TAIL}")),
        "b.toml:5:1: lines.status_lde: unknown key, did you mean \"status_led\"? (allowed: \
         tcam_power, tcam_reset, opc_supply, status_led, shutdown_button)\n\
         b.toml:6:14: lines.status_led: 4 is not a table: write [lines.status_led] on a line of its own\n\
         b.toml:7:35: lines.opc_supply.active: \"hi\" is not one of the allowed words (allowed: high, low)"
    );
}

#[test]
fn mistakes_between_the_parts_of_a_profile_are_found() {
    let buses = "[[spi]]\nname = \"spi0\"\npath = \"/dev/spidev0\"\nmax_hz = 1_000_000\nsclk = 11\n\
                 mosi = 10\nmiso = 9\nchip_selects = [8]\n";
    let tcam = "[tcam]\nuart = \"uart0\"\nspi = \"spi0\"\nchip_select = 1\nmode = 3\nhz = 7_000_000\nmax_hz = 7_200_000\n";
    assert_eq!(
        errors_of(&format!("{HEAD}{buses}{tcam}{TAIL}")),
        "b.toml:13:8: tcam.uart: there is no uart \"uart0\" (allowed: none)\n\
         b.toml:15:15: tcam.chip_select: spi0 has 1 chip-select, so 1 is not one of them\n\
         b.toml:17:6: tcam.hz: 7000000 hertz is above the 1000000 hertz of spi0"
    );
    let header = "[header]\n4 = { pin = 7 }\n5 = { pin = 7 }\n64 = { pin = 8 }\nfive = { pin = 9 }\n6 = { pin = 41 }\n";
    assert_eq!(
        errors_of(&format!("{HEAD}{header}{TAIL}")),
        "b.toml:6:13: header.5.pin: pin 7 is GPIO 4 already\n\
         b.toml:7:6: header.64: is not a BCM line (allowed: 0..63)\n\
         b.toml:8:8: header.five: is not a BCM line (allowed: 0..63)\n\
         b.toml:9:13: header.6.pin: 41 is not in 1..40 (header pin)"
    );
    let camera = "[camera]\npipeline = \"vc4\"\nraw = \"packed12\"\nshift = 4\n[ramdisk]\n";
    assert_eq!(
        errors_of(&format!("{HEAD}{camera}")),
        "b.toml:7:9: camera.shift: only unpacked16 has a shift\n\
         b.toml:8:2: ramdisk: needs one of size_mb and size_percent"
    );
    assert_eq!(
        errors_of(&format!(
            "{HEAD}{TAIL}[defaults]\nboard = \"pi5\"\n[defaults.scpi]\nport = -1\n"
        )),
        "b.toml:10:9: defaults.board: a profile cannot choose the board\n\
         b.toml:12:8: defaults.scpi.port: -1 is not in 0..65535 (0 takes any free port)"
    );
}

#[test]
fn a_profile_file_that_is_not_there_is_named() {
    let error = Profile::read("/nonexistent/b.toml".as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/b.toml: cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        Profile::named("pi9").unwrap_err().to_string(),
        "board: there is no board profile \"pi9\""
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_causes_a_panic(text in any::<String>()) {
        let _ = Profile::parse("b.toml", &text);
    }

    #[test]
    fn a_damaged_profile_is_read_or_refused(
        name in prop::sample::select(PI_BOARDS.to_vec()),
        at in any::<prop::sample::Index>(),
        with in "[ -~\n]{0,3}",
    ) {
        let text = fs::read_to_string(format!("boards/{name}.toml")).unwrap();
        let at = at.index(text.len());
        prop_assume!(text.is_char_boundary(at) && text.is_char_boundary(at + 1));
        let damaged = format!("{}{with}{}", &text[..at], &text[at + 1..]);
        if let Ok(profile) = Profile::parse("b.toml", &damaged) {
            profile.conflicts(&Config::default());
            profile.wiring(&Config::default());
        }
    }
}
