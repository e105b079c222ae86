//! What a session can be told by others.

/// How a session is to end. Later ones outrank earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Not at all.
    None,
    /// Between two responses, with a goodbye.
    Goodbye,
    /// At once, wherever it stands.
    End,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// No octet for too long.
    Idle,
    /// A peer does not read.
    Stalled,
    /// Its host is drained.
    Drained,
    /// Its host is stopped.
    Stopped,
    /// An operator ends this session.
    Kicked,
    /// usher stops.
    Stopping,
}

const URGENCIES: [Urgency; 3] = [Urgency::None, Urgency::Goodbye, Urgency::End];
const WHYS: [Why; 6] = [Why::Idle, Why::Stalled, Why::Drained, Why::Stopped, Why::Kicked, Why::Stopping];

/// What a session has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) urgency: Urgency,
    pub(crate) why: Why,
}

impl Order {
    /// Go on.
    pub(crate) const NONE: Self = Self { urgency: Urgency::None, why: Why::Idle };

    pub(crate) fn goodbye(why: Why) -> Self {
        Self { urgency: Urgency::Goodbye, why }
    }

    pub(crate) fn end(why: Why) -> Self {
        Self { urgency: Urgency::End, why }
    }

    /// One number, larger for what outranks.
    pub(super) fn rank(self) -> u8 {
        (self.urgency as u8) << 4 | self.why as u8
    }

    /// The order of this rank.
    pub(super) fn ranked(rank: u8) -> Self {
        let urgency = URGENCIES.into_iter().find(|urgency| *urgency as u8 == rank >> 4);
        let why = WHYS.into_iter().find(|why| *why as u8 == rank & 0xf);
        urgency.zip(why).map_or(Self::NONE, |(urgency, why)| Self { urgency, why })
    }
}
