//! The server's HTTP interface: form bodies, JSON replies (`tinycloud` reference, section 4).

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::{ApiError, GatewayKey};
use crate::store::batch::Ticket;

const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(30);
/// No reply has more than a few hundred bytes.
const MAX_REPLY_BYTES: u64 = 64 * 1024;
/// How long the password of a ticket is good.
const TICKET_MS: i64 = 600_000;

/// How to reach the server.
#[derive(Debug, Clone, Default)]
pub struct ApiSettings {
    /// Base URL, for example `https://host/api/v1`.
    pub api: String,
    /// Certificates to trust instead of the public ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// Whether plain http may go to other machines.
    pub allow_http: bool,
    /// For a whole call; `None` = 30 s.
    pub limit: Option<Duration>,
}

/// What the server says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It has arrived.
    Arrived,
    /// It has arrived and is not wanted.
    Rejected,
    /// Anything else, in the server's word: not yet, or not known.
    Unknown(String),
}

/// The server, ready to be asked. Blocks; every call ends after 30 s.
#[derive(Debug)]
pub struct Api {
    agent: Agent,
    base: String,
    limit: Duration,
}

impl Api {
    /// Prepares; connects to nothing yet.
    ///
    /// # Errors
    /// An address that is none, plain http to another machine, no certificates.
    pub fn new(settings: &ApiSettings) -> Result<Self, ApiError> {
        let base = settings.api.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| ApiError::Address(base.clone()))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => {}
            (Some("http"), Some(host)) if settings.allow_http || is_loopback(host) => {}
            (Some("http"), Some(_)) => return Err(ApiError::Insecure(base)),
            _ => return Err(ApiError::Address(base)),
        }
        let limit = settings.limit.unwrap_or(WHOLE);
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.ca_file {
            tls = tls.root_certs(RootCerts::from(certificates(path)?));
        }
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(limit))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(concat!("outpost/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .new_agent();
        Ok(Api { agent, base, limit })
    }

    /// Exchanges a pin for a gateway key.
    ///
    /// # Errors
    /// The server's refusal, or an answer without a key.
    pub fn activate(&self, device_id: &str, pin: &str, name: &str) -> Result<GatewayKey, ApiError> {
        let form = [("device_id", device_id), ("pin", pin), ("name", name)];
        let reply = self
            .agent
            .post(format!("{}/activate/", self.base))
            .send_form(form);
        let reply = json_of(reply, self.limit)?;
        let key = reply.get("key").and_then(Value::as_str).unwrap_or_default();
        GatewayKey::parse(key).map_err(|error| ApiError::BadReply(error.to_string()))
    }

    /// Announces a batch by its form; the leave to send it. `now_ms`: UTC before the call.
    ///
    /// # Errors
    /// The server's refusal (409: it knows the batch), or an answer that is no ticket.
    pub fn request(
        &self,
        key: &GatewayKey,
        form: &[(&'static str, String)],
        now_ms: i64,
    ) -> Result<Ticket, ApiError> {
        let reply = self
            .agent
            .post(format!("{}/quarantine_request/", self.base))
            .header("Authorization", format!("Bearer {}", key.expose()))
            .send_form(form.iter().map(|(name, value)| (*name, value.as_str())));
        ticket(&json_of(reply, self.limit)?, now_ms)
    }

    /// Asks what became of a batch. A 404 is [`Status::Unknown`].
    ///
    /// # Errors
    /// No answer, another refusal, or an answer without a status.
    pub fn status(&self, key: &GatewayKey, batchid: &str) -> Result<Status, ApiError> {
        let reply = self
            .agent
            .get(format!("{}/upload_status/{batchid}/", self.base))
            .header("Authorization", format!("Bearer {}", key.expose()))
            .call();
        let reply = match json_of(reply, self.limit) {
            Err(ApiError::Refused { code: 404, reason }) => return Ok(Status::Unknown(reason)),
            reply => reply?,
        };
        match reply.get("status").and_then(Value::as_str) {
            Some("Unprocessed" | "Processed") => Ok(Status::Arrived),
            Some("Rejected") => Ok(Status::Rejected),
            Some(word) => Ok(Status::Unknown(shortened(word))),
            None => Err(ApiError::BadReply("no status".into())),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn certificates(path: &PathBuf) -> Result<Vec<Certificate<'static>>, ApiError> {
    let none = || ApiError::Certificates(path.clone());
    let text = fs::read(path).map_err(|_| none())?;
    let found: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        Err(none())
    } else {
        Ok(found)
    }
}

/// The failures that a person can tell apart, and do different things about.
fn failed(error: ureq::Error, limit: Duration) -> ApiError {
    use ureq::Error;
    match error {
        Error::Timeout(_) => ApiError::TimedOut(limit.as_secs_f64()),
        Error::Rustls(error) => ApiError::Tls(error.to_string()),
        // As the TLS library reports what it found wrong; broken connections have kinds of their own.
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            ApiError::Tls(error.to_string())
        }
        error => ApiError::Unreachable(Box::new(error)),
    }
}

fn json_of(
    reply: Result<Response<ureq::Body>, ureq::Error>,
    limit: Duration,
) -> Result<Value, ApiError> {
    let mut reply = reply.map_err(|error| failed(error, limit))?;
    let status = reply.status();
    if status.as_u16() != 200 {
        return Err(ApiError::Refused {
            code: status.as_u16(),
            reason: status.canonical_reason().unwrap_or_default().to_owned(),
        });
    }
    let text = reply
        .body_mut()
        .with_config()
        .limit(MAX_REPLY_BYTES)
        .read_to_string()
        .map_err(|error| match failed(error, limit) {
            ApiError::Unreachable(_) => {
                ApiError::BadReply("it is cut short, or far too long".into())
            }
            error => error,
        })?;
    if text.trim().is_empty() {
        return Err(ApiError::BadReply("it is empty".into()));
    }
    serde_json::from_str(&text)
        .map_err(|_| ApiError::BadReply(format!("not JSON: {}", shortened(&text))))
}

/// For a message: the first characters, control characters replaced.
fn shortened(text: &str) -> String {
    text.chars()
        .take(40)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Checks the reply thoroughly: its parts become a file name, a password and a remote shell's argument.
fn ticket(reply: &Value, now_ms: i64) -> Result<Ticket, ApiError> {
    let bad = |what: &str| ApiError::BadReply(format!("unusable {what}"));
    let text = |name: &str| reply.get(name).and_then(Value::as_str);
    let batchid = text("batchid").ok_or_else(|| bad("batchid"))?;
    if batchid.len() != 32 || !batchid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad("batchid"));
    }
    let domain = text("domain").ok_or_else(|| bad("domain"))?;
    let host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte);
    if domain.is_empty()
        || domain.len() > 253
        || domain.starts_with('-')
        || !domain.bytes().all(host)
    {
        return Err(bad("domain"));
    }
    let port = match reply.get("port") {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(digits)) => digits.trim().parse().ok(),
        _ => None,
    };
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port > 0)
        .ok_or_else(|| bad("port"))?;
    let destination = text("destination").ok_or_else(|| bad("destination"))?;
    if !is_plain_folder(destination) {
        return Err(bad("destination"));
    }
    Ok(Ticket {
        batchid: batchid.to_owned(),
        domain: domain.to_owned(),
        port,
        destination: destination.to_owned(),
        until_ms: now_ms.saturating_add(TICKET_MS),
    })
}

