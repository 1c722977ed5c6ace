//! The card's `outpost.toml`: what it may say, and what is wrong with it.
//!
//! Each section stands for itself: one with a mistake keeps its last good value, the others are taken.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::{Config, Document, Found, Kind, Problem, Reader, Sources};

/// Longest file that is read.
pub(super) const LONGEST_FILE: u64 = 64 * 1024;
/// Most keys of one user.
const MOST_KEYS: usize = 64;
/// Key types of OpenSSH that may be used.
const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The settings of a card. Every value passed its check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Card {
    pub(super) hostname: String,
    pub(super) ssh: Ssh,
    pub(super) wifi: Option<Wifi>,
    pub(super) network: Option<Network>,
    pub(super) clients: Clients,
    /// Settings of the station, as in `/etc/outpost/outpost.toml`.
    pub(super) outpost: Table,
}

/// `[ssh]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ssh {
    /// Lines of `authorized_keys`: type, key and comment.
    pub(super) keys: Vec<String>,
    pub(super) retrieval_keys: Vec<String>,
    /// "" for none; else as in the file, or its crypt(3) hash.
    pub(super) password: String,
}

/// `[wifi]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Wifi {
    pub(super) country: String,
    pub(super) ssid: String,
    /// "" for an open network.
    pub(super) password: String,
}

/// `[network]`: a fixed address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    /// With the length of its prefix: `192.168.1.50/24`.
    pub(super) address: String,
    pub(super) gateway: String,
    pub(super) dns: Vec<String>,
}

/// `[clients]`: what old programs expect of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Clients {
    pub(super) fe_pycam2: bool,
}

/// Reads the file's text. `last` is what each section with a mistake, or the whole of a text that is no TOML, keeps.
pub(super) fn read(
    file: &Path,
    text: &str,
    last: &Card,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Card {
    // Editors of Windows begin a text so; TOML does not know it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let document = Document::new(&name, text);
    let table = match document.parse() {
        Ok(table) => table,
        Err(problem) => {
            problems.push(problem);
            return last.clone();
        }
    };
    let mut root = Reader::root(&document, &table);
    let card = Card {
        hostname: section(problems, &last.hostname, |problems| {
            let found = root.value("hostname", &HOSTNAME, problems);
            Some(found.map_or_else(String::new, text_of))
        }),
        ssh: section(problems, &last.ssh, |problems| {
            root.table("ssh", problems)
                .map(|table| ssh(table, problems))
        }),
        wifi: section(problems, &last.wifi, |problems| {
            let table = root.table("wifi", problems);
            Some(table.and_then(|table| wifi(table, problems)))
        }),
        network: section(problems, &last.network, |problems| {
            let table = root.table("network", problems);
            Some(table.and_then(|table| network(table, problems)))
        }),
        clients: section(problems, &last.clients, |problems| {
            root.table("clients", problems)
                .map(|table| clients(table, problems))
        }),
        outpost: section(problems, &last.outpost, |problems| {
            let table = root.table("outpost", problems)?;
            if let Err(errors) = Config::from_section(file, table, sources) {
                problems.extend(errors.0);
            }
            let whole: Table = toml::from_str(text).unwrap_or_default();
            whole.get("outpost")?.as_table().cloned()
        }),
    };
    root.finish(problems, |name| {
        let station = crate::config::keys::KEYS
            .iter()
            .any(|key| key.section == name || (key.section.is_empty() && key.name == name));
        station.then(|| format!("settings of the station stand in [outpost]: [outpost.{name}]"))
    });
    card
}

/// What `read` gives (nothing: the section's default), or `last` if it noted a problem.
fn section<T: Clone + Default>(
    problems: &mut Vec<Problem>,
    last: &T,
    read: impl FnOnce(&mut Vec<Problem>) -> Option<T>,
) -> T {
    let before = problems.len();
    let value = read(problems);
    match problems.len() == before {
        true => value.unwrap_or_default(),
        false => last.clone(),
    }
}

const HOSTNAME: Kind = Kind::Text {
    what: "1 to 63 letters, digits and inner hyphens",
    check: check_hostname,
};
const PASSWORD: Kind = Kind::Text {
    what: "\"\" for none, 8 to 128 characters, or a crypt(3) hash that begins with $",
    check: check_password,
};
const COUNTRY: Kind = Kind::Text {
    what: "two capital letters, such as \"DE\"",
    check: check_country,
};
const SSID: Kind = Kind::Text {
    what: "1 to 32 bytes",
    check: check_ssid,
};
const WIFI_PASSWORD: Kind = Kind::Text {
    what: "\"\" for an open network, 8 to 63 ASCII characters, or 64 hexadecimal digits",
    check: check_wifi_password,
};
const ADDRESS: Kind = Kind::Text {
    what: "an IP address with the length of its prefix, such as \"192.168.1.50/24\"",
    check: check_address,
};
const IP: Kind = Kind::Text {
    what: "an IP address, or \"\"",
    check: check_ip,
};

fn ssh(mut table: Reader<'_>, problems: &mut Vec<Problem>) -> Ssh {
    let ssh = Ssh {
        keys: keys(&mut table, "keys", problems),
        retrieval_keys: keys(&mut table, "retrieval_keys", problems),
        password: secret(&mut table, &PASSWORD, problems),
    };
    table.finish(problems, |_| None);
    ssh
}

fn keys(table: &mut Reader<'_>, name: &'static str, problems: &mut Vec<Problem>) -> Vec<String> {
    let Some(found) = table.value(name, &Kind::Texts, problems) else {
        return Vec::new();
    };
    let key = table.key(name);
    let mut problem = |text: String| {
        problems.push(Problem::new(Some(found.place.clone()), &key, text));
    };
    let texts = texts_of(&found);
    if texts.len() > MOST_KEYS {
        problem(format!(
            "{} keys, at most {MOST_KEYS} are allowed",
            texts.len()
        ));
        return Vec::new();
    }
    let mut lines = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match public_key(text) {
            Ok(line) => lines.push(line),
            Err(refusal) => problem(format!("key {} of the list {refusal}", index + 1)),
        }
    }
    lines
}

