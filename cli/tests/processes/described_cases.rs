//! The case files of `tests/testdata/described` through the command: the settings file describes the
//! provider, or the catalogue does.

use std::fs;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken_testing::described::{Case, Outcome, rsa_identity};
use paytoken_testing::{has_tool, write_private};
use serde_json::Value;

use crate::settings::{told, with_file};
use crate::support::{World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("each_described_case_holds_through_the_command", cases)]
}

fn cases() {
    if !has_tool("openssl") {
        return;
    }
    let world = World::new();
    let identity = rsa_identity(world.sandbox.authority());
    write_private(world.folder.join("rsa.pem"), &identity.key_pem);
    write_private(world.folder.join("rsa.cert.pem"), &identity.certificate_pem);
    let cases = Case::all();
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, run(case, &world).err()?)))
        .collect();
    assert!(failures.is_empty(), "{} cases:\n{}", cases.len(), failures.join("\n"));
    assert_eq!(cases.len(), 29);
}

fn run(case: &Case, world: &World) -> Result<(), String> {
    let server = case.server(world.sandbox.authority());
    let mut file = format!(
        "[shop]\nprovider = \"{}\"\nbase_url = \"{}\"\nca = \"ca.pem\"\nstore = \"store\"\n",
        case.name, server.url
    );
    for (key, value) in case.account() {
        let value = match value {
            "@RSA@" => "rsa.pem",
            "@CERTIFICATE@" => "rsa.cert.pem",
            value => value,
        };
        file += &format!("{key} = {}\n", toml_text(value));
    }
    file += &case.toml();
    let run = |arguments: &[&str]| {
        let output = with_file(world, &file, arguments).output().unwrap();
        match output.status.success() {
            true => Ok(text(output)),
            false => Err(told(&output)),
        }
    };
    let began = Instant::now();
    let secret = run(&["token", "shop"])?;
    let took = began.elapsed();
    let header = run(&["header", "shop"])?;
    let status: Value = serde_json::from_str(&run(&["status", "shop", "--json"])?).unwrap();
    let token = &status[0]["token"];
    let _ = fs::remove_dir_all(world.store());
    let seconds = |name: &str| token[name].as_f64().ok_or(format!("no {name}: {token}"));
    let lifetime = seconds("age_seconds")? + seconds("remaining_seconds")?;
    let lifetime = Duration::from_secs_f64(lifetime);
    case.check(&server, &Outcome { secret, lifetime, header, took })
}

/// A basic string, in which JSON's escapes are TOML's.
fn toml_text(text: &str) -> String {
    Value::from(text).to_string()
}
