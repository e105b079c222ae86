//! The connection of a client by HTTP/2. Its task reads and writes; the tasks of its streams take what has come for them
//! and leave what is to be sent.

use crate::https::lingering::Lingering;
use crate::https::message::pace::poll_due;
use crate::https::scratch;
use crate::tls::ClientStream;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, timeout};
use usher_config::snapshot::Limits;
use usher_wire::http2::{self, ConnectionFault, ErrorCode, Event, RequestHead};

/// Window of a stream, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Fields of a head that may be parts of cookies.
const CRUMBS: usize = 256;
/// Most bytes that wait to be sent: what is encrypted at a time.
const GATHER: usize = 64 * 1024;

/// What the tasks of a connection share.
pub(super) struct Shared(Mutex<State>);

pub(super) struct State {
    pub(super) protocol: http2::Connection<Wakers>,
    /// How much of what is to be sent has been sent.
    written: usize,
    /// The client takes nothing at the moment. Whatever a stream has to say would only be kept.
    is_blocked: bool,
    /// Streams that have something to say, in the order of their turns.
    waiting: VecDeque<Turn>,
    /// Of the connection's task, until there is something to send.
    driver: Option<Waker>,
}

/// A stream that has something to say.
struct Turn {
    stream: u32,
    /// The window of the connection is used up; otherwise others have said enough for now.
    awaits_window: bool,
}

/// Who is told of what happens on a stream.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    /// Whoever answers on it.
    pub(super) answers: Option<Waker>,
    /// Whoever takes the body of its request.
    pub(super) reads: Option<Waker>,
}

/// Keeps `waker` in `place`.
pub(super) fn keep(place: &mut Option<Waker>, waker: &Waker) {
    if !place.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
        *place = Some(waker.clone());
    }
}

