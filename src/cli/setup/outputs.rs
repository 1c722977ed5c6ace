//! What follows from the card's settings: the texts of the files that other programs read.

use std::fmt::Write;

use toml::{Table, Value};

use super::card::{Card, Wifi};

/// The login user of people.
const LOGIN: &str = "pi";
/// Where the image has no name of its own.
const HOSTNAME: &str = "outpost";

/// A file below the output folder.
pub(super) struct Output {
    pub(super) name: &'static str,
    /// `None`: it must not exist.
    pub(super) text: Option<String>,
    pub(super) mode: u32,
}

/// Every file, in the order it is written. `shadow` is the image's own password file.
pub(super) fn all(card: &Card, shadow: Option<&str>) -> Vec<Output> {
    let open = |name, text| Output {
        name,
        text,
        mode: 0o644,
    };
    let secret = |name, text| Output {
        name,
        text,
        mode: 0o600,
    };
    vec![
        open("hostname", Some(format!("{}\n", hostname(card)))),
        open("outpost.toml", Some(station(&card.outpost))),
        open("authorized_keys.pi", Some(lines(&card.ssh.keys))),
        open(
            "authorized_keys.images",
            Some(lines(
                &[&card.ssh.keys[..], &card.ssh.retrieval_keys].concat(),
            )),
        ),
        open("sshd.conf", Some(sshd(card))),
        Output {
            mode: 0o640,
            ..secret("shadow", shadow.and_then(|text| with_password(text, card)))
        },
        secret("wpa_supplicant.conf", card.wifi.as_ref().map(supplicant)),
        open("fe-pycam2", card.clients.fe_pycam2.then(String::new)),
        open("network", network(card)),
    ]
}

/// The name of the machine.
pub(super) fn hostname(card: &Card) -> &str {
    match card.hostname.as_str() {
        "" => HOSTNAME,
        name => name,
    }
}

/// The station's settings: those of a machine that is nothing else, over them those of the card. They are what the built-in
/// defaults are on a Raspberry Pi; on a machine without one they make the simulated board a station as well.
fn station(own: &Table) -> String {
    let text = |text: &str| Value::String(text.into());
    let defaults: [(&str, &str, Value); 5] = [
        ("storage", "ramdisk", text("/media/ramdisk")),
        ("storage", "data", text("/var/lib/outpost")),
        ("scpi", "bind", text("0.0.0.0")),
        ("discovery", "enabled", Value::Boolean(true)),
        ("scpi", "port", Value::Integer(5025)),
    ];
    let mut all = own.clone();
    for (section, name, value) in defaults {
        let table = all
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()));
        if let Some(table) = table.as_table_mut() {
            table.entry(name).or_insert(value);
        }
    }
    let body = toml::to_string(&all).unwrap_or_default();
    format!("# Written at every start from the card's outpost.toml.\n{body}")
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Passwords are for the login user alone, and only where the card has one.
fn sshd(card: &Card) -> String {
    match card.ssh.password.is_empty() {
        true => "PasswordAuthentication no\n".into(),
        false => {
            format!("Match User {LOGIN}\n    PasswordAuthentication yes\n")
        }
    }
}

/// The password file with the login user's hash in it; `None` without a password or such a user.
fn with_password(shadow: &str, card: &Card) -> Option<String> {
    if card.ssh.password.is_empty() {
        return None;
    }
    let mut found = false;
    let mut text = String::new();
    for line in shadow.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if let [LOGIN, hash, ..] = &mut fields[..] {
            *hash = &card.ssh.password;
            found = true;
        }
        let _ = writeln!(text, "{}", fields.join(":"));
    }
    found.then_some(text)
}

/// The name goes in as hexadecimal digits, and the password holds no control characters: neither can end its line.
fn supplicant(wifi: &Wifi) -> String {
    let mut ssid = String::new();
    for byte in wifi.ssid.bytes() {
        let _ = write!(ssid, "{byte:02x}");
    }
    let security = match wifi.password.len() {
        0 => "    key_mgmt=NONE\n".to_owned(),
        64 => format!("    key_mgmt=WPA-PSK\n    psk={}\n", wifi.password),
        _ => format!(
            "    key_mgmt=WPA-PSK SAE\n    ieee80211w=1\n    psk=\"{}\"\n",
            wifi.password
        ),
    };
    format!(
        "ctrl_interface=/run/wpa_supplicant\ncountry={}\nnetwork={{\n    ssid={ssid}\n    scan_ssid=1\n{security}}}\n",
        wifi.country
    )
}

/// A fixed address; without one the image's own file asks for one by DHCP.
fn network(card: &Card) -> Option<String> {
    let network = card.network.as_ref()?;
    // One interface can have the address: the wireless one where there is a network to join.
    let interface = match card.wifi {
        Some(_) => "wl*",
        None => "en* eth*",
    };
    let mut text = format!(
        "[Match]\nName={interface}\n\n[Network]\nAddress={}\nMulticastDNS=yes\n",
        network.address
    );
    if !network.gateway.is_empty() {
        let _ = writeln!(text, "Gateway={}", network.gateway);
    }
    for server in &network.dns {
        let _ = writeln!(text, "DNS={server}");
    }
    Some(text)
}
