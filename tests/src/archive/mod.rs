//! A small IMAP server with archives in memory. It serves as the sample servers of `make run` and as the
//! backend of scenarios, where it remembers who came and what was said.
//!
//! Good enough for mail clients: LIST, SELECT, STATUS, FETCH, SEARCH, STORE, APPEND, COPY, EXPUNGE, IDLE.

mod fetch;
mod message_commands;
mod parse;
mod search;
mod session;
mod store;

pub use store::{Mailbox, Message};

use crate::certificate::Certificate;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Account;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How TLS begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// At once.
    Implicit,
    /// By STARTTLS; no login before.
    StartTls,
    /// Never.
    None,
}

/// How an archive is to behave.
#[derive(Clone)]
pub struct Options {
    /// Its name, which stands in every message it makes.
    pub name: String,
    /// How TLS begins.
    pub tls: Tls,
    /// Its certificate.
    pub certificate: Option<Arc<Certificate>>,
    /// Whether each connection begins with a PROXY header.
    pub proxy_header: bool,
    /// Capabilities before and after login.
    pub capabilities: String,
}

impl Options {
    /// An archive without TLS.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tls: Tls::None,
            certificate: None,
            proxy_header: false,
            capabilities: "IMAP4rev1 LITERAL+ SASL-IR IDLE ID UIDPLUS NAMESPACE UNSELECT".to_owned(),
        }
    }
}

/// What happened at an archive, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection began; the client's address, as the PROXY header tells where there is one.
    Connected(SocketAddr),
    /// A command line, as it came, without its line end.
    Line(String),
    /// Somebody logged in.
    LoggedIn(String),
}

/// A running archive.
pub struct Archive {
    pub(crate) options: Options,
    accounts: Mutex<HashMap<String, Account>>,
    events: Mutex<Vec<Event>>,
    /// Counts changes, for sessions in IDLE.
    changed: watch::Sender<u64>,
}

impl Archive {
    /// Serves on `address` until the runtime ends.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: Options, address: SocketAddr) -> std::io::Result<Arc<Self>> {
        let listener = TcpListener::bind(address).await?;
        let archive = Arc::new(Self {
            options,
            accounts: Mutex::default(),
            events: Mutex::default(),
            changed: watch::channel(0).0,
        });
        let serving = archive.clone();
        tokio::spawn(async move {
            while let Ok((tcp, peer)) = listener.accept().await {
                tokio::spawn(session::serve(serving.clone(), tcp, peer));
            }
        });
        Ok(archive)
    }

    /// Gives `user` an archive with a welcoming message that names this server.
    pub fn add_user(&self, user: &str, password: &str) {
        let mut account = Account::new(password);
        let name = &self.options.name;
        account.inbox().append(Message::welcome(user, name));
        self.accounts().insert(user.to_owned(), account);
    }

    /// Puts a message into the INBOX of `user`, if it has one here.
    pub fn deliver(&self, user: &str, raw: &[u8]) {
        if let Some(account) = self.accounts().get_mut(user) {
            account.inbox().append(Message::new(raw.to_vec()));
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Puts `raw` in place of all messages in the INBOX of `user`.
    pub fn replace_inbox(&self, user: &str, raw: Vec<u8>) {
        if let Some(account) = self.accounts().get_mut(user) {
            account.inbox().messages.clear();
            account.inbox().append(Message::new(raw));
        }
    }

    /// How many logins there were.
    pub fn logins(&self) -> usize {
        self.events().iter().filter(|event| matches!(event, Event::LoggedIn(_))).count()
    }

    /// What has happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The command lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Line(line) => Some(line),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn note(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
