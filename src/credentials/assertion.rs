//! Signed client assertions: who knows a private key shows it by a signature, in the place of a secret
//! (RFC 7523 §2.2 and §3; RFC 7519; RFC 7518 §3).

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::SignatureScheme;
use rustls::sign::Signer;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::base::digest::{sha256, sha256_hex};
use crate::base::json;
use crate::credentials::certificate::FieldNames;
use crate::credentials::certificate::der::{self, INTEGER, SEQUENCE};
use crate::credentials::certificate::key::{self, Key};
use crate::types::error::{Error, Result};

/// Clocks differ by seconds: an assertion that is issued in the future is refused.
const BACKDATED: u64 = 5;
/// Some servers take none that lives for more than a few minutes.
const LIFETIME: u64 = 120;

/// A private key for client assertions.
#[derive(Clone)]
pub(crate) struct AssertionKey {
    key: Key,
    alg: SigningAlg,
    fingerprint: String,
}

/// By its registered name (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigningAlg {
    Ps256,
    Rs256,
    Es256,
    EdDsa,
}

impl SigningAlg {
    pub(crate) const ALL: [Self; 4] = [Self::Ps256, Self::Rs256, Self::Es256, Self::EdDsa];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn signer(self, key: &Key) -> Option<Box<dyn Signer>> {
        key.choose_scheme(&[match self {
            Self::Ps256 => SignatureScheme::RSA_PSS_SHA256,
            Self::Rs256 => SignatureScheme::RSA_PKCS1_SHA256,
            Self::Es256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            Self::EdDsa => SignatureScheme::ED25519,
        }])
    }
}

impl AssertionKey {
    /// Reads the one private key of a PEM text: PKCS#8, PKCS#1 or SEC1. `alg` may be left out where the
    /// key has one answer, which RSA has not.
    pub(crate) fn from_pem(field: &str, pem: &[u8], alg: Option<SigningAlg>) -> Result<Self> {
        let key = key::sole(pem, FieldNames::of_assertion(field))?;
        Self::of(field, key, alg)
    }

    /// A key that was read before: the client certificate's.
    pub(crate) fn of(field: &str, key: Key, alg: Option<SigningAlg>) -> Result<Self> {
        let names = FieldNames::of_assertion(field);
        let fitting = SigningAlg::ALL.into_iter().filter(|alg| alg.signer(&key).is_some());
        let fitting: Vec<_> = fitting.collect();
        let names_of = || fitting.iter().map(|alg| alg.name()).collect::<Vec<_>>().join(" or ");
        let alg = match (alg, &fitting[..]) {
            (_, []) => return Err(names.another_key("EC P-384 is not supported: ES256 is P-256")),
            (None, [only]) => *only,
            (Some(alg), fitting) if fitting.contains(&alg) => alg,
            (None, _) => {
                return Err(Error::configuration(format!(
                    "signing_alg: is missing, and the RSA key in {field} signs {}; set the one that the provider expects",
                    names_of()
                )));
            }
            (Some(alg), _) => {
                return Err(Error::configuration(format!(
                    "signing_alg: {} does not fit the key in {field}, which signs {}; change one of them",
                    alg.name(),
                    names_of()
                )));
            }
        };
        let public_key = key.public_key().expect("ring knows the public part of its keys");
        let fingerprint = sha256_hex(&public_key);
        Ok(Self { key, alg, fingerprint })
    }

    /// SHA-256 (hex) of the public part: the same for the same key, whatever its format.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A new assertion at each call: servers refuse one that they have seen.
    pub(crate) fn sign(
        &self,
        client_id: &str,
        audience: &str,
        kid: Option<&str>,
        x5t_s256: Option<&str>,
        now: SystemTime,
    ) -> Result<Zeroizing<String>> {
        let no_random = || {
            Error::configuration(
                "this system has no random numbers to sign a client assertion with",
            )
        };
        let mut unique = [0; 16];
        SystemRandom::new().fill(&mut unique).map_err(|_| no_random())?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let header = Header { alg: self.alg.name(), typ: "JWT", kid, x5t_s256 };
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: audience,
            jti: &URL_SAFE_NO_PAD.encode(unique),
            iat: now.saturating_sub(BACKDATED),
            exp: now.saturating_add(LIFETIME),
        };
        let signed = [part(&header), part(&claims)].join(".");
        let signer = self.alg.signer(&self.key).expect("it fits: that was seen to");
        let mut signature = Zeroizing::new(
            // It fails where there are no random numbers.
            signer.sign(signed.as_bytes()).map_err(|error| no_random().with_source(error))?,
        );
        if self.alg == SigningAlg::Es256 {
            signature = fixed(&signature).expect("rustls writes ECDSA signatures in DER");
        }
        let signature = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*signature));
        Ok(Zeroizing::new([signed.as_str(), ".", &signature].concat()))
    }
}

