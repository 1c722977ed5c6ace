//! Wiring tables, and pins and buses claimed twice.

use std::fs;

use outpost::board::{self, Profile};

use super::{PI_BOARDS, load};

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

#[test]
fn no_shipped_profile_conflicts_with_the_default_configuration() {
    for name in board::names() {
        assert_eq!(conflicts(name, ""), Vec::<String>::new(), "{name}");
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

/// The firmware's overlay makes it a power key.
const BUTTON: &str = "dtoverlay=gpio-shutdown,gpio_pin=27,active_low=1,gpio_pull=up";

#[test]
fn config_txt_lines_follow_what_is_used() {
    let lines = |board: &str, text: &str| {
        let loaded = load(board, text);
        loaded.board.config_txt_lines(&loaded.config).join(" ")
    };
    assert_eq!(
        lines("pi4b", ""),
        format!("enable_uart=1 dtoverlay=disable-bt dtparam=spi=on {BUTTON}")
    );
    assert_eq!(
        lines("pi5", ""),
        format!("dtparam=uart0=on dtparam=spi=on dtoverlay=nospi10 {BUTTON}")
    );
    assert_eq!(
        lines("pi5", "tcam.link = \"network\"\ntcam.host = \"h\""),
        BUTTON
    );
    assert_eq!(
        lines("cm4", "tcam.enabled = false\nopc.link = \"spi\""),
        format!("dtparam=spi=on {BUTTON}")
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
