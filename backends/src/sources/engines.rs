//! What asks each kind of source.

use super::engine::Engine;
use super::fault::SourceFault;
use super::http::HttpEngine;
use super::ldap::LdapEngine;
use super::postgres::PostgresEngine;
use super::redis::RedisEngine;
use std::sync::Arc;
use std::time::Duration;
use usher_config::snapshot::Source as Configured;

/// What asks this source, each time for `deadline` at most.
pub(super) fn engine(configured: &Configured, deadline: Duration) -> Result<Arc<dyn Engine>, SourceFault> {
    Ok(match configured {
        Configured::Postgres(postgres) => Arc::new(PostgresEngine::new(postgres, deadline)?),
        Configured::Ldap(ldap) => Arc::new(LdapEngine::new(ldap, deadline)?),
        Configured::Redis(redis) => Arc::new(RedisEngine::new(redis, deadline)?),
        Configured::Http(http) => Arc::new(HttpEngine::new(http, deadline)?),
        Configured::Embedded => return Err(SourceFault::answer("the embedded directory is not elsewhere")),
    })
}
