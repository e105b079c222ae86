//! The live sessions.

use super::State;
use super::audit::Author;
use super::error::Refusal;
use super::model::{Count, Session as View, Sessions};
use crate::drain;
use crate::id::Id;
use crate::session::{Doing, Session};
use crate::succession::Answer;
use axum::Json;
use axum::extract::Query;
use axum::http::Method;
use serde::Deserialize;
use utoipa::IntoParams;

/// Most sessions in one answer, unless more are asked for.
const PAGE: usize = 1000;

/// Which sessions; all conditions must hold.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Those of this key, as the directory has it.
    user: Option<String>,
    /// Those on the machine of this name.
    host: Option<String>,
    /// The one with this id.
    id: Option<String>,
    /// At most this many.
    limit: Option<usize>,
    /// Also logins that wait for their host.
    all: Option<bool>,
}

impl Filter {
    /// It as a query, for another process.
    fn query(&self) -> String {
        let (limit, all) = (self.limit.map(|limit| limit.to_string()), self.all.map(|all| all.to_string()));
        let pairs =
            [("user", &self.user), ("host", &self.host), ("id", &self.id), ("limit", &limit), ("all", &all)];
        let given = pairs.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish()
    }

    /// Whether a session is meant.
    fn includes(&self, session: &Session) -> bool {
        self.user.as_ref().is_none_or(|user| **user == *session.about.user)
            && self.host.as_ref().is_none_or(|host| session.is_at(host))
            && self.id.as_ref().is_none_or(|id| id.parse() == Ok(session.about.id))
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let given = [("user", &self.user), ("host", &self.host), ("id", &self.id)];
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
    if filter.id.as_ref().is_some_and(|id| id.parse::<Id>().is_err()) {
        return Err(Refusal::bad("an id has 16 hexadecimal digits"));
    }
    Ok(filter)
}

/// The sessions that match.
#[utoipa::path(get, path = "/v1/sessions", operation_id = "listSessions", params(Filter), responses((status = 200, description = "Done.", body = Sessions)))]
pub(super) async fn list(context: State, Query(filter): Query<Filter>) -> Result<Json<Sessions>, Refusal> {
    let filter = normalised(&context, filter)?;
    let mut found = context.sessions.select(|session| filter.includes(session));
    let (mut matching, most) = (found.len(), filter.limit.unwrap_or(PAGE));
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
    Query(filter): Query<Filter>,
) -> Result<Json<Count>, Refusal> {
    if filter.user.is_none() && filter.host.is_none() && filter.id.is_none() {
        return Err(Refusal::bad("specify which sessions: user, host or id"));
    }
    if filter.limit.is_some() {
        return Err(Refusal::bad("`limit` is not supported here: all matching sessions are ended"));
    }
    let filter = normalised(&context, filter)?;
    let on = filter.to_string();
    // Whoever waits for a host that is held does not have a session yet that could be ended.
    let all = filter.all == Some(true);
    let path = format!("/v1/sessions?{}", filter.query());
    let mut count = drain::kick(&context.sessions, move |session| {
        filter.includes(session) && (all || session.doing() != Doing::Connecting)
    });
    author.did("kick", &on, "");
    for Answer { said, .. } in context.ask_formers::<Count>(Method::DELETE, &path, &author.name).await {
        count += said.count;
    }
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
