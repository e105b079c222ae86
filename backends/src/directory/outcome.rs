//! The options, progress and result of an import.

use usher_policy::ArchiveKey;
use usher_policy::identity::Domains;

/// How to import.
pub struct ImportOptions<'a> {
    /// How names become keys.
    pub domains: &'a Domains,
    /// Whether a host of this name exists.
    pub is_host: &'a dyn Fn(&str) -> bool,
    /// Move users that are on another host, and leave out lines that cannot be applied.
    pub replace: bool,
    /// Bring the directory in step with the file: move users that are on another host, and remove those that are not in
    /// it. A line that cannot be applied prevents all of that: it could be anybody's.
    pub sync: Option<Sync>,
    /// Change nothing, but say what would be.
    pub only_look: bool,
    /// Who imports.
    pub by: &'a str,
}

/// How many users may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Up to a tenth: a file with fewer is more likely cut off.
    Careful,
    /// All of them.
    Force,
}

impl ImportOptions<'_> {
    /// Whether users on another host are moved.
    pub(super) fn moves(&self) -> bool {
        self.replace || self.sync.is_some()
    }

    /// Whether what can be applied is, although some lines cannot be.
    pub(super) fn leaves_out(&self) -> bool {
        self.replace && self.sync.is_none()
    }
}

/// A line that prevents the import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its number, counted from 1; 0 where it is no longer known.
    pub line: u64,
    /// What is wrong with it.
    pub kind: ConflictKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictKind {
    /// It is not `user,host`.
    Malformed(String),
    /// No host has this name.
    UnknownHost(String),
    /// The file puts this user on another host too.
    TwoHosts {
        /// The user.
        user: ArchiveKey,
        /// The line that says otherwise.
        other_line: u64,
    },
    /// The directory has this user on another host.
    Elsewhere {
        /// The user.
        user: ArchiveKey,
        /// The host in the directory.
        host: String,
    },
}

impl ConflictKind {
    /// What is wrong with all lines of this kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownHost(_) => "unknown host",
            Self::TwoHosts { .. } => "on two hosts in the file",
            Self::Elsewhere { .. } => "on another host already",
        }
    }
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        match &self.kind {
            ConflictKind::Malformed(why) => write!(f, "malformed: {why}"),
            ConflictKind::UnknownHost(host) => write!(f, "unknown host {host:?}"),
            ConflictKind::TwoHosts { user, other_line } => {
                write!(f, "{user} is on another host in line {other_line}")
            }
            ConflictKind::Elsewhere { user, host } => write!(f, "{user} is on {host} already"),
        }
    }
}

/// What an import is doing, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportPhase {
    /// Reading lines; the number is that of the bytes read.
    Reading(u64),
    /// Sorting; so many of so many rows.
    Sorting(u64, u64),
    /// Writing; so many of so many rows.
    Writing(u64, u64),
    /// So many of so many entries are not in the file, and are about to be removed.
    Removing(u64, u64),
}

/// The result of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Whether anything was swapped in.
    pub done: bool,
    /// Keys in the file that could be taken.
    pub keys: u64,
    /// Keys that were not in the directory.
    pub added: u64,
    /// Keys that were on another host.
    pub moved: u64,
    /// Keys that were not in the file, and have been removed.
    pub removed: u64,
    /// More than a tenth would have been removed.
    pub is_too_much: bool,
    /// Lines in the way.
    pub conflicts: u64,
    /// How many of those `replace` cannot resolve.
    pub left_out: u64,
}

/// Where conflicts and progress are reported.
pub(super) struct Listener<'a> {
    pub(super) conflict: &'a mut dyn FnMut(&Conflict),
    pub(super) progress: &'a mut dyn FnMut(ImportPhase),
    pub(super) tally: Imported,
}

impl Listener<'_> {
    pub(super) fn conflict(&mut self, line: u64, kind: ConflictKind) {
        self.tally.conflicts += 1;
        if !matches!(kind, ConflictKind::Elsewhere { .. }) {
            self.tally.left_out += 1;
        }
        (self.conflict)(&Conflict { line, kind });
    }
}
