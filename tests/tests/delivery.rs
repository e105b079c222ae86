//! A real Postfix delivers where usher says that a user is, from the moment on at which it says so.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use usher_tests::deadline::DEADLINE;
use usher_tests::usher::Setup;

/// Takes mail at `socket` (LMTP, RFC 2033), and tells for whom it was.
fn take_mail(socket: &Path, told: Sender<String>) {
    let listener = UnixListener::bind(socket).unwrap();
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o777)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let told = told.clone();
            thread::spawn(move || converse(stream, &told));
        }
    });
}

fn converse(stream: UnixStream, told: &Sender<String>) -> std::io::Result<()> {
    let (mut answers, mut recipients, mut is_in_data) = (stream.try_clone()?, Vec::new(), false);
    answers.write_all(b"220 mail.test LMTP\r\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        match line.split([' ', ':']).next().unwrap_or_default() {
            _ if is_in_data && line != "." => {}
            "." if is_in_data => {
                is_in_data = false;
                for recipient in recipients.drain(..) {
                    answers.write_all(b"250 2.0.0 taken\r\n")?;
                    let _ = told.send(recipient);
                }
            }
            "DATA" => {
                is_in_data = true;
                answers.write_all(b"354 go on\r\n")?;
            }
            "QUIT" => return answers.write_all(b"221 2.0.0 bye\r\n"),
            "RCPT" => {
                recipients.push(line.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                answers.write_all(b"250 2.1.5 ok\r\n")?;
            }
            _ => answers.write_all(b"250 mail.test\r\n")?,
        }
    }
    Ok(())
}

/// A whole Postfix, stopped when it is dropped.
struct Postfix {
    dir: TempDir,
    at: SocketAddr,
}

impl Postfix {
    /// One that asks at `lookup` where mail is to be delivered.
    fn start(at: SocketAddr, lookup: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let shown = dir.path().display();
        let main = format!(
            "compatibility_level = 3.6\nmyhostname = mx.test\nmydestination =\nqueue_directory = {shown}/queue\n\
             data_directory = {shown}/data\ncommand_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             mail_owner = postfix\nsetgid_group = postdrop\ninet_interfaces = 127.0.0.1\nmaillog_file = {shown}/log\n\
             maillog_file_prefixes = {shown}\nalias_maps =\nlocal_recipient_maps =\nmynetworks = 127.0.0.0/8\n\
             relay_domains = example.com\ntransport_maps = socketmap:inet:{}:{}:transport\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_recipient_restrictions = permit\n",
            lookup.ip(),
            lookup.port()
        );
        let services = ["bounce", "proxymap", "error", "lmtp", "anvil", "scache", "tlsmgr"];
        let mut master = format!(
            "{at} inet n - n - - smtpd -o max_use=1\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
             defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nretry unix - - n - - error\n\
             postlog unix-dgram n - n - 1 postlogd\n"
        );
        for service in services {
            master.push_str(&format!("{service} unix - - n - 0 {service}\n"));
        }
        std::fs::write(dir.path().join("main.cf"), main).unwrap();
        std::fs::write(dir.path().join("master.cf"), master).unwrap();
        for inner in ["queue", "data"] {
            std::fs::create_dir(dir.path().join(inner)).unwrap();
        }
        assert!(
            Command::new("chown").arg("postfix").arg(dir.path().join("data")).status().unwrap().success()
        );
        let postfix = Self { dir, at };
        assert!(postfix.command("start"), "{}", postfix.log());
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(at).is_err() {
            assert!(Instant::now() < until, "{}", postfix.log());
            thread::sleep(Duration::from_millis(20));
        }
        postfix
    }

    fn command(&self, word: &str) -> bool {
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(self.dir.path()).arg(word);
        // What it starts would keep a pipe open.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("Postfix is installed; tests/install-peers does it").success()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Hands it a message for `recipient` as another server would. Returns the first answer that is no success, or the last.
    fn takes(&self, recipient: &str) -> String {
        let stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let (mut words, mut answers) = (stream.try_clone().unwrap(), BufReader::new(stream).lines());
        let mut last = answers.next().unwrap().unwrap();
        let to = format!("RCPT TO:<{recipient}>");
        for word in ["HELO other.test", "MAIL FROM:<somebody@other.test>", &to, "DATA", "Subject: x\r\n\r\n."]
        {
            words.write_all(format!("{word}\r\n").as_bytes()).unwrap();
            last = answers.next().unwrap().unwrap_or_else(|error| panic!("{word}: {error}\n{}", self.log()));
            if !last.starts_with(['2', '3']) {
                break;
            }
        }
        last
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.command("abort");
    }
}

#[test]
fn mail_goes_where_a_user_is_from_the_moment_of_the_move_on() {
    if !rustix::process::getuid().is_root() {
        eprintln!("not run: Postfix is started as root");
        return;
    }
    let setup = Setup::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let hosts = ["one.test", "two.test"];
    let mail: Vec<Receiver<String>> = hosts
        .iter()
        .map(|host| {
            let (told, heard) = channel();
            take_mail(&dir.path().join(host), told);
            heard
        })
        .collect();
    let (lookup, smtp) = (setup.at(9145), setup.at(15025));
    let mut setup = setup.section(&format!(
        "[[listener]]\nprotocol = \"lookup\"\naddress = \"{lookup}\"\ntransport = \"lmtp:unix:{}/{{host}}\"\n",
        dir.path().display()
    ));
    for (number, host) in hosts.iter().enumerate() {
        let at = setup.at(10143 + number as u16);
        setup = setup.host(host, at, "tls = \"none\"", "");
    }
    let usher = setup.users(&[("anna@example.com", "one.test"), ("berta@example.com", "one.test")]).start();
    let postfix = Postfix::start(smtp, lookup);
    let delivered = |recipient: &str, at: usize| {
        let said = postfix.takes(recipient);
        assert!(said.starts_with("250"), "{said}");
        let came = mail[at].recv_timeout(DEADLINE);
        assert_eq!(came.as_deref(), Ok(recipient), "{}", postfix.log());
        assert!(mail[1 - at].try_recv().is_err(), "{}", postfix.log());
    };
    // Postfix's queue manager remembers what it has asked about last, for half a minute: that is somebody else each time.
    delivered("anna@example.com", 0);
    delivered("berta@example.com", 0);
    // Whoever sends it keeps it as long as nobody can say where she is.
    usher.did(&["user", "hold", "anna@example.com"]);
    let said = postfix.takes("anna@example.com");
    assert!(said.starts_with("451"), "{said}\n{}", postfix.log());
    usher.did(&["user", "release", "anna@example.com"]);
    usher.did(&["move", "user", "anna@example.com", "two.test", "--wait"]);
    delivered("berta@example.com", 0);
    delivered("anna@example.com", 1);
}
