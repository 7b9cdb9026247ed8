//! TLS by a pinned certificate: the leader makes a key when it takes over and publishes the certificate's fingerprint in
//! its Lease, which only Rouse's own ServiceAccounts can write; activators accept that certificate and no other.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};

/// The name in the certificate and in the handshake. It is not what is trusted: the fingerprint is.
pub const SERVER_NAME: &str = "rouse-operator";

/// SHA-256 of a certificate's DER bytes, in lower-case hex.
pub fn fingerprint(certificate: &[u8]) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A fresh identity of a leader.
pub struct Identity {
    /// For the server's acceptor. Speaks HTTP/2 only.
    pub config: Arc<ServerConfig>,
    /// What activators pin.
    pub fingerprint: String,
}

/// An identity could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Of the key or the certificate.
    #[error("the link's certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Of the TLS configuration.
    #[error("the link's TLS configuration is not valid: {0}")]
    Tls(#[from] Error),
}

impl Identity {
    /// Makes a key pair (ECDSA P-256) and a self-signed certificate. The key never leaves the process.
    ///
    /// # Errors
    /// [`IdentityError`] when the cryptographic library refuses.
    pub fn generate() -> Result<Self, IdentityError> {
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned()])?.self_signed(&key)?;
        let der = certificate.der().clone();
        let fingerprint = fingerprint(&der);
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![der], private)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config), fingerprint })
    }
}

/// A client configuration that accepts the certificate with this fingerprint and no other. Speaks HTTP/2 only.
///
/// # Errors
/// When the cryptographic library offers no usable protocol version.
pub fn client(fingerprint: &str) -> Result<Arc<ClientConfig>, Error> {
    let provider = provider();
    let verifier = Pinned { fingerprint: fingerprint.to_owned(), provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts one certificate. The handshake's signature is still checked: holding the certificate is not enough, the
/// other side must hold its key.
#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if fingerprint(end_entity) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::pki_types::ServerName;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    async fn handshake(server: &Identity, pinned: &str) -> io::Result<()> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let acceptor = TlsAcceptor::from(Arc::clone(&server.config));
        let accepted = tokio::spawn(async move { acceptor.accept(far).await.map(|_| ()) });
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let connector = TlsConnector::from(client(pinned).map_err(io::Error::other)?);
        let connected = connector.connect(name, near).await.map(|_| ());
        let _ = accepted.await;
        connected
    }

    #[tokio::test]
    async fn only_the_pinned_certificate_is_accepted() {
        let leader = Identity::generate().unwrap();
        let other = Identity::generate().unwrap();
        handshake(&leader, &leader.fingerprint).await.unwrap();
        let refused = handshake(&other, &leader.fingerprint).await.unwrap_err();
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
}
