//! Certificate and key renewed on disk under a source that lives on; and a certificate's end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use paytoken::{ClientCertificate, ErrorKind, EventKind, Provider, TokenSource};
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair, date_time_ymd};
use paytoken_sandbox::{IssuedCertificate, Sandbox};
use paytoken_testing::{ManualClock, TempDir, temporary_folder, with_certificate, write_private};

const NTX: Provider = Provider::NtxPay;

/// A folder with `cert.pem` and `key.pem`; it goes with this value.
struct Folder(TempDir);

impl Folder {
    fn with(pair: &IssuedCertificate) -> Self {
        let folder = Self(temporary_folder());
        folder.put(pair);
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As careful programs write: into a file of another name, which then takes the place.
    fn write(&self, name: &str, text: &str) {
        write_private(self.file("new"), text);
        fs::rename(self.file("new"), self.file(name)).unwrap();
    }

    fn put(&self, pair: &IssuedCertificate) {
        self.write("cert.pem", &pair.certificate_pem);
        self.write("key.pem", &pair.key_pem);
    }

    fn load(&self) -> ClientCertificate {
        ClientCertificate::from_pem_files(self.file("cert.pem"), self.file("key.pem")).unwrap()
    }
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// Of the certificate alone.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A source with this certificate, its clock, and what it tells of certificates.
fn source(sandbox: &Sandbox, certificate: ClientCertificate) -> (TokenSource, ManualClock, Told) {
    let (clock, told) = (ManualClock::new(), Told::default());
    let keep = told.clone();
    let source =
        with_certificate(sandbox, certificate).clock(clock.clone()).on_event(move |event| {
            let name = event.kind.name();
            let text = match &event.kind {
                EventKind::CertificateNotRenewed { error, .. } => format!("{name}: {error}"),
                EventKind::CertificateExpiresSoon { remaining, .. } => {
                    format!("{name}: {} days", remaining.as_secs() / 86_400)
                }
                EventKind::CertificateRenewed { .. } => name.to_owned(),
                _ => return,
            };
            keep.0.lock().unwrap().push(text);
        });
    (source.build().unwrap(), clock, told)
}

/// The certificate in the header of the last request.
fn sent(sandbox: &Sandbox) -> String {
    let head = String::from_utf8(sandbox.received(NTX).pop().unwrap()).unwrap();
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-ssl-client-cert"));
    line.unwrap().split_once(": ").unwrap().1.to_owned()
}

fn header(pair: &IssuedCertificate) -> String {
    let certificate = ClientCertificate::from_pem(&pair.certificate_pem).unwrap();
    certificate.header_value().unwrap().to_owned()
}

fn issue(sandbox: &Sandbox, change: impl FnOnce(&mut CertificateParams)) -> IssuedCertificate {
    let mut params = CertificateParams::new(vec!["merchant.example".into()]).unwrap();
    change(&mut params);
    sandbox.authority().sign(params, &KeyPair::generate().unwrap())
}

#[test]
fn a_renewed_pair_is_used_at_the_next_fetch_and_half_of_one_is_not() {
    let sandbox = Sandbox::start().unwrap();
    let [first, second, third] =
        ["first", "second", "third"].map(|name| sandbox.issue_client_certificate(name));
    let folder = Folder::with(&first);
    let (source, _, told) = source(&sandbox, folder.load());
    source.token().unwrap();
    assert_eq!(sent(&sandbox), header(&first));

    folder.put(&second);
    source.token().unwrap();
    assert_eq!((sent(&sandbox), told.take().len()), (header(&first), 0), "a hit looks at no file");
    source.refresh().unwrap();
    assert_eq!(
        (sent(&sandbox), told.take()),
        (header(&second), vec!["certificate_renewed".into()])
    );

    // Half of the next pair.
    folder.write("cert.pem", &third.certificate_pem);
    for times in [1, 0, 0] {
        source.refresh().unwrap();
        assert_eq!(sent(&sandbox), header(&second));
        let told = told.take();
        assert_eq!(told.len(), times, "told once: {told:?}");
        assert!(told.iter().all(|text| text.contains("does not belong")), "{told:?}");
    }
    folder.write("key.pem", &third.key_pem);
    source.refresh().unwrap();
    assert_eq!((sent(&sandbox), told.take()), (header(&third), vec!["certificate_renewed".into()]));

    // Other ways in which a file is of no use.
    for (name, text) in [
        ("cert.pem", ""),
        ("cert.pem", "-----BEGIN CERTIFICATE-----\nMIIB"),
        (
            "key.pem",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
        ),
    ] {
        folder.put(&third);
        folder.write(name, text);
        source.refresh().unwrap();
        assert_eq!(sent(&sandbox), header(&third), "{text:?}");
        assert!(told.take().pop().unwrap().starts_with("certificate_not_renewed: "), "{text:?}");
    }
    fs::remove_file(folder.file("key.pem")).unwrap();
    source.refresh().unwrap();
    assert!(told.take().pop().unwrap().contains("cannot read"));
    assert_eq!(sent(&sandbox), header(&third));
    // Touched, and the same again.
    folder.put(&third);
    source.refresh().unwrap();
    assert_eq!((sent(&sandbox), told.take().len()), (header(&third), 0));
}

#[test]
fn with_a_key_from_elsewhere_the_certificate_s_file_is_not_read_again() {
    let sandbox = Sandbox::start().unwrap();
    let [first, second] = ["first", "second"].map(|name| sandbox.issue_client_certificate(name));
    let folder = Folder::with(&first);
    let certificate = ClientCertificate::from_pem_file(folder.file("cert.pem")).unwrap();
    let certificate = certificate.with_private_key(&first.key_pem).unwrap();
    let (source, _, told) = source(&sandbox, certificate);
    folder.put(&second);
    source.token().unwrap();
    assert_eq!((sent(&sandbox), told.take().len()), (header(&first), 0));
}

#[cfg(unix)]
#[test]
fn a_mounted_secret_whose_link_leads_elsewhere_is_read_again() {
    use std::os::unix::fs::symlink;

    let sandbox = Sandbox::start().unwrap();
    let [first, second] = ["first", "second"].map(|name| sandbox.issue_client_certificate(name));
    // As Kubernetes lays them out: cert.pem -> ..data/cert.pem, ..data -> ..2026_01
    let folder = Folder::with(&first);
    for (version, pair) in [("..2026_01", &first), ("..2026_02", &second)] {
        fs::create_dir(folder.file(version)).unwrap();
        write_private(folder.file(version).join("cert.pem"), &pair.certificate_pem);
        write_private(folder.file(version).join("key.pem"), &pair.key_pem);
    }
    symlink("..2026_01", folder.file("..data")).unwrap();
    for name in ["cert.pem", "key.pem"] {
        fs::remove_file(folder.file(name)).unwrap();
        symlink(Path::new("..data").join(name), folder.file(name)).unwrap();
    }
    let (source, _, told) = source(&sandbox, folder.load());
    source.token().unwrap();
    assert_eq!(sent(&sandbox), header(&first));
    symlink("..2026_02", folder.file("..new")).unwrap();
    fs::rename(folder.file("..new"), folder.file("..data")).unwrap();
    source.refresh().unwrap();
    assert_eq!(
        (sent(&sandbox), told.take()),
        (header(&second), vec!["certificate_renewed".into()])
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let sandbox = Sandbox::start().unwrap();
    let pair = sandbox.issue_client_certificate("first");
    let folder = Folder::with(&pair);
    let (source, _, told) = source(&sandbox, folder.load());
    fs::remove_file(folder.file("key.pem")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.file("key.pem")).status().unwrap();
    assert!(made.success());
    let began = std::time::Instant::now();
    source.token().unwrap();
    // Not a measurement: pipes that settings name are waited for 15 seconds.
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(sent(&sandbox), header(&pair));
    let told = told.take().concat();
    assert!(
        told.contains("certificate_not_renewed: ") && told.contains("nothing was written"),
        "{told}"
    );
}

#[test]
fn a_renewed_certificate_is_the_tls_identity_too_and_its_end_is_in_the_status() {
    let sandbox = Sandbox::start().unwrap();
    let stranger = Sandbox::start().unwrap();
    let folder = Folder::with(&sandbox.issue_client_certificate("first"));
    let (source, _, _) = source(&sandbox, folder.load());
    source.token().unwrap();
    // Of an authority that the sandbox does not know: only TLS can tell.
    folder.put(&stranger.issue_client_certificate("stranger"));
    let error = source.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate, "{error}");
    let pair = issue(&sandbox, |params| params.not_after = date_time_ymd(2090, 1, 1));
    folder.put(&pair);
    source.refresh().unwrap();
    let expected = ClientCertificate::from_pem(&pair.certificate_pem).unwrap().not_after();
    assert_eq!(source.status().certificate_not_after, expected);
}

#[test]
fn an_expired_certificate_that_was_renewed_on_disk_needs_no_restart() {
    let sandbox = Sandbox::start().unwrap();
    let short = issue(&sandbox, |params| params.not_after = date_time_ymd(2090, 1, 1));
    let long = issue(&sandbox, |params| params.not_after = date_time_ymd(2095, 1, 1));
    let folder = Folder::with(&short);
    let (source, clock, told) = source(&sandbox, folder.load());
    source.token().unwrap();
    let end = source.status().certificate_not_after.unwrap();
    let left = end.duration_since(SystemTime::now()).unwrap();
    clock.advance(left + Duration::from_secs(60));
    let error = source.token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate);
    for part in [
        "certificate: it has expired",
        "2090-01-01 00:00:00 UTC",
        "this machine's clock says 2090-01-01",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // One that has ended as well is no better.
    folder.put(&issue(&sandbox, |params| params.not_after = date_time_ymd(2089, 1, 1)));
    assert!(source.refresh().unwrap_err().to_string().contains("2089-01-01"));
    folder.put(&long);
    source.refresh().unwrap();
    assert_eq!(told.take().last().unwrap(), "certificate_renewed");
    // Nor does one whose time has passed take the place of a good one.
    folder.put(&short);
    source.refresh().unwrap();
    assert!(told.take().pop().unwrap().contains("not_renewed: certificate: it has expired"));
    assert_eq!(sent(&sandbox), header(&long));
}

#[test]
fn a_certificate_that_ends_within_thirty_days_is_told_at_a_fetch_and_once_a_day() {
    let sandbox = Sandbox::start().unwrap();
    let pair = issue(&sandbox, |params| params.not_after = date_time_ymd(2090, 1, 1));
    let certificate =
        ClientCertificate::from_pem(format!("{}{}", pair.certificate_pem, pair.key_pem));
    let (source, clock, told) = source(&sandbox, certificate.unwrap());
    let end = source.status().certificate_not_after.unwrap();
    let day = Duration::from_secs(86_400);
    let left = end.duration_since(SystemTime::now()).unwrap();
    clock.advance(left - 31 * day);
    source.token().unwrap();
    assert!(told.take().is_empty(), "31 days before");
    clock.advance(day + day / 2);
    for _ in 0..3 {
        source.refresh().unwrap();
        source.token().unwrap();
    }
    assert_eq!(told.take(), ["certificate_expires_soon: 29 days"]);
    clock.advance(2 * day);
    source.refresh().unwrap();
    assert_eq!(told.take(), ["certificate_expires_soon: 27 days"]);
    clock.advance(27 * day);
    source.refresh().unwrap();
    assert_eq!(told.take(), ["certificate_expires_soon: 0 days"]);
    // What a proxy adds has no end that could be known.
    let injected =
        with_certificate(&sandbox, ClientCertificate::injected_by_proxy()).build().unwrap();
    assert_eq!(injected.status().certificate_not_after, None);
}

#[test]
fn a_clock_at_1970_is_told_before_anything_is_sent() {
    let sandbox = Sandbox::start().unwrap();
    let pair = issue(&sandbox, |params| params.not_before = date_time_ymd(2025, 6, 1));
    let certificate = ClientCertificate::from_pem(&pair.certificate_pem).unwrap();
    let source =
        with_certificate(&sandbox, certificate).clock(ManualClock::at(SystemTime::UNIX_EPOCH));
    let error = source.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate);
    for part in [
        "certificate: it is not valid yet",
        "2025-06-01 00:00:00 UTC",
        "this machine's clock says 1970-01-01 00:00:00 UTC",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(sandbox.counts(NTX).connections, 0);
}
