//! Standard error, written in batches by a thread of its own: whoever has something to say pays for no call of the
//! system. Nothing is dropped; a reader that does not keep up is waited for.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long lines wait for others at most.
const GATHER: Duration = Duration::from_millis(5);
/// How long a process that ends waits for its last lines to be taken.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that may wait to be written.
const WAITING: usize = 1024 * 1024;

static BATCH: Batch = Batch {
    lines: Mutex::new(Lines { waiting: Vec::new(), is_writing: false, is_served: false }),
    changed: Condvar::new(),
};

struct Batch {
    lines: Mutex<Lines>,
    changed: Condvar,
}

struct Lines {
    waiting: Vec<u8>,
    /// Some have been taken, and are not written yet.
    is_writing: bool,
    /// There is a thread for them.
    is_served: bool,
}

impl Batch {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'l>(
        &self,
        lines: MutexGuard<'l, Lines>,
        waits: impl FnMut(&mut Lines) -> bool,
    ) -> MutexGuard<'l, Lines> {
        self.changed.wait_while(lines, waits).unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, for ever.
    fn serve(&self) {
        loop {
            drop(self.wait(self.lock(), |lines| lines.waiting.is_empty()));
            std::thread::sleep(GATHER);
            let mut lines = self.lock();
            let batch = std::mem::take(&mut lines.waiting);
            lines.is_writing = true;
            drop(lines);
            // There is nobody to tell that nothing can be told.
            let _ = io::stderr().write_all(&batch);
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }
}

/// Takes lines.
pub(super) struct Writer;

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line, or several.
pub(super) fn write(line: &[u8]) {
    let mut lines = BATCH.wait(BATCH.lock(), |lines| lines.is_served && lines.waiting.len() > WAITING);
    if !lines.is_served {
        let _ = io::stderr().write_all(line);
        return;
    }
    lines.waiting.extend_from_slice(line);
    if lines.waiting.len() == line.len() {
        // The first of a batch.
        BATCH.changed.notify_all();
    }
}

/// Begins to write in batches, where the system gives a thread for it.
pub(super) fn start() {
    let started = std::thread::Builder::new().name("log".to_owned()).spawn(|| BATCH.serve());
    BATCH.lock().is_served = started.is_ok();
}

/// Returns when everything that was said before has been written, or nobody takes it.
pub(super) fn flush() {
    let waits = |lines: &mut Lines| !lines.waiting.is_empty() || lines.is_writing;
    drop(BATCH.changed.wait_timeout_while(BATCH.lock(), PATIENCE, waits));
}
