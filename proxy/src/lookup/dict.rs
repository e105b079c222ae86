//! Dovecot's dict client, by which its passdb asks where it is to proxy a user to. Passwords are for the host to judge.

use super::place::{Place, Told};
use super::{Service, line, send};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde_json::json;
use std::io;
use tokio::io::{AsyncBufRead, AsyncWrite};
use usher_config::snapshot::{BackendTls, LookupProtocol};

/// What is asked for of a user, as the passdb's `key` says: it is followed by the name.
const KEY: &[u8] = b"shared/passdb/";
/// Questions of one connection that are answered at the same time.
const AT_ONCE: usize = 100;

impl Service {
    pub(super) async fn answer_dict<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncBufRead + AsyncWrite + Unpin + Send,
    {
        // All logins of a Dovecot come by one connection: none waits for the look-up of another one, but answers are in order.
        let mut answers = FuturesOrdered::new();
        loop {
            tokio::select! {
                Some(answer) = answers.next() => {
                    let answer: String = answer;
                    send(stream, answer.as_bytes()).await?;
                    continue;
                }
                asked = self.is_asked(stream), if answers.len() < AT_ONCE => {
                    if !asked? {
                        break;
                    }
                }
            }
            let Some(question) = line(stream).await? else { break };
            let key = match question.split_first() {
                Some((b'L', rest)) => rest.split(|byte| *byte == b'\t').next().map(unescaped),
                // It says hello, and what it no longer needs.
                Some((b'H' | b'S', _)) => continue,
                _ => None,
            };
            answers.push_back(self.dict_answer(key));
        }
        while let Some(answer) = answers.next().await {
            send(stream, answer.as_bytes()).await?;
        }
        Ok(())
    }

    /// What is said of `key`; `None`: something else was asked.
    async fn dict_answer(&self, key: Option<Vec<u8>>) -> String {
        let Some(key) = key else { return "Fonly look-ups are understood\n".to_owned() };
        let Some(name) = key.strip_prefix(KEY) else { return "N\n".to_owned() };
        match self.look_up(LookupProtocol::Dict, name).await {
            Told::Nobody => "N\n".to_owned(),
            Told::Later => "Fwhere the user is cannot be said now\n".to_owned(),
            Told::On(place) => match fields(&place).await {
                Some(fields) => format!("O{}\n", escaped(&fields)),
                None => "Fthe host has no address\n".to_owned(),
            },
        }
    }
}

/// The fields of a passdb that proxies.
async fn fields(place: &Place) -> Option<String> {
    let (ip, port) = place.resolved().await?;
    let mut fields = json!({
        "password": "",
        "nopassword": "y",
        "proxy": "y",
        "host": ip.to_string(),
        "port": port.to_string(),
    });
    // Pins are not for Dovecot to check.
    match place.tls() {
        BackendTls::Implicit => fields["ssl"] = "any-cert".into(),
        BackendTls::StartTls => fields["starttls"] = "any-cert".into(),
        BackendTls::None => {}
    }
    if let Some(login) = &place.login {
        fields["destuser"] = login.as_str().into();
    }
    Some(fields.to_string())
}

fn escaped(text: &str) -> String {
    text.replace('\u{1}', "\u{1}1").replace('\t', "\u{1}t").replace('\n', "\u{1}n").replace('\r', "\u{1}r")
}

fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            1 => match rest.next() {
                Some(b'1') => out.push(1),
                Some(b't') => out.push(b'\t'),
                Some(b'n') => out.push(b'\n'),
                Some(b'r') => out.push(b'\r'),
                Some(b'0') => out.push(0),
                Some(other) => out.push(*other),
                None => {}
            },
            other => out.push(*other),
        }
    }
    out
}