/// A line of `authorized_keys` without options: those could run programs.
fn public_key(text: &str) -> Result<String, String> {
    let mut words = text.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default();
    if text.contains("PRIVATE KEY") {
        return Err("is a private key: give the public one, the text of the .pub file".into());
    }
    if !KEY_TYPES.contains(&kind) {
        return Err(format!(
            "does not begin with a key type (allowed: {})",
            KEY_TYPES.join(", ")
        ));
    }
    let body = words.next().unwrap_or_default();
    let bytes = base64_simd::STANDARD
        .decode_to_vec(body)
        .map_err(|_| "is damaged: its second word is not base64".to_owned())?;
    // The key itself begins with the length and the name of its type.
    let named = bytes
        .split_first_chunk::<4>()
        .and_then(|(length, rest)| rest.get(..u32::from_be_bytes(*length) as usize));
    if named != Some(kind.as_bytes()) {
        return Err(format!(
            "is damaged: it does not hold a key of the type {kind}"
        ));
    }
    let comment: Vec<&str> = words.collect();
    Ok([&[kind, body], &comment[..]].concat().join(" "))
}

fn wifi(mut table: Reader<'_>, problems: &mut Vec<Problem>) -> Option<Wifi> {
    let country = table.needed("country", &COUNTRY, problems).map(text_of);
    let ssid = table.needed("ssid", &SSID, problems).map(text_of);
    let password = secret(&mut table, &WIFI_PASSWORD, problems);
    table.finish(problems, |_| None);
    Some(Wifi {
        country: country?,
        ssid: ssid?,
        password,
    })
}

/// The text of `password`, "" without one. A refusal does not show it: the text beside the file is for everybody.
fn secret(table: &mut Reader<'_>, kind: &Kind, problems: &mut Vec<Problem>) -> String {
    let before = problems.len();
    let found = table.value("password", kind, problems);
    for problem in &mut problems[before..] {
        problem.text = format!("cannot be used (allowed: {})", kind.allowed());
    }
    found.map_or_else(String::new, text_of)
}

