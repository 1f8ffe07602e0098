//! Authorization servers that nobody here wrote, each a process of its own: `testing/foreign`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{agent, has_tool, not_run, temporary_folder, until, write_private};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// npm's oidc-provider.
    OidcProvider,
    /// PyPI's Authlib.
    Authlib,
}

/// Such a server, with TLS by a certificate for `127.0.0.1`. It ends with this value.
pub struct Foreign {
    /// `https://127.0.0.1:PORT`; its token endpoint is `/token`.
    pub url: String,
    child: Child,
    folder: TempDir,
    agent: ureq::Agent,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::OidcProvider, Self::Authlib];

    /// The program and its arguments, where it is installed; a test that goes without says so and passes, with
    /// `CI=true` it fails.
    fn command(self) -> Option<Command> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (program, folder, lock) = match self {
            Self::OidcProvider => ("node", "node", "package-lock.json"),
            Self::Authlib => ("python3", "python", "requirements.txt"),
        };
        let installed = here.join("../target/foreign").join(folder);
        let wanted = fs::read(here.join("foreign").join(lock)).unwrap();
        if !has_tool(program) {
            return None;
        }
        if fs::read(installed.join("lock")).ok() != Some(wanted) {
            not_run(&format!("{self:?} is not installed here: testing/foreign/install does that"));
            return None;
        }
        let mut command = Command::new(program);
        match self {
            Self::OidcProvider => {
                command.arg("--preserve-symlinks-main").arg(installed.join("oidc-provider.mjs"))
            }
            Self::Authlib => command
                .args(["-B", "-W", "ignore"])
                .arg(here.join("foreign/authlib_server.py"))
                .env("PYTHONPATH", &installed),
        };
        Some(command)
    }
}

impl Foreign {
    /// With these settings (`testing/foreign/README.md`): `clients`, and where they differ from what is usual `lifetime`
    /// (3600) and `certificate_required` (false). It trusts the sandbox's authority, as those do who trust that. None
    /// where it is not installed.
    pub fn start(kind: Kind, sandbox: &Sandbox, settings: Value) -> Option<Self> {
        let mut command = kind.command()?;
        let folder = temporary_folder();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            write_private(&path, text);
            path
        };
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let issued = sandbox.authority().sign(params, &KeyPair::generate().unwrap());
        let mut all = json!({
            "certificate": file("cert.pem", &issued.certificate_pem),
            "key": file("key.pem", &issued.key_pem),
            "ca": file("ca.pem", sandbox.ca_pem()),
            "lifetime": 3600,
            "certificate_required": false,
        });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let output = |name| fs::File::create(folder.path().join(name)).unwrap();
        let child = command
            .arg(file("settings.json", &all.to_string()))
            .stdin(Stdio::piped())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap();
        let mut foreign = Self { url: String::new(), child, folder, agent: agent(sandbox) };
        until("it is ready", || {
            if let Some(status) = foreign.child.try_wait().unwrap() {
                panic!("{kind:?}: {status}: {}", foreign.output("stderr"));
            }
            let text = foreign.output("stdout");
            let ready = text.strip_prefix("ready ").and_then(|rest| rest.split_once('\n'));
            foreign.url =
                ready.map_or_else(String::new, |(port, _)| format!("https://127.0.0.1:{port}"));
            ready.is_some()
        });
        Some(foreign)
    }

    /// Every request but `/whoami`, in order, as `POST /token CLIENT STATUS`. Who has an answer finds its request.
    pub fn requests(&self) -> Vec<String> {
        self.output("stdout").lines().skip(1).map(str::to_owned).collect()
    }

    /// The client and scope that a token was given for, as `{"client_id": …, "scope": …}`; none where it is not valid.
    pub fn owner(&self, token: &str) -> Option<Value> {
        let request = self.agent.get(format!("{}/whoami", self.url));
        let mut answer = request.header("Authorization", format!("Bearer {token}")).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status() == 200).then(|| serde_json::from_str(&text).unwrap())
    }

    /// The status of its answer to a form, sent to the token endpoint as it stands.
    pub fn post(&self, form: &str) -> u16 {
        let request = self.agent.post(format!("{}/token", self.url));
        let request = request.content_type("application/x-www-form-urlencoded");
        request.send(form).unwrap().status().as_u16()
    }

    fn output(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
