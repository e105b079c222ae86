//! Redis: a string with the host, or a hash, under a key that names the user.

use super::engine::{Answer, Engine, Question};
use super::fault::SourceFault;
use super::names::{fill, read};
use super::secret;
use super::shared::Shared;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    RedisError, TlsCertificates, TlsMode,
};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;
use usher_config::snapshot::{Redis, RedisDeployment};
use usher_policy::ArchiveKey;

pub(super) struct RedisEngine {
    redis: Redis,
    infos: Vec<ConnectionInfo>,
    certificates: TlsCertificates,
    deadline: Duration,
    shared: Shared<Link>,
}

#[derive(Clone)]
enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        match self {
            Self::One(one) => command.query_async(one).await,
            Self::Cluster(cluster) => command.query_async(cluster).await,
        }
    }
}

impl RedisEngine {
    pub(super) fn new(redis: &Redis, deadline: Duration) -> Result<Self, SourceFault> {
        let unusable = |url: &str, why: &dyn std::fmt::Display| SourceFault::Out(format!("{url}: {why}"));
        let infos = redis
            .access
            .urls
            .iter()
            .map(|url| url.as_str().into_connection_info().map_err(|error| unusable(url, &error)));
        let root_cert = redis
            .access
            .ca
            .as_ref()
            .map(|ca| std::fs::read(ca).map_err(|error| unusable(&ca.display().to_string(), &error)));
        Ok(Self {
            infos: infos.collect::<Result<_, _>>()?,
            redis: redis.clone(),
            certificates: TlsCertificates { client_tls: None, root_cert: root_cert.transpose()? },
            deadline,
            shared: Shared::new(),
        })
    }

    async fn connect(&self) -> Result<Link, SourceFault> {
        let password = secret::password(&self.redis.access).await?;
        let password = password.as_ref().map(secret::text).transpose()?;
        match &self.redis.deployment {
            RedisDeployment::Single => self.connect_to_one(password).await,
            RedisDeployment::Cluster => {
                let mut builder = ClusterClient::builder(self.infos.iter().cloned())
                    .connection_timeout(self.deadline)
                    // Whoever asks has a deadline, and asks again.
                    .retries(3)
                    .min_retry_wait(10)
                    .max_retry_wait(50)
                    .response_timeout(self.deadline);
                if self.infos.iter().any(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. })) {
                    builder = builder.certs(self.certificates.clone());
                }
                if let Some(password) = password {
                    builder = builder.password(password);
                }
                let client = builder.build().map_err(SourceFault::out)?;
                let connection = client.get_async_connection().await.map_err(SourceFault::out)?;
                Ok(Link::Cluster(connection))
            }
            RedisDeployment::Sentinel(master) => self.connect_to_master(master, password).await,
        }
    }

    async fn connect_to_one(&self, password: Option<&str>) -> Result<Link, SourceFault> {
        // One that does not answer must leave time for the others.
        let share = self.deadline / self.infos.len().max(1) as u32;
        let mut last = SourceFault::out("no address");
        for info in &self.infos {
            let mut settings = info.redis_settings().clone();
            if let Some(password) = password {
                settings = settings.set_password(password);
            }
            let info = info.clone().set_redis_settings(settings);
            let client = match info.addr() {
                ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info, self.certificates.clone()),
                _ => Client::open(info),
            };
            let client = client.map_err(SourceFault::out)?;
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(share))
                .set_response_timeout(Some(self.deadline));
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            match timeout(share, connecting).await {
                Ok(Ok(connection)) => return Ok(Link::One(connection)),
                Ok(Err(error)) => last = SourceFault::out(error),
                Err(_) => last = SourceFault::out("it does not take a connection in time"),
            }
        }
        Err(last)
    }

    async fn connect_to_master(&self, master: &str, password: Option<&str>) -> Result<Link, SourceFault> {
        let sentinels = self.infos.iter().map(|info| info.addr().clone());
        let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)
            .map_err(SourceFault::out)?;
        if let Some(info) = self.infos.first() {
            let settings = info.redis_settings();
            builder = builder.set_client_to_redis_db(settings.db());
            if let Some(user) = settings.username() {
                builder = builder.set_client_to_redis_username(user);
            }
            if let ConnectionAddr::TcpTls { .. } = info.addr() {
                builder = builder
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_redis_certificates(self.certificates.clone())
                    .set_client_to_sentinel_certificates(self.certificates.clone());
            }
        }
        if let Some(password) = password {
            builder = builder.set_client_to_redis_password(password);
        }
        let mut client = builder.build().map_err(SourceFault::out)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.deadline));
        let connection = client.get_async_connection_with_config(&config).await;
        Ok(Link::One(connection.map_err(SourceFault::out)?))
    }

    async fn find(&self, key: &ArchiveKey) -> Answer {
        let mut link = Box::pin(self.shared.get(self.connect())).await?;
        let mut found = Ok(None);
        for found_by in [Some(key.clone()), key.domain()].into_iter().flatten() {
            found = self.read(&mut link, key, found_by).await;
            if !matches!(found, Ok(None)) {
                break;
            }
        }
        if !matches!(found, Err(SourceFault::Out(_))) {
            link.done();
        }
        found
    }

    async fn read(&self, link: &mut Link, key: &ArchiveKey, found_by: ArchiveKey) -> Answer {
        let name = fill(&self.redis.key, &found_by, |value| value.into());
        let failed = |error: RedisError| match error.code() {
            Some("WRONGTYPE") => SourceFault::answer(format!("what is under {name:?} has another type")),
            _ => SourceFault::out(error),
        };
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .map_err(|_| SourceFault::answer(format!("what is under {name:?} is not UTF-8")))
        };
        let mut fields = Vec::new();
        if self.redis.is_hash {
            let command = redis::cmd("HGETALL").arg(&name).take();
            let hash: HashMap<Vec<u8>, Vec<u8>> = link.ask(&command).await.map_err(failed)?;
            for (field, value) in hash {
                fields.push((text(field)?, text(value)?));
            }
        } else {
            let command = redis::cmd("GET").arg(&name).take();
            let host: Option<Vec<u8>> = link.ask(&command).await.map_err(failed)?;
            if let Some(host) = host {
                fields.push(("host".to_owned(), text(host)?));
            }
        }
        if fields.is_empty() {
            return Ok(None);
        }
        read(key, &found_by, fields).map(Some)
    }
}

impl Engine for RedisEngine {
    fn look_up<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        self.find(&question.key).boxed()
    }
}
