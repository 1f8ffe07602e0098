//! What stands in the environment, read by processes of their own: pipes, marks, contents in the
//! place of paths, and that no value is ever repeated.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use paytoken::{Environment, ErrorKind, Provider, Settings, TokenOptions};
use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair, date_time_ymd};
use paytoken_testing::{TempDir, nobody_listens, temporary_folder, variables, write_private};

const CHILD: &str = "PAYTOKEN_TEST_SETTINGS";

/// Not a test of its own: what the processes below run.
#[test]
fn child() {
    let Ok(name) = std::env::var(CHILD) else {
        return;
    };
    match run(name.parse().unwrap()) {
        Ok(text) => println!("fine: {text}"),
        Err(error) => println!("error {:?}: {error}\n{error:?}", error.kind()),
    }
}

fn run(provider: Provider) -> paytoken::Result<String> {
    let mut settings = Settings::from_env(provider)?;
    settings.timeout = Some(Duration::from_secs(8));
    if let Ok(limit) = std::env::var("PAYTOKEN_TEST_LIMIT") {
        settings.timeout = Some(Duration::from_millis(limit.parse().unwrap()));
    }
    println!("{settings:?}");
    // As the command does: first whose account it is, then a token.
    let account = settings.account()?;
    let source = settings.builder()?.build()?;
    if std::env::var_os("PAYTOKEN_TEST_BUILD").is_some() {
        return Ok(format!("{} {}", account.key(), source.id()));
    }
    let token = source.token_with(&TokenOptions::new())?;
    if let Ok(newer) = std::env::var("PAYTOKEN_TEST_NEWER") {
        let file = |name: &str| std::env::var(name).unwrap();
        let ends = || format!("{:?}", source.status().certificate_not_after);
        let before = ends();
        fs::copy(format!("{newer}.pem"), file("NTXPAY_CLIENT_CERT")).unwrap();
        source.refresh()?;
        assert_eq!(ends(), before, "half of the pair");
        fs::copy(format!("{newer}.key"), file("NTXPAY_CLIENT_KEY")).unwrap();
        source.refresh()?;
        assert_ne!(ends(), before);
        return Ok("renewed".into());
    }
    Ok(format!("{} {}", source.id(), token.secret().len()))
}

struct World {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl World {
    /// All that reaches this sandbox.
    fn of(sandbox: &Sandbox) -> Self {
        let folder = temporary_folder();
        let variables = variables(sandbox, folder.path());
        Self { folder, variables }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        write_private(&path, content);
        path
    }

