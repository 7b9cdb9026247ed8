//! Certificates and keys of a node: made anew at each start, valid for the node's life, worthless
//! outside its namespaces.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::address::{API_SERVICE_IP, CLUSTER_DOMAIN, NODE_IP, NODE_NAME};
use super::paths::Paths;

/// Writes `ca`, `apiserver` (`.crt`, `.key`) and the key that signs service account tokens
/// (`tokens.key`, `tokens.pub`).
pub(crate) fn write(paths: &Paths) -> Result<()> {
    let key = KeyPair::generate()?;
    let params = authority()?;
    let certificate = params.self_signed(&key)?;
    public(&paths.pki("ca.crt"), &certificate.pem())?;
    secret(&paths.pki("ca.key"), &key.serialize_pem())?;
    let ca = Issuer::new(params, key);

    let key = KeyPair::generate()?;
    let certificate = api_server()?.signed_by(&key, &ca)?;
    public(&paths.pki("apiserver.crt"), &certificate.pem())?;
    secret(&paths.pki("apiserver.key"), &key.serialize_pem())?;

    // ECDSA P-256: tokens are signed with ES256.
    let key = KeyPair::generate()?;
    secret(&paths.pki("tokens.key"), &key.serialize_pem())?;
    public(&paths.pki("tokens.pub"), &key.public_key_pem())
}

fn authority() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "rouse-e2e");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn api_server() -> Result<CertificateParams> {
    let mut names: Vec<String> = vec!["localhost".into(), NODE_NAME.into(), "kubernetes".into()];
    names.extend(["default", "default.svc"].map(|tail| format!("kubernetes.{tail}")));
    names.push(format!("kubernetes.default.svc.{CLUSTER_DOMAIN}"));
    names.extend([API_SERVICE_IP.to_string(), NODE_IP.to_string(), "127.0.0.1".to_owned()]);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn public(path: &Path, pem: &str) -> Result<()> {
    fs::write(path, pem).with_context(|| format!("cannot write {}", path.display()))
}

/// Readable by its owner only, from the first byte on.
pub(crate) fn secret(path: &Path, content: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    std::io::Write::write_all(&mut file, content.as_bytes())?;
    Ok(())
}