/// The header parameter that names a certificate (RFC 7515 §4.1.8).
pub(crate) fn x5t_s256(leaf_der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(leaf_der))
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
}

fn part(json: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(&*json::to_wiped_vec(json))
}

/// r and s of an ECDSA signature on P-256, 32 bytes each (RFC 7518 §3.4). DER leaves leading zeros out,
/// and puts one in front of a number whose first bit is set.
fn fixed(der: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const LENGTH: usize = 32;

    let (r, rest) = der::of_tag(der::only(der, SEQUENCE)?, INTEGER)?;
    let s = der::only(rest, INTEGER)?;
    let mut fixed = Zeroizing::new(vec![0; 2 * LENGTH]);
    for (place, number) in fixed.chunks_mut(LENGTH).zip([r, s]) {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        place[LENGTH.checked_sub(number.len())?..].copy_from_slice(number);
    }
    Some(fixed)
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey")
            .field("alg", &self.alg)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use paytoken_testing::{TempDir, has_tool, temporary_folder};
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;
    use crate::types::error::ErrorKind;

    const P256: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    const P384: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384";
    const RSA: &str = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    const ED25519: &str = "genpkey -algorithm ED25519";

    /// openssl, and the files that it makes.
    struct Files(TempDir);

    impl Files {
        fn new() -> Option<Self> {
            has_tool("openssl").then(|| Self(temporary_folder()))
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn is_ok(&self, arguments: &str) -> bool {
            let mut openssl = Command::new("openssl");
            let openssl = openssl.args(arguments.split(' ')).current_dir(self.path());
            openssl.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        }

        /// The file that a command writes, by `-out`.
        fn made(&self, arguments: &str) -> Vec<u8> {
            assert!(self.is_ok(arguments), "openssl {arguments}");
            self.read(arguments.rsplit(' ').next().unwrap())
        }

        fn read(&self, name: &str) -> Vec<u8> {
            std::fs::read(self.path().join(name)).unwrap()
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            std::fs::write(self.path().join(name), bytes).unwrap();
        }
    }

    fn key(pem: &[u8], alg: Option<SigningAlg>) -> Result<AssertionKey> {
        AssertionKey::from_pem("private_key", pem, alg)
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_767_225_600_900)
    }

    fn signed(key: &AssertionKey) -> Zeroizing<String> {
        key.sign("merchant-7", "https://auth.example/token", None, None, now()).unwrap()
    }

    /// Header, claims, what was signed, and the signature.
    fn parts(assertion: &str) -> (Value, Value, &str, Vec<u8>) {
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let json = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        (json(header), json(claims), signed, URL_SAFE_NO_PAD.decode(signature).unwrap())
    }

    #[test]
    fn each_signature_is_what_its_algorithm_says() {
        let Some(files) = Files::new() else { return };
        for (make, alg, verify) in [
            (RSA, SigningAlg::Rs256, "dgst -sha256 -verify public -signature signature signed"),
            (
                RSA,
                SigningAlg::Ps256,
                "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -verify public -signature signature signed",
            ),
            (P256, SigningAlg::Es256, ""),
            (
                ED25519,
                SigningAlg::EdDsa,
                "pkeyutl -verify -pubin -inkey public -rawin -sigfile signature -in signed",
            ),
        ] {
            let pem = files.made(&format!("{make} -out key"));
            files.made("pkey -in key -pubout -out public");
            // The point ends the SubjectPublicKeyInfo.
            let der = files.made("pkey -in key -pubout -outform DER -out der");
            let point = UnparsedPublicKey::new(
                &ECDSA_P256_SHA256_FIXED,
                &der[der.len().saturating_sub(65)..],
            );
            let is_good = |signed: &str, signature: &[u8]| {
                files.write("signed", signed.as_bytes());
                files.write("signature", signature);
                match verify {
                    "" => point.verify(signed.as_bytes(), signature).is_ok(),
                    verify => files.is_ok(verify),
                }
            };
            let key = key(&pem, Some(alg)).unwrap();
            for _ in 0..3 {
                let assertion = signed(&key);
                let (header, _, signed, mut signature) = parts(&assertion);
                assert_eq!(header["alg"], alg.name());
                assert!(is_good(signed, &signature), "{alg:?}");
                signature[40] ^= 1;
                assert!(!is_good(signed, &signature), "{alg:?}: another signature");
            }
        }
    }

    #[test]
    fn what_is_signed_is_told_once_in_this_form() {
        let Some(files) = Files::new() else { return };
        let key = key(&files.made(&format!("{P256} -out key")), None).unwrap();
        let assertion = key
            .sign("a\"b", "https://auth.example/t?a=\u{f1}", Some("key\\1"), Some("x5t"), now())
            .unwrap();
        let (header, claims, ..) = parts(&assertion);
        let expected =
            serde_json::json!({"alg": "ES256", "typ": "JWT", "kid": "key\\1", "x5t#S256": "x5t"});
        assert_eq!(header, expected);
        let jti = claims["jti"].as_str().unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(jti).unwrap().len(), 16);
        let expected = serde_json::json!({
            "iss": "a\"b", "sub": "a\"b", "aud": "https://auth.example/t?a=\u{f1}", "jti": jti,
            "iat": 1_767_225_595, "exp": 1_767_225_720,
        });
        assert_eq!(claims, expected);
        assert!(assertion.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'='));
        // Nothing that is absent is told, and no two are the same.
        let [one, other] = [(); 2].map(|()| signed(&key));
        assert_eq!(parts(&one).0, serde_json::json!({"alg": "ES256", "typ": "JWT"}));
        assert_ne!(parts(&one).1["jti"], parts(&other).1["jti"]);
        // A clock that was never set.
        let before = UNIX_EPOCH - Duration::from_secs(7);
        let assertion = key.sign("a", "b", None, None, before).unwrap();
        assert_eq!(parts(&assertion).1["iat"], 0);
    }

    #[test]
    fn an_ecdsa_signature_has_64_bytes_however_short_its_numbers_are() {
        let der = |r: &[u8], s: &[u8]| {
            let number = |n: &[u8]| [&[INTEGER, n.len() as u8], n].concat();
            let inside = [number(r), number(s)].concat();
            fixed(&[&[SEQUENCE, inside.len() as u8], &inside[..]].concat())
        };
        let [short, long] = [[&[0; 31][..], &[1]].concat(), vec![0x80; 32]];
        let with_sign = [&[0][..], &long].concat();
        assert_eq!(**der(&[1], &with_sign).unwrap(), *[&short[..], &long].concat());
        assert_eq!(**der(&with_sign, &[0, 0, 1]).unwrap(), *[&long[..], &short].concat());
        assert!(der(&[1; 33], &[1]).is_none() && der(&[1], &[1; 33]).is_none());
        assert!(fixed(&[]).is_none() && fixed(&[SEQUENCE, 3, INTEGER, 1, 1]).is_none());
    }

    #[test]
    fn a_key_has_one_fingerprint_in_every_format() {
        let Some(files) = Files::new() else { return };
        let fingerprint = |pem: &[u8]| {
            let alg = Some(SigningAlg::Ps256).filter(|_| key(pem, None).is_err());
            key(pem, alg).unwrap().fingerprint().to_owned()
        };
        let mut known = Vec::new();
        for make in [RSA, P256, ED25519] {
            let pkcs8 = files.made(&format!("{make} -out key"));
            let expected = sha256_hex(&files.made("pkey -in key -pubout -outform DER -out public"));
            assert_eq!(fingerprint(&pkcs8), expected, "{make}");
            if make != ED25519 {
                let other = files.made("pkey -in key -traditional -out old");
                assert!(!String::from_utf8_lossy(&other).contains("BEGIN PRIVATE"));
                assert_eq!(fingerprint(&other), expected, "{make}");
            }
            known.push(expected);
        }
        known.dedup();
        assert_eq!(known.len(), 3);
    }

    #[test]
    fn what_cannot_sign_is_told_with_its_field_and_never_shown() {
        let Some(files) = Files::new() else { return };
        let [rsa, p256, p384, ed25519] = [RSA, P256, P384, ED25519]
            .map(|make| files.made(&format!("{make} -out {}", make.replace([' ', ':'], ""))));
        files.write("key", &p256);
        let public = files.made("pkey -in key -pubout -out public");
        let encrypted = files.made("pkey -in key -aes256 -passout pass:secret -out encrypted");
        let certificate = files.made("req -x509 -key key -subj /CN=c -out certificate");
        let request = files.made("req -new -key key -subj /CN=c -out request");
        let der = files.made("pkey -in key -outform DER -out der");
        let bare = files.made("ec -in key -no_public -out bare");
        let short = files.made("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short");
        let pss = files.made("genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss");
        let cut = p256[..p256.len() / 2].to_vec();
        let garbled = String::from_utf8(p256.clone())
            .unwrap()
            .replace("PRIVATE KEY-----\nM", "PRIVATE KEY-----\nA");
        let two = [&p256[..], &rsa].concat();
        use SigningAlg::{EdDsa, Es256, Ps256, Rs256};
        let another = "register its public part with the provider";
        for (pem, alg, told) in [
            (
                &rsa,
                None,
                "signing_alg: is missing, and the RSA key in private_key signs PS256 or RS256",
            ),
            (
                &rsa,
                Some(Es256),
                "signing_alg: ES256 does not fit the key in private_key, which signs PS256 or RS256",
            ),
            (&rsa, Some(EdDsa), "signing_alg: EdDSA does not fit"),
            (
                &p256,
                Some(Rs256),
                "signing_alg: RS256 does not fit the key in private_key, which signs ES256",
            ),
            (
                &ed25519,
                Some(Ps256),
                "signing_alg: PS256 does not fit the key in private_key, which signs EdDSA",
            ),
            (&p384, None, "private_key: EC P-384 is not supported: ES256 is P-256; make another"),
            (&p384, Some(Es256), another),
            (&short, Some(Rs256), "private_key: RSA of 1024 bits is too short"),
            (&pss, Some(Ps256), another),
            (&b"no key".to_vec(), None, "private_key: no PRIVATE KEY block"),
            (&Vec::new(), None, "private_key: no PRIVATE KEY block"),
            (&certificate, None, "private_key: no PRIVATE KEY block"),
            (&request, None, "private_key: no PRIVATE KEY block"),
            (&public, None, "private_key: holds a public key; give the private key"),
            (&encrypted, None, "private_key: the private key is encrypted; decrypt it"),
            (&der, None, "private_key: is a private key in DER, not PEM"),
            (&bare, None, "private_key: its public part is missing; add it"),
            (&cut, None, "private_key: a PEM block is damaged"),
            (
                &garbled.into_bytes(),
                None,
                "private_key: not usable for client assertions, or damaged; use RSA (2048 to 4096 bits), EC P-256 or Ed25519",
            ),
            (&two, None, "private_key: holds more than one private key"),
        ] {
            let error = key(pem, alg).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
            assert!(error.message().contains(told), "{told}: {error}");
            let shown = format!("{error:?} {:?}", error.source());
            assert!(!shown.contains("NTX Pay"), "{shown}");
            let text = String::from_utf8_lossy(pem);
            let secrets = text.lines().filter(|line| line.len() > 40 && line.is_ascii());
            assert_eq!(secrets.filter(|line| shown.contains(&line[..16])).count(), 0, "{shown}");
        }
        let debug = format!("{:?}", key(&p256, None).unwrap());
        let fingerprint = key(&p256, Some(Es256)).unwrap().fingerprint().to_owned();
        assert_eq!(
            debug,
            format!("AssertionKey {{ alg: Es256, fingerprint: {fingerprint:?}, .. }}")
        );
    }

    #[test]
    fn an_algorithm_is_known_by_its_registered_name_alone() {
        let known = |name| SigningAlg::named(name).map(SigningAlg::name);
        for name in ["PS256", "RS256", "ES256", "EdDSA"] {
            assert_eq!(known(name), Some(name));
        }
        for other in ["ps256", "EDDSA", "none", "HS256", "RS512", "ES384", "", " RS256"] {
            assert_eq!(known(other), None, "{other}");
        }
    }

    #[test]
    fn a_certificate_is_named_by_its_hash() {
        // openssl: printf abc | openssl dgst -sha256 -binary | base64
        assert_eq!(x5t_s256(b"abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }
}
