//! A real Apache with WebDAV as the web service of a host, in the clear: it knows itself as `http`.

use crate::deadline::DEADLINE;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// The running server, killed when it is dropped.
pub struct Apache {
    child: Child,
    pub dir: TempDir,
}

impl Apache {
    /// Starts one on `address` whose files, below `/dav`, are in `files`.
    pub fn start(address: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shown = dir.path().display();
        let modules = ["mpm_event", "authz_core", "dir", "dav", "dav_fs"];
        let modules: String = modules
            .iter()
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .collect();
        let text = format!(
            "{modules}ServerName dav.test\nListen {address}\nPidFile {shown}/pid\nErrorLog {shown}/error.log\n\
             Mutex file:{shown}\nUser #65534\nGroup #65534\n\
             DocumentRoot {shown}/files\nDavLockDB {shown}/files/locks\n<Directory {shown}/files>\nDav On\nRequire all granted\n</Directory>\n"
        );
        std::fs::create_dir_all(dir.path().join("files/dav/dir")).unwrap();
        std::fs::write(dir.path().join("files/dav/a"), "mail").unwrap();
        std::fs::write(dir.path().join("apache.conf"), text).unwrap();
        // Its workers are nobody in particular.
        let opened = Command::new("chmod").args(["-R", "a+rwX"]).arg(dir.path()).status();
        assert!(opened.is_ok_and(|status| status.success()));
        let mut command = Command::new("apache2");
        command.arg("-X").arg("-f").arg(dir.path().join("apache.conf"));
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("Apache is installed; tests/install-peers does it");
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < DEADLINE, "Apache does not start");
            std::thread::yield_now();
        }
        Self { child, dir }
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
