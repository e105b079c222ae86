//! The access rules: what they are, and what they would say.

use super::change::blocking;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{
    Replayed, ReplayedLogin, RuleReplay, RuleReplayed, RuleTest, RuleTested, Rules, ShownRule,
};
use super::{Context, State};
use crate::access::{Hearing, Visit};
use crate::load::Config;
use crate::remembered::{self, Changed};
use crate::rule_book::RuleBook;
use axum::Json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;
use usher_config::snapshot::Protocol;
use usher_policy::access::{Attributes, MECHANISMS, Name};
use usher_policy::identity::{Arrival, Domains};

/// The port that a client is assumed to have.
const PORT: u16 = 50_000;
/// Logins that are listed unless more are asked for, and at most.
const LISTED: usize = 100;
const LISTED_CAP: usize = 10_000;

/// The access rules in order, and how often each has denied something since it was loaded.
#[utoipa::path(get, path = "/v1/rules", operation_id = "listRules", responses((status = 200, description = "Done.", body = Rules)))]
pub(super) async fn list(context: State) -> Json<Rules> {
    let book = context.config.load().access.clone();
    Json(Rules { rules: (0..book.rules.as_slice().len()).filter_map(|at| shown(&book, at)).collect() })
}

/// What the rules say of a login, without trying it.
#[utoipa::path(post, path = "/v1/rules/test", operation_id = "testRules", request_body = RuleTest,
    responses((status = 200, description = "Done.", body = RuleTested), (status = 400, description = "The request is invalid; `error` says why.")))]
pub(super) async fn test(
    context: State,
    JsonBody(test): JsonBody<RuleTest>,
) -> Result<Json<RuleTested>, Refusal> {
    let context = context.0.clone();
    blocking(move || tested(&context, &test).map(Json)).await
}

fn tested(context: &Context, test: &RuleTest) -> Result<RuleTested, Refusal> {
    let running = context.config.load_full();
    let (book, domains) = match &test.next {
        Some(text) => next(text, test.file.as_deref())?,
        None => (running.access.clone(), running.snapshot.domains.clone()),
    };
    let arrival = Arrival { local: test.local, server_name: test.server_name.as_deref() };
    let visit = visit(test, &domains, arrival)?;
    let key = test.user.as_ref().and_then(|user| domains.user(user.as_bytes(), arrival));
    let hearing = Hearing::new(book.clone(), visit);
    let hearing = match test.at {
        Some(at) => hearing.at(at),
        None => hearing,
    };
    let attributes = match &key {
        Some(key) => Handle::current().block_on(context.router.attributes(key)),
        None => Some(Attributes::default()),
    };
    let attributes = attributes.ok_or_else(|| Refusal::internal(&"the directory cannot be read"))?;
    let verdict = hearing.entirely(&attributes);
    let by = verdict.by.and_then(|at| book.rule(at)).map(|rule| rule.name.to_string());
    let told = match (verdict.denies(), test.protocol.as_str()) {
        (false, _) => "goes on",
        (true, "https") if hearing.by_name().denies() => "403",
        (true, "https") => "403, or what an unknown user gets where it names one with a password",
        (true, "tcp") => "closed at once",
        (true, _) if hearing.by_address().denies() => "closed at once",
        (true, _) if hearing.by_name().denies() => "NO [CONTACTADMIN]",
        (true, _) => "NO [AUTHENTICATIONFAILED], as for a wrong password",
    };
    Ok(RuleTested {
        key: key.map(|key| key.to_string()),
        matching: hearing.matching(&attributes).into_iter().filter_map(|at| shown(&book, at)).collect(),
        verdict: verdict.action.name().to_owned(),
        by,
        told: told.to_owned(),
    })
}

/// What other rules would have said of the logins that are remembered.
#[utoipa::path(post, path = "/v1/rules/replay", operation_id = "replayRules", request_body = RuleReplay,
    responses((status = 200, description = "Done.", body = RuleReplayed), (status = 400, description = "The request is invalid; `error` says why.")))]
