//! The certificate by which a TLS server shows who it is: made once, kept, known by its fingerprint.
//!
//! Outpost's own are self-signed, with a P-256 key. Whoever connects pins the fingerprint or does not look at it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS12;
use sha2::{Digest, Sha256};

/// The certificate's file in its folder.
pub const CERTIFICATE_FILE: &str = "certificate.pem";
/// The private key's file beside it.
pub const KEY_FILE: &str = "key.pem";

/// SHA-256 of a whole certificate in DER. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is a SHA-256 in 64 hexadecimal digits")]
pub struct NoFingerprint;

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(NoFingerprint);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(NoFingerprint);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(hash))
    }
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No randomness, or no memory.
    #[error("no certificate can be made")]
    Make(#[from] rcgen::Error),
    /// A file that cannot be read.
    #[error("{path} is no PEM file with a certificate or key")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A file that cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key is lost: a new pair would be another server to all who know the old one.
    #[error(
        "{certificate} is there without its key; restore {KEY_FILE} beside it, \
         or delete it for a new pair that clients must trust anew"
    )]
    KeyLost {
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The key is not this certificate's, or of a kind that TLS does not use.
    #[error("the certificate and the key cannot be used together")]
    Unusable(#[from] rustls::Error),
}

/// Which versions of TLS a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    All,
    /// 1.2 alone.
    Tls12,
}

/// A certificate with its private key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Makes a new pair: P-256, self-signed, for `name`.
    ///
    /// # Errors
    /// [`CertificateError::Make`].
    pub fn generate(name: &str) -> Result<Self, CertificateError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()])?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = parameters.self_signed(&key)?;
        Ok(Self {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// Reads a pair from PEM files: the certificate, with any that follow it in its chain, and its key.
    ///
    /// # Errors
    /// [`CertificateError::Read`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| CertificateError::Read { path, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(|chain| chain.collect::<Result<Vec<_>, _>>())
            .and_then(|chain| match chain.is_empty() {
                true => Err(pem::Error::NoItemsFound),
                false => Ok(chain),
            })
            .map_err(fail(certificate))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(fail(key))?;
        Ok(Self { chain, key })
    }

    /// The pair kept in `folder`, made for `name` the first time. The key's file has mode 0600. Blocks.
    ///
    /// # Errors
    /// [`CertificateError`]. A pair that is there but damaged is never replaced.
    pub fn keep(folder: &Path, name: &str) -> Result<Self, CertificateError> {
        let (certificate, key) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
        match (certificate.exists(), key.exists()) {
            (true, true) => return Self::load(&certificate, &key),
            (true, false) => return Err(CertificateError::KeyLost { certificate }),
            // Nobody has seen the certificate of a key that stands alone: the first start was cut short.
            (false, _) => {}
        }
        let made = Self::generate(name)?;
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| CertificateError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(fail(folder))?;
        write(&key, "PRIVATE KEY", made.key.secret_der(), 0o600).map_err(fail(&key))?;
        write(&certificate, "CERTIFICATE", &made.chain[0], 0o644).map_err(fail(&certificate))?;
        Ok(made)
    }

    /// Of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.chain.first().map_or(&[], |certificate| certificate))
    }

    /// A server that shows this certificate, asks for none, and offers neither session resumption nor ALPN.
    ///
    /// # Errors
    /// [`CertificateError::Unusable`].
    pub fn server_config(
        &self,
        versions: TlsVersions,
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let versions = match versions {
            TlsVersions::All => rustls::ALL_VERSIONS,
            TlsVersions::Tls12 => &[&TLS12],
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// The one implementation of cryptography in this program.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Writes a PEM file that appears complete or not at all.
fn write(path: &Path, label: &str, der: &[u8], mode: u32) -> io::Result<()> {
    let text = base64_simd::STANDARD.encode_to_string(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    let temporary = path.with_extension("pem.tmp");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
