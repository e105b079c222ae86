//! What nginx asks the service that its `auth_http` names. Passwords are for the host to judge.

use super::place::Told;
use super::{QUESTION, Service, invalid, line, send};
use percent_encoding::percent_decode;
use std::io;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::time::timeout;
use usher_config::snapshot::{BackendTls, LookupProtocol};
use zeroize::Zeroizing;

/// Most fields of a question.
const FIELDS: usize = 100;
/// Seconds that nginx waits before it tells its client of a refusal.
const WAIT: u32 = 3;

/// Whom a question is about, and by which protocol they come.
type Asked = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Reads the fields; `None`: they do not end.
async fn fields<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Asked>> {
    let (mut user, mut protocol) = (None, None);
    for _ in 0..FIELDS {
        // One of them is a password.
        let Some(field) = line(stream).await?.map(Zeroizing::new) else { return Ok(None) };
        if field.is_empty() {
            return Ok(Some((user, protocol)));
        }
        let mut parts = field.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if name.eq_ignore_ascii_case(b"auth-user") {
            user = Some(percent_decode(value.trim_ascii()).collect());
        } else if name.eq_ignore_ascii_case(b"auth-protocol") {
            protocol = Some(value.trim_ascii().to_vec());
        }
    }
    Err(invalid("too many fields"))
}

impl Service {
    pub(super) async fn answer_auth_http<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncBufRead + AsyncWrite + Unpin + Send,
    {
        let Some(request) = line(stream).await? else { return Ok(()) };
        let answer = match timeout(QUESTION, fields(stream)).await?? {
            None => return Ok(()),
            Some(_) if !request.starts_with(b"GET ") => {
                "HTTP/1.0 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            Some((user, protocol)) => self.auth_answer(user.as_deref(), protocol.as_deref()).await,
        };
        send(stream, answer.as_bytes()).await
    }

    async fn auth_answer(&self, user: Option<&[u8]>, protocol: Option<&[u8]>) -> String {
        let refused =
            |why: &str| format!("HTTP/1.0 200 OK\r\nAuth-Status: {why}\r\nAuth-Wait: {WAIT}\r\n\r\n");
        let later = || {
            "HTTP/1.0 200 OK\r\nAuth-Status: Temporarily unavailable\r\nAuth-Error-Code: 451 4.3.0\r\n\r\n"
                .to_owned()
        };
        if protocol != Some(b"imap") {
            return refused("Only IMAP is served");
        }
        let Some(user) = user else { return refused("Invalid login or password") };
        match self.look_up(LookupProtocol::AuthHttp, user).await {
            Told::Nobody => refused("Invalid login or password"),
            Told::Later => later(),
            Told::On(place) if place.tls() != BackendTls::None => {
                let host = &place.host.config.name;
                tracing::error!(
                    host,
                    "nginx cannot be sent to a host that needs TLS: it speaks none to servers of mail"
                );
                later()
            }
            Told::On(place) => match place.resolved().await {
                None => later(),
                Some((ip, port)) => {
                    let login = place.login.iter().map(|login| format!("Auth-User: {login}\r\n"));
                    let login: String = login.collect();
                    format!(
                        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {ip}\r\nAuth-Port: {port}\r\n{login}\r\n"
                    )
                }
            },
        }
    }
}