fn is_plain_folder(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    path.len() <= 1024
        && path.ends_with('/')
        && !path.starts_with('-')
        && path.bytes().all(plain)
        && !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(change: &str, value: Value) -> Value {
        let mut reply = serde_json::json!({
            "batchid": "45de83af6eec51dd215e9c6ad94453d0", "domain": "127.0.0.1",
            "port": 8022, "destination": "/quarantine/"
        });
        reply[change] = value;
        reply
    }

    #[test]
    fn tickets_are_checked() {
        let good = ticket(&reply("port", "8022".into()), 1000).unwrap();
        assert_eq!((good.port, good.until_ms), (8022, 601_000));
        let bad: [(&str, Value); 12] = [
            ("batchid", "45de".into()),
            ("batchid", "../../../../../../../../etc/passwd".into()),
            ("batchid", 7.into()),
            ("domain", "".into()),
            ("domain", "-oProxyCommand=x".into()),
            ("domain", "a b".into()),
            ("port", 0.into()),
            ("port", 65536.into()),
            ("port", Value::Null),
            ("destination", "/quarantine".into()),
            ("destination", "/a/../".into()),
            ("destination", "/a;reboot/".into()),
        ];
        for (field, value) in bad {
            let error = ticket(&reply(field, value), 0).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        assert!(ticket(&Value::Null, 0).is_err());
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let settings = |api: &str, allow_http| ApiSettings {
            api: api.into(),
            allow_http,
            ..ApiSettings::default()
        };
        for good in [
            "http://127.0.0.1:1/x",
            "http://[::1]:1",
            "http://localhost",
            "https://a.b/c",
        ] {
            Api::new(&settings(good, false)).unwrap();
        }
        let refused = Api::new(&settings("http://192.168.1.2/", false));
        assert!(matches!(refused, Err(ApiError::Insecure(_))));
        Api::new(&settings("http://192.168.1.2/", true)).unwrap();
        for bad in ["", "a.b/c", "ftp://a"] {
            assert!(
                matches!(Api::new(&settings(bad, true)), Err(ApiError::Address(_))),
                "{bad}"
            );
        }
    }
}
