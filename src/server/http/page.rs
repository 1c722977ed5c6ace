//! The pages for people: what this station is, how its parts are, and how to use it. No script, no other file.

use std::fmt::Write;
use std::net::SocketAddr;

use jiff::Timestamp;

use super::text::{escape, percent_encode};
use crate::base::health::{Report, State};
use crate::server::services::Identity;
use crate::store::Catalog;

/// Files that a listing shows.
const LISTED: usize = 2_000;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8883;--soft:#8882;--good:#1a7f37;--warn:#9a6700;--bad:#cf222e;--dim:#57606a}\
@media(prefers-color-scheme:dark){:root{--good:#3fb950;--warn:#d29922;--bad:#f85149;--dim:#9198a1}}\
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1rem}\
h1{font-size:1.5rem;margin:.5rem 0 0}h2{font-size:1.1rem;margin:1.8rem 0 .4rem}\
p{margin:.3rem 0}li p{margin:0 0 .15rem}.dim{color:var(--dim)}\
ul{list-style:none;margin:0;padding:0;border-top:1px solid var(--line)}\
li{display:flex;flex-wrap:wrap;gap:0 1rem;padding:.45rem 0;border-bottom:1px solid var(--line)}\
li>b{flex:0 0 11.5rem}li>div{flex:1 1 16rem;min-width:0}.states li>div{flex-basis:9rem}\
code{font:.9em ui-monospace,monospace;background:var(--soft);padding:.1em .35em;border-radius:.3em;overflow-wrap:anywhere}\
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}\
a{overflow-wrap:anywhere}.size{flex:none;font-variant-numeric:tabular-nums}";

/// What the first page tells.
pub(super) struct Station<'a> {
    pub(super) identity: &'a Identity,
    /// Name of the board, in words.
    pub(super) board: &'a str,
    pub(super) is_simulated: bool,
    pub(super) time: Timestamp,
    pub(super) health: &'a [Report],
    /// What listens, by the names of `endpoints.json`.
    pub(super) endpoints: &'a [(&'static str, SocketAddr)],
    /// Paths of WebSockets.
    pub(super) sockets: Vec<&'static str>,
    /// By which name or address the reader reached the station.
    pub(super) host: &'a str,
    /// The image folder.
    pub(super) images: &'a str,
}

/// The first page.
pub(super) fn station(station: &Station<'_>) -> String {
    let Identity {
        maker,
        model,
        serial,
        version,
    } = station.identity;
    let title = format!("{maker} {serial}");
    let mut body = format!("<h1>{}</h1>", escape(&title));
    let board = match station.is_simulated {
        true => format!("{} (the instruments are simulated)", station.board),
        false => station.board.to_owned(),
    };
    let _ = write!(
        body,
        "<p>{} &middot; {} &middot; version {}</p><p class=\"dim\">{} UTC when this page was made</p>",
        escape(model),
        escape(&board),
        escape(version),
        station.time.strftime("%Y-%m-%d %H:%M:%S"),
    );
    body.push_str(&health(station.health));
    body.push_str("<h2>How to use it</h2><ul>");
    for (name, address) in station.endpoints {
        if let Some((title, lines)) = usage(name, station.host, address.port()) {
            item(&mut body, title, &lines);
        }
    }
    let scp = format!(
        "<code>scp &#39;{}&#39; .</code> or SFTP, with your login on the station",
        escape(&format!("USER@{}:{}/*", station.host, station.images))
    );
    item(
        &mut body,
        "Images",
        &["<a href=\"/images/\">list and fetch</a>".into(), scp],
    );
    for path in &station.sockets {
        let line = format!("<code>ws://{}{path}</code>", escape(&address(station)));
        item(&mut body, "WebSocket", &[line]);
    }
    item(
        &mut body,
        "For programs",
        &[
            "<a href=\"/health.json\">health.json</a>, as <code>SYST:HEAL?</code>".into(),
            "<a href=\"/metrics\">metrics</a>, for Prometheus".into(),
        ],
    );
    body.push_str("</ul>");
    document(&title, &body)
}

/// Where the reader found this page.
fn address(station: &Station<'_>) -> String {
    let http = station.endpoints.iter().find(|(name, _)| *name == "http");
    let port = http.map_or(80, |(_, address)| address.port());
    format!("{}:{port}", station.host)
}

/// The image folder's page.
pub(super) fn images(catalog: &Catalog, folder: &str) -> String {
    let mut body = format!(
        "<p><a href=\"/\">&larr; Station</a></p><h1>Images</h1><p class=\"dim\">{}, {} files</p><ul>",
        escape(folder),
        catalog.entries.len() + catalog.omitted
    );
    for entry in catalog.entries.iter().take(LISTED) {
        let _ = write!(
            body,
            "<li><div><a href=\"/images/{}\">{}</a></div><span class=\"size dim\">{}</span></li>",
            percent_encode(&entry.name),
            escape(&entry.name),
            size(entry.size)
        );
    }
    body.push_str("</ul>");
    if catalog.entries.len() > LISTED {
        let _ = write!(
            body,
            "<p>The first {LISTED} in order of name. <code>MMEM:CAT?</code> and SFTP list more.</p>"
        );
    }
    document("Images", &body)
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><title>{}</title><style>{STYLE}</style></head>\
         <body>{body}</body></html>\n",
        escape(title)
    )
}

