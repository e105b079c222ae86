//! Import from CSV: streamed into a staging file, checked there, and swapped in as a whole.

use super::entries::{host_id, key_of, kind};
use super::merge::{self, Staged};
use super::outcome::{Conflict, ConflictKind, ImportOptions, ImportPhase, Imported, Listener};
use super::{Directory, DirectoryError};
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use usher_policy::ArchiveKey;

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 8192;

impl Directory {
    /// Imports `user,host` lines. Every conflict is reported; if there are any, nothing changes unless `replace` is
    /// given. Readers see all of it or nothing, and other writers wait for at most one chunk.
    ///
    /// # Errors
    /// When a file cannot be read or written, or another import is under way; nothing has changed then.
    pub fn import(
        &self,
        source: impl Read,
        options: &ImportOptions<'_>,
        conflict: &mut dyn FnMut(&Conflict),
        progress: &mut dyn FnMut(ImportPhase),
    ) -> Result<Imported, DirectoryError> {
        let _lock = self.lock_imports()?;
        let mut listener = Listener { conflict, progress, tally: Imported::default() };
        let staging = Staging::open(&self.path)?;
        self.with(|connection| {
            read(connection, &staging.0, source, options, &mut listener)?;
            let staged = sort(&staging.0, &mut listener)?;
            listener.tally.keys = staged.rows;
            if listener.tally.left_out == 0 || options.replace {
                let staged = Staged { connection: &staging.0, ..staged };
                merge::merge(connection, &staged, options, &mut listener)?;
            } else {
                // Nothing is applied, but every conflict is reported.
                merge::tell_elsewhere(connection, &staged, &mut listener)?;
            }
            Ok(listener.tally)
        })
    }

    fn lock_imports(&self) -> Result<File, DirectoryError> {
        let path = self.path.with_extension("import.lock");
        let io = |source| DirectoryError::Io { path: path.clone(), source };
        // Whoever created the file, locking it needs no write permission.
        let file = File::open(&path).or_else(|_| File::create(&path)).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::ImportUnderWay),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// A separate file, so that staging ten million rows neither locks nor grows the directory. It is unlinked once it is
/// open, so it disappears with the process, however that ends.
struct Staging(Connection);

impl Staging {
    fn open(directory: &Path) -> Result<Self, DirectoryError> {
        let path = directory.with_extension("import");
        let io = |source| DirectoryError::Io { path: path.clone(), source };
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(io(source)),
            _ => {}
        }
        let connection = Connection::open(&path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             CREATE TABLE rows (kind INTEGER, key TEXT, host INTEGER, line INTEGER);
             CREATE TABLE sorted (kind INTEGER, key TEXT, host INTEGER, line INTEGER,
                                  PRIMARY KEY (kind, key)) WITHOUT ROWID;",
        )?;
        std::fs::remove_file(&path).map_err(io)?;
        Ok(Self(connection))
    }
}

/// Reads the lines into `rows`.
fn read(
    directory: &Connection,
    staging: &Connection,
    source: impl Read,
    options: &ImportOptions<'_>,
    listener: &mut Listener<'_>,
) -> Result<(), DirectoryError> {
    let mut hosts: HashMap<String, Option<i64>> = HashMap::new();
    let mut source = BufReader::with_capacity(SAMPLE, source);
    let separator = begin(&mut source)
        .map_err(|source| DirectoryError::Io { path: "the file to be imported".into(), source })?;
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .trim(csv::Trim::All)
        .from_reader(source);
    let mut record = csv::ByteRecord::new();
    let mut read_rows = 0;
    staging.execute_batch("BEGIN")?;
    let mut insert = staging.prepare("INSERT INTO rows VALUES (?1, ?2, ?3, ?4)")?;
    loop {
        match csv.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(source) => {
                    return Err(DirectoryError::Io { path: "the file to be imported".into(), source });
                }
                other => {
                    listener.conflict(csv.position().line(), ConflictKind::Malformed(format!("{other:?}")));
                    continue;
                }
            },
        }
        // The record's first line, computed from its end: the reader also skips blank lines before it.
        let lines_within: u64 =
            record.iter().map(|field| field.iter().filter(|b| **b == b'\n').count() as u64).sum();
        let line = csv.position().line().saturating_sub(1 + lines_within).max(1);
        match parse(&record, options) {
            Ok(None) => {}
            Ok(Some((key, host))) => {
                let host = host.to_ascii_lowercase();
                if !hosts.contains_key(&host) {
                    let known = (options.is_host)(&host);
                    let id = if known { Some(host_id(directory, &host)?) } else { None };
                    hosts.insert(host.clone(), id);
                }
                match hosts.get(&host).copied().flatten() {
                    Some(id) => {
                        insert.execute((kind(&key), key.name(), id, line))?;
                    }
                    None => listener.conflict(line, ConflictKind::UnknownHost(host)),
                }
            }
            Err(why) => listener.conflict(line, ConflictKind::Malformed(why)),
        }
        read_rows += 1;
        if read_rows % REPORT_EVERY == 0 {
            (listener.progress)(ImportPhase::Reading(csv.position().byte()));
        }
    }
    drop(insert);
    staging.execute_batch("COMMIT")?;
    Ok(())
}

