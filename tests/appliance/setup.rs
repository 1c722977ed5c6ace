//! The card's `outpost.toml`: what is made of it, and that nothing in it can do harm.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDx0lmZ7i1bnNNlmCAtPRYmRYiOxzJuMY2oXk8k3Zx4d somebody@laptop";
const SHADOW: &str =
    "root:*:20000:0:99999:7:::\npi:!:20000:0:99999:7:::\nimages:!:20000:0:99999:7:::\n";

/// A machine's files below a folder.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for folder in ["boot/firmware", "data", "run", "etc"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        fs::write(machine.path("etc/shadow"), SHADOW).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// One start with this file on the card.
    fn start_with(&self, text: impl AsRef<[u8]>) {
        fs::write(self.path("boot/firmware/outpost.toml"), text).unwrap();
        self.start();
    }

    fn start(&self) {
        let output = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["setup", "--root"])
            .arg(self.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }

    fn out(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("run/outpost-setup").join(name)).ok()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.path("boot/firmware/outpost-errors.txt")).unwrap_or_default()
    }

    fn mode(&self, name: &str) -> u32 {
        let path = self.path("run/outpost-setup").join(name);
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }
}

fn full() -> String {
    format!(
        "hostname = \"bench-3\"\n\
         [ssh]\nkeys = [\"{KEY}\"]\nretrieval_keys = [\"{KEY} two\"]\npassword = \"$6$salt$0123456789abcdef\"\n\
         [wifi]\ncountry = \"DE\"\nssid = \"Lab \\\"7\\\"\"\npassword = \"a # \\\"quoted\\\" one\"\n\
         [network]\naddress = \"192.168.1.50/24\"\ngateway = \"192.168.1.1\"\ndns = [\"9.9.9.9\"]\n\
         [clients]\nfe_pycam2 = true\n\
         [outpost]\nboard = \"pi4b\"\n[outpost.scpi]\nmax_clients = 8\n"
    )
}

#[test]
fn every_part_of_the_file_reaches_its_place() {
    let machine = Machine::new();
    machine.start_with(full());
    assert_eq!(machine.errors(), "");
    let out = |name: &str| machine.out(name).unwrap();
    assert_eq!(out("hostname"), "bench-3\n");
    assert_eq!(out("authorized_keys.pi"), format!("{KEY}\n"));
    assert_eq!(out("authorized_keys.images"), format!("{KEY}\n{KEY} two\n"));
    assert_eq!(
        out("shadow"),
        SHADOW.replace("pi:!", "pi:$6$salt$0123456789abcdef")
    );
    assert!(out("sshd.conf").contains("Match User pi\n    PasswordAuthentication yes"));
    let wifi = out("wpa_supplicant.conf");
    assert!(wifi.contains("country=DE\n") && wifi.contains("ssid=4c616220223722\n"));
    assert!(wifi.contains("psk=\"a # \"quoted\" one\"\n"), "{wifi}");
    for (name, mode) in [
        ("wpa_supplicant.conf", 0o600),
        ("shadow", 0o640),
        ("authorized_keys.images", 0o644),
        ("outpost.toml", 0o644),
    ] {
        assert_eq!(machine.mode(name), mode, "{name}");
    }
    assert!(machine.out("fe-pycam2").is_some());
    let network =
        fs::read_to_string(machine.path("run/systemd/network/10-outpost-card.network")).unwrap();
    assert!(network.contains("Name=wl*\n") && network.contains("Address=192.168.1.50/24\n"));
    let station: toml::Table = toml::from_str(&out("outpost.toml")).unwrap();
    assert_eq!(station["board"].as_str(), Some("pi4b"));
    assert_eq!(station["scpi"]["max_clients"].as_integer(), Some(8));
    assert_eq!(station["scpi"]["bind"].as_str(), Some("0.0.0.0"));
    assert_eq!(
        station["storage"]["ramdisk"].as_str(),
        Some("/media/ramdisk")
    );
}

