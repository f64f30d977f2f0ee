//! TLS of the checks: what a customer's first visit would be, at what a check may cost.
//!
//! - A session is resumed (RFC 8446, section 2.2) only by a client of one [`MOMENT`](super::MOMENT): the server does not
//!   show its certificate again, and one that was renewed, or has expired since, would not be seen.
//! - AES-128 is offered before AES-256, as browsers do; its key schedule takes SHA-256, for which processors have
//!   instructions.
//! - Key exchange is classical. What is exchanged is a public page that nobody gains by recording, and the hybrid with
//!   ML-KEM takes three times as long.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CipherSuite, ClientConfig, NamedGroup, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use rustls_platform_verifier::Verifier;

use crate::world::clean;

/// The configuration that trusts one file of certificates (PEM), or without one what the system trusts.
///
/// # Errors
/// The file cannot be read or holds no certificate, or the system's certificates cannot be used; one line.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(provider());
    let unusable = |error: rustls::Error| clean(&format!("no TLS: {error}"));
    let verifier: Arc<dyn ServerCertVerifier> = match ca_file {
        Some(path) => anchored(path, Arc::clone(&provider))
            .map_err(|why| clean(&format!("the CA file {} cannot be used: {why}", path.display())))?,
        None => Arc::new(Verifier::new(Arc::clone(&provider)).map_err(unusable)?),
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    provider.cipher_suites.sort_by_key(|suite| suite.suite() == CipherSuite::TLS13_AES_256_GCM_SHA384);
    provider
}

fn anchored(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Box<dyn std::error::Error>> {
    let pem = std::fs::read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err(io::Error::other("it holds no certificate").into());
    }
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
}