/// Bytes that are examined to find the separator.
const SAMPLE: usize = 64 * 1024;

/// Skips a byte order mark and returns the field separator, which is taken from the first line that is not blank.
fn begin(source: &mut BufReader<impl Read>) -> std::io::Result<u8> {
    let start = source.fill_buf()?;
    let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let text = start.get(mark..).unwrap_or_default();
    let line = text.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let found = [b',', b';', b'\t'].into_iter().find(|separator| line.contains(separator));
    source.consume(mark);
    Ok(found.unwrap_or(b','))
}

/// Reads one record; `None` for the header line.
fn parse<'r>(
    record: &'r csv::ByteRecord,
    options: &ImportOptions<'_>,
) -> Result<Option<(ArchiveKey, &'r str)>, String> {
    if record.len() != 2 {
        return Err(format!("{} fields instead of 2 (user,host)", record.len()));
    }
    let text = |at: usize| std::str::from_utf8(record.get(at).unwrap_or_default());
    let (Ok(user), Ok(host)) = (text(0), text(1)) else { return Err("not UTF-8".to_owned()) };
    let first = record.position().is_some_and(|position| position.record() == 0);
    if first && user.eq_ignore_ascii_case("user") && host.eq_ignore_ascii_case("host") {
        return Ok(None);
    }
    match options.domains.written(user) {
        Some(key) => Ok(Some((key, host))),
        None => Err(format!("{user:?} is not a valid name for an archive")),
    }
}

/// Sorts `rows` into `sorted`, one row per key. A key on two hosts is a conflict and is left out.
fn sort<'s>(staging: &'s Connection, listener: &mut Listener<'_>) -> Result<Staged<'s>, DirectoryError> {
    let total: u64 = staging.query_row("SELECT count(*) FROM rows", [], |row| row.get(0))?;
    staging.execute_batch("BEGIN")?;
    let mut kept = 0;
    {
        let mut insert = staging.prepare("INSERT INTO sorted VALUES (?1, ?2, ?3, ?4)")?;
        let mut select =
            staging.prepare("SELECT kind, key, host, line FROM rows ORDER BY kind, key, line")?;
        let mut rows = select.query([])?;
        let mut at_hand: Option<(u8, String, i64, u64)> = None;
        let mut ambiguous = false;
        let mut seen = 0;
        loop {
            let next: Option<(u8, String, i64, u64)> = match rows.next()? {
                Some(row) => Some((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                None => None,
            };
            if let (Some(first), Some(next)) = (&at_hand, &next)
                && (first.0, &first.1) == (next.0, &next.1)
            {
                if first.2 != next.2 {
                    ambiguous = true;
                    let user = key_of(next.0, next.1.clone());
                    listener.conflict(next.3, ConflictKind::TwoHosts { user, other_line: first.3 });
                }
                continue;
            }
            if let Some(row) = at_hand.filter(|_| !ambiguous) {
                insert.execute(row)?;
                kept += 1;
            }
            seen += 1;
            if seen % REPORT_EVERY == 0 {
                (listener.progress)(ImportPhase::Sorting(seen, total));
            }
            ambiguous = false;
            match next {
                Some(next) => at_hand = Some(next),
                None => break,
            }
        }
    }
    staging.execute_batch("COMMIT; DROP TABLE rows")?;
    Ok(Staged { connection: staging, rows: kept })
}