/// `lines` are markup already.
fn item(body: &mut String, title: &str, lines: &[String]) {
    let _ = write!(body, "<li><b>{}</b><div>", escape(title));
    for line in lines {
        let _ = write!(body, "<p>{line}</p>");
    }
    body.push_str("</div></li>");
}

fn health(reports: &[Report]) -> String {
    let mut text = String::from("<h2>How it is</h2><ul class=\"states\">");
    let (mut off, mut missing) = (vec![], vec![]);
    for report in reports {
        let name = part_name(report.instrument);
        match state_words(&report.state) {
            Some((class, words)) => {
                let words = format!("<span class=\"{class}\">{}</span>", escape(&words));
                let values = report.values.iter();
                let values = values.map(|(name, value)| escape(&format!("{name} {value}")));
                let lines: Vec<String> = std::iter::once(words).chain(values).collect();
                item(&mut text, name, &lines);
            }
            None if report.state == State::Disabled => off.push(name),
            None => missing.push(name),
        }
    }
    text.push_str("</ul>");
    for (words, names) in [("Switched off", off), ("Not in this version", missing)] {
        if !names.is_empty() {
            let _ = write!(
                text,
                "<p class=\"dim\">{words}: {}</p>",
                escape(&names.join(", "))
            );
        }
    }
    text
}

/// How a part is, in words, and their color; `None` for one that is not meant to work.
fn state_words(state: &State) -> Option<(&'static str, String)> {
    Some(match state {
        State::Disabled | State::Unavailable => return None,
        State::Connecting => ("warn", "being looked for".into()),
        State::Ready => ("good", "ready".into()),
        State::Degraded { reason } => ("warn", format!("works, but: {reason}")),
        State::Failed { reason, retry_at } => (
            "bad",
            format!(
                "does not work: {reason}; tried again at {} UTC",
                retry_at.strftime("%H:%M:%S")
            ),
        ),
    })
}

/// What people call a part of the station.
fn part_name(part: &'static str) -> &'static str {
    match part {
        "camera" => "HQ camera",
        "tcam" => "Thermal camera",
        "opc" => "Particle counter",
        "msp1000" => "Spectrometer",
        "bitscope" => "Oscilloscope",
        "tinycloud" => "Upload",
        "server" => "Server",
        "store" => "Storage",
        "discovery" => "mDNS",
        "board" => "Board",
        other => other,
    }
}

/// What an endpoint is for and how it is used, as markup.
fn usage(name: &str, host: &str, port: u16) -> Option<(&'static str, Vec<String>)> {
    let host = escape(host);
    let code = |text: String| format!("<code>{text}</code>");
    let at = |more| {
        vec![format!(
            "<code>{host}</code> port <code>{port}</code>{more}"
        )]
    };
    Some(match name {
        "scpi" => (
            "SCPI",
            vec![
                code(format!("TCPIP::{host}::{port}::SOCKET"))
                    + " in PyVISA, with LF as read termination",
                code(format!("nc {host} {port}")),
                code(format!("lxi scpi -a {host} -p {port} -r &#39;*IDN?&#39;")),
            ],
        ),
        "legacy" => ("FE-PyCam2 programs", at("")),
        "tcam" => ("tCam programs", at("")),
        "msp1000" => ("MSP1000 programs", at(", TLS")),
        "bitscope" => (
            "BitScope programs",
            vec![code(format!("bitscope-server://{host}:{port}")) + ", UDP"],
        ),
        _ => return None,
    })
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CatalogEntry, FileKind};

    #[test]
    fn nothing_of_the_world_becomes_markup() {
        let evil = "<script>&\"'";
        let identity = Identity {
            maker: "Outpost".into(),
            model: evil.into(),
            serial: evil.into(),
            version: evil.into(),
        };
        let state = State::Degraded {
            reason: evil.into(),
        };
        let health = [Report {
            instrument: "camera",
            state,
            counters: Default::default(),
            values: Default::default(),
            errors: vec![],
        }];
        let page = station(&Station {
            identity: &identity,
            board: evil,
            is_simulated: true,
            time: Timestamp::UNIX_EPOCH,
            health: &health,
            endpoints: &[("scpi", "0.0.0.0:5025".parse().unwrap())],
            sockets: vec!["/msp1000"],
            host: evil,
            images: evil,
        });
        let entry = CatalogEntry {
            name: evil.into(),
            kind: FileKind::Binary,
            size: 1,
        };
        let catalog = Catalog {
            entries: vec![entry],
            omitted: 0,
        };
        for page in [page, images(&catalog, evil)] {
            assert!(
                !page.contains("<script") && !page.contains("&\"'"),
                "{page}"
            );
            assert!(page.contains("&lt;script&gt;&amp;&quot;&#39;"), "{page}");
            // Nothing is loaded from elsewhere.
            assert!(
                !page.contains("http://") && !page.contains("https://"),
                "{page}"
            );
        }
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 B"),
            (9_999, "9999 B"),
            (6_165_254, "6165 kB"),
            (18_000_000, "18.0 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
