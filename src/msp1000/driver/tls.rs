//! TLS to an instrument whose certificate no authority has signed.
//!
//! | trust | the certificate must |
//! |---|---|
//! | pin | have this fingerprint |
//! | first use | be the one seen first, which is kept |
//! | authority | be signed by one in a file, for this host |
//! | none | nothing |
//!
//! The first two look at neither dates nor names nor chain: instruments have no clock, and one name. That the server
//! holds the certificate's key is checked always, or anybody could show a copy. Nothing is sent before the check.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use super::Port;
use super::known::{KnownError, KnownInstruments};
use crate::base::certificate::{Fingerprint, provider};
use crate::base::clock::Clock;
use crate::base::error::Kind;

/// For the whole handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which certificates are trusted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The one with this fingerprint.
    Pin(Fingerprint),
    /// The first one seen of this instrument.
    FirstUse(KnownInstruments),
    /// Those signed by an authority in this PEM file.
    Authority(PathBuf),
    /// Any. Logged at each connection.
    None,
}

/// Why there is no connection to an instrument.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It offers nothing that is still safe.
    #[error(
        "the spectrometer's TLS is too old ({detail}): put a TLS terminator in front of it, as the README tells"
    )]
    TlsTooOld {
        /// What the handshake ended with.
        detail: String,
    },
    /// Another certificate than the one that is trusted.
    #[error("the spectrometer shows the certificate {got}, trusted is {expected}: {cure}")]
    CertificateChanged {
        /// Trusted.
        expected: Fingerprint,
        /// Shown.
        got: Fingerprint,
        /// What to do if the new one is right.
        cure: String,
    },
    /// No authority vouches for the certificate.
    #[error("the spectrometer's certificate is not trusted: {detail}")]
    Untrusted {
        /// Why.
        detail: String,
    },
    /// The authorities' file is of no use.
    #[error("{path} holds no certificates of authorities: {detail}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The list of known instruments is of no use.
    #[error("nobody knows whether the spectrometer is trusted")]
    Known(#[from] KnownError),
    /// Not a name that a certificate can have.
    #[error("{0:?} is no host name")]
    BadName(String, #[source] InvalidDnsNameError),
    /// The handshake failed otherwise.
    #[error("the TLS handshake with the spectrometer failed")]
    Handshake(#[source] io::Error),
    /// It took too long.
    #[error("the TLS handshake with the spectrometer was not over after {HANDSHAKE_TIMEOUT:?}")]
    TimedOut,
    /// Without TLS to another machine.
    #[error("{0} is another machine: without TLS only a loopback address is allowed")]
    NotLoopback(SocketAddr),
}

impl ConnectError {
    /// The kind as which this failure leaves the instrument.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TimedOut => Kind::TimedOut,
            Self::TlsTooOld { .. } | Self::Handshake(_) => Kind::Hardware,
            Self::CertificateChanged { .. } | Self::Untrusted { .. } => Kind::Protected,
            Self::Known(_) | Self::Authority { .. } => Kind::Storage,
            Self::BadName(..) | Self::NotLoopback(_) => Kind::InvalidArgument,
        }
    }
}

/// Makes an encrypted link of an open stream to `host` (a name or an IP address).
///
/// `instrument` is under which name the first certificate is kept: the serial, or the address where none is known.
/// Returns the fingerprint of the certificate as well.
///
/// # Errors
/// [`ConnectError`]. The stream is closed then, without a byte of the protocol sent.
pub async fn secure(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    host: &str,
    instrument: &str,
    trust: &Trust,
    clock: &Clock,
) -> Result<(Port, Fingerprint), ConnectError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| ConnectError::BadName(host.to_owned(), error))?;
    let expected = expected(trust, instrument).await?;
    let verifier = Arc::new(Verifier {
        expected,
        authorities: authorities(trust).await?,
        provider: provider(),
        shown: OnceLock::new(),
    });
    let config = client_config(verifier.clone())?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let done = clock.timeout(HANDSHAKE_TIMEOUT, handshake).await;
    let shown = verifier.shown.get().copied();
    let stream = match done.ok_or(ConnectError::TimedOut)? {
        Ok(stream) => stream,
        Err(error) => return Err(explain(error, trust, instrument, expected, shown)),
    };
    let shown = shown.ok_or_else(|| ConnectError::Untrusted {
        detail: "it shows none".into(),
    })?;
    match trust {
        Trust::FirstUse(known) if expected.is_none() => {
            let (known, instrument) = (known.clone(), instrument.to_owned());
            smol::unblock(move || known.keep(&instrument, shown)).await?;
        }
        // Nobody stands between this machine and itself.
        Trust::None if is_loopback(host) => {
            tracing::debug!("the spectrometer on this machine shows the certificate {shown}");
        }
        Trust::None => {
            tracing::warn!(
                "the spectrometer at {host} is trusted unchecked, its certificate is {shown}"
            );
        }
        _ => {}
    }
    Ok((Box::pin(stream), shown))
}

