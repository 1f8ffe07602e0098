//! Command lines for `paytoken curl` that nobody thought of: made by chance of all that curl knows, in
//! every spelling it takes. What is let through is run with the real curl, and nothing may be found
//! where it does not belong. `PAYTOKEN_CURL_LINES` says how many, `PAYTOKEN_SEED` where they begin.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use paytoken_sandbox::{Fault, Service};
use paytoken_testing::{Server, Trap, has_tool, say};

use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("no_line_for_curl_leads_anything_elsewhere", lines)]
}

/// In the file that is sent, and on stdin.
const BODIES: [&str; 2] = ["body-of-a-payment", "body-that-came-by-stdin"];

fn lines() {
    if !has_tool("curl") {
        return;
    }
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
    };
    let (wanted, seed) = (number("PAYTOKEN_CURL_LINES", 250), number("PAYTOKEN_SEED", 1));
    let help = text(Command::new("curl").args(["--help", "all"]).output().unwrap());
    let known: Vec<CurlOption> = help.lines().filter_map(CurlOption::read).collect();
    assert!(known.len() > 150, "{} options", known.len());
    let places = Places::new();
    let (mut run, mut answered) = (0, 0);
    for at in seed..seed + wanted {
        let mut chance = Chance(at.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let is_plain = chance.one_in(4);
        let line = places.line(&known, is_plain, &mut chance);
        if !is_plain && chance.one_in(6) {
            places.redirect();
        }
        let output = places.run(&line, is_plain);
        match output.status.code() {
            Some(64) => continue,
            Some(0 | 22) => answered += 1,
            _ => {}
        }
        run += 1;
        let problems = places.problems(&output, is_plain);
        assert!(problems.is_empty(), "PAYTOKEN_SEED={at}: {line:?}\n{problems:#?}\n{output:?}");
    }
    say(&format!("curl was run for {run} of {wanted} lines, and got an answer for {answered}"));
    assert!(answered * 10 > wanted, "{answered} of {wanted}: then little is tried");
}

/// An option of the installed curl.
struct CurlOption {
    letter: Option<char>,
    name: String,
    takes_a_value: bool,
}

impl CurlOption {
    /// ` -d, --data <data>        HTTP POST data`
    fn read(line: &str) -> Option<Self> {
        let (before, after) = line.split_once("--")?;
        let mut words = after.split_ascii_whitespace();
        let name = words.next()?.to_owned();
        let takes_a_value =
            words.next().is_some_and(|word| word.starts_with('<') || word.starts_with('['));
        let letter = before.trim().strip_prefix('-').and_then(|rest| rest.chars().next());
        Some(Self { letter, name, takes_a_value })
    }
}

/// Numbers by chance: a step of splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What jobs use, so that many lines are let through: options, and a value where one is taken.
const USUAL: [(&str, &str); 29] = [
    ("-s", ""),
    ("-S", ""),
    ("-sS", ""),
    ("-f", ""),
    ("-fsS", ""),
    ("--fail", ""),
    ("-i", ""),
    ("-I", ""),
    ("-G", ""),
    ("-g", ""),
    ("-m2", ""),
    ("-O", ""),
    ("--compressed", ""),
    ("-XPOST", ""),
    ("-X", "PUT"),
    ("-d", "@body"),
    ("-fsSd", "@-"),
    ("--data-binary", "@body"),
    ("--data-urlencode", "n@body"),
    ("--json", "{}"),
    ("-H", "X-A: b"),
    ("-o", "out"),
    ("-sD", "heads"),
    ("-w", "%{http_code}"),
    ("-T", "body"),
    ("-F", "f=@body;type=a/b"),
    ("-A", "x"),
    ("-x", PROXY),
    ("--retry", "0"),
];

/// What leads a token elsewhere, or shows it, with a value that does.
const HARMFUL: [(&str, &str); 22] = [
    ("-L", ""),
    ("--location-trusted", ""),
    ("-sK", "options"),
    ("--next", ""),
    ("-v", ""),
    ("-k", ""),
    ("--connect-to", "::localhost:TRAP"),
    ("--resolve", "*:OWN:127.0.0.2"),
    ("--unix-socket", "socket"),
    ("--proto", "=all"),
    ("--proto-default", "http"),
    ("--noproxy", "x"),
    ("--url", "https://localhost:TRAP/"),
    ("-H", "Host: localhost"),
    ("-H", "@headers"),
    ("-A", "x\r\nHost: localhost"),
    ("-X", "TRACE"),
    ("--libcurl", "code"),
    ("--trace-ascii", "trace"),
    ("--oauth2-bearer", "another"),
    ("-u", "a:b"),
    ("--preproxy", PROXY),
];

