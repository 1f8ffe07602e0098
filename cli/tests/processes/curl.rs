//! `paytoken curl`: the real curl, the sandbox's API, tokens that were revoked, and who can see what.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Trial;
use paytoken_sandbox::{Fault, Service, example_call};
use paytoken_testing::{has_tool, until};

use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("curl_calls_the_api_of_each_provider_with_one_token_request", each_provider),
        trial("a_revoked_token_is_dropped_and_curl_runs_once_more", revoked),
        trial("a_call_that_may_have_done_something_is_not_made_again", not_again),
        trial("curls_own_options_work_as_without_us", own_options),
        trial("what_came_on_stdin_is_sent_again_or_not_at_all", bodies),
        trial("an_answer_is_shown_as_it_comes", streaming),
        trial("no_process_shows_a_token_or_a_secret", nothing_shows),
        trial("the_token_goes_to_the_providers_host_alone", hosts),
        trial("signals_reach_curl_and_the_code_says_so", signals),
        trial("the_code_is_curls_or_ours_where_it_was_not_run", codes),
    ]
}

impl World {
    fn address(&self, service: Service) -> String {
        format!("{}{}", self.sandbox.url(service), example_call(service).1)
    }

    /// `paytoken curl SERVICE -- -sS …`, calling the example of the provider's document.
    fn curl(&self, service: Service, options: &[&str]) -> Command {
        let address = self.address(service);
        let method = example_call(service).0;
        let name = service.facts().name;
        let call = ["curl", name, "--", "-sS", "-X", method, &address];
        self.paytoken(&[&call, options].concat())
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(world: &World, name: &str, content: &str) -> PathBuf {
    let path = world.folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn each_provider() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    for &service in Service::ALL {
        for _ in 0..2 {
            let output = world.curl(service, &["-w", "%{http_code}"]).output().unwrap();
            assert!(told(&output).is_empty(), "{}", told(&output));
            let shown = text(output);
            assert!(shown.ends_with("200") && shown.len() > 3, "{service}: {shown}");
        }
        let counts = world.sandbox.counts(service);
        assert_eq!(
            (counts.token_requests, counts.api_requests, counts.api_unauthorized),
            (1, 2, 0)
        );
    }
}

fn revoked() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    for &service in Service::ALL {
        world.store_revoked_token(service);
        let answer = world.folder.join("answer");
        let all = ["--fail", "-i", "-w", "%{http_code}"];
        let output = world.curl(service, &all).output().unwrap();
        assert!(told(&output).is_empty(), "{service}: {}", told(&output));
        let shown = text(output);
        assert!(shown.starts_with("HTTP/") && shown.ends_with("200"), "{service}: {shown}");
        assert!(!shown.contains("401"), "{service}: {shown}");
        let counts = world.sandbox.counts(service);
        assert_eq!(
            (counts.token_requests, counts.api_requests, counts.api_unauthorized),
            (2, 2, 1)
        );
        // Into a file: the second answer is in it, alone.
        world.store_revoked_token(service);
        text(world.curl(service, &["-o", answer.to_str().unwrap()]).output().unwrap());
        let second = text(world.curl(service, &[]).output().unwrap());
        assert_eq!(fs::read_to_string(&answer).unwrap().trim_end().len(), second.len());
        assert_eq!(world.sandbox.counts(service).token_requests, 4);
    }
    // An API that answers 401 whatever the token: two calls, one token, its answer handed back.
    let service = Service::NtxPay;
    world.token(service);
    world.sandbox.reset_counts();
    world.sandbox.api_fault_next(service, 2, Fault::Status(401));
    let output = world.curl(service, &["-w", "%{http_code}"]).output().unwrap();
    let shown = text(output);
    assert_eq!((shown.matches("401").count() > 0, shown.ends_with("401")), (true, true));
    let counts = world.sandbox.counts(service);
    assert_eq!((counts.token_requests, counts.api_requests), (1, 2));
}

fn not_again() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::NtxPay;
    let address = world.address(service);
    let calls = || world.sandbox.counts(service).api_requests;
    let revoke = || world.store_revoked_token(service);
    let made = Command::new("mkfifo").arg(world.folder.join("balance")).status().unwrap();
    assert!(made.success());
    let pipes = world.folder.display().to_string();
    let authorities = "/dev/fd/0".to_owned();
    for (options, fault, why) in [
        (&["--no-replay"][..], false, "--no-replay says so"),
        (&[][..], true, "other answers came"),
        (&["fifo"][..], false, "what is no file"),
        (&["form"][..], false, "what its form reads is not known"),
        (&["heads"][..], false, "what is no file"),
        (&["folder"][..], false, "what is no file"),
        (&["by name"][..], false, "what is no file"),
        (&["stdin"][..], false, "reads stdin more than once"),
        (&["authorities"][..], false, "reads from a pipe"),
        (&["bodies"][..], false, "several calls may have done something"),
    ] {
        revoke();
        if fault {
            // The second of two calls only.
            world.sandbox.api_fault_next(service, 1, Fault::Status(503));
        }
        let before = calls();
        let (ours, curls): (&[&str], Vec<String>) = match options {
            ["--no-replay"] => (options, vec![address.clone()]),
            ["fifo"] => (&[], vec!["-o".into(), "/dev/stdout".into(), address.clone()]),
            ["heads"] => (&[], ["-D", "/dev/stderr", &address].map(String::from).into()),
            ["folder"] => {
                (&[], ["--output-dir", "/dev", "-o", "stdout", &address].map(String::from).into())
            }
            ["by name"] => (&[], ["--output-dir", &pipes, "-O", &address].map(String::from).into()),
            ["stdin"] => {
                let form = ["-X", "GET", "-F", "a=@-", "-F", "b=@-", &address];
                (&[], form.map(String::from).into())
            }
            ["authorities"] => (&[], ["--cacert", &authorities, &address].map(String::from).into()),
            ["bodies"] => {
                (&[], ["-X", "GET", "-d", "x", &address, &address].map(String::from).into())
            }
            ["form"] => {
                (&[], ["-X", "GET", "-F", "f=@\"/dev/null\"", &address].map(String::from).into())
            }
            _ => (&[], vec![address.clone(), address.clone()]),
        };
        let mut command = world.paytoken(&[&["curl", "ntx-pay"], ours, &["--", "-sS"]].concat());
        // The authorities come by a pipe, and a named pipe is read.
        let ca = fs::File::open(world.folder.join("ca.pem")).unwrap();
        let mut reader = Command::new("cat");
        let mut reader = (options == ["by name"])
            .then(|| reader.arg(world.folder.join("balance")).spawn().unwrap());
        if options == ["authorities"] {
            let mut cat = Command::new("cat").stdin(ca).stdout(Stdio::piped()).spawn().unwrap();
            command.stdin(cat.stdout.take().unwrap());
            reader = Some(cat);
        }
        let output = command.args(&curls).output().unwrap();
        reader.iter_mut().for_each(|reader| _ = reader.wait());
        let told = told(&output);
        let ours: Vec<_> = told.lines().filter(|line| line.starts_with("paytoken: ")).collect();
        assert!(ours.len() == 1 && ours[0].contains(why), "{options:?}: {told}");
        let shown = text(output) + &told;
        assert!(
            shown.contains("401") || options == ["by name"],
            "{options:?}: its answer is shown"
        );
        let expected = 1 + usize::from(fault || options == ["bodies"]);
        assert_eq!(calls() - before, expected, "{options:?}");
        // It is dropped all the same.
        assert!(world.sandbox.is_valid(service, &world.token(service)), "{options:?}");
    }
    // What does not fit into the memory for it is shown as it comes.
    for (letters, is_again) in [(100_000, false), (80_000, true)] {
        revoke();
        let before = calls();
        let written = "w".repeat(letters);
        let long = [&[&*address; 10][..], &["-w", &written]].concat();
        let output = world.curl(service, &long).output().unwrap();
        let is_told = told(&output).contains("its output is long, and has been shown");
        assert_eq!(is_told, !is_again, "{}", told(&output));
        assert_eq!(calls() - before, if is_again { 22 } else { 11 });
        assert!(world.sandbox.is_valid(service, &world.token(service)));
    }
    // Two calls, both 401: then neither has done anything.
    revoke();
    let before = calls();
    let shown = text(world.curl(service, &[&address, "-w", "%{http_code}\n"]).output().unwrap());
    assert_eq!((shown.matches("200").count(), shown.matches("401").count()), (2, 0), "{shown}");
    assert_eq!(calls() - before, 4);
    // One call that curl tried several times: what came last counts.
    revoke();
    world.sandbox.api_fault_next(service, 1, Fault::Status(503));
    let before = calls();
    let retried = ["--retry", "1", "--retry-delay", "1", "-w", "%{http_code}\n"];
    let shown = text(world.curl(service, &retried).output().unwrap());
    assert_eq!((shown.matches("200").count(), shown.matches("401").count()), (1, 0), "{shown}");
    assert_eq!(calls() - before, 3);
    // One that ended in a time-out after a 401 may have done something.
    revoke();
    world.sandbox.api_fault_next(service, 1, Fault::Status(401));
    world.sandbox.api_fault_next(service, 1, Fault::Delay(std::time::Duration::from_secs(60)));
    let before = calls();
    let late = ["-f", "--retry", "1", "--retry-all-errors", "--max-time", "1"];
    let output = world.curl(service, &late).output().unwrap();
    assert_eq!(output.status.code(), Some(28), "{output:?}");
    assert!(told(&output).contains("curl did not end with an answer"), "{}", told(&output));
    assert_eq!(calls() - before, 2);
}

