//! Which certificates are trusted, and which servers are too old.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::{or, zip};
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use outpost::base::certificate::{
    CERTIFICATE_FILE, CertificateError, Fingerprint, Identity, KEY_FILE, TlsVersions, provider,
};
use outpost::base::clock::Clock;
use outpost::base::error::Kind;
use outpost::msp1000::driver::{ConnectError, KnownInstruments, Trust, secure};
use outpost::msp1000::sim::{Config, Simulator};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use smol::Async;
use tempfile::TempDir;

use crate::rig::{ANY, Rig, Script, after, run};

/// The error of connecting to the rig's instrument.
async fn refusal(rig: &Rig, trust: &Trust) -> ConnectError {
    rig.secure(trust).await.err().expect("refused")
}

#[test]
fn a_pinned_certificate_is_the_only_one_trusted() {
    let rig = Rig::tls();
    let own = rig.simulator.fingerprint().unwrap();
    run(async {
        let port = rig.secure(&Trust::Pin(own)).await.unwrap();
        assert_eq!(rig.link_on(port).exposure().await.unwrap(), 2);
        let other = Fingerprint::of(b"another");
        let told = refusal(&rig, &Trust::Pin(other)).await;
        assert_eq!(told.kind(), Kind::Protected);
        let text = told.to_string();
        for part in [own.to_string(), other.to_string(), "msp1000.pin".into()] {
            assert!(text.contains(&part), "{text}");
        }
    });
}

#[test]
fn the_first_certificate_is_kept_and_a_change_refused() {
    let folder = tempfile::tempdir().unwrap();
    let known = KnownInstruments::new(folder.path().join("known_instruments"));
    let trust = Trust::FirstUse(known.clone());
    let rig = Rig::tls();
    let own = rig.simulator.fingerprint().unwrap();
    run(async {
        rig.secure(&trust).await.unwrap();
        assert_eq!(known.load("42").unwrap(), Some(own));
        rig.secure(&trust).await.unwrap();
        rig.fault("new-cert", None);
        for _ in 0..2 {
            let told = refusal(&rig, &trust).await;
            let ConnectError::CertificateChanged {
                expected,
                got,
                cure,
            } = &told
            else {
                panic!("{told:?}");
            };
            assert_eq!(*expected, own);
            assert_ne!(*got, own);
            assert!(cure.contains(known.path("42").to_str().unwrap()), "{cure}");
            // Never overwritten silently.
            assert_eq!(known.load("42").unwrap(), Some(own));
        }
        // The cure works.
        fs::remove_file(known.path("42")).unwrap();
        rig.secure(&trust).await.unwrap();
        assert_ne!(known.load("42").unwrap(), Some(own));
        rig.faults.clear();
        fs::write(known.path("42"), "nonsense").unwrap();
        let told = refusal(&rig, &trust).await;
        assert!(matches!(told, ConnectError::Known(_)), "{told:?}");
    });
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let rig = Rig::tls();
    rig.fault("tls", None);
    run(async {
        let own = rig.simulator.fingerprint().unwrap();
        let port = rig.secure(&Trust::Pin(own)).await.unwrap();
        let mut link = rig.link_on(port);
        link.take().await.unwrap();
        link.spectrum().await.unwrap();
    });
}

#[test]
fn an_instrument_of_old_tls_is_told_from_other_trouble() {
    let rig = Rig::tls();
    rig.fault("old-tls", None);
    run(async {
        let told = refusal(&rig, &Trust::None).await;
        let text = told.to_string();
        assert!(matches!(told, ConnectError::TlsTooOld { .. }), "{told:?}");
        assert!(
            text.contains("received fatal alert") && text.contains("terminator"),
            "{text}"
        );
        rig.faults.clear();
        rig.secure(&Trust::None).await.unwrap();
    });
}