pub(super) async fn replay(
    context: State,
    JsonBody(asked): JsonBody<RuleReplay>,
) -> Result<Json<RuleReplayed>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let (book, domains) = next(&asked.next, asked.file.as_deref())?;
        let running = context.config.load().access.clone();
        let attributes = |name: &Name| match domains.written(&name.key()) {
            Some(key) => Handle::current().block_on(context.router.attributes(&key)),
            None => Some(Attributes::default()),
        };
        let told = remembered::replay(&context.router.remembered, &running, &book, attributes);
        let limit = asked.limit.unwrap_or(LISTED).min(LISTED_CAP);
        Ok(Json(RuleReplayed {
            logins: told.logins,
            unsure: told.unsure,
            refused: listed(told.refused, &book, limit),
            admitted: listed(told.admitted, &running, limit),
        }))
    })
    .await
}

fn listed(changed: Changed, book: &RuleBook, limit: usize) -> Replayed {
    let name = |at: usize| book.rule(at).map(|rule| rule.name.to_string()).unwrap_or_default();
    let count = changed.logins.len();
    let mut by_rule = BTreeMap::new();
    for (at, logins) in changed.by_rule {
        *by_rule.entry(name(at)).or_default() += logins;
    }
    let logins = changed.logins.into_iter().take(limit).map(|(login, last, at)| ReplayedLogin {
        user: login.names.first().map(ToString::to_string).unwrap_or_default(),
        client: login.address.to_string(),
        protocol: login.protocol.to_owned(),
        mechanism: login.mechanism.to_owned(),
        last: last.at,
        count: last.count,
        rule: name(at),
    });
    Replayed { count, by_rule, logins: logins.collect() }
}

/// The rules of a configuration that is not in force.
pub(super) fn next(text: &str, file: Option<&str>) -> Result<(Arc<RuleBook>, Domains), Refusal> {
    let config = Config::of_text(Path::new(file.unwrap_or("the next configuration")), text.to_owned());
    let config = config.map_err(|error| Refusal::bad(error.to_string()))?;
    let book = config.rule_book().map_err(|error| Refusal::bad(error.to_string()))?;
    Ok((Arc::new(book), config.snapshot.domains))
}

fn visit(test: &RuleTest, domains: &Domains, arrival: Arrival<'_>) -> Result<Visit, Refusal> {
    let protocols = [Protocol::Imap, Protocol::Imaps, Protocol::Https, Protocol::Tcp];
    let protocol = protocols.into_iter().find(|known| known.name() == test.protocol);
    let protocol = protocol.ok_or_else(|| Refusal::bad("`protocol` is one of imap, imaps, https, tcp"))?;
    let names: Vec<Name> = match &test.user {
        Some(user) => domains.shown(user.as_bytes(), arrival),
        None => Vec::new(),
    };
    let usual = if protocol == Protocol::Https { "basic" } else { "plain" };
    let asked = test.mechanism.as_deref().unwrap_or(usual).to_ascii_lowercase();
    let mechanism = MECHANISMS.into_iter().find(|known| *known == asked);
    let mechanism =
        mechanism.ok_or_else(|| Refusal::bad(format!("`mechanism` is one of {}", MECHANISMS.join(", "))))?;
    Ok(Visit {
        protocol,
        client: SocketAddr::new(test.address.to_canonical(), test.port.unwrap_or(PORT)),
        mechanism: (!names.is_empty()).then_some(mechanism),
        names,
        has_certificate: test.certificate,
    })
}

/// The rule at this place, as the API shows it.
fn shown(book: &RuleBook, at: usize) -> Option<ShownRule> {
    let rule = book.rule(at)?;
    Some(ShownRule {
        place: at + 1,
        name: rule.name.to_string(),
        action: rule.action.name().to_owned(),
        enabled: rule.enabled,
        apply_to_live: rule.apply_to_live,
        conditions: rule.written_conditions(),
        exceptions: rule.written_exceptions(),
        denied: book.denials(at),
    })
}
