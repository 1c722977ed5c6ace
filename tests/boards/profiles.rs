//! What the shipped profiles hold, and how a broken one is refused.

use std::fs;

use outpost::board::{self, Pipeline, Profile, Pull, RamdiskSize, RawPolicy};
use outpost::config::Config;
use proptest::prelude::*;

use super::PI_BOARDS;

fn profile(name: &str) -> Profile {
    Profile::named(name).unwrap_or_else(|errors| panic!("{errors}"))
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
        .filter(|name| name.ends_with(".toml"))
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
fn the_header_is_the_same_on_every_pi() {
    // The header pin of BCM line 0, 1, 2, ...
    let pins = [
        27, 28, 3, 5, 7, 29, 31, 26, 24, 21, 19, 23, 32, 33, 8, 10, 36, 11, 12, 35, 38, 40, 15, 16,
        18, 22, 37, 13,
    ];
    let power = [2, 4, 1, 17, 6, 9, 14, 20, 25, 30, 34, 39];
    for name in PI_BOARDS {
        let header = profile(name).header;
        assert_eq!(header.len() + power.len(), 40, "{name}");
        for (gpio, pin) in (0..).zip(pins) {
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
    let header = "[header]\n4 = { pin = 7 }\n5 = { pin = 7 }\n64 = { pin = 8 }\n04 = { pin = 10 }\nfive = { pin = 9 }\n6 = { pin = 41 }\n";
    assert_eq!(
        errors_of(&format!("{HEAD}{header}{TAIL}")),
        "b.toml:6:13: header.5.pin: pin 7 is GPIO 4 already\n\
         b.toml:7:6: header.64: is not a BCM line (allowed: 0..63)\n\
         b.toml:8:6: header.04: GPIO 4 is listed twice\n\
         b.toml:9:8: header.five: is not a BCM line (allowed: 0..63)\n\
         b.toml:10:13: header.6.pin: 41 is not in 1..40 (header pin)"
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
