//! A real nginx, a process of its own with a folder of its own, ended with this value.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use paytoken_testing::{TempDir, nobody_listens, temporary_folder};

use crate::authority::Identity;
use crate::tools::nginx_program;

/// How the front is set up.
pub struct Front<'a> {
    pub server: &'a Identity,
    /// Whose client certificates it accepts.
    pub client_authority: &'a str,
    /// The directives of the `server` block that differ from test to test.
    pub more: &'a str,
    /// The directives of its `location`: where the requests go.
    pub location: String,
}

pub struct Nginx {
    pub address: SocketAddr,
    process: Child,
    /// Goes after the process, by the drop below.
    _folder: TempDir,
}

impl Front<'_> {
    /// To a backend over plain http, with nginx's own header and the client's one beside it.
    pub fn location_to(backend: SocketAddr) -> String {
        format!(
            "proxy_pass http://{backend};
             proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;
             proxy_set_header X-Sent-By-Client $http_x_ssl_client_cert;"
        )
    }

    pub fn start(&self, files: &[(&str, &str)]) -> Nginx {
        // nginx cannot be told to find a free port; another program may take the one found here.
        for _ in 0..5 {
            let address = nobody_listens();
            match self.start_at(address, files) {
                Ok(nginx) => return nginx,
                Err(said) if said.contains("Address already in use") => {}
                Err(said) => panic!("nginx did not start: {said}"),
            }
        }
        panic!("no free port for nginx");
    }

    pub fn url(nginx: &Nginx) -> String {
        format!("https://{}", nginx.address)
    }

    fn start_at(&self, address: SocketAddr, files: &[(&str, &str)]) -> Result<Nginx, String> {
        let folder = temporary_folder();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("server.pem", &self.server.certificate);
        write("server.key", &self.server.key);
        write("clients.pem", self.client_authority);
        files.iter().for_each(|(name, text)| write(name, text));
        // One process, so that ending it ends all of it. Header buffers stay at their defaults.
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        let text = format!(
            "daemon off;
             master_process off;
             pid nginx.pid;
             error_log stderr notice;
             events {{ worker_connections 64; }}
             http {{
               access_log off;
               {temporary}
               server {{
                 listen {address} ssl;
                 ssl_certificate server.pem;
                 ssl_certificate_key server.key;
                 ssl_client_certificate clients.pem;
                 ssl_verify_client on;
                 {}
                 location / {{ {} }}
               }}
             }}",
            self.more, self.location
        );
        write("nginx.conf", &text);
        let mut process = Command::new(nginx_program())
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = String::new();
        // It names its event method right after its sockets were opened.
        if !lines.by_ref().any(|line| {
            said += &line;
            line.contains("event method")
        }) {
            let _ = process.wait();
            return Err(said);
        }
        // A full pipe would stop it; the thread ends with the process.
        thread::spawn(move || lines.for_each(drop));
        Ok(Nginx { address, process, _folder: folder })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
