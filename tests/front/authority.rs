//! Certificates of every kind: keys by openssl, as a merchant makes them; certificates by rcgen,
//! which can also make the bad ones.

use paytoken_sandbox::rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::tools::openssl;

/// A certificate (with what else its file holds) and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// What a client's key can be.
pub const KINDS: [(&str, &[&str]); 5] = [
    ("EC P-256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("EC P-384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("RSA 2048", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("RSA 4096", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"]),
    ("Ed25519", &["-algorithm", "ED25519"]),
];

/// A new private key, PKCS#8.
pub fn new_key(kind: &[&str]) -> String {
    openssl(&[&["genpkey"], kind].concat(), "")
}

/// The same key as SEC1 or PKCS#1; Ed25519 has no such form.
pub fn traditional(key: &str) -> String {
    openssl(&["pkey", "-traditional"], key)
}

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let issuer =
            CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap());
        Self { issuer: issuer.unwrap() }
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        Self { issuer: CertifiedIssuer::signed_by(params, key, self.as_issuer()).unwrap() }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client certificate for a new P-256 key.
    pub fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        self.client_with_key(KeyPair::generate().unwrap().serialize_pem(), change)
    }

    pub fn client_with_key(
        &self,
        key: String,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = params("client-of-the-front");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let pair = KeyPair::from_pem(&key).unwrap();
        Identity { certificate: params.signed_by(&pair, self.as_issuer()).unwrap().pem(), key }
    }

    /// A server certificate for these names.
    pub fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let pair = KeyPair::generate().unwrap();
        let mut params = server_params(names);
        change(&mut params);
        let certificate = params.signed_by(&pair, self.as_issuer()).unwrap().pem();
        Identity { certificate, key: pair.serialize_pem() }
    }

    /// A list that revokes the certificate with this serial number.
    pub fn revocation_list(&self, serial: u64) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2049, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2020, 1, 2),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(self.as_issuer()).unwrap().pem().unwrap()
    }

    fn as_issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

/// A server certificate that vouches for itself.
pub fn self_signed_server() -> Identity {
    let pair = KeyPair::generate().unwrap();
    let certificate = server_params(&["127.0.0.1"]).self_signed(&pair).unwrap().pem();
    Identity { certificate, key: pair.serialize_pem() }
}

/// Ended at the start of 2021.
pub fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2021, 1, 1);
}

pub fn with_serial(serial: u64) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(serial))
}

/// Makes a certificate larger by about this many bytes.
pub fn padded(bytes: usize) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        let padding = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999], vec![0; bytes]);
        params.custom_extensions.push(padding);
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut made = params("front");
    made.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
    made.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    made
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}
