//! What nginx asks the service that its `auth_http` names, byte for byte, so that such a service works unchanged.

use crate::sources::engine::{Answer, Question};
use crate::sources::fault::SourceFault;
use crate::sources::inquiry::Visitor;
use crate::sources::names::read;
use crate::sources::{secret, tls};
use http::Uri;
use rustls::CipherSuite;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use usher_config::snapshot::{Http, SourceAccess};
use usher_policy::ArchiveKey;
use usher_wire::secret::{Secret, SecretBuf};

/// Largest head of an answer in bytes.
const CAP: usize = 16 * 1024;
/// Most fields of an answer.
const FIELDS: usize = 100;

pub(in crate::sources) struct AuthHttp {
    access: SourceAccess,
    places: Vec<Place>,
    secret_header: Option<String>,
    sends_password: bool,
    deadline: Duration,
    tls: Arc<rustls::ClientConfig>,
}

/// An address taken apart.
struct Place {
    host: String,
    port: u16,
    target: String,
    is_secure: bool,
}

impl AuthHttp {
    pub(in crate::sources) fn new(
        http: &Http,
        sends_password: bool,
        deadline: Duration,
    ) -> Result<Self, SourceFault> {
        Ok(Self {
            access: http.access.clone(),
            places: http.access.urls.iter().map(|url| place(url)).collect::<Result<_, _>>()?,
            secret_header: http.secret_header.clone(),
            sends_password,
            deadline,
            tls: tls::config(http.access.ca.as_deref())?,
        })
    }

    pub(in crate::sources) fn sends_password(&self) -> bool {
        self.sends_password
    }

    pub(in crate::sources) async fn look_up(&self, question: &Question) -> Answer {
        let mut last = Err(SourceFault::out("no address"));
        for place in &self.places {
            // One that does not answer must leave time for the others.
            let share = self.deadline / self.places.len().max(1) as u32;
            let late = |_| Err(SourceFault::out("it does not answer in time"));
            last = timeout(share, self.ask(place, question)).await.unwrap_or_else(late);
            if !matches!(last, Err(SourceFault::Out(_))) {
                return last;
            }
        }
        last
    }

    async fn ask(&self, place: &Place, question: &Question) -> Answer {
        let secret = secret::password(&self.access).await?;
        let request = self.request(place, question, secret.as_ref());
        let tcp = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(SourceFault::out)?;
        let _ = tcp.set_nodelay(true);
        let head = if place.is_secure {
            let name = ServerName::try_from(place.host.clone()).map_err(SourceFault::out)?;
            let tls = TlsConnector::from(self.tls.clone()).connect(name, tcp).await;
            exchange(tls.map_err(SourceFault::out)?, &request).await?
        } else {
            exchange(tcp, &request).await?
        };
        answer(&question.key, &head)
    }

    fn request(&self, place: &Place, question: &Question, secret: Option<&Secret>) -> SecretBuf {
        let mut out = SecretBuf::default();
        let mut line = |name: &str, value: &[u8]| {
            out.extend(name.as_bytes());
            out.extend(b": ");
            out.extend(value);
            out.extend(b"\r\n");
        };
        line("Host", place.host.as_bytes());
        let typed = question.key.to_string();
        let visitor = question.visitor.as_deref();
        line("Auth-Method", visitor.map_or("plain", |visitor| &visitor.mechanism).as_bytes());
        line("Auth-User", &escaped(visitor.map_or(typed.as_bytes(), |visitor| &visitor.login)));
        let password = visitor.and_then(|visitor| visitor.password.as_ref()).filter(|_| self.sends_password);
        if let Some(password) = password {
            let escaped = zeroize::Zeroizing::new(escaped(password.reveal()));
            line("Auth-Pass", &escaped);
        }
        line("Auth-Protocol", visitor.map_or("imap", |visitor| visitor.protocol).as_bytes());
        line("Auth-Login-Attempt", visitor.map_or(1, |visitor| visitor.attempt).to_string().as_bytes());
        let address =
            visitor.map_or_else(|| "127.0.0.1".to_owned(), |visitor| visitor.client.ip().to_string());
        line("Client-IP", address.as_bytes());
        if let Some((version, cipher)) = visitor.and_then(|Visitor { tls, .. }| tls.as_ref()) {
            line("Auth-SSL", b"on");
            line("Auth-SSL-Protocol", version.as_bytes());
            line("Auth-SSL-Cipher", name_of(*cipher).as_bytes());
        }
        if let (Some(name), Some(secret)) = (&self.secret_header, secret) {
            line(name, secret.reveal());
        }
        let mut request = SecretBuf::default();
        for part in [b"GET ".as_slice(), place.target.as_bytes(), b" HTTP/1.0\r\n", &out, b"\r\n"] {
            request.extend(part);
        }
        request
    }
}

