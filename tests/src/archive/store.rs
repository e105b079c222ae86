//! Accounts, mailboxes and messages.

use std::collections::BTreeMap;

/// One user's archive.
pub(crate) struct Account {
    pub(crate) password: String,
    pub(crate) mailboxes: BTreeMap<String, Mailbox>,
}

impl Account {
    pub(crate) fn new(password: &str) -> Self {
        let names = ["INBOX", "Sent", "Trash"];
        let mailboxes = names.map(|name| (name.to_owned(), Mailbox::default()));
        Self { password: password.to_owned(), mailboxes: mailboxes.into() }
    }

    pub(crate) fn inbox(&mut self) -> &mut Mailbox {
        self.mailboxes.entry("INBOX".to_owned()).or_default()
    }

    /// INBOX is one whatever its case (RFC 9051 section 5.1).
    pub(crate) fn mailbox(&mut self, name: &str) -> Option<&mut Mailbox> {
        let name = if name.eq_ignore_ascii_case("INBOX") { "INBOX" } else { name };
        self.mailboxes.get_mut(name)
    }
}

/// One mailbox.
#[derive(Default)]
pub struct Mailbox {
    /// In the order of their numbers.
    pub messages: Vec<Message>,
    last_uid: u32,
}

impl Mailbox {
    /// Appends a message and gives it the next UID.
    pub fn append(&mut self, mut message: Message) -> u32 {
        self.last_uid += 1;
        message.uid = self.last_uid;
        self.messages.push(message);
        self.last_uid
    }

    /// The UID that the next message will have.
    pub(crate) fn next_uid(&self) -> u32 {
        self.last_uid + 1
    }
}

/// One message.
#[derive(Clone)]
pub struct Message {
    /// Its UID, 0 before it is in a mailbox.
    pub uid: u32,
    /// Its flags, with their backslashes.
    pub flags: Vec<String>,
    /// What it is, with CRLF line ends.
    pub raw: Vec<u8>,
}

impl Message {
    /// A message without flags.
    pub fn new(raw: Vec<u8>) -> Self {
        Self { uid: 0, flags: Vec::new(), raw }
    }

    pub(crate) fn welcome(user: &str, host: &str) -> Self {
        let text = format!(
            "From: Archive <archive@{host}>\r\nTo: <{user}>\r\nSubject: Welcome to {host}\r\n\
             Date: Mon, 02 Nov 2026 09:00:00 +0000\r\nMessage-ID: <welcome.{user}.{host}>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
             This archive of {user} is held by {host}.\r\n"
        );
        Self::new(text.into_bytes())
    }

    /// Header and body, the empty line with the header.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        let end = self.raw.windows(4).position(|w| w == b"\r\n\r\n").map_or(self.raw.len(), |at| at + 4);
        self.raw.split_at(end)
    }

    /// The value of a header field, unfolded.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let header = String::from_utf8_lossy(self.parts().0).replace("\r\n ", " ").replace("\r\n\t", " ");
        header.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|held| held.eq_ignore_ascii_case(flag))
    }
}
