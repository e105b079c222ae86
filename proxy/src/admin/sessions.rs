//! The live sessions.

use super::State;
use super::audit::Author;
use super::error::Refusal;
use super::model::{Count, Session as View, Sessions};
use super::params::Params;
use crate::drain;
use crate::id::Id;
use crate::session::{Doing, Session};
use crate::succession::Answer;
use axum::Json;
use axum::http::{Method, StatusCode};
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;
use utoipa::IntoParams;

/// Most sessions in one answer, unless more are asked for.
const PAGE: usize = 1000;

/// An address or a network.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Addresses(IpNet);

impl TryFrom<String> for Addresses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let network = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| IpNet::from(ip.to_canonical())));
        network.map(Self).map_err(|_| format!("{text:?} is neither an address nor a network"))
    }
}

/// Which sessions; all conditions must hold.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Those of this key, as the directory has it.
    user: Option<String>,
    /// Those on the machine of this name.
    host: Option<String>,
    /// The one with this id.
    id: Option<String>,
    /// Those from this address or network.
    #[param(value_type = Option<String>)]
    client: Option<Addresses>,
    /// Those of this protocol: `imap`, `imaps`, `https` or `tcp`.
    protocol: Option<String>,
    /// Those after the one with this id, in the order of the list.
    after: Option<String>,
    /// At most this many.
    limit: Option<usize>,
    /// Also logins that wait for their host.
    all: Option<bool>,
}

impl Filter {
    /// It as a query, for another process.
    fn query(&self) -> String {
        let (limit, all) = (self.limit.map(|limit| limit.to_string()), self.all.map(|all| all.to_string()));
        let client = self.client.map(|client| client.0.to_string());
        let pairs = [
            ("user", &self.user),
            ("host", &self.host),
            ("id", &self.id),
            ("client", &client),
            ("protocol", &self.protocol),
            ("after", &self.after),
            ("limit", &limit),
            ("all", &all),
        ];
        let given = pairs.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish()
    }

    /// Whether a session is meant.
    fn includes(&self, session: &Session) -> bool {
        self.user.as_ref().is_none_or(|user| **user == *session.about.user)
            && self.host.as_ref().is_none_or(|host| session.is_at(host))
            && self.id.as_ref().is_none_or(|id| id.parse() == Ok(session.about.id))
            && self.client.is_none_or(|client| client.0.contains(&session.about.client.ip().to_canonical()))
            && self.protocol.as_ref().is_none_or(|protocol| *protocol == session.about.protocol.name())
            && self
                .after
                .as_ref()
                .is_none_or(|after| after.parse().is_ok_and(|after| session.about.id > after))
    }
}

impl Filter {
    /// Whether a session comes after those that have been listed.
    fn is_next(&self, id: Id) -> bool {
        self.after.as_ref().is_none_or(|after| after.parse().is_ok_and(|after| id > after))
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let client = self.client.map(|client| client.0.to_string());
        let given = [
            ("user", &self.user),
            ("host", &self.host),
            ("id", &self.id),
            ("client", &client),
            ("protocol", &self.protocol),
        ];
        let given =
            given.iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}")));
        f.write_str(&given.collect::<Vec<_>>().join(" "))
    }
}

/// Converts names to the form used in the table, whatever case they are written in.
fn normalised(context: &State, mut filter: Filter) -> Result<Filter, Refusal> {
    if let Some(user) = &filter.user {
        let key = context.config.load().snapshot.domains.written(user);
        let key = key.ok_or_else(|| Refusal::bad(format!("{user:?} is not a valid name for an archive")))?;
        filter.user = Some(key.to_string());
    }
    if let Some(host) = &mut filter.host {
        host.make_ascii_lowercase();
    }
    if let Some(protocol) = &filter.protocol
        && !["imap", "imaps", "https", "tcp"].contains(&protocol.as_str())
    {
        return Err(Refusal::bad(format!("{protocol:?} is none of imap, imaps, https and tcp")));
    }
    let ids = filter.id.iter().chain(&filter.after);
    if ids.into_iter().any(|id| id.parse::<Id>().is_err()) {
        return Err(Refusal::bad("an id has 16 hexadecimal digits"));
    }
    Ok(filter)
}

/// The sessions that match.
#[utoipa::path(get, path = "/v1/sessions", operation_id = "listSessions", params(Filter), responses((status = 200, description = "Done.", body = Sessions)))]
pub(super) async fn list(context: State, Params(filter): Params<Filter>) -> Result<Json<Sessions>, Refusal> {
    let filter = normalised(&context, filter)?;
    let mut found = context.sessions.select(|session| filter.includes(session));
    let (mut matching, most) = (found.len(), filter.limit.unwrap_or(PAGE));
    found.retain(|session| filter.is_next(session.about.id));
    found.sort_by_key(|session| session.about.id);
    found.truncate(most);
    let mut sessions: Vec<_> = found.iter().map(|session| view(session)).collect();
    let path = format!("/v1/sessions?{}", filter.query());
    for Answer { said, .. } in context.ask_formers::<Sessions>(Method::GET, &path, "").await {
        matching += said.matching;
        sessions.extend(said.sessions);
    }
    sessions.sort_by(|one, other| one.id.cmp(&other.id));
    sessions.truncate(most);
    Ok(Json(Sessions { matching, sessions }))
}

/// Ends the sessions that match, with a goodbye between two responses where possible.
#[utoipa::path(delete, path = "/v1/sessions", operation_id = "kickSessions", params(Filter),
    responses((status = 200, description = "Done.", body = Count), (status = 400, description = "The request is invalid; `error` says why.")))]
pub(super) async fn kick(
    context: State,
    author: Author,
    Params(filter): Params<Filter>,
) -> Result<Json<Count>, Refusal> {
    if filter.to_string().is_empty() {
        return Err(Refusal::bad("specify which sessions: user, host, id, client or protocol"));
    }
    if filter.limit.is_some() || filter.after.is_some() {
        return Err(Refusal::bad(
            "`limit` and `after` are not supported here: all matching sessions are ended",
        ));
    }
    let filter = normalised(&context, filter)?;
    let on = filter.to_string();
    // Whoever waits for a host that is held does not have a session yet that could be ended.
    let all = filter.all == Some(true);
    let path = format!("/v1/sessions?{}", filter.query());
    let mut count: usize = drain::kick(&context.sessions, move |session| {
        filter.includes(session) && (all || session.doing() != Doing::Connecting)
    });
    author.did("kick", &on, "");
    let told = match context.shutdown.is_retired() {
        true => Ok(Vec::new()),
        false => context.formers.ask_all::<Count>(Method::DELETE, &path, &author.name).await,
    };
    let told = told.map_err(|process| {
        let error = format!(
            "{count} were ended here, but the former process {process} does not do it: its sessions go on; \
             an older version knows user, host and id alone"
        );
        Refusal::new(StatusCode::BAD_GATEWAY, error)
    })?;
    count += told.iter().map(|said| said.count).sum::<usize>();
    Ok(Json(Count { count }))
}

fn view(session: &Session) -> View {
    let backend = session.backend();
    let about = &session.about;
    View {
        id: about.id.to_string(),
        user: about.user.to_string(),
        host: backend.as_ref().map(|backend| backend.name.to_string()),
        array: backend.as_ref().and_then(|backend| backend.array.as_ref().map(ToString::to_string)),
        protocol: about.protocol.name().to_owned(),
        listener: about.listener.to_string(),
        client: about.client.to_string(),
        tls: about.tls.to_owned(),
        doing: session.doing().name().to_owned(),
        seconds: session.seconds(),
        idle_seconds: session.idle_seconds(),
    }
}
