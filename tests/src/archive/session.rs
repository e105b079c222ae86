//! One connection of an archive.

use super::message_commands::{fetch_one, store_one};
use super::parse::{self, Arg, in_set};
use super::{Archive, Event, Mailbox, Message, Tls, search};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use usher_wire::proxy_header::{HeaderInfo, Progress, Reader};

/// Serves one connection to its end.
pub(super) async fn serve(archive: Arc<Archive>, mut tcp: TcpStream, peer: SocketAddr) {
    let mut client = peer;
    if archive.options.proxy_header {
        match proxy_header(&mut tcp).await {
            Some(told) => client = told.unwrap_or(peer),
            None => return,
        }
    }
    let _ = tcp.set_nodelay(true);
    archive.note(Event::Connected(client));
    let _ = match (archive.options.tls, &archive.options.certificate) {
        (Tls::Implicit, Some(certificate)) => match certificate.acceptor().accept(tcp).await {
            Ok(stream) => talk(&archive, stream, true).await.map(|_| ()),
            Err(error) => Err(error),
        },
        (Tls::StartTls, Some(certificate)) => match talk(&archive, tcp, false).await {
            Ok(Some(tcp)) => match certificate.acceptor().accept(tcp).await {
                Ok(stream) => talk(&archive, stream, true).await.map(|_| ()),
                Err(error) => Err(error),
            },
            other => other.map(|_| ()),
        },
        _ => talk(&archive, tcp, true).await.map(|_| ()),
    };
}

async fn proxy_header(tcp: &mut TcpStream) -> Option<Option<SocketAddr>> {
    let mut reader = Reader::new(16 * 1024);
    loop {
        match reader.progress().ok()? {
            Progress::Done(HeaderInfo::Local) => return Some(None),
            Progress::Done(HeaderInfo::Proxied { source, .. }) => return Some(Some(source)),
            Progress::Need(most) => {
                let mut buf = vec![0; most];
                let read = tcp.read(&mut buf).await.ok().filter(|read| *read > 0)?;
                reader.feed(&buf[..read]);
            }
        }
    }
}

/// What a connection knows.
struct Session<'a> {
    archive: &'a Archive,
    secure: bool,
    user: Option<String>,
    mailbox: Option<String>,
    /// Messages that the client knows of.
    seen: usize,
}

/// Talks until the client leaves, or gives the stream back for TLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    archive: &Archive,
    stream: S,
    secure: bool,
) -> std::io::Result<Option<S>> {
    let mut stream = BufStream::with_capacity(4096, 64 * 1024, stream);
    let mut session = Session { archive, secure, user: None, mailbox: None, seen: 0 };
    if !secure || archive.options.tls != Tls::StartTls {
        let greeting =
            format!("* OK [CAPABILITY {}] {} ready\r\n", session.capabilities(), archive.options.name);
        stream.write_all(greeting.as_bytes()).await?;
        stream.flush().await?;
    }
    loop {
        let Some(raw) = parse::read(&mut stream).await? else { return Ok(None) };
        raw.lines.iter().for_each(|line| archive.note(Event::Line(line.clone())));
        let args = parse::args(&raw);
        let (Some(tag), Some(verb)) = (args.first().map(Arg::text), args.get(1).map(Arg::text)) else {
            stream.write_all(b"* BAD what?\r\n").await?;
            stream.flush().await?;
            continue;
        };
        let verb = verb.to_ascii_uppercase();
        let args = args.get(2..).unwrap_or_default();
        let mut out = Vec::new();
        let answer = match verb.as_str() {
            "STARTTLS" if !secure => {
                stream.write_all(format!("{tag} OK go\r\n").as_bytes()).await?;
                stream.flush().await?;
                return Ok(Some(stream.into_inner()));
            }
            "LOGOUT" => {
                stream.write_all(format!("* BYE\r\n{tag} OK bye\r\n").as_bytes()).await?;
                stream.shutdown().await?;
                return Ok(None);
            }
            "AUTHENTICATE" => session.authenticate(&mut stream, args).await?,
            "IDLE" if session.user.is_some() => session.idle(&mut stream).await?,
            _ => session.command(&verb, args, &mut out),
        };
        stream.write_all(&out).await?;
        stream.write_all(format!("{tag} {answer}\r\n").as_bytes()).await?;
        stream.flush().await?;
    }
}

