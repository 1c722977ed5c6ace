//! Forms of values, and what is warned of.

use std::path::Path;

use outpost::config::{BitscopeUrl, CameraBackend, HostPort, ImageFormat, Msp1000Address, Trust};

use super::support::load;

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let loaded = load("[camera]\nreplay = \"frames\"\n[storage]\ndata = \"$XDG_STATE_HOME/x\"\n");
    let config = loaded.config;
    assert_eq!(config.camera.replay, Some("/etc/outpost/frames".into()));
    assert_eq!(
        config.storage.data,
        Path::new("/home/somebody/.local/state/x")
    );
    assert_eq!(
        config.tinycloud.pending_dir,
        Path::new("/home/somebody/.local/state/x/batches/pending")
    );
}

#[test]
fn whole_numbers_are_taken_for_fractional_keys_and_every_port_may_be_zero() {
    let ports = "[scpi]\nport = 0\nlegacy_port = 0\n[http]\nport = 0\n[tcam]\nserve_port = 0\n\
                 [msp1000]\nserve_port = 0\n[bitscope]\nserve_port = 0\n\
                 [camera]\nfps = 25\nanalogue_gain = 4\nhang_timeout_s = 1\n[opc]\ninterval_s = 60\n";
    let config = load(ports).config;
    assert_eq!((config.scpi.port, config.scpi.legacy_port), (0, 0));
    assert_eq!(config.camera.fps, 25.0);
    assert_eq!(config.opc.interval_s, 60.0);
}

#[test]
fn forms_of_addresses() {
    let address = |text: &str| {
        load(&format!("[msp1000]\naddress = \"{text}\""))
            .config
            .msp1000
            .address
    };
    let host = |host: &str, port| HostPort {
        host: host.into(),
        port,
    };
    assert_eq!(address("discover"), Msp1000Address::Discover);
    assert_eq!(
        address("spectro.local"),
        Msp1000Address::Host(host("spectro.local", 8000))
    );
    assert_eq!(
        address("10.0.0.7:9000"),
        Msp1000Address::Host(host("10.0.0.7", 9000))
    );
    assert_eq!(
        address("[fe80::1]:9000"),
        Msp1000Address::Host(host("fe80::1", 9000))
    );
    assert_eq!(
        address("fe80::1"),
        Msp1000Address::Host(host("fe80::1", 8000))
    );
    assert_eq!(
        address("msp1000-plain://127.0.0.1:9"),
        Msp1000Address::Plain("127.0.0.1:9".parse().unwrap())
    );
    let url = |text: &str| {
        load(&format!("[bitscope]\nurl = \"{text}\""))
            .config
            .bitscope
            .url
    };
    let serial = BitscopeUrl::Serial("/dev/ttyUSB0".into());
    assert_eq!(url("/dev/ttyUSB0"), serial);
    assert_eq!(url("file:/dev/ttyUSB0"), serial);
    assert_eq!(url("socket:///dev/ttyUSB0"), serial);
    assert_eq!(url("socket://scope:9"), BitscopeUrl::Tcp(host("scope", 9)));
    assert_eq!(
        url("bitscope-server://192.168.20.25:15500"),
        BitscopeUrl::Server(host("192.168.20.25", 15500))
    );
    let pin = |text: &str| {
        load(&format!("[msp1000]\npin = \"{text}\""))
            .config
            .msp1000
            .pin
    };
    let mut hash = [0xAB; 32];
    hash[0] = 0x01;
    assert_eq!(pin(&format!("01{}", "ab".repeat(31))), Trust::Sha256(hash));
    assert_eq!(pin(&format!("01{}", ":AB".repeat(31))), Trust::Sha256(hash));
    assert_eq!(
        pin("ca:/etc/ca.pem"),
        Trust::Authority("/etc/ca.pem".into())
    );
    assert_eq!(pin("none"), Trust::None);
    let tcam = load("[tcam]\nlink = \"network\"\nhost = \"tcam-mini-51a0.local\"")
        .config
        .tcam;
    assert_eq!(tcam.host, Some(host("tcam-mini-51a0.local", 5001)));
}

#[test]
fn the_formats_keep_their_order() {
    let formats = load("[camera]\nformats = [\"fits\", \"raw\"]")
        .config
        .camera
        .formats;
    assert_eq!(formats, [ImageFormat::Fits, ImageFormat::Raw]);
    for format in ImageFormat::ALL {
        let text = format!("[camera]\nformats = [\"{}\"]", format.name());
        assert_eq!(load(&text).config.camera.formats, [format]);
    }
}

#[test]
fn paths_that_old_clients_cannot_see_are_warned_of() {
    let fits = "/srv/abcdefghijklmnopqrstuvwxyz";
    assert_eq!(fits.len(), 31);
    let loaded = load(&format!("[storage]\nramdisk = \"/r\"\nsdcard = \"{fits}\""));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let loaded = load(&format!(
        "[storage]\nramdisk = \"/r\"\nsdcard = \"{fits}z\""
    ));
    assert_eq!(
        loaded.warnings,
        [format!(
            "storage.sdcard: {fits}z is 32 bytes long; FE-PyCam2 clients see only the first 31 \
             bytes of a path"
        )]
    );
}

#[test]
fn a_replay_folder_that_is_not_there_is_warned_of() {
    let loaded = load("[camera]\nbackend = \"replay\"\nreplay = \"/nonexistent\"");
    assert_eq!(loaded.config.camera.backend, CameraBackend::Replay);
    assert_eq!(
        loaded.warnings,
        ["camera.replay: /nonexistent is not a folder"]
    );
}