    fn fifo(&self, name: &str) -> String {
        let path = self.path(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    fn command(&self, provider: Provider, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "settings::child", "--nocapture"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env(CHILD, provider.to_string())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied())
            .stdin(Stdio::piped());
        command
    }

    fn run(&self, provider: Provider, variables: &[(&str, &str)]) -> String {
        all_of(self.command(provider, variables).output().unwrap())
    }
}

fn all_of(output: Output) -> String {
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

const SECRET: &str = "sandbox-secret-not-real";

#[test]
fn empty_variables_are_not_set() {
    let sandbox = Sandbox::start().unwrap();
    let mut world = World::of(&sandbox);
    let secret = world.file("secret", SECRET);
    for (provider, empty) in [
        (Provider::NtxPay, "NTXPAY_CLIENT_SECRET"),
        (Provider::NexterPay, "NEXTERPAY_PASSWORD"),
        (Provider::SendPayments, "SENDPAYMENTS_CLIENT_SECRET"),
    ] {
        let said = world.run(provider, &[(empty, ""), (&format!("{empty}_FILE"), &secret)]);
        assert!(said.contains("fine: sandbox-client"), "{said}");
        let said = world.run(provider, &[(&format!("{empty}_FILE"), "")]);
        assert!(said.contains("fine: sandbox-client"), "{said}");
    }
    let both = [sandbox.client_certificate_pem(), sandbox.client_key_pem()].concat();
    let both = world.file("both.pem", both);
    world.variables.retain(|(name, _)| !name.starts_with("NTXPAY_CLIENT_C"));
    let empty = [("NTXPAY_CLIENT_KEY", ""), ("PAYTOKEN_STORE", ""), ("NTXPAY_ENVIRONMENT", "")];
    let certificate = ("NTXPAY_CLIENT_CERT", both.as_str());
    let id = ("NTXPAY_CLIENT_ID", "sandbox-client");
    let said = world.run(Provider::NtxPay, &[&empty[..], &[certificate, id]].concat());
    assert!(said.contains("fine: sandbox-client"), "{said}");
}

#[test]
fn text_is_text_whatever_its_script_and_however_its_file_was_saved() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    for (number, secret) in [
        "contraseña",
        "пароль-密码-パスワード",
        "🔑🗝️",
        "cafe\u{301}",
        "كلمة السر",
        "a b\u{a0}c",
        "pa$$word \"'`\\;#%&=+?/<>{}[]|~^ ",
        "\\u00f1",
    ]
    .into_iter()
    .enumerate()
    {
        let secret = secret.trim_end();
        let id = format!("mérchant-{number}");
        for &provider in Provider::ALL {
            sandbox.add_client(provider, &id, secret);
            let facts = provider.facts();
            let [id_name, name] =
                [facts.fields[0], facts.fields[1]].map(|field| facts.variable(field.variable));
            let said = world.run(provider, &[(&id_name, &id), (&name, secret)]);
            assert!(said.contains(&format!("fine: {id}")), "{provider}: {said}");
            let utf_16: Vec<u8> = std::iter::once(0xfeff)
                .chain(format!("{secret}\r\n").encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect();
            for content in [
                secret.as_bytes().to_vec(),
                format!("{secret}\n").into_bytes(),
                format!("\u{feff}{secret}\r\n").into_bytes(),
                utf_16,
            ] {
                let file = world.file("secret", &content);
                let set = [(&*id_name, &*id), (&*name, ""), (&*format!("{name}_FILE"), &*file)];
                let said = world.run(provider, &set);
                assert!(said.contains(&format!("fine: {id}")), "{provider} {content:?}: {said}");
            }
        }
    }
    for bad in
        [" padded", "padded\u{a0}", "tab\there", "\u{feff}marked", "unseen\u{200b}", "\u{85}"]
    {
        let said = world.run(Provider::NexterPay, &[("NEXTERPAY_PASSWORD", bad)]);
        assert!(said.contains("error Configuration: nexter-pay: NEXTERPAY_PASSWORD: "), "{said}");
        assert!(bad.trim().is_empty() || !said.contains(bad.trim()), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_to_its_end_and_once_for_all_that_wants_it() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let provider = Provider::NtxPay;
    // Everything that can be a file is a pipe, which is written once.
    let parts = [
        ("NTXPAY_CLIENT_ID_FILE", "sandbox-client\n".to_owned()),
        ("NTXPAY_CLIENT_SECRET_FILE", format!("{SECRET}\n")),
        ("NTXPAY_CLIENT_CERT", sandbox.client_certificate_pem().to_owned()),
        ("NTXPAY_CLIENT_KEY", sandbox.client_key_pem().to_owned()),
        ("PAYTOKEN_CA", sandbox.ca_pem().to_owned()),
    ];
    let mut set =
        vec![("NTXPAY_CLIENT_ID", String::new()), ("NTXPAY_CLIENT_SECRET", String::new())];
    for (name, content) in parts {
        let path = world.fifo(name);
        set.push((name, path.clone()));
        std::thread::spawn(move || {
            // In two pieces; blocks until somebody reads.
            let mut pipe = fs::OpenOptions::new().write(true).open(path).unwrap();
            let (first, second) = content.as_bytes().split_at(content.len() / 2);
            pipe.write_all(first).unwrap();
            std::thread::yield_now();
            pipe.write_all(second).unwrap();
        });
    }
    let set: Vec<_> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let said = world.run(provider, &set);
    assert!(said.contains("fine: sandbox-client"), "{said}");

    // As a shell hands them over: standard input, and process substitution.
    let mut child = world
        .command(
            provider,
            &[("NTXPAY_CLIENT_SECRET", ""), ("NTXPAY_CLIENT_SECRET_FILE", "/dev/stdin")],
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
    let said = all_of(child.wait_with_output().unwrap());
    assert!(said.contains("fine: sandbox-client"), "{said}");
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "NTXPAY_CLIENT_SECRET= NTXPAY_CLIENT_SECRET_FILE=<(printf %s {SECRET}) NTXPAY_CLIENT_KEY=<(cat \"$NTXPAY_CLIENT_KEY\") {} --exact settings::child --nocapture",
        test.display()
    );
    let mut shell = Command::new("bash");
    let shell =
        shell.args(["-c", &script]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let variables = world.variables.iter().map(|(name, value)| (name, value));
    let said = all_of(shell.env(CHILD, "ntx-pay").envs(variables).output().unwrap());
    assert!(said.contains("fine: sandbox-client"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_writes_to_ends_with_the_time_out_and_an_endless_one_with_its_size() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let fifo = world.fifo("silent");
    for name in
        ["PAYTOKEN_CA", "NTXPAY_CLIENT_CERT", "NTXPAY_CLIENT_KEY", "NTXPAY_CLIENT_SECRET_FILE"]
    {
        let secret = ("NTXPAY_CLIENT_SECRET", if name.contains("SECRET") { "" } else { SECRET });
        let limit = ("PAYTOKEN_TEST_LIMIT", "100");
        let began = Instant::now();
        let said = world.run(Provider::NtxPay, &[secret, limit, (name, &fifo)]);
        assert!(
            said.contains(&format!("{name}: cannot read that file (nothing was written")),
            "{said}"
        );
        // Not a measurement: it would never end.
        assert!(began.elapsed() < Duration::from_secs(10), "{name}");
        for (endless, says) in [("/dev/zero", "larger than"), ("/dev", "not a regular file")] {
            let said = world.run(Provider::NtxPay, &[secret, (name, endless)]);
            assert!(said.contains(&format!("{name}: cannot read that file ({says}")), "{said}");
        }
    }
    let said = world.run(
        Provider::NtxPay,
        &[("NTXPAY_CLIENT_SECRET", ""), ("NTXPAY_CLIENT_SECRET_FILE", "/dev/null")],
    );
    assert!(said.contains("NTXPAY_CLIENT_SECRET: is empty"), "{said}");
}

#[test]
fn content_in_the_place_of_a_path_is_named_and_never_shown() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let (certificate, key) = (sandbox.client_certificate_pem(), sandbox.client_key_pem());
    let both = [certificate, key].concat();
    let key_line = key.lines().nth(1).unwrap();
    let one_line = key.replace('\n', " ");
    let escaped = key.replace('\n', "\\n");
    const WRONG_PLACE: &str = "hunter2-not-real-4711";
    for (provider, name, value, hidden, says) in [
        (Provider::NtxPay, "NTXPAY_CLIENT_KEY", key, key_line, "give a path, not the content"),
        (
            Provider::NtxPay,
            "NTXPAY_CLIENT_KEY",
            &one_line,
            key_line,
            "give a path, not the content",
        ),
        (Provider::NtxPay, "NTXPAY_CLIENT_KEY", &escaped, key_line, "give a path, not the content"),
        (Provider::NtxPay, "NTXPAY_CLIENT_CERT", &both, key_line, "give a path, not the content"),
        (Provider::NtxPay, "PAYTOKEN_CA", &both, key_line, "give a path, not the content"),
        (Provider::NtxPay, "PAYTOKEN_STORE", &both, key_line, "give a path, not the content"),
        (Provider::NtxPay, "PAYTOKEN_CA", WRONG_PLACE, WRONG_PLACE, "cannot read that file"),
        (
            Provider::NtxPay,
            "NTXPAY_CLIENT_KEY",
            WRONG_PLACE,
            WRONG_PLACE,
            "set it to the PEM file's path",
        ),
        (
            Provider::NexterPay,
            "NEXTERPAY_PASSWORD_FILE",
            WRONG_PLACE,
            WRONG_PLACE,
            "the path of a file",
        ),
        (
            Provider::NexterPay,
            "NEXTERPAY_PASSWORD_FILE",
            "two\nlines-not-real",
            "lines-not",
            "give a path, not the content",
        ),
        (
            Provider::SendPayments,
            "SENDPAYMENTS_CLIENT_ID_FILE",
            WRONG_PLACE,
            WRONG_PLACE,
            "cannot read",
        ),
        (
            Provider::SendPayments,
            "SENDPAYMENTS_BASE_URL",
            "https://u:hunter2-not-real-4711@h",
            WRONG_PLACE,
            "base_url",
        ),
        (
            Provider::SendPayments,
            "SENDPAYMENTS_ENVIRONMENT",
            WRONG_PLACE,
            WRONG_PLACE,
            "SENDPAYMENTS_ENVIRONMENT",
        ),
        (
            Provider::SendPayments,
            "https_proxy",
            "socks5://u:hunter2-not-real-4711@h",
            WRONG_PLACE,
            "https_proxy",
        ),
    ] {
        let emptied = name.strip_suffix("_FILE").unwrap_or("PAYTOKEN_TEST_NOTHING");
        let said = world.run(provider, &[(emptied, ""), (name, value)]);
        assert!(said.contains("error Configuration: "), "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
        assert!(name == "SENDPAYMENTS_BASE_URL" || said.contains(&format!("{name}: ")), "{said}");
        assert!(!said.contains(hidden), "{name}: {said}");
    }
    // The same from a program.
    let given = paytoken::ClientCertificate::from_pem_file(&both).unwrap_err();
    assert!(given.to_string().contains("give a path, not the content"), "{given}");
    assert!(!format!("{given:?}").contains(key_line));
}

#[test]
fn what_is_wrong_with_a_file_names_the_variable() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let other = world.file("other.key", sandbox.issue_client_certificate("other").key_pem);
    let empty = world.file("empty", "");
    let damaged = world.file("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let no_authority =
        world.file("none", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (name, file, says) in [
        ("NTXPAY_CLIENT_KEY", &other, "it does not belong to the certificate"),
        ("NTXPAY_CLIENT_KEY", &empty, "no PRIVATE KEY block"),
        ("NTXPAY_CLIENT_CERT", &empty, "no -----BEGIN CERTIFICATE-----"),
        ("NTXPAY_CLIENT_CERT", &damaged, "a PEM block is damaged"),
        ("PAYTOKEN_CA", &empty, "no CERTIFICATE block"),
        ("PAYTOKEN_CA", &damaged, "a PEM block is damaged"),
        ("PAYTOKEN_CA", &no_authority, "a certificate in it cannot be used"),
    ] {
        let said = world.run(Provider::NtxPay, &[(name, file)]);
        assert!(said.contains(&format!("{name}: {says}")), "{name} {file}: {said}");
    }
}

#[test]
fn files_that_variables_name_are_read_again() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let mut params = CertificateParams::new(vec!["merchant.example".into()]).unwrap();
    params.not_after = date_time_ymd(2090, 1, 1);
    let newer = sandbox.authority().sign(params, &KeyPair::generate().unwrap());
    world.file("newer.pem", newer.certificate_pem);
    world.file("newer.key", newer.key_pem);
    let said = world.run(Provider::NtxPay, &[("PAYTOKEN_TEST_NEWER", &world.path("newer"))]);
    assert!(said.contains("fine: renewed"), "{said}");
}

#[test]
fn authorities_are_tidied_as_certificates_are_and_each_of_them_counts() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let other = Sandbox::start().unwrap();
    let (own, other) = (sandbox.ca_pem(), other.ca_pem());
    for (what, content) in [
        ("a mark", format!("\u{feff}{own}")),
        ("a mark in front of another", format!("\u{feff}{other}{own}")),
        ("a mark in front, the other behind", format!("\u{feff}{own}{other}")),
        ("CRLF", own.replace('\n', "\r\n")),
        ("text around", format!("# our authority\n{own}\nEOF")),
        ("one line", own.replace('\n', "\\n")),
        ("a key beside", format!("{own}{}", sandbox.client_key_pem())),
    ] {
        let ca = world.file("these.pem", content);
        let said = world.run(Provider::NtxPay, &[("PAYTOKEN_CA", &ca)]);
        assert!(said.contains("fine: sandbox-client"), "{what}: {said}");
    }
    let half = world.file("these.pem", format!("{own}{}", other.replace("-----END", "")));
    let said = world.run(Provider::NtxPay, &[("PAYTOKEN_CA", &half)]);
    assert!(said.contains("PAYTOKEN_CA: a PEM block is damaged"), "{said}");
}

#[test]
fn the_systems_authorities_are_trusted_on_request_alone() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let ca = world.path("ca.pem");
    // What other programs read is not read by itself.
    let said = world.run(Provider::NtxPay, &[("PAYTOKEN_CA", ""), ("SSL_CERT_FILE", &ca)]);
    assert!(said.contains("an authority that is not trusted here"), "{said}");
    let said = world.run(Provider::NtxPay, &[("PAYTOKEN_CA", "system"), ("SSL_CERT_FILE", &ca)]);
    if cfg!(feature = "system-roots") {
        assert!(said.contains("fine: sandbox-client"), "{said}");
        let folder = temporary_folder();
        fs::copy(&ca, folder.path().join("any-name")).unwrap();
        let folder = folder.path().to_str().unwrap();
        let said =
            world.run(Provider::NtxPay, &[("PAYTOKEN_CA", "system"), ("SSL_CERT_DIR", folder)]);
        assert!(said.contains("fine: sandbox-client"), "{said}");
        let missing = [("PAYTOKEN_CA", "system"), ("SSL_CERT_FILE", "/nowhere/ca.pem")];
        let said = world.run(Provider::NtxPay, &missing);
        assert!(said.contains("certificate authorities were not found"), "{said}");
    } else {
        assert!(said.contains("PAYTOKEN_CA: this program was built without"), "{said}");
    }
}

#[test]
fn the_environments_proxy_is_used_and_a_bad_one_named() {
    let sandbox = Sandbox::start().unwrap();
    let world = World::of(&sandbox);
    let closed = format!("http://{}", nobody_listens());
    for (set, says) in [
        (&[("https_proxy", closed.as_str())][..], "the proxy cannot be reached"),
        (&[("ALL_PROXY", &closed)], "the proxy cannot be reached"),
        (&[("https_proxy", &closed), ("no_proxy", "localhost, 127.0.0.1")], "fine: "),
        (&[("http_proxy", &closed)], "fine: "),
        (&[("HTTP_PROXY", &closed), ("REQUEST_METHOD", "GET")], "fine: "),
        (&[("HTTPS_PROXY", "::::")], "HTTPS_PROXY: not usable as a proxy"),
        (&[("all_proxy", "socks5h://127.0.0.1:1")], "all_proxy: not usable as a proxy (SOCKS"),
    ] {
        let said = world.run(Provider::SendPayments, set);
        assert!(said.contains(says), "{set:?}: {said}");
    }
}

#[test]
fn no_environment_is_guessed_beside_an_address_where_tokens_do_not_live_equally_long() {
    for &provider in Provider::ALL {
        let settings = |address: Option<String>, environment: Option<&'static str>| {
            let read = Settings::from_variables(provider, move |name| match name {
                name if name.ends_with("_BASE_URL") => address.clone().map(Into::into),
                name if name.ends_with("_ENVIRONMENT") => environment.map(Into::into),
                _ => None,
            });
            read.unwrap()
        };
        let facts = provider.facts();
        let differs = facts.sandbox.lifetime != facts.production.lifetime;
        assert_eq!(differs, provider == Provider::NexterPay);
        let other = || Some("https://pay.example".to_owned());
        assert_eq!(
            settings(other(), Some("production")).environment().unwrap(),
            Environment::Production
        );
        let documented = facts.sandbox.base_url.map(|url| url.to_uppercase() + "/");
        assert_eq!(settings(documented, None).environment().unwrap(), Environment::Sandbox);
        let guessed = settings(other(), None);
        if !differs {
            assert_eq!(guessed.environment().unwrap(), Environment::Sandbox);
            continue;
        }
        for error in [guessed.environment().unwrap_err(), guessed.builder().unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("NEXTERPAY_ENVIRONMENT: not set beside"), "{error}");
        }
    }
}
