//! Certificates and keys as people have them, each made by the real openssl: what gets a token from
//! behind nginx, and what is refused with the command that mends it. The command is then run.

use std::fs;
use std::process::Command;

use paytoken::{ClientCertificate, ErrorKind};
use paytoken_testing::{TempDir, temporary_folder, write_private};

use crate::authority::Authority;
use crate::backend::Backend;
use crate::nginx::Front;
use crate::tools::{are_here, with_certificate};

/// One folder with all files; `run` is one openssl command.
struct Files(TempDir);

const CURVE: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:";

impl Files {
    fn new() -> Self {
        let files = Self(temporary_folder());
        for command in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 30",
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout middle.key -out middle.csr -subj /CN=middle",
        ] {
            files.run(command);
        }
        files.write("ca.ext", "basicConstraints=CA:TRUE\n");
        files.write("v3.ext", "extendedKeyUsage=clientAuth\n");
        files.run(&format!("{SIGN} -in middle.csr -extfile ca.ext -out middle.pem"));
        files
    }

    fn run(&self, command: &str) {
        let output = Command::new("openssl")
            .args(command.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {command}: {said}");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        write_private(self.0.path().join(name), content);
    }

    fn join(&self, name: &str, parts: &[&str]) {
        let parts: Vec<_> = parts.iter().map(|part| self.read(part)).collect();
        self.write(name, parts.concat());
    }

    /// A certificate of version 3 for this key.
    fn certify(&self, key: &str, certificate: &str) {
        self.run(&format!("req -new -key {key} -subj /CN=client -out new.csr"));
        self.run(&format!("{SIGN} -in new.csr -extfile v3.ext -out {certificate}"));
    }

    /// From files, as settings name them.
    fn load(&self, certificate: &str, key: &str) -> paytoken::Result<ClientCertificate> {
        let path = |name: &str| self.0.path().join(name);
        let loaded = match key {
            "" => ClientCertificate::from_pem_file(path(certificate)),
            key => ClientCertificate::from_pem_files(path(certificate), path(key)),
        }?;
        // What is wrong with a key beside the certificate shows when a source is built.
        with_certificate("https://127.0.0.1:1", &self.text("ca.pem"), loaded.clone()).build()?;
        Ok(loaded)
    }
}

const SIGN: &str = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 30";

/// The files that more than one row needs.
fn common() -> Files {
    let files = Files::new();
    files.run(&format!("{CURVE}P-256 -out good.key"));
    files.run(&format!("{CURVE}P-256 -out other.key"));
    files.certify("good.key", "good.pem");
    files.run("pkey -in good.key -aes128 -passout pass:not-real -out encrypted.key");
    files.run("ec -in good.key -aes128 -passout pass:not-real -out legacy.key");
    files
}

