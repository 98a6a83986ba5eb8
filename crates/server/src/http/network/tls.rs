//! TLS: the certificate of the service, and its key.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::error::{ErrorCode, ServiceError};

/// Name of HTTP/2 in the handshake.
pub(super) const HTTP_2: &[u8] = b"h2";
/// Name of HTTP/1.1 in the handshake.
const HTTP_1: &[u8] = b"http/1.1";

/// Reads a certificate with those that it follows from, and its key, both PEM.
///
/// # Errors
/// [`ErrorCode::InvalidConfig`] with the file.
pub(super) fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, ServiceError> {
    let invalid = |path: &Path, why: String| {
        let text = format!("{} cannot be used for TLS: {why}", path.display());
        ServiceError::new(ErrorCode::InvalidConfig, text)
            .fix("give a certificate and its key as PEM files (--tls-cert FILE --tls-key FILE)")
    };
    let certs =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.map_err(|error| invalid(cert, error.to_string()))?;
    if certs.is_empty() {
        return Err(invalid(cert, "it has no certificate".to_string()));
    }
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|error| invalid(key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certs, secret));
    let mut config = config.map_err(|error| invalid(cert, format!("with its key: {error}")))?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
