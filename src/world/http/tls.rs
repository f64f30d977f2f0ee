//! TLS of the checks: what a customer's first visit would be, at what a check may cost.
//!
//! - A session is resumed (RFC 8446, section 2.2) only within a [`MOMENT`] of a whole handshake: the server does not show
//!   its certificate again, and one that was renewed, or has expired since, would not be seen.
//! - AES-128 is offered before AES-256, as browsers do; its key schedule takes SHA-256, for which processors have
//!   instructions.
//! - Key exchange is classical. What is exchanged is a public page that nobody gains by recording, and the hybrid with
//!   ML-KEM takes three times as long.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use rustls::{
    CipherSuite, ClientConfig, NamedGroup, RootCertStore,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
        WebPkiServerVerifier, danger::ServerCertVerifier,
    },
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls_platform_verifier::Verifier;

use super::MOMENT;
use crate::{
    clock::monotonic,
    world::{clean, lock},
};

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

/// Servers whose sessions are remembered by one client.
const SERVERS: usize = 64;

/// Sessions of whole handshakes no longer ago than a [`MOMENT`], and those that were resumed from them.
#[derive(Debug)]
pub(super) struct Brief {
    sessions: ClientSessionMemoryCache,
    /// When a whole handshake with a server was begun.
    whole: Mutex<HashMap<ServerName<'static>, Instant>>,
}

impl Default for Brief {
    fn default() -> Self {
        Self { sessions: ClientSessionMemoryCache::new(SERVERS), whole: Mutex::default() }
    }
}

impl Brief {
    /// Forgets what is known of a server when it is too old, and notes that it is asked for the whole now.
    fn refresh(&self, server: &ServerName<'_>) {
        let (mut whole, now, server) = (lock(&self.whole), monotonic(), server.to_owned());
        if whole.get(&server).is_none_or(|at| now.duration_since(*at) >= MOMENT) {
            self.sessions.remove_tls12_session(&server);
            while self.sessions.take_tls13_ticket(&server).is_some() {}
            whole.insert(server, now);
        }
    }
}

impl ClientSessionStore for Brief {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.sessions.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.refresh(server);
        self.sessions.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.sessions.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.sessions.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.refresh(server);
        self.sessions.take_tls13_ticket(server)
    }
}
