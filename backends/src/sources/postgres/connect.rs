//! Where the database is.

use super::failed;
use crate::sources::fault::SourceFault;
use crate::sources::{secret, tls};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Client, Config, Notification};
use tokio_postgres_rustls::MakeRustlsConnect;
use usher_config::snapshot::SourceAccess;

/// Time after which a connection is given up whose data nobody acknowledges.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Time after which a quiet connection is tried, and tried again.
const QUIET: Duration = Duration::from_secs(5);

/// The servers, the first of which that can be reached is used.
pub(in crate::sources) struct Place {
    access: SourceAccess,
    configs: Vec<Config>,
    tls: MakeRustlsConnect,
    deadline: Duration,
}

impl Place {
    pub(in crate::sources) fn new(access: &SourceAccess, deadline: Duration) -> Result<Self, SourceFault> {
        let mut configs = Vec::new();
        for url in &access.urls {
            let mut config =
                Config::from_str(url).map_err(|error| SourceFault::Out(format!("{url}: {error}")))?;
            let hosts = config.get_hosts().len().max(1) * access.urls.len();
            let all_unix = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
            let is_near = all_unix && !config.get_hosts().is_empty() && config.get_hostaddrs().is_empty();
            if !is_near && !url.contains("sslmode=") {
                // Whoever is on the way could otherwise say that there is no TLS.
                config.ssl_mode(SslMode::Require);
            }
            if config.get_user().is_none() {
                config.user("usher");
            }
            config.application_name("usher");
            // One that does not answer must leave time for the others.
            config.connect_timeout(deadline / hosts as u32).tcp_user_timeout(UNACKNOWLEDGED);
            config.keepalives_idle(QUIET).keepalives_interval(QUIET).keepalives_retries(3);
            configs.push(config);
        }
        let tls = MakeRustlsConnect::new((*tls::config(access.ca.as_deref())?).clone());
        Ok(Self { access: access.clone(), configs, tls, deadline })
    }

    /// A connection to a server that is fit for `wanted`.
    pub(in crate::sources) async fn connect(
        &self,
        wanted: TargetSessionAttrs,
    ) -> Result<Client, SourceFault> {
        Box::pin(self.listen(wanted)).await.map(|(client, _)| client)
    }

    /// A connection for look-ups: to a server that can be written, since one that follows it may be behind, or to any if there
    /// is no other.
    pub(super) async fn for_look_ups(&self) -> Result<Client, SourceFault> {
        let half = self.deadline / 2;
        match timeout(half, self.connect(TargetSessionAttrs::ReadWrite)).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(_)) | Err(_) => self.connect(TargetSessionAttrs::Any).await,
        }
    }

    /// The same, with what the server notifies of.
    pub(super) async fn listen(
        &self,
        wanted: TargetSessionAttrs,
    ) -> Result<(Client, mpsc::UnboundedReceiver<Notification>), SourceFault> {
        let password = secret::password(&self.access).await?;
        let share = self.deadline / self.configs.len().max(1) as u32;
        let mut last = SourceFault::out("no address");
        for config in &self.configs {
            let mut config = config.clone();
            config.target_session_attrs(wanted);
            if let Some(password) = &password {
                config.password(password.reveal());
            }
            match Box::pin(timeout(share, config.connect(self.tls.clone()))).await {
                Ok(Ok((client, connection))) => {
                    let (sender, notified) = mpsc::unbounded_channel();
                    tokio::spawn(drive(connection, sender));
                    return Ok((client, notified));
                }
                Ok(Err(error)) => last = failed(error),
                Err(_) => last = SourceFault::out("it does not take a connection in time"),
            }
        }
        Err(last)
    }
}

async fn drive<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    notified: mpsc::UnboundedSender<Notification>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // Whoever uses it hears of its end.
    while let Some(Ok(message)) = std::future::poll_fn(|task| connection.poll_message(task)).await {
        if let AsyncMessage::Notification(notification) = message {
            let _ = notified.send(notification);
        }
    }
}
