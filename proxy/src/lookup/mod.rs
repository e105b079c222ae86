//! usher as the directory's server: tells Postfix, nginx and Dovecot where a user is, so that delivery follows a move in
//! the same moment.

mod auth_http;
mod dict;
mod open;
mod place;
mod socketmap;
mod tcp_table;

pub(crate) use open::{Bound, LookupError, bind};

use open::Socket;

use crate::active::CurrentConfig;
use crate::metrics::Metrics;
use crate::route::Router;
use crate::shutdown::Shutdown;
use futures_util::future::join_all;
use std::io::{self, ErrorKind};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use usher_config::snapshot::{LookupListener, LookupProtocol};

/// Connections at the same time, of each listener, and one place for whoever accepts them.
const PLACES: u32 = 1000 + 1;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(300);
/// Longest line of a question, in bytes.
const LINE: u64 = 8 * 1024;
/// How long those may go on who came before a successor did.
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
    /// When its last connections end, once usher has retired.
    end: OnceLock<Instant>,
}

/// The listeners while they answer.
#[derive(Default)]
pub(crate) struct Lookups {
    /// Closed once nobody accepts from them here: nobody must wait at a process that does not answer.
    tcp: Vec<Weak<TcpListener>>,
    /// Of each.
    places: Vec<Arc<Semaphore>>,
}

/// Answers at all of them.
pub(crate) fn serve(bound: Vec<Bound>, server: &Arc<Server>) -> Lookups {
    let mut lookups = Lookups::default();
    for bound in bound {
        let (listener, socket) = match bound.open() {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "others cannot ask where users are");
                continue;
            }
        };
        let places = Arc::new(Semaphore::new(PLACES as usize));
        lookups.places.push(places.clone());
        let service = Arc::new(Service { server: server.clone(), listener, places, end: OnceLock::new() });
        match socket {
            Socket::Tcp(socket) => {
                lookups.tcp.push(Arc::downgrade(&socket));
                tokio::spawn(accept(service, async move || {
                    let (stream, _) = socket.accept().await?;
                    let _ = stream.set_nodelay(true);
                    Ok(stream)
                }));
            }
            Socket::Unix(socket) => {
                tokio::spawn(accept(service, async move || Ok(socket.accept().await?.0)));
            }
        }
    }
    lookups
}

impl Lookups {
    /// Those that a successor goes on with.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = Arc<TcpListener>> {
        self.tcp.iter().filter_map(Weak::upgrade)
    }

    /// Waits until everybody has been answered who came before usher retired, at most this long.
    pub(crate) async fn settled(&self, patience: Duration) {
        let all = join_all(self.places.iter().map(|places| places.acquire_many(PLACES)));
        let _ = timeout(patience, all).await;
    }
}

/// Lets others in, until usher retires and nobody is left who came before that.
async fn accept<S>(service: Arc<Service>, next: impl AsyncFn() -> io::Result<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(_place) = service.places.clone().try_acquire_owned() else { return };
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = next() => accepted,
            () = service.server.shutdown.retired() => return,
        };
        match accepted {
            Ok(stream) => service.clone().take(stream),
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
            let answered = self.answer(BufReader::new(stream)).await;
            if answered.is_err_and(|error| error.kind() == ErrorKind::InvalidData) {
                self.server.metrics.answered("any", "invalid");
            }
        });
    }

    /// Waits for a question. Returns whether one is to be answered: a while after a successor does so, whoever has more of them
    /// comes to that.
    async fn is_asked<S: AsyncBufRead + Unpin>(&self, stream: &mut S) -> io::Result<bool> {
        let over = async {
            self.server.shutdown.retired().await;
            sleep_until(*self.end.get_or_init(|| Instant::now() + LAST)).await;
        };
        tokio::select! {
            biased;
            () = over => Ok(false),
            more = timeout(SILENCE, stream.fill_buf()) => Ok(!more??.is_empty()),
        }
    }

    /// Answers until the other side has gone.
    async fn answer<S>(&self, mut stream: BufReader<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if !self.is_asked(&mut stream).await? {
            return Ok(());
        }
        let spoken = spoken(stream.buffer());
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
fn spoken(begun: &[u8]) -> Option<LookupProtocol> {
    match begun.first()? {
        b'0'..=b'9' => Some(LookupProtocol::Socketmap),
        b'a'..=b'z' => Some(LookupProtocol::TcpTable),
        // A dict client says hello with a version.
        b'H' if begun.get(1).is_some_and(u8::is_ascii_digit) => Some(LookupProtocol::Dict),
        b'A'..=b'Z' => Some(LookupProtocol::AuthHttp),
        _ => None,
    }
}

/// The next line without its end; `None`: there is none.
async fn line<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Vec<u8>>> {
    // With all the room that it may need: one may hold a password, which must not be left behind.
    let mut line = Vec::with_capacity(LINE as usize);
    timeout(QUESTION, stream.take(LINE).read_until(b'\n', &mut line)).await??;
    if line.is_empty() {
        return Ok(None);
    }
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