fn own_options() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::NtxPay;
    let heads = world.folder.join("heads");
    let heads = heads.to_str().unwrap();
    for is_revoked in [false, true] {
        let run = |options: &[&str]| {
            if is_revoked {
                world.store_revoked_token(service);
            }
            let output = world.curl(service, options).output().unwrap();
            let (told, shown) = (told(&output), text(output));
            assert!(!shown.contains("401") && told.is_empty(), "{options:?}: {shown} {told}");
            shown
        };
        let body = run(&[]);
        assert_eq!(run(&["-o", "/dev/null", "-w", "%{http_code}"]), "200");
        assert_eq!(run(&["-s", "-f"]), body);
        assert!(run(&["-i"]).starts_with("HTTP/1.1 200"));
        assert_eq!(run(&["-D", heads]), body);
        assert!(fs::read_to_string(heads).unwrap().starts_with("HTTP/1.1 200"));
        let with_heads = run(&["--dump-header", "-"]);
        assert!(with_heads.starts_with("HTTP/1.1 200") && with_heads.ends_with(&body));
        assert_eq!(run(&["--compressed", "--retry", "1"]), body);
    }
}

fn bodies() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::NexterPay;
    let address = world.address(service);
    let content = "{\"amount\": 1}".to_owned() + &" ".repeat(1000);
    let path = file(&world, "body", &content);
    let script = |script: &str| {
        world.store_revoked_token(service);
        let mut shell = world.program("/bin/sh");
        let output = shell.args(["-c", script, PAYTOKEN, &address]).arg(&path).output().unwrap();
        let received = world.sandbox.received(service);
        let bodies: Vec<usize> = received
            .iter()
            .rev()
            .map_while(|request| {
                let text = String::from_utf8_lossy(request).into_owned();
                (!text.contains("createToken"))
                    .then(|| text.split("\r\n\r\n").nth(1).unwrap().len())
            })
            .collect();
        (output, bodies)
    };
    for (how, input) in [
        ("a pipe", "cat \"$2\" | \"$0\" curl nexter-pay -- -sS --data-binary @- \"$1\""),
        ("a file", "\"$0\" curl nexter-pay -- -sS --data-binary @- \"$1\" < \"$2\""),
        ("a named file", "\"$0\" curl nexter-pay -- -sS --data-binary @\"$2\" \"$1\""),
    ] {
        let (output, bodies) = script(input);
        assert!(!text(output).contains("401"), "{how}");
        assert_eq!(bodies, [content.len()], "{how}: the second time, after the token request");
    }
    // A file that changed, or went, between the two runs is not sent.
    for (how, change) in [("changed", "echo more >> \"$2\""), ("gone", "rm \"$2\"")] {
        fs::write(&path, &content).unwrap();
        world.store_revoked_token(service);
        let hold = world.sandbox.hold(service);
        let mut shell = world.program("/bin/sh");
        shell.args(["-c", "\"$0\" curl nexter-pay -- -sS --data-binary @\"$2\" \"$1\"", PAYTOKEN]);
        let child = shell.arg(&address).arg(&path).spawn().unwrap();
        assert!(hold.wait_for_arrivals(1, paytoken_testing::PATIENCE));
        let mut shell = world.program("/bin/sh");
        shell.args(["-c", change, PAYTOKEN, &address]).arg(&path);
        assert!(shell.status().unwrap().success());
        let before = world.sandbox.counts(service).api_requests;
        hold.release();
        let output = child.wait_with_output().unwrap();
        assert!(told(&output).contains("a file that it sends has changed"), "{how}: {output:?}");
        assert_eq!(world.sandbox.counts(service).api_requests, before, "{how}");
    }
    fs::write(&path, &content).unwrap();
    let (output, _) = script(
        "mkfifo \"$2.fifo\"; cat \"$2\" > \"$2.fifo\" & \"$0\" curl nexter-pay -- -sS -d @\"$2.fifo\" \"$1\"",
    );
    assert!(told(&output).contains("reads from a pipe, which is read once"), "{}", told(&output));
    let (output, bodies) = script(
        "head -c 1500000 /dev/zero | \"$0\" curl nexter-pay -- -sS -H Expect: --data-binary @- \"$1\"",
    );
    assert!(told(&output).is_empty(), "{}", told(&output));
    assert_eq!(bodies, [1_500_000], "the second time");
    let (output, bodies) = script(
        "head -c 67108865 /dev/zero | \"$0\" curl nexter-pay -- -sS --data-binary @- \"$1\"",
    );
    assert_eq!(output.status.code(), Some(66));
    assert!(told(&output).contains("more than 64 MiB"), "{}", told(&output));
    assert!(bodies.is_empty());
    // One that is not kept is handed on as it comes.
    let (output, bodies) = script(
        "\"$0\" token nexter-pay --force >/dev/null; head -c 1500000 /dev/zero | \"$0\" curl nexter-pay --no-replay -- -sS -H Expect: --data-binary @- \"$1\"",
    );
    assert!(told(&output).is_empty(), "{}", told(&output));
    assert_eq!(bodies, [1_500_000]);
}

