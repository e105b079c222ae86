//! A real nginx as the web service of a host, which answers with its name and what it saw.

use crate::certificate::Certificate;
use crate::deadline::DEADLINE;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The running server, killed when it is dropped.
pub struct Nginx {
    child: Child,
    pub dir: TempDir,
}

impl Nginx {
    /// Starts one called `name` on `address`, with TLS where there is a certificate. `more` are directives of
    /// its server.
    pub fn start(name: &str, address: SocketAddr, certificate: Option<&Certificate>, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let tls = certificate.map(|certificate| {
            let (chain, key) = certificate.write(path, "nginx");
            format!("ssl_certificate {};\nssl_certificate_key {};", chain.display(), key.display())
        });
        let listen = match &tls {
            Some(_) => format!("listen {address} ssl http2;"),
            None => format!("listen {address};"),
        };
        let tls = tls.unwrap_or_default();
        let shown = path.display();
        let text = format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid {shown}/pid;\nerror_log {shown}/error.log;\n\
             events {{ worker_connections 8192; }}\nhttp {{\naccess_log {shown}/access.log;\n\
             client_body_temp_path {shown}/body;\nproxy_temp_path {shown}/proxy;\nfastcgi_temp_path {shown}/f;\n\
             uwsgi_temp_path {shown}/u;\nscgi_temp_path {shown}/s;\nclient_max_body_size 0;\n\
             keepalive_requests 1000000;\ndefault_type application/json;\n\
             server {{\n{listen}\n{tls}\nserver_name _;\nroot {shown}/files;\n{more}\n\
             location /files/ {{ alias {shown}/files/; }}\n\
             location / {{ return 200 '{{\"host\":\"{name}\",\"user\":\"$remote_user\",\"target\":\"$request_uri\",\
             \"forwarded\":\"$http_x_forwarded_for\",\"cookie\":\"$http_cookie\",\"id\":\"$http_x_request_id\"}}\\n'; }}\n\
             }}\n}}\n"
        );
        std::fs::create_dir(path.join("files")).unwrap();
        std::fs::write(path.join("nginx.conf"), text).unwrap();
        Self { child: launch(path, address), dir }
    }

    /// How many requests it has seen, by its log.
    pub fn requests(&self) -> usize {
        self.log().lines().count()
    }

    /// Its access log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(dir: &Path, address: SocketAddr) -> Child {
    let child = Command::new("nginx")
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .arg("-e")
        .arg(dir.join("error.log"))
        .stdin(Stdio::null())
        .spawn()
        .expect("nginx is installed; tests/install-peers does it");
    let until = Instant::now() + DEADLINE;
    while TcpStream::connect(address).is_err() {
        let log = || std::fs::read_to_string(dir.join("error.log")).unwrap_or_default();
        assert!(Instant::now() < until, "nginx does not listen on {address}: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}
