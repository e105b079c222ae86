//! The bytes of a body that have come and not been passed on, or are kept to be passed on again.

use super::Source;
use crate::active::ActiveConfig;
use crate::https::message::pace::Pace;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use std::collections::VecDeque;
use std::sync::Arc;

/// The bytes, and where they come from.
pub(super) struct Flow {
    pub(super) source: Source,
    /// Read ahead, and passed on first.
    pub(super) before: VecDeque<Bytes>,
    /// The same of its trailers.
    pub(super) trailers: Option<HeaderMap>,
    /// Bytes that may still come from the source.
    pub(super) left: u64,
    pub(super) pace: Option<Box<Pace>>,
    /// Knows which fields make claims about identity, which no trailer may do.
    pub(super) active: Option<Arc<ActiveConfig>>,
    /// Passed on, and kept to be sent again. If `keeps` is `None`, nothing is kept.
    pub(super) sent: Vec<Sent>,
    pub(super) keeps: Option<usize>,
    /// Something has gone on.
    pub(super) has_begun: bool,
    /// Everything that was passed on has been kept.
    pub(super) is_whole: bool,
    /// Which body reads it: only the latest one does.
    pub(super) turn: u32,
    /// Whether that one is there.
    pub(super) is_held: bool,
}

/// A frame that is kept.
#[derive(Clone)]
pub(super) enum Sent {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Sent {
    fn of(frame: &Frame<Bytes>) -> Option<Self> {
        let data = frame.data_ref().map(|data| Self::Data(data.clone()));
        data.or_else(|| frame.trailers_ref().map(|trailers| Self::Trailers(trailers.clone())))
    }

    pub(super) fn frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data),
            Self::Trailers(trailers) => Frame::trailers(trailers),
        }
    }
}

impl Flow {
    /// Keeps a frame that is passed on, unless that would be too many bytes.
    pub(super) fn note_sent(&mut self, frame: &Frame<Bytes>) {
        self.has_begun = true;
        let octets = frame.data_ref().map_or(0, Bytes::len);
        match self.keeps.and_then(|left| left.checked_sub(octets)) {
            Some(left) => {
                self.keeps = Some(left);
                self.sent.extend(Sent::of(frame));
            }
            None => {
                (self.keeps, self.is_whole) = (None, false);
                self.sent = Vec::new();
            }
        }
    }

    /// Nobody will read it any more.
    pub(super) fn close(&mut self) {
        self.sent = Vec::new();
        std::mem::replace(&mut self.source, Source::Nothing).close();
    }
}