fn wake(place: &mut Option<Waker>) {
    place.take().into_iter().for_each(Waker::wake);
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a stream may say something now; otherwise it is told when its turn comes.
    pub(super) fn has_room(&mut self, stream: u32) -> bool {
        let has_room = !self.is_blocked && self.protocol.out.len() < GATHER;
        if !has_room {
            self.wait(stream, false);
        } else if self.turn(stream).is_some_and(|turn| !turn.awaits_window) {
            // It may have nothing to say yet, and need not hear each time that there is room.
            self.had_turn(stream);
        }
        has_room
    }

    fn turn(&mut self, stream: u32) -> Option<&mut Turn> {
        self.waiting.iter_mut().find(|turn| turn.stream == stream)
    }

    /// This stream waits for its turn.
    pub(super) fn wait(&mut self, stream: u32, awaits_window: bool) {
        match self.turn(stream) {
            Some(turn) => turn.awaits_window = awaits_window,
            None => self.waiting.push_back(Turn { stream, awaits_window }),
        }
    }

    /// This stream has had its turn.
    pub(super) fn had_turn(&mut self, stream: u32) {
        if let Some(at) = self.waiting.iter().position(|turn| turn.stream == stream) {
            self.waiting.remove(at);
        }
    }

    /// Lets the connection's task send what there is, once whoever runs before it has added theirs.
    pub(super) fn send_soon(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// Tells those that wait for a window, or for the others, in their order.
    fn wake_waiting(&mut self, awaits_window: bool) {
        for turn in self.waiting.iter().filter(|turn| turn.awaits_window == awaits_window) {
            if let Some(wakers) = self.protocol.with(turn.stream) {
                wake(&mut wakers.answers);
            }
        }
    }

    /// Whether this stream, which nobody holds yet, has been reset; then it is no more.
    fn forget_reset(&mut self, stream: u32) -> bool {
        let is_reset = self.protocol.is_reset(stream);
        if is_reset {
            self.protocol.release(stream);
        }
        is_reset
    }

    /// Tells whom an event concerns.
    pub(super) fn tell(&mut self, event: &Event) {
        match event {
            Event::Readable(stream) => {
                self.protocol.with(*stream).into_iter().for_each(|wakers| wake(&mut wakers.reads));
            }
            Event::Writable(stream) => {
                self.protocol.with(*stream).into_iter().for_each(|wakers| wake(&mut wakers.answers));
            }
            Event::ConnectionWritable => self.wake_waiting(true),
            Event::AllWritable => self.protocol.all().for_each(|wakers| wake(&mut wakers.answers)),
            Event::Reset(stream) => {
                if let Some(wakers) = self.protocol.with(*stream) {
                    wake(&mut wakers.answers);
                    wake(&mut wakers.reads);
                }
            }
            Event::Request(..) | Event::TooLarge(..) | Event::Refused => {}
        }
    }

    /// Sends what there is.
    fn poll_write(&mut self, stream: &mut ClientStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.protocol.out.len() {
            let rest = self.protocol.out.get(self.written..).unwrap_or_default();
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
            self.written += written;
            self.protocol.sent(written);
        }
        self.written = 0;
        // An idle connection keeps no room for it.
        if self.protocol.is_idle() {
            self.protocol.out = Vec::new()
        } else {
            self.protocol.out.clear()
        }
        Pin::new(stream).poll_flush(cx)
    }
}

/// What comes next on a connection.
pub(super) enum Next {
    /// A request on this stream.
    Request(u32, Box<RequestHead>),
    /// One whose head is larger than it may be; whether it asks by HEAD.
    TooLarge(u32, bool),
    /// One that was reset at once.
    Refused,
    /// Nothing more: it has ended as it should.
    Nothing,
    /// Nothing more, as it broke off.
    Broken(io::Error),
    /// Nothing more: the client was told what is wrong.
    Fault(ConnectionFault),
    /// Nothing more: what the client had begun was not completed.
    Late,
}

/// The connection, as its own task has it.
pub(super) struct Connection {
    stream: ClientStream,
    shared: Arc<Shared>,
    begun: Instant,
    /// What has come and nobody has been told yet.
    events: std::vec::IntoIter<Event>,
    /// How long the client has for its first words, and for a field block.
    header: Duration,
    /// Which of them is incomplete, and since when.
    since: Option<(u32, Instant)>,
    sleep: Option<Pin<Box<Sleep>>>,
    farewell: Duration,
}

impl Connection {
    pub(super) fn new(stream: ClientStream, limits: &Limits) -> Self {
        let protocol = http2::Connection::new(http2::Limits {
            streams: limits.http_streams,
            head: limits.http_head,
            // Cookies may be split, and count as one later.
            fields: limits.http_fields + CRUMBS,
            window: STREAM_WINDOW,
        });
        let state = State { protocol, written: 0, is_blocked: false, waiting: VecDeque::new(), driver: None };
        Self {
            stream,
            shared: Arc::new(Shared(Mutex::new(state))),
            begun: Instant::now(),
            events: Vec::new().into_iter(),
            header: limits.http_header,
            since: None,
            sleep: None,
            farewell: limits.farewell,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Asks the client to begin no more streams.
    pub(super) fn leave(&self) {
        self.shared.lock().protocol.leave();
    }

    /// What comes next. What is to be sent goes out whenever there is nothing else to do.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            for event in self.events.by_ref() {
                match event {
                    // Nobody begins to serve one that has been reset since.
                    Event::Request(stream, _) | Event::TooLarge(stream, _)
                        if self.shared.lock().forget_reset(stream) => {}
                    Event::Request(stream, head) => return Poll::Ready(Next::Request(stream, head)),
                    Event::TooLarge(stream, is_head) => {
                        return Poll::Ready(Next::TooLarge(stream, is_head));
                    }
                    Event::Refused => return Poll::Ready(Next::Refused),
                    told => self.shared.lock().tell(&told),
                }
            }
            // Not while too much waits to be sent: what comes may have to be answered as well.
            let is_behind = self.shared.lock().protocol.out.len() >= GATHER;
            if is_behind && let Err(error) = ready!(self.poll_write(cx)) {
                return Poll::Ready(Next::Broken(error));
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(Ok(true))) => {}
                Poll::Ready(Ok(Ok(false))) => {
                    let has_begun = self.shared.lock().protocol.has_begun();
                    return Poll::Ready(match has_begun {
                        true => Next::Nothing,
                        false => Next::Broken(io::ErrorKind::UnexpectedEof.into()),
                    });
                }
                Poll::Ready(Ok(Err(fault))) => return Poll::Ready(Next::Fault(fault)),
                Poll::Ready(Err(error)) => return Poll::Ready(Next::Broken(error)),
                Poll::Pending => break,
            }
        }
        // Before the last look at what there is to send: whatever is added afterwards, this task hears of it.
        keep(&mut self.shared.lock().driver, cx.waker());
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(Next::Broken(error));
        }
        let state = self.shared.lock();
        if state.protocol.is_done() && state.protocol.out.is_empty() {
            return Poll::Ready(Next::Nothing);
        }
        let awaits = state.protocol.awaits();
        drop(state);
        let Some(block) = awaits else {
            (self.since, self.sleep) = (None, None);
            return Poll::Pending;
        };
        let since = self.since.filter(|(known, _)| *known == block).map(|(_, since)| since);
        let (_, since) = *self.since.insert((block, since.unwrap_or_else(Instant::now)));
        ready!(poll_due(&mut self.sleep, since + self.header, cx));
        self.shared.lock().protocol.give_up(ErrorCode::ENHANCE_YOUR_CALM);
        Poll::Ready(Next::Late)
    }

    /// Reads something; false: there is nothing more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Result<bool, ConnectionFault>>> {
        scratch::with(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scratch))?;
            let mut events = Vec::new();
            let read = self.shared.lock().protocol.read(scratch.filled(), self.begun.elapsed(), &mut events);
            self.events = events.into_iter();
            Poll::Ready(Ok(read.map(|()| !scratch.filled().is_empty())))
        })
    }

    /// Sends what there is, and tells those that wait for that.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        let written = state.poll_write(&mut self.stream, cx);
        state.is_blocked = written.is_pending();
        if written.is_ready() {
            state.wake_waiting(false);
        }
        written
    }

    /// Ends all streams.
    fn break_off(&self) {
        let mut events = Vec::new();
        let mut state = self.shared.lock();
        state.protocol.break_off(&mut events);
        events.iter().for_each(|event| state.tell(event));
    }

    /// Ends all streams, and closes it so that the client reads what it was told.
    pub(super) async fn close(&mut self) {
        self.break_off();
        let farewell = self.farewell;
        if let Ok(Ok(())) = timeout(farewell, std::future::poll_fn(|cx| self.poll_write(cx))).await {
            let mut closing = Lingering::new(farewell);
            let _ = std::future::poll_fn(|cx| closing.poll(cx, &mut self.stream)).await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whatever ends it: nobody waits for a connection that is gone.
        self.break_off();
    }
}
