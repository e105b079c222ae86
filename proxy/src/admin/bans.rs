//! Whose logins are refused, by operators or because too many have failed.

use super::audit::Author;
use super::change::blocking;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{Ban, BanOrder, Bans, Unbanned};
use super::params::Params;
use super::{Context, State};
use axum::Json;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;
use usher_backends::bans::{self, Banned};
use usher_backends::roster::now;
use usher_policy::identity::Arrival;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// An address, a network or a user.
    whose: String,
}

/// The bans that are in force.
#[utoipa::path(get, path = "/v1/bans", operation_id = "listBans", responses((status = 200, description = "Done.", body = Bans)))]
pub(super) async fn list(context: State) -> Result<Json<Bans>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let bans = context.guessing.bans().map_err(|error| Refusal::internal(&error))?;
        Ok(Json(Bans { bans: bans.into_iter().map(shown).collect() }))
    })
    .await
}

/// Refuses the logins of a user, or everything from an address or a network.
#[utoipa::path(post, path = "/v1/bans", operation_id = "ban", request_body = BanOrder,
    responses((status = 200, description = "Done.", body = Ban), (status = 400, description = "The request is invalid; `error` says why.")))]
pub(super) async fn ban(
    context: State,
    author: Author,
    JsonBody(order): JsonBody<BanOrder>,
) -> Result<Json<Ban>, Refusal> {
    let whose = whose(&context, &order.whose);
    if let (Banned::Source(network), Some(address)) = (&whose, author.address)
        && network.contains(&address.to_canonical())
    {
        return Err(Refusal::bad(format!("{network} has your own address in it")));
    }
    let since = now();
    let until = order.seconds.map(|seconds| since + i64::from(seconds));
    let by = Some(author.name.clone());
    let ban = bans::Ban { whose, since, until, by, why: order.why };
    context.guessing.ban(ban.clone()).await.map_err(|error| Refusal::internal(&error))?;
    author.did("ban", &ban.whose.to_string(), &ban.why);
    Ok(Json(shown(ban)))
}

/// Ends the bans of a user, an address or a network, and forgets the failed logins.
#[utoipa::path(delete, path = "/v1/bans", operation_id = "unban", params(Whose),
    responses((status = 200, description = "Done.", body = Unbanned), (status = 400, description = "The request is invalid; `error` says why.")))]
pub(super) async fn unban(
    context: State,
    author: Author,
    Params(asked): Params<Whose>,
) -> Result<Json<Unbanned>, Refusal> {
    let whose = whose(&context, &asked.whose);
    let done = context.guessing.unban(&whose).await.map_err(|error| Refusal::internal(&error))?;
    author.did("unban", &whose.to_string(), "");
    let all = |bans: Vec<bans::Ban>| bans.into_iter().map(shown).collect();
    Ok(Json(Unbanned { ended: all(done.ended), left: all(done.left) }))
}

/// An address, a network, a whole tenant or domain, or a user as failures are counted; names that no archive can have are
/// banned as they are typed.
fn whose(context: &Context, typed: &str) -> Banned {
    if let Ok(address) = typed.parse::<IpAddr>() {
        return Banned::Source(address.to_canonical().into());
    }
    if let Ok(network) = typed.parse::<IpNet>() {
        return Banned::Source(network.trunc());
    }
    let domains = &context.config.load().snapshot.domains;
    // A tenant and a domain are banned as a whole.
    let is_whole = typed.starts_with("tenant:") || typed.starts_with('@');
    let key = domains.written(typed).filter(|_| is_whole).map(|key| key.to_string());
    let named = || domains.counted(typed.as_bytes(), Arrival::default()).into_iter().next();
    Banned::User(key.or_else(named).unwrap_or_else(|| typed.to_owned()))
}

fn shown(ban: bans::Ban) -> Ban {
    let bans::Ban { whose, since, until, by, why } = ban;
    Ban { whose: whose.to_string(), kind: whose.kind().to_owned(), since, until, by, why }
}
