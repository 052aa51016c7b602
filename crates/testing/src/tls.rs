//! A certificate authority for one test: it signs a server certificate for 127.0.0.1 and a client
//! certificate, and writes all of them as PEM files. Knows nothing of Redis and opens no socket.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// The PEM files of one authority.
#[derive(Debug, Clone)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Creates an authority with a server and a client certificate, and writes them into
    /// `directory`. Two calls create two authorities that do not trust each other.
    ///
    /// # Panics
    ///
    /// If `directory` cannot be written.
    #[must_use]
    pub fn create_in(directory: &Path) -> Self {
        let certificates = Self {
            directory: directory.to_owned(),
        };
        let authority = authority();
        fs::write(certificates.ca(), authority.pem()).expect("write the authority's certificate");

        let names = ["127.0.0.1", "localhost"];
        let server = signed(&authority, &names, ExtendedKeyUsagePurpose::ServerAuth);
        fs::write(certificates.server_certificate(), server.0)
            .expect("write the server's certificate");
        fs::write(certificates.server_key(), server.1).expect("write the server's key");

        let client = signed(&authority, &["client"], ExtendedKeyUsagePurpose::ClientAuth);
        fs::write(certificates.client_certificate(), client.0)
            .expect("write the client's certificate");
        fs::write(certificates.client_key(), client.1).expect("write the client's key");
        certificates
    }

    /// Creates a self-signed server certificate and its key, as `openssl req -x509` does: for these
    /// names, valid until the end of this year, and that of an authority if `is_ca`.
    ///
    /// # Panics
    ///
    /// If the directory cannot be written.
    #[must_use]
    pub fn self_signed(&self, names: &[&str], is_ca: bool, until: i32) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("the names are valid");
        params
            .distinguished_name
            .push(DnType::CommonName, "Waxseal test server");
        params.is_ca = match is_ca {
            true => IsCa::Ca(BasicConstraints::Unconstrained),
            false => IsCa::ExplicitNoCa,
        };
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().expect("generate a key");
        let certificate = params.self_signed(&key).expect("sign a certificate");
        let path = |kind: &str| {
            let name = format!("self-signed-{is_ca}-{until}.{kind}");
            self.directory.join(name)
        };
        let paths = (path("pem"), path("key"));
        fs::write(&paths.0, certificate.pem()).expect("write a certificate");
        fs::write(&paths.1, key.serialize_pem()).expect("write its key");
        paths
    }

    /// The certificate of the authority itself.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The server's certificate, for `127.0.0.1` and `localhost`.
    #[must_use]
    pub fn server_certificate(&self) -> PathBuf {
        self.directory.join("server.pem")
    }

    /// The server's private key, PKCS#8.
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.directory.join("server.key")
    }

    /// The client's certificate.
    #[must_use]
    pub fn client_certificate(&self) -> PathBuf {
        self.directory.join("client.pem")
    }

    /// The client's private key, PKCS#8.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.directory.join("client.key")
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Waxseal test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("generate the authority's key");
    CertifiedIssuer::self_signed(params, key).expect("sign the authority's certificate")
}

/// Certificate and private key, both PEM.
fn signed(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
    purpose: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names.clone()).expect("the names are valid");
    params
        .distinguished_name
        .push(DnType::CommonName, names[0].as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("generate a key");
    let certificate = params
        .signed_by(&key, authority)
        .expect("sign a certificate");
    (certificate.pem(), key.serialize_pem())
}
