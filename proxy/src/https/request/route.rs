//! Where a request goes, and under which name it is listed among the sessions.

use super::credentials;
use super::cross_site::is_cross_site;
use super::identify::{self, Claimant};
use super::opened::Opened;
use super::own_cookies::OwnCookies;
use crate::access::Visit;
use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::cookies;
use crate::https::message::refusal::Refusal;
use crate::https::message::scheme;
use crate::https::record::{Held, RequestRecord};
use crate::https::upstream::Destination;
use http::{StatusCode, Version};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use usher_config::snapshot::{Affinity, Protocol};
use usher_policy::route::Decision;

/// The access rules deny it.
const DENIED: Refusal = Refusal::new(StatusCode::FORBIDDEN, "denied");

/// A request whose user is known, as far as the request says.
pub(super) struct Identified {
    opened: Box<Opened>,
    claimant: Claimant,
    own: OwnCookies,
    /// Another site made the browser send it.
    is_cross_site: bool,
}

/// A request with a destination.
pub(super) struct Routed {
    pub(super) opened: Box<Opened>,
    pub(super) destination: Destination,
    pub(super) binding: Binding,
}

/// The cookies that tie a client to the destination of its requests.
pub(super) struct Binding {
    user: Option<String>,
    /// No browser may be tied by a page of another site.
    is_cross_site: bool,
}

impl Opened {
    /// Finds out whose request it is. `None`: it logs in on its connection, which is impossible where many clients
    /// share one.
    pub(super) async fn identify(
        mut self: Box<Self>,
        record: &mut RequestRecord,
        at: &ListenerContext,
    ) -> Result<Option<Identified>, Refusal> {
        let client = &record.client;
        let parts = &mut self.validated.parts;
        if scheme::is_connection_login(&parts.headers) {
            if parts.version == Version::HTTP_2 {
                return Ok(None);
            }
            client.logs_in_on_connections.store(true, Ordering::Relaxed);
        }
        record.login = credentials::login(client, at, &self.validated, &mut self.body).await?;
        let client = &record.client;
        let parts = &mut self.validated.parts;
        let is_cross_site = is_cross_site(&parts.method, &parts.headers, &self.validated.asked);
        let own = OwnCookies::take(&mut parts.headers);
        record.target = credentials::target(client, &self.validated);
        let claimant = identify::identify(
            client,
            record.begun,
            at,
            &self.validated,
            &mut self.body,
            record.login.as_ref().and_then(|login| login.digest),
            own.user.as_deref(),
        )
        .await?;
        Ok(Some(Identified { opened: self, claimant, own, is_cross_site }))
    }
}

impl Identified {
    /// Decides where it goes.
    pub(super) async fn route(
        self,
        record: &mut RequestRecord,
        at: &ListenerContext,
    ) -> Result<Routed, Refusal> {
        let Self { opened, claimant, own, is_cross_site } = self;
        let mut binding = Binding { user: None, is_cross_site };
        let destination = destination(record, at, claimant, &own, &mut binding).await?;
        Ok(Routed { opened, destination, binding })
    }
}

impl Binding {
    /// The cookies that tie the client, if the request was successful. A failed login ties nobody.
    pub(super) fn cookies(
        self,
        client: &Client,
        destination: &Destination,
        held: Option<&Held>,
        age: Duration,
        status: StatusCode,
    ) -> Vec<String> {
        if self.is_cross_site {
            return Vec::new();
        }
        let succeeded = status.is_success() || status.is_redirection() || status.is_informational();
        let mut fields: Vec<String> = self.user.filter(|_| succeeded).into_iter().collect();
        if let (Destination::Array { permit, member }, Some(Held::Member(lease))) = (destination, held)
            && is_bound(client, permit.array())
            && member.as_deref() != Some(&lease.backend().id.name)
            && let Some(sealed) = client
                .server
                .web
                .cookies
                .seal(&format!("member:{}", permit.array()), &lease.backend().id.name)
        {
            fields.push(cookies::set(cookies::MEMBER, &sealed, age));
        }
        fields
    }
}

async fn destination(
    record: &mut RequestRecord,
    at: &ListenerContext,
    claimant: Claimant,
    own: &OwnCookies,
    binding: &mut Binding,
) -> Result<Destination, Refusal> {
    let client = record.client.clone();
    let https = &at.active.snapshot.https;
    match claimant {
        Claimant::Known { key, decision, by, names, renews } => {
            record.by = by;
            let said = renews.then(|| identify::in_cookie(&key, &names));
            record.names = (!names.is_empty()).then(|| names.into());
            record.enter(at, key.to_string());
            record.admit(at).await?;
            let permit = match decision {
                Decision::Permitted(permit) => permit,
                Decision::Denied | Decision::Concealed(_) => return Err(DENIED),
                Decision::Outage(outage) => return Err(Refusal::unavailable(outage.name())),
                Decision::Nobody => {
                    return Err(identify::challenge(at, StatusCode::FORBIDDEN, "unknown-user"));
                }
            };
            if let Some(said) = said {
                let sealed = client.server.web.cookies.seal("user", &said);
                binding.user = sealed.map(|sealed| cookies::set(cookies::USER, &sealed, https.cookie_age));
            }
            Ok(Destination::Home(permit))
        }
        Claimant::Unknown { key, by } => {
            record.by = by;
            record.enter(at, key.map(|key| key.to_string()).unwrap_or_default());
            record.admit(at).await?;
            let name = record.session.as_ref().map(|session| &*session.about.user).unwrap_or_default();
            record.expose();
            client.server.refusals.made_up(name.as_bytes(), Instant::now()).await;
            record.is_refused_login = true;
            record.login_failed().await;
            Err(identify::challenge(at, StatusCode::FORBIDDEN, "unknown-user"))
        }
        Claimant::Nobodys => {
            record.enter(at, String::new());
            record.admit(at).await?;
            let Some(name) = https.array.clone() else {
                record.login_failed().await;
                return Err(identify::challenge(at, StatusCode::NOT_FOUND, "names-nobody"));
            };
            let sealed = own.member.as_deref().filter(|_| is_bound(&client, &name));
            let opened = sealed.and_then(|sealed| {
                client.server.web.cookies.open_sealed(&format!("member:{name}"), sealed, https.cookie_age)
            });
            let visit = || Visit {
                has_certificate: client.certificate.is_some(),
                ..Visit::from(client.ends.client, Protocol::Https)
            };
            let permit = client.server.router.decide_for_nobody(&name, visit).ok_or(DENIED)?;
            Ok(Destination::Array { permit, member: opened.map(|(member, _)| member) })
        }
    }
}

/// Whether a cookie keeps clients of this array at their member.
fn is_bound(client: &Client, array: &str) -> bool {
    let roster = client.server.fleet.roster();
    roster.array(array).is_some_and(|array| array.config.affinity == Affinity::Cookie)
}
