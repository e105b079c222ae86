//! usher as the directory's server: tells Postfix, nginx and Dovecot where a user is, so that delivery follows a move in
//! the same moment.

mod auth_http;
mod dict;
mod open;
mod place;
mod socketmap;
mod tcp_table;

pub(crate) use open::{Bound, LookupError, bind};

use crate::active::CurrentConfig;
use crate::metrics::Metrics;
use crate::route::Router;
use crate::shutdown::Shutdown;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use usher_config::snapshot::{LookupListener, LookupProtocol};

/// Connections at the same time, of each listener.
const CONNECTIONS: usize = 1000;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(300);
/// Longest line of a question, in bytes.
const LINE: u64 = 8 * 1024;
/// How long those are let in who came before a successor did.
const LATECOMERS: Duration = Duration::from_millis(200);
/// How long their connections go on.
const LAST: Duration = Duration::from_secs(2);
/// Time for a question that has begun.
const QUESTION: Duration = Duration::from_secs(10);
/// Wait after a system error before the next attempt.
const BACK_OFF: Duration = Duration::from_millis(50);

/// What answers need.
pub(crate) struct Server {
    pub(crate) config: Arc<CurrentConfig>,
    pub(crate) router: Arc<Router>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: Arc<Shutdown>,
}

/// One listener while it answers.
struct Service {
    server: Arc<Server>,
    listener: LookupListener,
    places: Arc<Semaphore>,
}

/// Answers at all of them.
pub(crate) fn serve(bound: Vec<Bound>, server: &Arc<Server>) {
    for bound in bound {
        let (listener, socket) = match bound.open() {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "others cannot ask where users are");
                continue;
            }
        };
        let (server, places) = (server.clone(), Arc::new(Semaphore::new(CONNECTIONS)));
        let service = Arc::new(Service { server, listener, places });
        let retired = service.server.shutdown.clone();
        tokio::spawn(async move {
            let accepting = async {
                match socket {
                    open::Socket::Tcp(socket) => accept_tcp(socket, service).await,
                    open::Socket::Unix(socket) => accept_unix(socket, service).await,
                }
            };
            tokio::select! {
                () = accepting => {}
                // A successor answers; those who came before it did are not turned away.
                () = async {
                    retired.retired().await;
                    sleep(LATECOMERS).await;
                } => {}
            }
        });
    }
}

async fn accept_tcp(socket: TcpListener, service: Arc<Service>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                service.clone().take(stream);
            }
            Err(_) => sleep(BACK_OFF).await,
        }
    }
}

async fn accept_unix(socket: UnixListener, service: Arc<Service>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => service.clone().take(stream),
            Err(_) => sleep(BACK_OFF).await,
        }
    }
}

impl Service {
    fn take<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, stream: S) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.server.metrics.answered("any", "full");
            return;
        };
        tokio::spawn(async move {
            let _place = place;
            let shutdown = self.server.shutdown.clone();
            tokio::select! {
                answered = self.answer(BufReader::new(stream)) => {
                    if answered.is_err_and(|error| error.kind() == ErrorKind::InvalidData) {
                        self.server.metrics.answered("any", "invalid");
                    }
                }
                // A successor answers whoever comes again.
                () = async {
                    shutdown.retired().await;
                    sleep(LAST).await;
                } => {}
            }
        });
    }

    /// Answers until the other side has gone.
    async fn answer<S>(&self, mut stream: BufReader<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let spoken = timeout(SILENCE, spoken(&mut stream)).await??;
        let Some(spoken) = spoken.filter(|spoken| self.listener.serves.contains(spoken)) else {
            return Err(invalid("none of the protocols that this listener serves"));
        };
        match spoken {
            LookupProtocol::Socketmap => self.answer_socketmap(&mut stream).await,
            LookupProtocol::TcpTable => self.answer_tcp_table(&mut stream).await,
            LookupProtocol::AuthHttp => self.answer_auth_http(&mut stream).await,
            LookupProtocol::Dict => self.answer_dict(&mut stream).await,
        }
    }
}

/// Which protocol it is, by how it begins; `None`: none of them.
async fn spoken<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<Option<LookupProtocol>> {
    let begun = stream.fill_buf().await?;
    let found = match begun.first().ok_or(ErrorKind::UnexpectedEof)? {
        b'0'..=b'9' => LookupProtocol::Socketmap,
        b'a'..=b'z' => LookupProtocol::TcpTable,
        // A dict client says hello with a version.
        b'H' if begun.get(1).is_some_and(u8::is_ascii_digit) => LookupProtocol::Dict,
        b'A'..=b'Z' => LookupProtocol::AuthHttp,
        _ => return Ok(None),
    };
    Ok(Some(found))
}

/// The next line without its end; `None`: there is none.
async fn line<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Vec<u8>>> {
    if timeout(SILENCE, stream.fill_buf()).await??.is_empty() {
        return Ok(None);
    }
    // With all the room that it may need: one may hold a password, which must not be left behind.
    let mut line = Vec::with_capacity(LINE as usize);
    timeout(QUESTION, stream.take(LINE).read_until(b'\n', &mut line)).await??;
    if line.pop() != Some(b'\n') {
        return Err(invalid("a line that has no end"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, answer: &[u8]) -> io::Result<()> {
    timeout(SILENCE, async {
        stream.write_all(answer).await?;
        stream.flush().await
    })
    .await?
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
