//! Client set-up, so that users only have to type their address: answers what mail clients ask for from the active
//! listeners and domains.

mod autoconfig;
mod autodiscover;
mod mobileconfig;
mod sign;
mod xml;

use crate::active::ListenerContext;
use crate::https::message::body::{BodyFault, RequestBody};
use crate::https::message::requested_host::RequestedHost;
use crate::https::pages::{text, wrong_method};
use crate::https::response::ResponseBody;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use usher_config::Snapshot;
use usher_config::https::{ClientSetup, Smtp};
use usher_config::snapshot::{OAuth, Protocol, Serves};
use usher_policy::ArchiveKey;
use usher_wire::imap::sasl::Mechanism;

/// Longest question in bytes.
const CAP: usize = 64 * 1024;
const XML: &str = "text/xml; charset=utf-8";
const JSON: &str = "application/json";
/// How clients log in with tokens, and with passwords.
const TOKENS: [Mechanism; 2] = [Mechanism::XOAuth2, Mechanism::OAuthBearer];
const PASSWORDS: [Mechanism; 2] = [Mechanism::SaslPlain, Mechanism::SaslLogin];

/// What mail clients are told.
struct Known<'s> {
    setup: &'s ClientSetup,
    snapshot: &'s Snapshot,
    servers: Vec<Server<'s>>,
    /// All hosts take tokens.
    takes_tokens: bool,
}

/// One way to access the mail.
struct Server<'s> {
    host: &'s str,
    port: u16,
    implicit_tls: bool,
}

impl<'s> Known<'s> {
    fn new(snapshot: &'s Snapshot, takes_tokens: bool) -> Option<Self> {
        let setup = snapshot.client_setup.as_ref()?;
        let of = |protocol: Protocol| {
            let listener = snapshot.listeners.iter().find(|listener| listener.protocol() == protocol)?;
            let port = listener.address.port();
            Some(Server { host: &snapshot.server.name, port, implicit_tls: protocol == Protocol::Imaps })
        };
        // Most clients take the first one.
        let servers = [of(Protocol::Imaps), of(Protocol::Imap)].into_iter().flatten().collect();
        Some(Self { setup, snapshot, servers, takes_tokens })
    }

    /// Who issues tokens for the domain of `address` or, if none is named, for the only domain that has an issuer; if they are
    /// taken here.
    fn oauth(&self, address: Option<&str>) -> Option<&OAuth> {
        let known = &self.snapshot.oauth;
        let named = address.and_then(|address| address.rsplit_once('@'));
        let issuer = match named {
            Some((_, domain)) => {
                let domain = self.snapshot.domains.domain(domain.as_bytes())?;
                known
                    .iter()
                    .find(|oauth| matches!(&domain, ArchiveKey::Domain(name) if *name == oauth.domain))
            }
            None => known.first().filter(|_| known.len() == 1),
        };
        issuer.filter(|issuer| self.takes_tokens && self.is_allowed(Some(&issuer.domain), &TOKENS))
    }

    /// Whether one of these mechanisms is allowed on every listener for IMAP, and for the users of this domain.
    fn is_allowed(&self, domain: Option<&str>, ways: &[Mechanism]) -> bool {
        let has = |allowed: &[Mechanism]| ways.iter().any(|way| allowed.contains(way));
        let listeners = self.snapshot.listeners.iter().all(|listener| match &listener.serves {
            Serves::Imap(imap) => imap.mechanisms.as_deref().is_none_or(has),
            Serves::Https(_) | Serves::HttpRedirect(_) | Serves::Tcp(_) => true,
        });
        let mut limited = self.snapshot.domain_mechanisms.iter();
        let of_domain = limited.find(|limited| domain == Some(&*limited.domain));
        listeners && of_domain.is_none_or(|limited| has(&limited.mechanisms))
    }

    fn smtp(&self) -> Option<&Smtp> {
        self.setup.smtp.as_ref()
    }

    /// Whether `address` belongs to a domain of this server.
    fn serves(&self, address: &str) -> bool {
        let Some((local, domain)) = address.rsplit_once('@') else { return false };
        !local.is_empty() && self.snapshot.domains.knows(domain)
    }
}

/// The page that is asked for, if it is one of these.
///
/// # Errors
/// When the body of the question breaks off.
pub(super) async fn page(
    at: &ListenerContext,
    (path, asked): (&str, &RequestedHost),
    parts: &Parts,
    body: &mut RequestBody,
    takes_tokens: bool,
) -> Result<Option<Response<ResponseBody>>, BodyFault> {
    let snapshot = &at.active.snapshot;
    let is = |known: &str| path.eq_ignore_ascii_case(known);
    let begins = |known: &str| path.get(..known.len()).is_some_and(|it| it.eq_ignore_ascii_case(known));
    let (allowed, what) = if is("/autodiscover/autodiscover.xml") {
        (Method::POST, What::Pox)
    } else if is("/autodiscover/autodiscover.json") || begins("/autodiscover/autodiscover.json/v1.0/") {
        (Method::GET, What::Json)
    } else if is("/.well-known/autoconfig/mail/config-v1.1.xml") || is("/mail/config-v1.1.xml") {
        (Method::GET, What::Autoconfig)
    } else if is("/profile.mobileconfig") {
        (Method::GET, What::Profile)
    } else {
        return Ok(None);
    };
    let Some(known) = Known::new(snapshot, takes_tokens) else { return Ok(None) };
    // HEAD is allowed wherever GET is (RFC 9110 section 9.1).
    let is_head = parts.method == Method::HEAD && allowed == Method::GET;
    if parts.method != allowed && !is_head {
        return Ok(Some(wrong_method(&allowed)));
    }
    let query = |name: &str| {
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.into_owned())
    };
    Ok(Some(match what {
        What::Pox => match body.read_ahead(CAP).await? {
            Some(question) => text(StatusCode::OK, XML, autodiscover::answer(&known, &question)),
            None => text(StatusCode::PAYLOAD_TOO_LARGE, XML, ""),
        },
        What::Json => {
            let typed = path.rsplit_once("/v1.0/").map(|(_, address)| address.to_owned());
            let (status, answer) = autodiscover::redirect(
                &known,
                typed.or(query("Email")).as_deref(),
                query("Protocol").as_deref(),
            );
            text(status, JSON, answer)
        }
        What::Autoconfig => match query("emailaddress").filter(|address| !known.serves(address)) {
            Some(_) => text(StatusCode::NOT_FOUND, XML, ""),
            None => {
                let address = query("emailaddress");
                text(StatusCode::OK, XML, autoconfig::answer(&known, &asked.name, address.as_deref()))
            }
        },
        What::Profile => mobileconfig::answer(&known, query("email").as_deref(), at.active.profiles.as_ref()),
    }))
}

enum What {
    Pox,
    Json,
    Autoconfig,
    Profile,
}