fn streaming() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::NtxPay;
    let drip = Fault::Drip(std::time::Duration::from_millis(20));
    world.sandbox.api_fault_next(service, 1, drip);
    let mut child = world.curl(service, &["-N"]).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!((first, child.try_wait().unwrap()), (*b"{", None), "the rest is still to come");
    let output = child.wait_with_output().unwrap();
    assert!(text(output).ends_with('}'));
}

/// Arguments and environments of all processes below this one.
fn processes_below(child: &Child) -> Vec<(String, String)> {
    let mut below = vec![child.id()];
    let mut found = Vec::new();
    while let Some(id) = below.pop() {
        let read = |name: &str| {
            let bytes = fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        found.push((read("cmdline"), read("environ")));
        let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            below.extend(children.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
        }
    }
    found
}

fn nothing_shows() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    for &service in Service::ALL {
        let facts = service.facts();
        let token = world.token(service);
        let secret = world.sandbox.client_secret(service);
        world.sandbox.api_fault_next(service, 1, Fault::Delay(std::time::Duration::from_secs(60)));
        let before = world.sandbox.counts(service).api_requests;
        let mut child = world.curl(service, &[]).spawn().unwrap();
        until("the call has arrived", || world.sandbox.counts(service).api_requests > before);
        let processes = processes_below(&child);
        let curl = processes.iter().find(|(arguments, _)| arguments.starts_with("curl\0"));
        let (_, environment) = curl.expect("curl runs below paytoken");
        assert!(!environment.contains(&facts.variable(facts.fields[1].variable)), "{service}");
        assert!(!environment.contains(secret) && !environment.contains("PAYTOKEN_STORE"));
        for (arguments, environment) in &processes {
            assert!(!arguments.contains(secret) && !arguments.contains(&token), "{service}");
            assert!(!environment.contains(&token), "{service}");
        }
        rustix_kill(&child);
        child.wait().unwrap();
    }
}

