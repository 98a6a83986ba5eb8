//! Certificates of a test.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};

/// An authority that signs certificates, all of them files of one directory.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    home: PathBuf,
    /// Its own certificate (PEM).
    pub file: PathBuf,
}

impl Authority {
    /// Creates one with a name.
    pub fn new(home: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = home.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), home: home.to_owned(), file }
    }

    /// Signs a certificate of `CN=<name>` for these addresses. Returns its file and that of its key.
    pub fn sign(&self, name: &str, addresses: &[String]) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(addresses).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = |kind: &str| self.home.join(format!("{name}.{kind}"));
        std::fs::write(file("crt"), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("crt"), file("key"))
    }

    /// Returns the part of a server's configuration that requires a certificate of this authority of
    /// each client, whose subject is its user, and shows this one of the server's own.
    pub fn tls(&self, (certificate, key): &(PathBuf, PathBuf)) -> String {
        let ca = &self.file;
        format!(
            "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {ca:?}, \
             verify_and_map: true }}\n"
        )
    }
}
