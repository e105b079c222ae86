//! What a session can be told by others.

/// When a session is to end. Later variants outrank earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Between two responses, with a goodbye.
    Goodbye,
    /// At once, wherever it stands.
    End,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// No byte for too long.
    Idle,
    /// A peer does not read.
    Stalled,
    /// Its archive is moved to another host.
    Moved,
    /// An access rule denies it.
    Denied,
    /// Its host is drained.
    Drained,
    /// Its host is stopped.
    Stopped,
    /// An operator ends this session.
    Kicked,
    /// usher stops.
    Stopping,
}

const URGENCIES: [Urgency; 2] = [Urgency::Goodbye, Urgency::End];
const WHYS: [Why; 8] = [
    Why::Idle,
    Why::Stalled,
    Why::Moved,
    Why::Denied,
    Why::Drained,
    Why::Stopped,
    Why::Kicked,
    Why::Stopping,
];

/// An order that a session is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) urgency: Urgency,
    pub(crate) why: Why,
}

impl Order {
    pub(crate) fn goodbye(why: Why) -> Self {
        Self { urgency: Urgency::Goodbye, why }
    }

    pub(crate) fn end(why: Why) -> Self {
        Self { urgency: Urgency::End, why }
    }

    /// A number above 0, larger for orders that outrank others.
    pub(super) fn rank(self) -> u8 {
        (self.urgency as u8 + 1) << 4 | self.why as u8
    }

    /// The order of this rank; 0: there is none.
    pub(super) fn ranked(rank: u8) -> Option<Self> {
        let urgency = URGENCIES.into_iter().find(|urgency| *urgency as u8 + 1 == rank >> 4)?;
        let why = WHYS.into_iter().find(|why| *why as u8 == rank & 0xf)?;
        Some(Self { urgency, why })
    }
}