fn rustix_kill(child: &Child) {
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
}

fn hosts() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::NtxPay;
    let port = world.sandbox.address(service).port();
    let run = |ours: &[&str], curls: &[&str]| {
        world
            .paytoken(&[&["curl", "ntx-pay"], ours, &["--", "-sS"], curls].concat())
            .output()
            .unwrap()
    };
    let own = world.address(service);
    let other = format!("https://localhost:{port}/api/balance");
    for (curls, says) in [
        (&[&*other][..], "would be sent to localhost"),
        (&[&own, &other], "would be sent to localhost"),
        (&["--url", &other], "would be sent to localhost"),
        (&["--location-trusted", &own], "--location-trusted is not passed on: after a redirect"),
        (&["--location-trus", &own], "not among the options"),
        (&["--Location-Trusted", &own], "not among the options"),
        (&["-fsSLd", "x", &own], "-L is not passed on: after a redirect"),
        (&["-sK", "-", &own], "-K is not passed on: a file of options"),
        (&["--refere", "-b", &own], "--refere is not passed on"),
        (&["-vs", &own], "-v is not passed on: it shows the header"),
        (&["-H", "@/dev/null", &own], "a file of headers"),
        (&["-H", "authorization: Bearer x", &own], "that header is the token's"),
        (&["-HHost: evil.example", &own], "that header is curl's own"),
        (&["-A", "a\r\nHost: evil.example", &own], "a control character"),
        (&["-X", "TRACE", &own], "it is one of GET"),
        (&["-d"], "--data: its value is missing"),
        (&["-s"], "no address"),
        (&["-\u{1b}", &own], "an option is not passed on"),
        (&["-\n", &own], "an option is not passed on"),
        (&["--data=x", &own], "--data: write its value as a word of its own"),
        (&["-D", "-", &own, &own], "use --include"),
        (&[&*format!("{own}?[1-2]")], "several calls"),
        (&[&*own.replace("https", "http")], "would show the token"),
        (&["https://127.0.0.1@example.com/"], "cannot tell"),
        (&["--", "-d"], "cannot tell"),
    ] {
        let output = run(&[], curls);
        assert_eq!(output.status.code(), Some(64), "{curls:?}: {}", told(&output));
        assert!(told(&output).contains(says), "{curls:?}: {}", told(&output));
        // Not where it would teach how to send it elsewhere.
        let is_of_address =
            ["would be sent", "cannot tell", "would show"].iter().any(|word| says.contains(word));
        let teaches = told(&output).contains("paytoken header ntx-pay | curl -H @-");
        assert_eq!(teaches, !is_of_address, "{curls:?}: {}", told(&output));
        assert_eq!(told(&output).lines().count(), 1, "{curls:?}");
    }
    assert_eq!(world.sandbox.token_requests(service), 0, "nothing was fetched");
    // No .curlrc counts.
    file(&world, ".curlrc", "user-agent = \"from a file\"\nlocation-trusted\n");
    let mut command = world.curl(service, &[]);
    assert!(!text(command.env("HOME", &world.folder).output().unwrap()).is_empty());
    let received = world.sandbox.received(service);
    let request = String::from_utf8_lossy(received.last().unwrap()).into_owned();
    assert!(!request.contains("from a file"), "{request}");
    assert!(!text(run(&["--allow-host", "localhost"], &[&other])).is_empty());
    // A redirect is not followed.
    world.sandbox.api_fault_next(service, 1, Fault::Redirect(other));
    let before = world.sandbox.counts(service).api_requests;
    let output = run(&[], &["-o", "/dev/null", "-w", "%{http_code}", &own]);
    assert!(told(&output).is_empty(), "{}", told(&output));
    assert!(text(output).starts_with('3'));
    assert_eq!(world.sandbox.counts(service).api_requests, before + 1);
}

