//! What asks one kind of source.

use super::fault::SourceFault;
use super::inquiry::Visitor;
use crate::directory::Placement;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use usher_policy::ArchiveKey;

/// What a source says of one key; `None`: it has nothing of this name.
pub(super) type Answer = Result<Option<Placement>, SourceFault>;

/// What a source is asked.
pub(super) struct Question {
    pub(super) key: ArchiveKey,
    pub(super) visitor: Option<Arc<Visitor>>,
}

/// What is heard of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// What was said of this key may be wrong.
    Of(ArchiveKey),
    /// Everything that was said may be.
    Everything,
    /// Something may have changed, and nobody knows what: former answers are still better than none.
    Doubt,
}

/// Called with what is heard.
pub(super) type Tell = Box<dyn Fn(News) + Send + Sync>;

/// Asks one source. May be dropped at any moment while it does.
pub(super) trait Engine: Send + Sync {
    /// Where the archive is.
    fn look_up<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer>;

    /// Whether it is told passwords, so that each is judged.
    fn judges(&self) -> bool {
        false
    }

    /// Whether it is told who asks.
    fn wants_visitor(&self) -> bool {
        false
    }

    /// Hears of changes for as long as usher runs; `None`: it tells nobody.
    fn follow(self: Arc<Self>, _tell: Tell) -> Option<BoxFuture<'static, ()>> {
        None
    }
}