#[test]
fn what_openssl_makes_is_taken_as_it_comes() {
    if !are_here() {
        return;
    }
    let files = common();
    // Names of files: the certificate's, the key's where it is another.
    let mut rows: Vec<(&str, String, String)> = Vec::new();
    let mut row = |what: &'static str, certificate: &str, key: &str| {
        rows.push((what, certificate.to_owned(), key.to_owned()));
    };

    files.run("req -new -key good.key -subj /CN=client -out good.csr");
    files.run(&format!("{SIGN} -in good.csr -out v1.pem"));
    files.run("x509 -in v1.pem -noout -text -out v1.txt");
    assert!(files.text("v1.txt").contains("Version: 1"), "this openssl makes no version 1");
    row("X.509 version 1, EC", "v1.pem", "good.key");
    files.run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
    files.run("req -new -key rsa.key -subj /CN=client -out rsa.csr");
    files.run(&format!("{SIGN} -in rsa.csr -out rsa-v1.pem"));
    files.run("rsa -in rsa.key -traditional -out rsa1.key");
    row("X.509 version 1, RSA, PKCS#1", "rsa-v1.pem", "rsa1.key");
    row("RSA, PKCS#8", "rsa-v1.pem", "rsa.key");
    files.run("ecparam -name prime256v1 -genkey -out parameters.key");
    assert!(files.text("parameters.key").contains("EC PARAMETERS"));
    files.certify("parameters.key", "parameters.pem");
    row("EC PARAMETERS in front of the key", "parameters.pem", "parameters.key");
    files.run(&format!("{CURVE}P-384 -out p384.key"));
    files.certify("p384.key", "p384.pem");
    row("P-384", "p384.pem", "p384.key");
    files.run("genpkey -algorithm ED25519 -out ed25519.key");
    files.certify("ed25519.key", "ed25519.pem");
    row("Ed25519", "ed25519.pem", "ed25519.key");

    files.run("x509 -in good.pem -text -out text.pem");
    row("openssl's text around it", "text.pem", "good.key");
    files.run(
        "pkcs12 -export -in good.pem -inkey good.key -certfile ca.pem -passout pass: -out good.p12",
    );
    files.run("pkcs12 -in good.p12 -nodes -passin pass: -out bag.pem");
    assert!(files.text("bag.pem").contains("Bag Attributes"));
    row("bag attributes, key and chain in one file", "bag.pem", "");
    row("the same file twice", "bag.pem", "bag.pem");
    files.run("x509 -in good.pem -trustout -addtrust clientAuth -out trusted.pem");
    assert!(files.text("trusted.pem").contains("TRUSTED"));
    row("TRUSTED CERTIFICATE", "trusted.pem", "good.key");
    files.write("old.pem", files.text("good.pem").replace("CERTIFICATE", "X509 CERTIFICATE"));
    row("X509 CERTIFICATE", "old.pem", "good.key");
    files.write("mislabelled.key", files.text("good.key").replace("PRIVATE", "RSA PRIVATE"));
    row("a key under another's label", "good.pem", "mislabelled.key");

    for (name, change) in [
        ("bom", (|text: &str| format!("\u{feff}{text}").into_bytes()) as fn(&str) -> Vec<u8>),
        ("crlf", |text| text.replace('\n', "\r\n").into_bytes()),
        ("bom-crlf", |text| format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes()),
        ("utf-16", |text| {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect()
        }),
        ("no-end", |text| text.trim_end().as_bytes().to_vec()),
        ("escaped", |text| text.replace('\n', "\\n").into_bytes()),
        ("one-line", |text| text.replace('\n', " ").into_bytes()),
    ] {
        let [certificate, key] = ["pem", "key"].map(|end| format!("{name}.{end}"));
        files.write(&certificate, change(&files.text("good.pem")));
        files.write(&key, change(&files.text("good.key")));
        row(name, &certificate, &key);
    }

    files.join("foreign.pem", &["other.key", "good.pem"]);
    row("a foreign key beside, the right one apart", "foreign.pem", "good.key");
    files.join("encrypted.pem", &["good.pem", "encrypted.key"]);
    row("an encrypted key beside, the right one apart", "encrypted.pem", "good.key");
    files.join("legacy.pem", &["legacy.key", "good.pem"]);
    row("the old encryption beside, the right one apart", "legacy.pem", "good.key");
    files.write("cut.key", files.text("other.key").replace("-----END", "-----"));
    files.join("cut.pem", &["good.pem", "cut.key"]);
    row("half a key beside, the right one apart", "cut.pem", "good.key");
    files.join("several.key", &["encrypted.key", "other.key", "good.key"]);
    row("several keys, the right one last", "good.pem", "several.key");
    files.join("all.pem", &["other.key", "encrypted.key", "good.pem", "good.key"]);
    row("several keys beside the certificate", "all.pem", "");

    files.join("reversed.pem", &["ca.pem", "good.pem"]);
    row("the authority first", "reversed.pem", "good.key");
    files.run("req -new -key good.key -subj /CN=client -out good.csr");
    files.run("x509 -req -CA middle.pem -CAkey middle.key -CAcreateserial -days 30 -in good.csr -extfile v3.ext -out below.pem");
    files.join("three.pem", &["ca.pem", "middle.pem", "below.pem"]);
    row("a chain of three, from the root down", "three.pem", "good.key");
    files.join("mixed.pem", &["middle.pem", "below.pem", "ca.pem"]);
    row("a chain of three, mixed", "mixed.pem", "good.key");
    files.join("two.pem", &["p384.pem", "good.pem"]);
    row("another client's certificate first", "two.pem", "good.key");

    let (server, backend) = (Authority::new("front"), Backend::start());
    let front = Front {
        server: &server.server(&["127.0.0.1"], |_| ()),
        client_authority: &files.text("ca.pem"),
        more: "ssl_verify_depth 3;",
        location: Front::location_to(backend.address),
    };
    let nginx = front.start(&[]);
    assert!(rows.len() >= 25);
    for (what, certificate, key) in &rows {
        let loaded = files.load(certificate, key).unwrap_or_else(|error| panic!("{what}: {error}"));
        let source = with_certificate(&Front::url(&nginx), &server.pem(), loaded);
        source.build().unwrap().token().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let seen = backend.seen().pop().unwrap();
        assert_eq!(seen.by_client, seen.by_nginx, "{what}");
        println!("taken: {what}");
    }
    assert_eq!(backend.seen().len(), rows.len());
    // Without its key, the certificate that issued no other is the client's own.
    for name in ["reversed.pem", "three.pem", "mixed.pem"] {
        let alone = ClientCertificate::from_pem(files.read(name)).unwrap();
        let whole = files.load(name, "good.key").unwrap();
        assert_eq!(alone.header_value(), whole.header_value(), "{name}");
    }
}