fn network(mut table: Reader<'_>, problems: &mut Vec<Problem>) -> Option<Network> {
    let address = table.needed("address", &ADDRESS, problems).map(text_of);
    let gateway = table.value("gateway", &IP, problems);
    let dns = table.value("dns", &Kind::Texts, problems);
    if let Some(found) = &dns {
        for text in texts_of(found) {
            if text.parse::<IpAddr>().is_err() {
                let text = format!("{text:?} is not an IP address (allowed: a list of them)");
                problems.push(Problem::new(
                    Some(found.place.clone()),
                    &table.key("dns"),
                    text,
                ));
            }
        }
    }
    table.finish(problems, |_| None);
    Some(Network {
        address: address?,
        gateway: gateway.map_or_else(String::new, text_of),
        dns: dns.as_ref().map(texts_of).unwrap_or_default(),
    })
}

fn clients(mut table: Reader<'_>, problems: &mut Vec<Problem>) -> Clients {
    let fe_pycam2 = table.value("fe_pycam2", &Kind::Bool, problems);
    table.finish(problems, |_| None);
    Clients {
        fe_pycam2: fe_pycam2.is_some_and(|found| found.value.as_bool() == Some(true)),
    }
}

fn text_of(found: Found) -> String {
    found.value.as_str().unwrap_or_default().to_owned()
}

fn texts_of(found: &Found) -> Vec<String> {
    let items = found.value.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str())
        .map(str::to_owned)
        .collect()
}

fn rule(holds: bool, refusal: &str) -> Result<(), String> {
    holds.then_some(()).ok_or_else(|| refusal.to_owned())
}

fn check_hostname(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    rule(
        (1..=63).contains(&name.len())
            && name.chars().all(plain)
            && !name.starts_with('-')
            && !name.ends_with('-'),
        "is not a host name (allowed: 1 to 63 letters, digits and inner hyphens)",
    )
}

fn check_password(password: &str) -> Result<(), String> {
    if password.starts_with('$') {
        return rule(
            is_hash(password),
            "begins with $ but is not a crypt(3) hash (allowed: one of type y, 7, 6 or 5)",
        );
    }
    rule(
        password.is_empty() || (8..=128).contains(&password.chars().count()),
        "is not a password (allowed: \"\" for none, or 8 to 128 characters)",
    )
}

/// Whether the text is a hash as the password file holds it.
pub(super) fn is_hash(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "./$=,".contains(c);
    ["$y$", "$7$", "$6$", "$5$"]
        .iter()
        .any(|kind| text.starts_with(kind))
        && (20..=200).contains(&text.len())
        && text.chars().all(plain)
}

fn check_country(country: &str) -> Result<(), String> {
    rule(
        country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()),
        "is not a country (allowed: two capital letters)",
    )
}

fn check_ssid(ssid: &str) -> Result<(), String> {
    rule(
        (1..=32).contains(&ssid.len()),
        "is not the name of a network (allowed: 1 to 32 bytes)",
    )
}

fn check_wifi_password(password: &str) -> Result<(), String> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte);
    let key = password.len() == 64 && password.bytes().all(|byte| byte.is_ascii_hexdigit());
    let phrase = (8..=63).contains(&password.len()) && password.bytes().all(printable);
    rule(
        password.is_empty() || key || phrase,
        "is not a WiFi password (allowed: 8 to 63 ASCII characters, or 64 hexadecimal digits)",
    )
}

fn check_address(text: &str) -> Result<(), String> {
    let refusal =
        "is not an address with the length of its prefix (allowed: such as \"192.168.1.50/24\")";
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u8 = length.parse().ok().filter(|_| digits)?;
        Some((address.parse::<IpAddr>().ok()?, length))
    });
    let longest = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
    rule(
        parsed.is_some_and(|(address, length)| (1..=longest(&address)).contains(&length)),
        refusal,
    )
}

fn check_ip(text: &str) -> Result<(), String> {
    rule(
        text.is_empty() || text.parse::<IpAddr>().is_ok(),
        "is not an IP address",
    )
}
