//! What of a new configuration cannot be applied to a running program.

use crate::snapshot::Snapshot;

impl Snapshot {
    /// Names what differs from `running` and needs a restart, and puts back what is running.
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
        keep(
            self.limits.remembered_placements != running.limits.remembered_placements,
            "[limits] remembered_placements",
        );
        self.server.state_dir.clone_from(&running.server.state_dir);
        self.admin.clone_from(&running.admin);
        self.log = running.log;
        self.limits.remembered_placements = running.limits.remembered_placements;
        named
    }
}