fn signals() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::SendPayments;
    for (name, number) in
        [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 10), ("USR2", 12)]
    {
        world.token(service);
        world.sandbox.api_fault_next(service, 1, Fault::Delay(std::time::Duration::from_secs(60)));
        let before = world.sandbox.counts(service).api_requests;
        // Whoever started the tests may ignore some of them, and that would be kept.
        let mut command = world.program("/usr/bin/env");
        let address = world.address(service);
        command.args([
            "--default-signal=TERM,INT,HUP,QUIT,USR1,USR2",
            PAYTOKEN,
            "curl",
            service.facts().name,
        ]);
        let child = command.args(["--", "-sS", &address]).spawn().unwrap();
        until("the call has arrived", || world.sandbox.counts(service).api_requests > before);
        let curl = curl_below(&child);
        let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(128 + number), "{name}: {output:?}");
        assert_eq!(output.status.signal(), None);
        assert!(!PathBuf::from(format!("/proc/{curl}/exe")).exists(), "{name}: curl goes on");
    }
    // Between two runs the signal is for us.
    world.sandbox.revoke(&world.token(service));
    let hold = world.sandbox.hold(service);
    let mut child = world.curl(service, &[]).spawn().unwrap();
    assert!(hold.wait_for_arrivals(1, paytoken_testing::PATIENCE));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    hold.release();
    // What nohup ignores stays ignored.
    world.sandbox.api_fault_next(service, 1, Fault::Delay(std::time::Duration::from_secs(60)));
    let before = world.sandbox.counts(service).api_requests;
    let mut shell = world.program("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", PAYTOKEN]);
    let mut child = shell
        .args(["curl", "send-payments", "--", "-sS", &world.address(service)])
        .spawn()
        .unwrap();
    until("the call has arrived", || world.sandbox.counts(service).api_requests > before);
    for name in ["HUP", "TERM"] {
        let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}

