//! Which parts of a new configuration cannot take effect without a restart.

use crate::snapshot::Snapshot;
use std::sync::Arc;

impl Snapshot {
    /// Returns the names of the settings that differ from `running` and need a restart, and resets them to the running
    /// values.
    pub fn keep_what_needs_a_restart(&mut self, running: &Self) -> Vec<&'static str> {
        let mut named = Vec::new();
        let mut keep = |differs: bool, name| {
            if differs {
                named.push(name);
            }
        };
        keep(self.server.state_dir != running.server.state_dir, "[server] state_dir");
        keep(self.admin != running.admin, "[admin]");
        keep(self.log != running.log, "[log]");
        keep(self.tracing != running.tracing, "[tracing]");
        keep(self.lookups != running.lookups, "[[listener]] with protocol = \"lookup\"");
        keep(self.directory.sources != running.directory.sources, "[directory] source");
        keep(self.directory.cache != running.directory.cache, "[directory] cache");
        keep(self.directory.deadline != running.directory.deadline, "[directory] deadline");
        keep(
            self.limits.remembered_placements != running.limits.remembered_placements,
            "[limits] remembered_placements",
        );
        keep(self.guessing.sources != running.guessing.sources, "[guessing] sources");
        keep(self.guessing.key_file != running.guessing.key_file, "[guessing] key_file");
        let guessing = Arc::make_mut(&mut self.guessing);
        guessing.sources = running.guessing.sources;
        guessing.key_file.clone_from(&running.guessing.key_file);
        self.server.state_dir.clone_from(&running.server.state_dir);
        self.admin.clone_from(&running.admin);
        self.log.clone_from(&running.log);
        self.tracing.clone_from(&running.tracing);
        self.lookups.clone_from(&running.lookups);
        self.directory.sources.clone_from(&running.directory.sources);
        self.directory.cache = running.directory.cache;
        self.directory.deadline = running.directory.deadline;
        self.limits.remembered_placements = running.limits.remembered_placements;
        named
    }
}