/// What a message says to do, as a command for these files.
fn command_in(text: &str, file: &str) -> String {
    let start = text.find("openssl ").unwrap() + "openssl ".len();
    let end = text[start..].find([';', ',', ')']).map_or(text.len(), |end| start + end);
    let command = text[start..end].split(" (").next().unwrap();
    let words = command.split(' ').map(|word| match word {
        "KEY" | "FILE" => file,
        "NEW" | "NEW.pem" | "PLAIN" => "mended.pem",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_command_mends_is_refused_with_that_command() {
    if !are_here() {
        return;
    }
    let files = common();
    files.run("ec -in good.key -no_public -out no-public.key");
    files.run("pkcs8 -topk8 -nocrypt -in no-public.key -out no-public8.key");
    files.run("ec -in good.key -param_enc explicit -out explicit.key");
    files.run("pkcs8 -topk8 -nocrypt -in explicit.key -out explicit8.key");
    files.run("ec -in good.key -conv_form compressed -out compressed.key");
    files.run("x509 -in good.pem -outform DER -out der.crt");
    files.run("pkey -in good.key -outform DER -out der.key");
    files.run("ec -in good.key -outform DER -out sec1.der");
    files.run("pkcs8 -topk8 -in good.key -passout pass:not-real -outform DER -out encrypted.der");
    files.run("pkcs12 -export -in good.pem -inkey good.key -passout pass:not-real -out good.p12");
    files.run("crl2pkcs7 -nocrl -certfile good.pem -outform DER -out good.p7b");
    files.run("crl2pkcs7 -nocrl -certfile good.pem -out pem.p7b");
    // The certificate's file, the key's, which of them the command is for, what is said of it.
    for (certificate, key, broken, says) in [
        ("good.pem", "no-public.key", "no-public.key", "private_key: its public part is missing"),
        ("good.pem", "no-public8.key", "no-public8.key", "private_key: its public part is missing"),
        ("good.pem", "explicit.key", "explicit.key", "private_key: its curve is written out"),
        ("good.pem", "explicit8.key", "explicit8.key", "private_key: its curve is written out"),
        ("good.pem", "compressed.key", "compressed.key", "private_key: its public part is comp"),
        ("good.pem", "encrypted.key", "encrypted.key", "private_key: the private key is encrypted"),
        ("good.pem", "legacy.key", "legacy.key", "private_key: the private key is encrypted"),
        ("good.pem", "der.key", "der.key", "private_key: is a private key in DER"),
        ("good.pem", "sec1.der", "sec1.der", "private_key: is a private key in DER"),
        ("good.pem", "encrypted.der", "encrypted.der", "private_key: is an encrypted private key"),
        ("good.pem", "good.p12", "good.p12", "private_key: is PKCS#12"),
        ("good.p12", "", "good.p12", "certificate: is PKCS#12"),
        ("good.p12", "good.key", "good.p12", "certificate: is PKCS#12"),
        ("der.crt", "good.key", "der.crt", "certificate: is DER"),
        ("good.p7b", "good.key", "good.p7b", "certificate: is PKCS#7"),
        ("pem.p7b", "good.key", "pem.p7b", "certificate: holds PKCS#7"),
    ] {
        let error = files.load(certificate, key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Certificate, "{error}");
        let text = error.to_string();
        assert!(text.contains(says), "{certificate} {key}: {text}");
        let mut command = command_in(&text, broken);
        println!("{broken}: openssl {command}");
        if command.starts_with("pkcs12") || says.contains("encrypted") {
            command += " -passin pass:not-real";
        }
        files.run(&command);
        let mended = |name: &'static str| if name == broken { "mended.pem" } else { name };
        files.load(mended(certificate), mended(key)).unwrap_or_else(|error| {
            panic!("{broken}, after openssl {command}: {error}");
        });
    }
}

#[test]
fn what_no_command_mends_is_refused_with_what_is_wrong() {
    if !are_here() {
        return;
    }
    let files = common();
    let another = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    for (curve, says) in [
        ("P-521", "EC P-521 is not supported"),
        ("secp256k1", "EC secp256k1 is not supported"),
        ("P-224", "EC P-224 is not supported"),
        ("brainpoolP256r1", "EC brainpool is not supported"),
        ("prime239v1", "is not supported"),
    ] {
        files.run(&format!("{CURVE}{curve} -out pkcs8.key"));
        files.run("ec -in pkcs8.key -out sec1.key");
        files.certify("pkcs8.key", "odd.pem");
        for key in ["pkcs8.key", "sec1.key"] {
            let text = files.load("odd.pem", key).unwrap_err().to_string();
            assert!(text.contains(says) && text.contains(another), "{curve}: {text}");
        }
    }
    files.run("genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 -out dsa.param");
    for (algorithm, says) in [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "RSA of 1024 bits is too short"),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:4608", "RSA of 4608 bits is too long"),
        ("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "RSA-PSS alone is not supported"),
        ("-algorithm ED448", "Ed448 is not supported"),
        ("-algorithm X25519", "cannot sign"),
        ("-paramfile dsa.param", "DSA keys are not used in TLS"),
    ] {
        files.run(&format!("genpkey {algorithm} -out odd.key"));
        let mut keys = vec!["odd.key"];
        if algorithm.contains("dsa") || algorithm.contains("RSA ") {
            files.run("pkey -in odd.key -traditional -out odd1.key");
            assert!(!files.text("odd1.key").contains("BEGIN PRIVATE"));
            keys.push("odd1.key");
        }
        for key in keys {
            let text = files.load("good.pem", key).unwrap_err().to_string();
            assert!(text.contains(says) && text.contains(another), "{algorithm}: {text}");
        }
    }
    files.run("pkey -in good.key -pubout -out public.key");
    files.run("req -new -key good.key -subj /CN=client -out good.csr");
    files.run("req -new -key good.key -subj /CN=client -outform DER -out csr.der");
    files.write(
        "ssh.key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    );
    files.write("java.jks", b"\xfe\xed\xfe\xed\0\0\0\x02");
    files.write("cut.key", files.text("good.key").replace("-----END", "-----"));
    files.write("cut.pem", files.text("good.pem").replace("-----END", "-----"));
    files.write("garbled.pem", files.text("good.pem").replacen('M', "?", 1));
    files.write("empty", "");
    files.join("encrypted.pem", &["good.pem", "encrypted.key"]);
    files.join("foreign.pem", &["good.pem", "other.key"]);
    files.run("ec -in good.key -conv_form compressed -out compressed.key");
    files.certify("compressed.key", "compressed.pem");
    for (certificate, key, says) in [
        ("good.pem", "other.key", "private_key: it does not belong to the certificate"),
        ("compressed.pem", "good.key", "certificate: its public key is a compressed point"),
        ("foreign.pem", "", "private_key: it does not belong to the certificate"),
        ("encrypted.pem", "", "certificate: the private key is encrypted"),
        ("good.pem", "public.key", "private_key: holds a public key"),
        ("good.pem", "good.pem", "private_key: no PRIVATE KEY block"),
        ("good.pem", "empty", "private_key: no PRIVATE KEY block"),
        ("good.pem", "ssh.key", "ssh-keygen -p -m PKCS8"),
        ("good.pem", "java.jks", "keytool -importkeystore"),
        ("good.pem", "cut.key", "private_key: a PEM block is damaged"),
        ("good.csr", "good.key", "certificate: holds a certificate request"),
        ("csr.der", "good.key", "certificate: "),
        ("java.jks", "good.key", "keytool -importkeystore"),
        ("good.key", "good.key", "certificate: holds a private key but no certificate"),
        ("cut.pem", "good.key", "certificate: a PEM block is damaged"),
        ("garbled.pem", "good.key", "certificate: a PEM block is damaged"),
        ("empty", "good.key", "certificate: no -----BEGIN CERTIFICATE-----"),
    ] {
        let error = files.load(certificate, key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Certificate, "{error}");
        assert!(error.to_string().contains(says), "{certificate} {key}: {error}");
    }
}
