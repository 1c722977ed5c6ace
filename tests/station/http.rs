//! The HTTP port by its bytes: pages, limits, and what is refused.

use std::fs;

use serde_json::Value;

use super::harness::{Client, Setup, Station, eventually};

fn client(station: &Station) -> Client {
    Client::connect(station.http)
}

/// An answer: status, headers in lower case, body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Reads one answer; `has_body` is false behind HEAD.
fn read(client: &mut Client, has_body: bool) -> Answer {
    let head = String::from_utf8(client.take_until(b"\r\n\r\n")).unwrap();
    let status = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
    let mut answer = Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: vec![],
    };
    let length = answer
        .header("content-length")
        .unwrap_or("0")
        .parse()
        .unwrap();
    if has_body {
        answer.body = client.take(length);
    }
    answer
}

fn get(client: &mut Client, path: &str) -> Answer {
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: 10.1.2.3:8080\r\n\r\n"
    ));
    read(client, true)
}

#[test]
fn the_page_tells_what_is_true() {
    let station = Setup::small().tcam("enabled = false").start();
    let mut client = client(&station);
    let page = get(&mut client, "/");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let text = page.text();
    let identity = station.client().query("*IDN?");
    for field in identity.split(',') {
        assert!(text.contains(field), "{field}\n{text}");
    }
    let scpi = station.scpi.port();
    for said in [
        &format!("TCPIP::10.1.2.3::{scpi}::SOCKET"),
        &format!("nc 10.1.2.3 {scpi}"),
        &format!("port <code>{}</code>", station.legacy.port()),
        &format!("USER@10.1.2.3:{}/*", station.images().display()),
        "HQ camera",
        "Switched off: Thermal camera",
        "href=\"/images/\"",
        "href=\"/metrics\"",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    assert!(
        !text.contains("tCam programs") && !text.contains("<script"),
        "{text}"
    );
    // The name by which the reader came is typed into the examples only if it is a name.
    client.send("GET / HTTP/1.1\r\nHost: <script>\r\n\r\n");
    let page = read(&mut client, true);
    assert!(!page.text().contains("<script"), "{}", page.text());
    station.stop();
}

#[test]
fn health_is_that_of_scpi_and_metrics_count_it() {
    let station = Setup::small().start();
    let mut client = client(&station);
    let mut scpi = station.client();
    // States that go on changing cannot be compared.
    eventually("every instrument", || {
        let report = scpi.json("SYST:HEAL?");
        let mut parts = report.as_array().unwrap().iter();
        parts.all(|part| part["state"] != "connecting")
    });
    let health = get(&mut client, "/health.json");
    assert_eq!(health.header("content-type"), Some("application/json"));
    let health: Value = serde_json::from_slice(&health.body).unwrap();
    let scpi = scpi.json("SYST:HEAL?");
    let parts = |report: &Value| -> Vec<String> {
        let parts = report.as_array().unwrap().iter();
        parts
            .map(|part| format!("{} {}", part["instrument"], part["state"]))
            .collect()
    };
    assert_eq!(parts(&health), parts(&scpi));
    let metrics = get(&mut client, "/metrics");
    let has = |line: &str| {
        let text = metrics.text();
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    };
    has("outpost_part_state{part=\"camera\",state=\"ready\"} 1");
    has("outpost_part_state{part=\"tinycloud\",state=\"ready\"} 0");
    has("outpost_events_total{part=\"server\",event=\"http_requests\"} 2");
    assert!(metrics.text().contains("outpost_ramdisk_free_bytes "));
    station.stop();
}

#[test]
fn images_are_listed_and_fetched_and_nothing_else_is() {
    let station = Setup::small().start();
    let large: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    fs::write(station.images().join("large.raw"), &large).unwrap();
    fs::write(station.images().join("a <b>&%41.png"), "png").unwrap();
    fs::write(station.images().join("empty.log"), "").unwrap();
    fs::write(station.images().join(".hidden"), "hidden").unwrap();
    fs::write(station.ramdisk().join("outside"), "outside").unwrap();
    let mut client = client(&station);
    let list = get(&mut client, "/images/");
    for said in [
        "href=\"/images/large.raw\">large.raw<",
        "href=\"/images/a%20%3Cb%3E%26%2541.png\">a &lt;b&gt;&amp;%41.png<",
    ] {
        assert!(list.text().contains(said), "{said}\n{}", list.text());
    }
    assert!(!list.text().contains("hidden"));
    let image = get(&mut client, "/images/large.raw");
    assert!(image.body == large);
    assert_eq!(
        image.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(image.header("x-content-type-options"), Some("nosniff"));
    let image = get(&mut client, "/images/a%20%3Cb%3E%26%2541.png");
    assert_eq!(
        (image.text(), image.header("content-type")),
        ("png", Some("image/png"))
    );
    assert_eq!(get(&mut client, "/images/empty.log").body, b"");
    client.send("HEAD /images/large.raw HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = read(&mut client, false);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("3000000"))
    );
    for path in [
        "/images/none.raw",
        "/images/.hidden",
        "/images/%2ehidden",
        "/images/../outside",
        "/images/..%2foutside",
        "/images/%2e%2e/outside",
        "/images/../../c.toml",
        "/images//etc/passwd",
        "/images/%2fetc%2fpasswd",
        "/images/..",
        "/images/%00",
        "/images/%zz",
        "/images/%ff",
        "/outside",
        "//",
        "/health.json/",
    ] {
        let refused = get(&mut client, path);
        assert_eq!(refused.status, 404, "{path}");
        assert_eq!(
            refused.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    station.stop();
}

#[test]
fn heads_come_in_any_pieces_and_several_at_a_time() {
    let station = Setup::small().start();
    let mut client = client(&station);
    for byte in b"GET /health.json HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(read(&mut client, true).status, 200);
    client.send("GET /none HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(read(&mut client, true).status, 404);
    let head = read(&mut client, false);
    assert!(head.status == 200 && head.header("content-length") != Some("0"));
    assert!(read(&mut client, true).text().starts_with("# HELP"));
    // A script that closes its side behind the request is answered.
    client.send("GET /health.json HTTP/1.0\r\n\r\n");
    client.half_close();
    assert!(client.rest().starts_with(b"HTTP/1.0 200 OK"));
    station.stop();
}

#[test]
fn what_cannot_be_answered_is_refused_and_the_station_goes_on() {
    let station = Setup::small().start();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(70));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for (request, status) in [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            405,
        ),
        ("DELETE /images/a HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            413,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
            413,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
            413,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            400,
        ),
        ("*IDN?\n\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", 400),
        (&long, 431),
        (&many, 431),
        (&path, 431),
    ] {
        let mut client = client(&station);
        client.send(request);
        let answer = read(&mut client, true);
        let start: String = request.chars().take(40).collect();
        assert_eq!(answer.status, status, "{start}");
        if answer.status == 405 {
            assert_eq!(answer.header("allow"), Some("get, head"), "{start}");
        } else {
            client.half_close();
            assert_eq!(client.rest(), b"", "nothing after it is a request: {start}");
        }
    }
    assert_eq!(get(&mut client(&station), "/health.json").status, 200);
    assert!(station.counter("server", "http_refusals") >= 6);
    station.stop();
}

#[test]
fn many_clients_are_served_and_one_too_many_is_refused() {
    let station = Setup::small().scpi("max_clients = 64").start();
    let mut clients: Vec<Client> = (0..64).map(|_| client(&station)).collect();
    for client in &mut clients {
        client.send("GET /health.json HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(read(client, true).status, 200);
    }
    assert_eq!(client(&station).rest(), b"", "the 65th is closed at once");
    assert_eq!(station.counter("server", "refused_clients"), 1);
    drop(clients);
    station.stop();
}

#[test]
fn a_websocket_is_where_there_is_one_and_idle_clients_see_the_end() {
    let station = Setup::small().start();
    let mut none = client(&station);
    none.send(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(read(&mut none, true).status, 404);
    let mut idle = client(&station);
    assert_eq!(get(&mut idle, "/").status, 200);
    let silent = client(&station);
    station.stop();
    for client in [none, idle, silent] {
        assert_eq!(client.rest(), b"");
    }
}