/// What becomes of a handshake with a server that answers these bytes and closes.
fn answered_with(bytes: &'static [u8]) -> ConnectError {
    run(async {
        let listener = Async::<std::net::TcpListener>::bind(ANY).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello).await;
            stream.write_all(bytes).await.unwrap();
            stream.get_ref().shutdown(Shutdown::Write).unwrap();
            while stream.read(&mut hello).await.is_ok_and(|count| count > 0) {}
        };
        let connect = async {
            let stream = Async::<std::net::TcpStream>::connect(address)
                .await
                .unwrap();
            secure(stream, "127.0.0.1", "42", &Trust::None, &Clock::real())
                .await
                .err()
        };
        zip(serve, connect).await.1.expect("refused")
    })
}

#[test]
fn handshakes_that_fail_are_told_by_their_kind() {
    for (alert, old) in [
        (70, true),
        (40, true),
        (71, true),
        (80, false),
        (112, false),
    ] {
        let bytes: &'static [u8] = vec![0x15, 3, 3, 0, 2, 2, alert].leak();
        let told = answered_with(bytes);
        assert_eq!(
            matches!(told, ConnectError::TlsTooOld { .. }),
            old,
            "{alert}: {told:?}"
        );
    }
    // A server of other things, and one that hangs up.
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"exposure:2\r\n",
        b"",
    ] {
        let told = answered_with(bytes);
        assert!(
            matches!(told, ConnectError::Handshake(_)),
            "{bytes:?}: {told:?}"
        );
    }
}

#[test]
fn a_handshake_without_answer_ends() {
    let (clock, hand) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
    let device = Script::default();
    let connect = secure(device, "127.0.0.1", "42", &Trust::None, &clock);
    let told = after(&hand, Duration::from_secs(5), connect).err().unwrap();
    assert!(matches!(told, ConnectError::TimedOut), "{told:?}");
    let connect = secure(Script::default(), "no host!", "42", &Trust::None, &clock);
    assert!(matches!(run(connect), Err(ConnectError::BadName(..))));
}

/// A server with somebody else's certificate and its own key.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[test]
fn a_copied_certificate_is_no_proof() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    let theirs = folder.path().join("theirs");
    let pinned = Identity::keep(&own, "instrument").unwrap().fingerprint();
    Identity::keep(&theirs, "instrument").unwrap();
    let chain = CertificateDer::from_pem_file(own.join(CERTIFICATE_FILE)).unwrap();
    let key = PrivateKeyDer::from_pem_file(theirs.join(KEY_FILE)).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    let resolver = Impostor(Arc::new(CertifiedKey::new(vec![chain], key)));
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Impostor(resolver.0.clone())));
        let told = run(async {
            let listener = Async::<std::net::TcpListener>::bind(ANY).unwrap();
            let address = listener.get_ref().local_addr().unwrap();
            let serve = async {
                let (stream, _) = listener.accept().await.unwrap();
                let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
                drop(accepted);
                std::future::pending().await
            };
            let connect = async {
                let stream = Async::<std::net::TcpStream>::connect(address)
                    .await
                    .unwrap();
                secure(
                    stream,
                    "127.0.0.1",
                    "42",
                    &Trust::Pin(pinned),
                    &Clock::real(),
                )
                .await
                .err()
            };
            or(connect, serve).await.expect("refused")
        });
        assert!(told.to_string().contains("BadSignature"), "{told}");
    }
}

/// An identity in files, for an address.
fn kept(name: &str) -> (TempDir, Identity) {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::keep(folder.path(), name).unwrap();
    (folder, identity)
}

#[test]
fn an_authority_vouches_for_its_own() {
    let (folder, identity) = kept("127.0.0.1");
    let trust = Trust::Authority(folder.path().join(CERTIFICATE_FILE));
    let own = Rig::start(Config {
        identity: Some(identity),
        ..Config::default()
    });
    let other = Rig::tls();
    run(async {
        let told = refusal(&other, &trust).await;
        assert!(matches!(told, ConnectError::Untrusted { .. }), "{told:?}");
        own.secure(&trust).await.unwrap();
        for (file, text) in [
            ("no_such.pem", "no_such.pem holds no"),
            (KEY_FILE, "holds no"),
        ] {
            let told = refusal(&own, &Trust::Authority(folder.path().join(file))).await;
            assert!(matches!(told, ConnectError::Authority { .. }), "{told:?}");
            assert!(told.to_string().contains(text), "{told}");
        }
    });
}