impl Session<'_> {
    fn capabilities(&self) -> String {
        let login = match (self.secure, &self.user) {
            (false, _) => " STARTTLS LOGINDISABLED",
            (true, None) => " AUTH=PLAIN",
            (true, Some(_)) => "",
        };
        format!("{}{login}", self.archive.options.capabilities)
    }

    async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufStream<S>,
        args: &[Arg],
    ) -> std::io::Result<String> {
        let message = match args.get(1) {
            Some(initial) => initial.text(),
            None => {
                stream.write_all(b"+ \r\n").await?;
                stream.flush().await?;
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                line.trim_end().to_owned()
            }
        };
        let decoded = STANDARD.decode(message).unwrap_or_default();
        let text = String::from_utf8_lossy(&decoded);
        let parts: Vec<_> = text.split('\0').collect();
        Ok(match parts.as_slice() {
            ["", user, password] | [user, _, password] => self.log_in(user, password),
            _ => "BAD malformed".to_owned(),
        })
    }

    fn log_in(&mut self, user: &str, password: &str) -> String {
        let known = self.archive.accounts().get(user).is_some_and(|account| account.password == password);
        if !known || !self.secure {
            return "NO [AUTHENTICATIONFAILED] no".to_owned();
        }
        self.user = Some(user.to_owned());
        self.archive.note(Event::LoggedIn(user.to_owned()));
        format!("OK [CAPABILITY {}] welcome", self.capabilities())
    }

    async fn idle<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufStream<S>,
    ) -> std::io::Result<String> {
        let mut changed = self.archive.changed.subscribe();
        stream.write_all(b"+ idling\r\n").await?;
        let mut line = Vec::new();
        loop {
            let mut out = Vec::new();
            self.news(&mut out);
            stream.write_all(&out).await?;
            stream.flush().await?;
            tokio::select! {
                _ = changed.changed() => {}
                read = stream.read_until(b'\n', &mut line) => {
                    let done = line.trim_ascii().eq_ignore_ascii_case(b"DONE");
                    return match read? {
                        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
                        _ if done => Ok("OK idled".to_owned()),
                        _ => Ok("BAD expected DONE".to_owned()),
                    };
                }
            }
        }
    }

    /// Tells of messages that have come.
    fn news(&mut self, out: &mut Vec<u8>) {
        let (count, ()) =
            self.with_mailbox(|mailbox| (mailbox.messages.len(), ())).unwrap_or((self.seen, ()));
        if count > self.seen {
            self.seen = count;
            out.extend_from_slice(format!("* {count} EXISTS\r\n").as_bytes());
        }
    }

    fn with_mailbox<T>(&self, work: impl FnOnce(&mut Mailbox) -> T) -> Option<T> {
        let mut accounts = self.archive.accounts();
        let account = accounts.get_mut(self.user.as_ref()?)?;
        account.mailbox(self.mailbox.as_ref()?).map(work)
    }

    fn command(&mut self, verb: &str, args: &[Arg], out: &mut Vec<u8>) -> String {
        let text = |at: usize| args.get(at).map(Arg::text).unwrap_or_default();
        let mut line = |line: String| out.extend_from_slice(format!("{line}\r\n").as_bytes());
        match (verb, self.user.is_some()) {
            ("CAPABILITY", _) => {
                line(format!("* CAPABILITY {}", self.capabilities()));
                "OK done".to_owned()
            }
            ("ID", _) => {
                line(format!("* ID (\"name\" \"{}\")", self.archive.options.name));
                "OK done".to_owned()
            }
            ("NOOP" | "CHECK", _) => {
                self.news(out);
                "OK done".to_owned()
            }
            ("LOGIN", false) => self.log_in(&text(0), &text(1)),
            (_, false) => "BAD log in first".to_owned(),
            ("NAMESPACE", true) => {
                line("* NAMESPACE ((\"\" \"/\")) NIL NIL".to_owned());
                "OK done".to_owned()
            }
            ("LIST" | "LSUB", true) => self.list(verb, &text(1), out),
            ("SUBSCRIBE" | "UNSUBSCRIBE", true) => "OK done".to_owned(),
            ("CREATE" | "DELETE", true) => self.create_or_delete(verb, &text(0)),
            ("SELECT" | "EXAMINE", true) => self.select(verb, &text(0), out),
            ("CLOSE" | "UNSELECT", true) => {
                if verb == "CLOSE" {
                    self.with_mailbox(|mailbox| mailbox.messages.retain(|message| !message.has("\\Deleted")));
                }
                self.mailbox = None;
                "OK done".to_owned()
            }
            ("STATUS", true) => self.status(&text(0), args.get(1), out),
            ("APPEND", true) => self.append(args),
            ("UID", true) => {
                let verb = text(0).to_ascii_uppercase();
                self.on_messages(&verb, true, args.get(1..).unwrap_or_default(), out)
            }
            (_, true) => self.on_messages(verb, false, args, out),
        }
    }

    fn list(&self, verb: &str, pattern: &str, out: &mut Vec<u8>) -> String {
        if pattern.is_empty() {
            out.extend_from_slice(format!("* {verb} (\\Noselect) \"/\" \"\"\r\n").as_bytes());
            return "OK done".to_owned();
        }
        let accounts = self.archive.accounts();
        let mailboxes =
            self.user.as_ref().and_then(|user| accounts.get(user)).map(|account| &account.mailboxes);
        for name in mailboxes.into_iter().flat_map(|mailboxes| mailboxes.keys()) {
            let all = pattern.contains(['*', '%']);
            if all || name.eq_ignore_ascii_case(pattern) {
                out.extend_from_slice(format!("* {verb} (\\HasNoChildren) \"/\" \"{name}\"\r\n").as_bytes());
            }
        }
        "OK done".to_owned()
    }

    fn create_or_delete(&self, verb: &str, name: &str) -> String {
        let mut accounts = self.archive.accounts();
        let Some(account) = self.user.as_ref().and_then(|user| accounts.get_mut(user)) else {
            return "NO gone".to_owned();
        };
        match (verb, account.mailbox(name).is_some()) {
            ("CREATE", false) => {
                account.mailboxes.insert(name.to_owned(), Mailbox::default());
                "OK done".to_owned()
            }
            ("DELETE", true) if !name.eq_ignore_ascii_case("INBOX") => {
                account.mailboxes.remove(name);
                "OK done".to_owned()
            }
            _ => "NO cannot".to_owned(),
        }
    }

    fn select(&mut self, verb: &str, name: &str, out: &mut Vec<u8>) -> String {
        self.mailbox = Some(name.to_owned());
        let found = self.with_mailbox(|mailbox| (mailbox.messages.len(), mailbox.next_uid()));
        let Some((count, next)) = found else {
            self.mailbox = None;
            return "NO [NONEXISTENT] no such mailbox".to_owned();
        };
        self.seen = count;
        let lines = format!(
            "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n\
             * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] ok\r\n\
             * {count} EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT {next}] ok\r\n"
        );
        out.extend_from_slice(lines.as_bytes());
        if verb == "EXAMINE" { "OK [READ-ONLY] done".to_owned() } else { "OK [READ-WRITE] done".to_owned() }
    }

    fn status(&self, name: &str, items: Option<&Arg>, out: &mut Vec<u8>) -> String {
        let mut accounts = self.archive.accounts();
        let account = self.user.as_ref().and_then(|user| accounts.get_mut(user));
        let Some(mailbox) = account.and_then(|account| account.mailbox(name)) else {
            return "NO [NONEXISTENT] no such mailbox".to_owned();
        };
        let Some(Arg::List(items)) = items else { return "BAD items?".to_owned() };
        let values: Vec<_> = items
            .iter()
            .map(|item| {
                let item = item.text().to_ascii_uppercase();
                let value = match item.as_str() {
                    "MESSAGES" => mailbox.messages.len(),
                    "UNSEEN" => mailbox.messages.iter().filter(|message| !message.has("\\Seen")).count(),
                    "UIDNEXT" => mailbox.next_uid() as usize,
                    "UIDVALIDITY" => 1,
                    _ => 0,
                };
                format!("{item} {value}")
            })
            .collect();
        out.extend_from_slice(format!("* STATUS \"{name}\" ({})\r\n", values.join(" ")).as_bytes());
        "OK done".to_owned()
    }

    fn append(&self, args: &[Arg]) -> String {
        let (Some(name), Some(Arg::Text(raw))) = (args.first().map(Arg::text), args.last()) else {
            return "BAD no message".to_owned();
        };
        let mut message = Message::new(raw.clone());
        if let Some(Arg::List(flags)) = args.get(1) {
            message.flags = flags.iter().map(Arg::text).collect();
        }
        let uid = {
            let mut accounts = self.archive.accounts();
            let account = self.user.as_ref().and_then(|user| accounts.get_mut(user));
            match account.and_then(|account| account.mailbox(&name)) {
                Some(mailbox) => mailbox.append(message),
                None => return "NO [TRYCREATE] no such mailbox".to_owned(),
            }
        };
        self.archive.changed.send_modify(|count| *count += 1);
        format!("OK [APPENDUID 1 {uid}] done")
    }

    /// FETCH, STORE, SEARCH, COPY and EXPUNGE, by number or by UID.
    fn on_messages(&mut self, verb: &str, by_uid: bool, args: &[Arg], out: &mut Vec<u8>) -> String {
        let set = args.first().map(Arg::text).unwrap_or_default();
        let mut copies = Vec::new();
        let done = self.with_mailbox(|mailbox| {
            let last = mailbox.messages.len() as u32;
            let last_uid = mailbox.next_uid() - 1;
            let mut found = Vec::new();
            for (at, message) in mailbox.messages.iter_mut().enumerate() {
                let number = at as u32 + 1;
                let chosen =
                    if by_uid { in_set(&set, message.uid, last_uid) } else { in_set(&set, number, last) };
                match verb {
                    "SEARCH" => {
                        if search::matches(args, message, number, last, last_uid)? {
                            found.push(if by_uid { message.uid } else { number }.to_string());
                        }
                    }
                    "FETCH" if chosen => fetch_one(number, message, by_uid, args.get(1)?, out),
                    "STORE" if chosen => store_one(number, message, by_uid, args, out)?,
                    "COPY" if chosen => copies.push(message.clone()),
                    "FETCH" | "STORE" | "COPY" | "EXPUNGE" => {}
                    _ => return None,
                }
            }
            match verb {
                "SEARCH" => {
                    let numbers: String = found.iter().map(|number| format!(" {number}")).collect();
                    out.extend_from_slice(format!("* SEARCH{numbers}\r\n").as_bytes());
                }
                "EXPUNGE" => {
                    for at in (0..mailbox.messages.len()).rev() {
                        if mailbox.messages[at].has("\\Deleted") {
                            mailbox.messages.remove(at);
                            out.extend_from_slice(format!("* {} EXPUNGE\r\n", at + 1).as_bytes());
                        }
                    }
                }
                "FETCH" | "STORE" | "COPY" => {}
                _ => return None,
            }
            Some(mailbox.messages.len())
        });
        let Some(done) = done else { return "BAD no mailbox is selected".to_owned() };
        let Some(count) = done else { return "BAD what?".to_owned() };
        self.seen = count;
        if verb == "COPY" {
            let mut accounts = self.archive.accounts();
            let account = self.user.as_ref().and_then(|user| accounts.get_mut(user));
            let target = args.get(1).map(Arg::text).unwrap_or_default();
            match account.and_then(|account| account.mailbox(&target)) {
                Some(mailbox) => {
                    for message in copies {
                        mailbox.append(message);
                    }
                }
                None => return "NO [TRYCREATE] no such mailbox".to_owned(),
            }
        }
        "OK done".to_owned()
    }
}