/// Stands for the trap's address.
const PROXY: &str = "PROXY";

struct Places {
    world: World,
    /// The API and the token endpoint of a provider by plain http.
    plain: Server,
    trap: Trap,
    tokens: [String; 2],
}

impl Places {
    fn new() -> Self {
        let world = World::new();
        let trap = Trap::start(world.sandbox.authority());
        let answer = "\"plain-token-of-the-test\"";
        let plain = Server::answering(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
            answer.len()
        ));
        // However many lines there are, one token is good for all.
        world.sandbox.set_lifetime(Service::NtxPay, Duration::from_secs(20 * 3600));
        let tokens = [world.token(Service::NtxPay), answer.trim_matches('"').to_owned()];
        fs::create_dir(world.folder.join("work")).unwrap();
        let places = Self { world, plain, trap, tokens };
        places.clean();
        places
    }

    fn own(&self, is_plain: bool) -> String {
        match is_plain {
            true => format!("{}/api", self.plain.url),
            false => format!("{}/api/balance", self.world.sandbox.url(Service::NtxPay)),
        }
    }

    /// The next answer of the API leads to the trap.
    fn redirect(&self) {
        let elsewhere = format!("https://localhost:{}/moved", self.trap.address.port());
        self.world.sandbox.api_fault_next(Service::NtxPay, 1, Fault::Redirect(elsewhere));
    }

    /// A folder with nothing but what lines name.
    fn clean(&self) {
        let folder = self.world.folder.join("work");
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        let trap = self.trap.address.port();
        for (name, content) in [
            ("body", BODIES[0].to_owned()),
            ("options", format!("url = \"https://localhost:{trap}/by-file\"\nlocation-trusted\n")),
            ("headers", format!("Host: localhost:{trap}\nX-A: b\n")),
            ("cookies", format!("localhost\tFALSE\t/\tFALSE\t0\tname\t{}\n", BODIES[0])),
        ] {
            fs::write(folder.join(name), content).unwrap();
        }
    }

    fn line(&self, known: &[CurlOption], is_plain: bool, chance: &mut Chance) -> Vec<String> {
        let mut line = Vec::new();
        for _ in 0..1 + chance.below(5) {
            if chance.one_in(8) {
                line.push(self.own(is_plain));
            }
            let is_harmful = chance.one_in(20);
            if is_harmful || !chance.one_in(6) {
                let (word, value) = *chance.of(if is_harmful { &HARMFUL[..] } else { &USUAL });
                line.push(word.to_owned());
                if chance.one_in(8) {
                    line.push(self.value(is_plain, chance));
                } else if !value.is_empty() {
                    let own = self.own(is_plain);
                    let port = own.split([':', '/']).nth(4).unwrap();
                    let value = value.replace(PROXY, &format!("http://{}", self.trap.address));
                    let value = value.replace("TRAP", &self.trap.address.port().to_string());
                    line.push(value.replace("OWN", port));
                }
                continue;
            }
            let (word, takes_a_value) = spelled(chance.of(known), known, chance);
            line.push(word);
            if takes_a_value != chance.one_in(12) {
                line.push(self.value(is_plain, chance));
            }
        }
        let at = chance.below(line.len() + 1);
        line.insert(at, self.own(is_plain));
        if chance.one_in(20) {
            let at = chance.below(line.len() + 1);
            line.insert(at, "--".into());
        }
        line
    }

    fn value(&self, is_plain: bool, chance: &mut Chance) -> String {
        let trap = self.trap.address.port();
        let own = self.own(is_plain);
        let host = own.split('/').nth(2).unwrap().to_owned();
        let values = [
            "x",
            "",
            "0",
            "1",
            "GET",
            "POST",
            "put",
            "TRACE",
            "@body",
            "@-",
            "-",
            ".",
            "body",
            "@headers",
            "options",
            "a=b",
            "f=@body",
            "f=<body",
            "f=@-",
            "f=@\"body\";type=a/b",
            "n@body",
            "X-A: b",
            "Expect:",
            "Authorization: Bearer other",
            "Host: localhost",
            "X: y\r\nHost: localhost",
            "%{http_code}",
            "out",
            "/dev/null",
            "=https",
            "http,https",
            "all",
            "cookies",
            "-v",
            "-L",
            "--location-trusted",
            "-k",
            "-d",
            "--",
        ];
        match chance.below(6) {
            0 => {
                let scheme =
                    chance.of(&["https://", "http://", "", "socks5://", "https://a@", "HTTPS://"]);
                format!("{scheme}localhost:{trap}{}", chance.of(&["", "/x", "?x", "#x"]))
            }
            1 => match chance.below(4) {
                0 => format!("{host}:localhost:{trap}"),
                1 => format!("{host}:127.0.0.1"),
                2 => format!("::127.0.0.1:{trap}"),
                _ => own,
            },
            _ => chance.of(&values).to_string(),
        }
    }

    fn run(&self, line: &[String], is_plain: bool) -> Output {
        let mut command = self.world.program("timeout");
        let name = if is_plain { "nexter-pay" } else { "ntx-pay" };
        command.args(["--kill-after=1", "4", PAYTOKEN, "curl", name]).args(["--"]).args(line);
        command.current_dir(self.world.folder.join("work")).stdin(Stdio::piped());
        if is_plain {
            // A plain proxy for all, which must not see a token either.
            let trap = format!("http://{}", self.trap.address);
            command
                .env("NEXTERPAY_BASE_URL", &self.plain.url)
                .env("NEXTERPAY_ENVIRONMENT", "sandbox");
            command.env("http_proxy", &trap).env("ALL_PROXY", &trap);
        }
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(BODIES[1].as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What was found where it does not belong, and what is missing where it does.
    fn problems(&self, output: &Output, is_plain: bool) -> Vec<String> {
        let mut problems = Vec::new();
        fn found(place: &str, bytes: &[u8], markers: &[&str]) -> Vec<String> {
            let text = String::from_utf8_lossy(bytes);
            let found = markers.iter().filter(|marker| text.contains(**marker));
            found.map(|marker| format!("{marker} in {place}: {text}")).collect()
        }
        let tokens = [&*self.tokens[0], &self.tokens[1]];
        // The plain API answers with the token.
        if !is_plain {
            problems.extend(found("stdout", &output.stdout, &tokens));
        }
        problems.extend(found("stderr", &output.stderr, &tokens));
        for entry in files(&self.world.folder.join("work")) {
            let content = fs::read(&entry).unwrap_or_default();
            problems.extend(found(
                &entry.display().to_string(),
                &content,
                if is_plain { &[] } else { &tokens },
            ));
        }
        for came in self.trap.take_received() {
            let mut markers = tokens.to_vec();
            markers.extend(BODIES);
            markers.push(self.world.sandbox.client_id(Service::NtxPay));
            problems.extend(found("the trap", &came, &markers));
            // A proxy is told where to go, and by TLS no more than that.
            let is_for_a_proxy = !is_plain
                && (came.starts_with(b"CONNECT ") || matches!(came.first(), None | Some(4 | 5)));
            if !is_for_a_proxy {
                problems.push(format!("the trap was asked: {}", String::from_utf8_lossy(&came)));
            }
        }
        let requests = match is_plain {
            true => self.plain.received(),
            false => self.world.sandbox.received(Service::NtxPay),
        };
        let own = self.own(is_plain);
        let host = own.split('/').nth(2).unwrap();
        for request in requests {
            let text = String::from_utf8_lossy(&request).into_owned();
            if text.contains("createToken") || text.contains("/auth/token") {
                continue;
            }
            let head = text.split("\r\n\r\n").next().unwrap();
            let values = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(':'));
                let of_name = lines.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
                of_name.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
            };
            let token = &self.tokens[usize::from(is_plain)];
            if values("authorization") != [format!("Bearer {token}")] {
                problems.push(format!("a request without the token, or with another: {text}"));
            }
            if values("host") != [host] {
                problems.push(format!("a request for another host: {text}"));
            }
        }
        self.world.sandbox.reset_counts();
        self.world.sandbox.clear_faults(Service::NtxPay);
        self.clean();
        problems
    }
}

/// One of curl's options, as curl takes it: as it is, in capitals, its beginning, its opposite, letters
/// in one word, with its value in the same word.
fn spelled(option: &CurlOption, all: &[CurlOption], chance: &mut Chance) -> (String, bool) {
    let name = &option.name;
    let takes = option.takes_a_value;
    match (chance.below(8), option.letter) {
        (0, _) => (format!("--{}", name.to_uppercase()), takes),
        (1, _) => (format!("--{}", &name[..1 + chance.below(name.len())]), takes),
        (2, _) => (format!("--no-{name}"), false),
        (3, _) => (format!("--{name}=x"), takes),
        (4, Some(letter)) => {
            let mut word = String::from("-");
            for _ in 0..1 + chance.below(3) {
                word.extend(chance.of(all).letter.filter(|_| !chance.one_in(3)));
            }
            word.push(letter);
            (word, takes)
        }
        (5, Some(letter)) => (format!("-{letter}body"), takes && chance.one_in(2)),
        (6, Some(letter)) => (format!("-{letter}"), takes),
        _ => (format!("--{name}"), takes),
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