#[test]
fn a_certificate_is_made_once_and_kept() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, made) = kept("outpost");
    let again = Identity::keep(folder.path(), "outpost").unwrap();
    assert_eq!(again.fingerprint(), made.fingerprint());
    let key = folder.path().join(KEY_FILE);
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let certificate = folder.path().join(CERTIFICATE_FILE);
    assert_eq!(
        made.fingerprint().to_string().parse(),
        Ok(made.fingerprint())
    );
    // A start that was cut short left a key alone; a lost key is told.
    fs::remove_file(&certificate).unwrap();
    let new = Identity::keep(folder.path(), "outpost").unwrap();
    assert_ne!(new.fingerprint(), made.fingerprint());
    fs::remove_file(&key).unwrap();
    let told = Identity::keep(folder.path(), "outpost").unwrap_err();
    assert!(matches!(told, CertificateError::KeyLost { .. }), "{told}");
    fs::write(&key, "nonsense").unwrap();
    let told = Identity::keep(folder.path(), "outpost").unwrap_err();
    assert!(told.to_string().contains("key.pem"), "{told}");
    // Two that do not belong together.
    let (other, _) = kept("outpost");
    let mixed = Identity::load(&certificate, &other.path().join(KEY_FILE)).unwrap();
    assert!(mixed.server_config(TlsVersions::All).is_err());
    for text in ["", "0", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
        assert!(text.parse::<Fingerprint>().is_err());
    }
}

#[test]
fn the_simulator_shows_the_certificate_it_is_given() {
    let (_folder, identity) = kept("127.0.0.1");
    let own = identity.fingerprint();
    let rig = Rig::start(Config {
        identity: Some(identity),
        ..Config::default()
    });
    assert_eq!(rig.simulator.fingerprint(), Some(own));
    run(async { rig.secure(&Trust::Pin(own)).await.map(drop).unwrap() });
    let taken = Simulator::start(
        Clock::real(),
        Config::default(),
        rig.faults.clone(),
        rig.address(),
    );
    let told = taken.unwrap_err().to_string();
    assert!(told.starts_with("cannot listen on 127.0.0.1:"), "{told}");
}

/// Application data of the record layer, as the server's stream of TLS 1.2 shows it.
#[test]
fn each_reply_is_one_record() {
    let rig = Rig::tls();
    rig.fault("tls", None);
    run(async {
        let tap = Tap::new(rig.socket().await);
        let records = tap.received.clone();
        let trust = Trust::None;
        let (port, _) = secure(tap, "127.0.0.1", "42", &trust, &rig.clock)
            .await
            .unwrap();
        let mut link = rig.link_on(port);
        link.calibration().await.unwrap();
        records.borrow_mut().clear();
        link.spectrum().await.unwrap();
        let bytes = records.borrow();
        // Type 23, version, length: 7398 bytes, 8 of nonce and 16 of tag, or 16 alone.
        let length = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        assert_eq!(bytes[0], 23);
        assert_eq!(bytes.len(), 5 + length);
        assert!([7398 + 16, 7398 + 24].contains(&length), "{length}");
    });
}

/// A stream that keeps what it received.
struct Tap {
    stream: Async<std::net::TcpStream>,
    received: Rc<RefCell<Vec<u8>>>,
}

impl Tap {
    fn new(stream: Async<std::net::TcpStream>) -> Self {
        Self {
            stream,
            received: Rc::default(),
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(count)) = &read {
            self.received
                .borrow_mut()
                .extend_from_slice(&buffer[..*count]);
        }
        read
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