fn is_loopback(host: &str) -> bool {
    host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

async fn expected(trust: &Trust, instrument: &str) -> Result<Option<Fingerprint>, ConnectError> {
    match trust {
        Trust::Pin(fingerprint) => Ok(Some(*fingerprint)),
        Trust::FirstUse(known) => {
            let (known, instrument) = (known.clone(), instrument.to_owned());
            Ok(smol::unblock(move || known.load(&instrument)).await?)
        }
        Trust::Authority(_) | Trust::None => Ok(None),
    }
}

async fn authorities(trust: &Trust) -> Result<Option<Arc<WebPkiServerVerifier>>, ConnectError> {
    let Trust::Authority(path) = trust else {
        return Ok(None);
    };
    let fail = |detail: String| ConnectError::Authority {
        path: path.clone(),
        detail,
    };
    let file = path.clone();
    let roots = smol::unblock(move || {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(&file).map_err(|e| e.to_string())?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        Ok(roots)
    });
    let roots = roots.await.map_err(fail)?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map(Some)
        .map_err(|error| fail(error.to_string()))
}

fn client_config(verifier: Arc<Verifier>) -> Result<ClientConfig, ConnectError> {
    let refused = |error| ConnectError::Handshake(io::Error::other::<rustls::Error>(error));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Each connection is to check the certificate anew.
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

fn explain(
    error: io::Error,
    trust: &Trust,
    instrument: &str,
    expected: Option<Fingerprint>,
    shown: Option<Fingerprint>,
) -> ConnectError {
    if let (Some(expected), Some(got)) = (expected, shown)
        && expected != got
    {
        let cure = match trust {
            Trust::FirstUse(known) => format!(
                "if the instrument was renewed or replaced, delete {}",
                known.path(instrument).display()
            ),
            _ => "if the instrument was renewed or replaced, set msp1000.pin to the new one".into(),
        };
        return ConnectError::CertificateChanged {
            expected,
            got,
            cure,
        };
    }
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return ConnectError::Handshake(error);
    };
    let detail = tls.to_string();
    match (tls, trust) {
        (rustls::Error::InvalidCertificate(_), Trust::Authority(_)) => {
            ConnectError::Untrusted { detail }
        }
        (tls, _) if is_too_old(tls) => ConnectError::TlsTooOld { detail },
        _ => ConnectError::Handshake(error),
    }
}

/// The ways in which handshakes with servers of 2017 end.
fn is_too_old(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::AlertReceived(alert) => matches!(
            alert,
            AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
        ),
        rustls::Error::PeerIncompatible(_) => true,
        // Keys and certificates that the signature check of the handshake does not take: RSA below 2048 bits, X.509
        // before version 3, SHA-1.
        rustls::Error::InvalidCertificate(reason) => {
            matches!(reason, CertificateError::BadSignature)
                || reason.to_string().contains("UnsupportedCertVersion")
                || format!("{reason:?}").contains("UnsupportedSignatureAlgorithm")
        }
        _ => false,
    }
}

#[derive(Debug)]
struct Verifier {
    expected: Option<Fingerprint>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    /// The certificate of this one connection.
    shown: OnceLock<Fingerprint>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = *self.shown.get_or_init(|| Fingerprint::of(end_entity));
        if self.expected.is_some_and(|expected| expected != shown) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