fn curl_below(child: &Child) -> u32 {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let children =
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    children.collect::<String>().split_whitespace().next().unwrap().parse().unwrap()
}

fn codes() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::NexterPay;
    world.sandbox.api_fault_next(service, 1, Fault::Status(503));
    let output = world.curl(service, &["-f"]).output().unwrap();
    assert_eq!(output.status.code(), Some(22), "{output:?}");
    let output = world.curl(service, &["--max-time", "soon"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let mut command = world.curl(service, &[]);
    let empty = world.folder.join("empty");
    fs::create_dir(&empty).unwrap();
    let output = command.env("PATH", &empty).output().unwrap();
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    // No token: curl is not run.
    let marker = world.folder.join("curl-ran");
    let script = format!("#!/bin/sh\ntouch '{}'\n", marker.display());
    let fake = file(&world, "empty/curl", &script);
    fs::set_permissions(fake, fs::Permissions::from_mode(0o755)).unwrap();
    let address = world.address(service);
    let mut command = world.paytoken(&["curl", "nexter-pay", "--no-store", "--", &address]);
    command.env("PATH", &empty).env("PAYTOKEN_STORE", world.folder.join("another"));
    let output = command.env("NEXTERPAY_PASSWORD", "wrong-password").output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    assert!(told(&output).starts_with("paytoken: ") && !marker.exists());
    // Whoever reads may stop reading.
    let mut child = world.curl(service, &[]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(23), "{status}");
    // What could not be shown was not done, also where curl had written it all.
    let mut shell = world.program("/bin/sh");
    shell.args(["-c", "\"$0\" curl nexter-pay -- -sS -X POST \"$1\" > /dev/full", PAYTOKEN]);
    let output = shell.arg(world.address(service)).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert_eq!(told(&output).lines().count(), 1, "{output:?}");
    // A parent that ignores SIGCHLD changes nothing.
    let mut shell = world.program("/bin/sh");
    shell.args(["-c", "trap '' CHLD; \"$0\" curl nexter-pay -- -sS -X POST \"$1\"", PAYTOKEN]);
    assert!(!text(shell.arg(world.address(service)).output().unwrap()).is_empty());
    // Where no descriptor is left, that passes; curl is there.
    let with_descriptors = |limit: u32| {
        let mut shell = world.program("/bin/sh");
        let script = format!("ulimit -n {limit}; \"$0\" curl nexter-pay -- -sS -X POST \"$1\"");
        shell.args(["-c", &script, PAYTOKEN]).arg(world.address(service)).output().unwrap()
    };
    let codes: Vec<_> =
        (4..20).map(|limit| with_descriptors(limit).status.code().unwrap()).collect();
    assert!(codes.contains(&75) && codes.ends_with(&[0]) && !codes.contains(&127), "{codes:?}");
    // After the token was rejected, none can be had: the API's answer is handed back.
    let token = world.token(service);
    world.sandbox.revoke(&token);
    world.sandbox.fault_always(service, Some(Fault::Status(403)));
    let output = world.curl(service, &["-w", "%{http_code}"]).output().unwrap();
    assert!(told(&output).contains("no other token is available"), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("401"));
    let _ = std::io::stderr().flush();
}