#[test]
fn the_settings_that_are_written_are_settings_the_station_takes() {
    let machine = Machine::new();
    machine.start_with(full());
    let check = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["check", "--config"])
        .arg(machine.path("run/outpost-setup/outpost.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(0), "{said}");
}

#[test]
fn without_a_file_the_station_has_its_defaults() {
    let machine = Machine::new();
    machine.start();
    assert_eq!(machine.out("hostname").unwrap(), "outpost\n");
    assert_eq!(machine.out("authorized_keys.pi").unwrap(), "");
    assert!(
        machine
            .out("sshd.conf")
            .unwrap()
            .contains("PasswordAuthentication no")
    );
    for absent in ["shadow", "wpa_supplicant.conf", "fe-pycam2"] {
        assert_eq!(machine.out(absent), None, "{absent}");
    }
    assert!(
        machine
            .out("outpost.toml")
            .unwrap()
            .contains("bind = \"0.0.0.0\"")
    );
}

#[test]
fn a_mistake_costs_its_section_alone_and_is_told_with_its_place() {
    let machine = Machine::new();
    machine.start_with(full());
    let edited = full()
        .replace("bench-3", "bench-4")
        .replace("country = \"DE\"", "country = \"Germany\"")
        .replace("max_clients = 8", "max_clints = 9");
    machine.start_with(edited);
    assert_eq!(machine.out("hostname").unwrap(), "bench-4\n");
    assert!(
        machine
            .out("wpa_supplicant.conf")
            .unwrap()
            .contains("country=DE")
    );
    assert!(
        machine
            .out("outpost.toml")
            .unwrap()
            .contains("max_clients = 8")
    );
    let errors = machine.errors();
    assert!(errors.contains("outpost.toml:7:11: wifi.country: \"Germany\" is not a country (allowed: two capital letters)"), "{errors}");
    assert!(
        errors.contains(
            "outpost.toml:19:1: outpost.scpi.max_clints: unknown key, did you mean \"max_clients\"?"
        ),
        "{errors}"
    );
    machine.start_with(full());
    assert_eq!(machine.errors(), "");
    assert_eq!(machine.out("hostname").unwrap(), "bench-3\n");
}

#[test]
fn what_is_no_toml_changes_nothing() {
    for damaged in [
        &b"hostname = \"half"[..],
        b"\xff\xfeh\0o\0s\0t\0",
        &[0; 4096],
        b"[[[[[[[[",
        &[b'['; 60_000],
        &[b'#'; 70_000],
        b"hostname = 1\nhostname = 2\n",
    ] {
        let machine = Machine::new();
        machine.start_with(full());
        machine.start_with(damaged);
        assert_ne!(machine.errors(), "");
        assert!(machine.errors().len() < 4096);
        assert_eq!(machine.out("hostname").unwrap(), "bench-3\n");
        assert!(machine.out("wpa_supplicant.conf").is_some());
    }
}

#[test]
fn a_file_that_was_taken_away_or_is_a_folder_changes_nothing() {
    let machine = Machine::new();
    machine.start_with(full());
    let file = machine.path("boot/firmware/outpost.toml");
    fs::remove_file(&file).unwrap();
    machine.start();
    assert_eq!(machine.errors(), "");
    fs::create_dir(&file).unwrap();
    machine.start();
    assert!(machine.errors().contains("is not a file"));
    assert_eq!(machine.out("hostname").unwrap(), "bench-3\n");
}

#[test]
fn a_section_that_is_taken_out_is_off() {
    let machine = Machine::new();
    machine.start_with(full());
    machine.start_with("hostname = \"bench-3\"\n");
    for absent in ["shadow", "wpa_supplicant.conf", "fe-pycam2"] {
        assert_eq!(machine.out(absent), None, "{absent}");
    }
    assert_eq!(machine.out("authorized_keys.images").unwrap(), "");
    assert!(
        !machine
            .path("run/systemd/network/10-outpost-card.network")
            .exists()
    );
}

#[test]
fn no_value_can_write_a_line_of_its_own() {
    let hostile = [
        "hostname = \"a\\nroot\"",
        "hostname = \"-rf\"",
        "hostname = \"a;reboot\"",
        "[ssh]\nkeys = [\"command=\\\"/bin/sh\\\" KEY\"]",
        "[ssh]\nkeys = [\"KEY\\nssh-rsa AAAA\"]",
        "[ssh]\nkeys = [\"ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAAQDx\"]",
        "[ssh]\nkeys = [\"ssh-ed25519 //////////8=\"]",
        "[ssh]\nkeys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]",
        "[ssh]\npassword = \"$6$a:0:0:99999:7:::$x012345678901\"",
        "[ssh]\npassword = \"seven77\"",
        "[ssh]\npassword = \"with\\u0000zero\"",
        "[wifi]\ncountry = \"DE\"\nssid = \"x\\n}\\nnetwork={\"\npassword = \"password\"",
        "[wifi]\ncountry = \"DE\"\nssid = \"x\"\npassword = \"pass\\\"\\nword\"",
        "[wifi]\ncountry = \"DE\\nx\"\nssid = \"x\"",
        "[wifi]\ncountry = \"DE\"\nssid = \"123456789012345678901234567890123\"",
        "[network]\naddress = \"10.0.0.1/24\\n[Match]\"",
        "[network]\naddress = \"10.0.0.1\"",
        "[network]\naddress = \"10.0.0.1/33\"",
        "[network]\naddress = \"10.0.0.1/24\"\ngateway = \"none\"",
        "[network]\naddress = \"10.0.0.1/24\"\ndns = [\"8.8.8.8\\nX=1\"]",
        "[outpost.storage]\ndata = \"/etc\\n\"",
        "[outpost]\nboard = \"pi9\"",
        "[scpi]\nport = 5025",
        "wifi = 7",
    ];
    let machine = Machine::new();
    machine.start();
    let untouched = |name: &str| machine.out(name);
    let names = [
        "hostname",
        "authorized_keys.pi",
        "authorized_keys.images",
        "shadow",
        "wpa_supplicant.conf",
        "outpost.toml",
    ];
    let before: Vec<_> = names.iter().map(|name| untouched(name)).collect();
    for text in hostile {
        machine.start_with(text.replace("KEY", KEY));
        assert!(
            machine.errors().contains("outpost.toml:"),
            "{text}\n{}",
            machine.errors()
        );
        let after: Vec<_> = names.iter().map(|name| untouched(name)).collect();
        assert_eq!(after, before, "{text}");
    }
    machine.start_with("[scpi]\nport = 5025");
    assert!(
        machine.errors().contains("[outpost.scpi]"),
        "{}",
        machine.errors()
    );
}

#[test]
fn secrets_are_not_told() {
    let machine = Machine::new();
    machine.start_with("[ssh]\npassword = \"S3cret\"\n[wifi]\ncountry = \"DE\"\nssid = \"x\"\npassword = \"S3cret\"");
    let errors = machine.errors();
    assert!(errors.contains("ssh.password") && errors.contains("wifi.password"));
    assert!(!errors.contains("S3cret"), "{errors}");
}

#[test]
fn a_plain_password_is_kept_as_a_hash_that_stays_the_same() {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let machine = Machine::new();
    machine.start_with("[ssh]\npassword = \"correct horse\"\n");
    assert_eq!(machine.errors(), "");
    let shadow = machine.out("shadow").unwrap();
    assert!(shadow.contains("\npi:$6$"), "{shadow}");
    let kept = fs::read_to_string(machine.path("data/setup/accepted.toml")).unwrap();
    assert!(!kept.contains("correct horse"), "{kept}");
    machine.start();
    assert_eq!(machine.out("shadow").unwrap(), shadow);
    machine.start_with("[ssh]\npassword = \"another one\"\n");
    assert_ne!(machine.out("shadow").unwrap(), shadow);
}

#[test]
fn damaged_memory_of_the_last_start_is_done_without() {
    let machine = Machine::new();
    machine.start_with(full());
    for damaged in ["", "garbage", "card = 7\n", "[card]\nhostname = [1]\n"] {
        fs::write(machine.path("data/setup/accepted.toml"), damaged).unwrap();
        machine.start();
        assert_eq!(machine.out("hostname").unwrap(), "bench-3\n");
    }
}

#[test]
fn a_text_saved_on_windows_is_taken() {
    let machine = Machine::new();
    machine.start_with("\u{feff}hostname = \"bench-5\"\r\n[wifi]\r\ncountry = \"D\"\r\n");
    assert_eq!(machine.out("hostname").unwrap(), "bench-5\n");
    assert!(
        machine.errors().contains("outpost.toml:3:11"),
        "{}",
        machine.errors()
    );
}