fn place(url: &str) -> Result<Place, SourceFault> {
    let unusable = |why: &dyn std::fmt::Display| SourceFault::Out(format!("{url}: {why}"));
    let uri: Uri = url.parse().map_err(|error| unusable(&error))?;
    let is_secure = uri.scheme_str() == Some("https");
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| unusable(&"no host in it"))?;
    Ok(Place {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
        target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        is_secure,
    })
}

/// The name of a cipher suite as OpenSSL has it.
fn name_of(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let name =
        name.trim_start_matches("TLS_").replace("_WITH_", "_").replace("AES_", "AES").replace('_', "-");
    match name.strip_suffix("-POLY1305-SHA256") {
        Some(chacha) => format!("{chacha}-POLY1305"),
        None => name,
    }
}

/// What may not stand in a field is written as nginx does: spaces, percent signs and control characters.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            0..=b' ' | b'%' => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out
}

async fn exchange<S>(mut stream: S, request: &SecretBuf) -> Result<Vec<u8>, SourceFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request).await.map_err(SourceFault::out)?;
    stream.flush().await.map_err(SourceFault::out)?;
    let mut head = Vec::with_capacity(1024);
    loop {
        if head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n") {
            return Ok(head);
        }
        if head.len() > CAP {
            return Err(SourceFault::out("the head of its answer is too long"));
        }
        if stream.read_buf(&mut head).await.map_err(SourceFault::out)? == 0 {
            return Err(SourceFault::out("its answer is cut off"));
        }
    }
}

/// The fields of an answer that say something.
#[derive(Default)]
struct Fields {
    status: Option<String>,
    server: Option<String>,
    port: Option<String>,
    user: Option<String>,
    wait: Option<Duration>,
    code: Option<String>,
}

/// Reads the fields; whether the status line says yes is of no interest.
fn fields(head: &[u8]) -> Result<Fields, SourceFault> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Response::new(&mut room);
    let complete = parsed.parse(head).map_err(|error| SourceFault::Out(format!("not HTTP: {error}")))?;
    if complete.is_partial() {
        return Err(SourceFault::out("its answer is cut off"));
    }
    let mut fields = Fields::default();
    for header in parsed.headers.iter() {
        let Ok(value) = std::str::from_utf8(header.value) else { continue };
        let value = value.trim();
        let slot = match header.name.to_ascii_lowercase().as_str() {
            "auth-status" => &mut fields.status,
            "auth-server" => &mut fields.server,
            "auth-port" => &mut fields.port,
            "auth-user" => &mut fields.user,
            "auth-error-code" => &mut fields.code,
            "auth-wait" => {
                fields.wait = value.parse::<u32>().ok().map(|wait| Duration::from_secs(wait.into()));
                continue;
            }
            _ => continue,
        };
        *slot = Some(value.to_owned());
    }
    Ok(fields)
}

fn answer(key: &ArchiveKey, head: &[u8]) -> Answer {
    let Fields { status, server, port, user, wait, code } = fields(head)?;
    match status.as_deref() {
        Some("OK") => {}
        Some("WAIT") => return Err(SourceFault::Wait(wait.unwrap_or(Duration::from_secs(1)))),
        // RFC 5321 section 4.2.1: what begins with 4 may succeed later.
        Some(_) if code.as_deref().is_some_and(|code| code.starts_with('4')) => {
            return Err(SourceFault::answer(format!("{key} is refused for now")));
        }
        Some(_) => return wait.map_or(Ok(None), |wait| Err(SourceFault::Refused(wait))),
        None => return Err(SourceFault::out("its answer has no Auth-Status")),
    }
    let fields = [("host", server), ("port", port), ("login", user)];
    let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    read(key, key, said).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_stand_in_a_field_is_escaped_as_nginx_does() {
        assert_eq!(escaped(b"a b%c\r\n\x00\x1f\x7f\xff+"), b"a%20b%25c%0D%0A%00%1F\x7f\xff+");
    }

    #[test]
    fn cipher_suites_have_the_names_that_openssl_gives_them() {
        let cases = [
            (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
            (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"),
            (CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ];
        for (suite, name) in cases {
            assert_eq!(name_of(suite), name);
        }
    }

    #[test]
    fn the_status_line_does_not_matter() {
        let head = b"HTTP/1.0 500 Oops\r\nAuth-Status: OK\r\nAUTH-server: 10.0.0.1\r\nAuth-Port:143\r\n\r\n";
        let read = fields(head).unwrap();
        assert_eq!(
            (read.status.as_deref(), read.server.as_deref(), read.port.as_deref()),
            (Some("OK"), Some("10.0.0.1"), Some("143"))
        );
        assert!(fields(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
    }
}
