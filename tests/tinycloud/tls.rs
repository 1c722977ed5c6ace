//! The server over https, with a certificate authority of the test's own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outpost::store::upload::{Api, ApiError, ApiSettings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::server::{KEY, PIN};

/// An authority, in a file for `ca_file`.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let text = base64_simd::STANDARD.encode_to_string(certificate.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server for `name` whose every answer is this, whole; `None`: none comes until the client goes.
    fn serve(&self, name: &str, answer: Option<&'static str>) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                let mut piece = [0; 4096];
                let mut heard = 0;
                // The form comes with, or after, the head.
                while heard < 200 {
                    match stream.read(&mut piece) {
                        Ok(n) if n > 0 => heard += n,
                        _ => break,
                    }
                }
                match answer {
                    Some(answer) => {
                        let _ = stream.write_all(answer.as_bytes());
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                    }
                    None => while stream.read(&mut piece).is_ok_and(|n| n > 0) {},
                }
            }
        });
        format!("https://127.0.0.1:{port}/api/v1")
    }
}

fn ask(api: &str, ca_file: Option<&Path>) -> Result<String, ApiError> {
    let api = Api::new(&ApiSettings {
        api: api.to_owned(),
        ca_file: ca_file.map(Path::to_owned),
        limit: Some(Duration::from_millis(1500)),
        ..ApiSettings::default()
    })?;
    let key = api.activate("0123456789abcdef", PIN, "Raspberry pi")?;
    Ok(key.expose().to_owned())
}

const GOOD: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{\"key\": \"0123456789abcdef0123\"}";

#[test]
fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let ours = Authority::new();
    let api = ours.serve("127.0.0.1", Some(GOOD));
    assert_eq!(ask(&api, Some(&ours.file())).unwrap(), KEY);
    // Neither the public ones nor another's know it.
    let stranger = Authority::new();
    for wrong in [None, Some(stranger.file())] {
        let error = ask(&api, wrong.as_deref()).unwrap_err();
        assert!(matches!(error, ApiError::Tls(_)), "{error}");
    }
    let elsewhere = ours.serve("elsewhere.example", Some(GOOD));
    let error = ask(&elsewhere, Some(&ours.file())).unwrap_err();
    assert!(matches!(error, ApiError::Tls(_)), "{error}");
    // What the file is not.
    std::fs::write(ours.file(), "no certificate").unwrap();
    let error = ask(&api, Some(&ours.file())).unwrap_err();
    assert!(matches!(error, ApiError::Certificates(_)), "{error}");
}

#[test]
fn each_way_of_not_answering_has_its_own_message() {
    let ours = Authority::new();
    let text = |answer| {
        let error = ask(&ours.serve("127.0.0.1", answer), Some(&ours.file())).unwrap_err();
        outpost::base::error::Failure::from_error(outpost::base::error::Kind::Hardware, &error)
            .message
    };
    let html = "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n<html>hello</html>\n";
    assert_eq!(
        text(Some(html)),
        "the server's answer makes no sense: not JSON: <html>hello</html> "
    );
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        text(Some(empty)),
        "the server's answer makes no sense: it is empty"
    );
    assert_eq!(text(None), "the server did not answer within 1.5 s");
    let closed = text(Some(""));
    assert!(
        closed.starts_with("the server cannot be reached: "),
        "{closed}"
    );
    let broken = text(Some("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"));
    assert_eq!(
        broken,
        "the server's answer makes no sense: it is cut short, or far too long"
    );
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(text(Some(refused)), "the server answered 403 Forbidden");
    // Plain http on the port of https.
    let plain = ours.serve("127.0.0.1", Some(GOOD)).replace("https", "http");
    assert!(ask(&plain, None).is_err());
}
