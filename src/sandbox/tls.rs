//! The sandbox's own certificate authority and the origins' certificates, made anew at every start.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::SandboxError;

const DAY: Duration = Duration::from_secs(86_400);
/// Managed certificates are issued for 90 days.
const VALID_BEFORE: Duration = Duration::from_secs(71 * 86_400);

/// Signs the origins' certificates.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    started: Timestamp,
}

impl Authority {
    /// A new authority, valid from well before `started` (wall time) for ten years.
    pub(super) fn new(started: Timestamp) -> Result<Self, SandboxError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "cutover sandbox CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, started, 3650);
        let key = KeyPair::generate().map_err(SandboxError::Certificate)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(SandboxError::Certificate)?;
        Ok(Self { issuer, started })
    }

    /// The authority's own certificate, for clients to trust.
    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Terminates TLS for `names` with a certificate that expires in `days`.
    pub(super) fn acceptor(&self, names: &[&str], days: u32) -> Result<TlsAcceptor, SandboxError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(SandboxError::Certificate)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, self.started, days);
        let key = KeyPair::generate().map_err(SandboxError::Certificate)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(SandboxError::Certificate)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
            .map_err(SandboxError::Tls)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn set_validity(params: &mut CertificateParams, started: Timestamp, days: u32) {
    let started = Duration::from_secs(u64::try_from(started.as_second()).unwrap_or(0));
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + started.saturating_sub(VALID_BEFORE);
    params.not_after = epoch + (started + DAY * days);
}
