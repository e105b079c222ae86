//! How long anything is waited for.

use std::time::Duration;

/// Longer than anything here takes on a slow machine; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(60);
