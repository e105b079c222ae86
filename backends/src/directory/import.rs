//! Import from CSV: streamed into a staging file, checked there, and swapped in as a whole.

use super::entries::{ATTRIBUTE_CAP, attribute_name, host_id, key_of, kind};
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
            if options.only_look {
                merge::look(connection, &staged, options, &mut listener)?;
            } else if listener.tally.left_out == 0 || options.leaves_out() {
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
             CREATE TABLE rows (kind INTEGER, key TEXT, host INTEGER, line INTEGER, attributes TEXT);
             CREATE TABLE sorted (kind INTEGER, key TEXT, host INTEGER, line INTEGER, attributes TEXT,
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
    let mut columns = Columns::default();
    let mut read_rows = 0;
    staging.execute_batch("BEGIN")?;
    let mut insert = staging.prepare("INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5)")?;
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
        match parse(&record, options, &mut columns) {
            Ok(None) => {}
            Ok(Some((key, host))) => {
                let attributes = match columns.changes(&record) {
                    Ok(changes) => changes,
                    Err(why) => {
                        listener.conflict(line, ConflictKind::Malformed(why));
                        continue;
                    }
                };
                let host = host.to_ascii_lowercase();
                if !hosts.contains_key(&host) {
                    let known = (options.is_host)(&host);
                    let id = if known { Some(host_id(directory, &host)?) } else { None };
                    hosts.insert(host.clone(), id);
                }
                match hosts.get(&host).copied().flatten() {
                    Some(id) => {
                        insert.execute((kind(&key), key.name(), id, line, attributes))?;
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
    columns: &mut Columns,
) -> Result<Option<(ArchiveKey, &'r str)>, String> {
    let text = |at: usize| std::str::from_utf8(record.get(at).unwrap_or_default());
    let (Ok(user), Ok(host)) = (text(0), text(1)) else { return Err("not UTF-8".to_owned()) };
    let first = record.position().is_some_and(|position| position.record() == 0);
    if first && user.eq_ignore_ascii_case("user") && host.eq_ignore_ascii_case("host") {
        return columns.read(record).map(|()| None);
    }
    let fields = 2 + columns.0.len();
    if record.len() != fields {
        let named = ["user", "host"].into_iter().chain(columns.0.iter().map(String::as_str));
        return Err(format!(
            "{} fields instead of {fields} ({})",
            record.len(),
            named.collect::<Vec<_>>().join(",")
        ));
    }
    match options.domains.written(user) {
        Some(key) => Ok(Some((key, host))),
        None => Err(format!("{user:?} is not a valid name for an archive")),
    }
}

/// Sorts `rows` into `sorted`, one row per key. A key on two hosts is a conflict and is left out.
/// A line of the file: kind, key, host, line, change of attributes.
type UnsortedRow = (u8, String, i64, u64, Option<String>);

/// The attributes that the file has columns for.
#[derive(Default)]
struct Columns(Vec<String>);

impl Columns {
    /// Reads their names from the first line.
    fn read(&mut self, header: &csv::ByteRecord) -> Result<(), String> {
        for field in header.iter().skip(2) {
            let written = String::from_utf8_lossy(field);
            let name = attribute_name(&written).filter(|name| !self.0.contains(name));
            self.0.push(
                name.ok_or_else(|| format!("{written:?} is not the name of an attribute, or is one twice"))?,
            );
        }
        Ok(())
    }

    /// What a line says of them, as a change of the entry's attributes: where it says nothing, an attribute is removed.
    fn changes(&self, record: &csv::ByteRecord) -> Result<Option<String>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut changes = serde_json::Map::new();
        for (name, field) in self.0.iter().zip(record.iter().skip(2)) {
            let value = std::str::from_utf8(field).map_err(|_| "not UTF-8".to_owned())?;
            if value.len() > ATTRIBUTE_CAP || value.chars().any(char::is_control) {
                return Err(format!(
                    "{value:?} is too long for an attribute, or contains control characters"
                ));
            }
            let value = (!value.is_empty()).then(|| value.to_owned());
            changes.insert(name.clone(), value.into());
        }
        Ok(Some(serde_json::Value::Object(changes).to_string()))
    }
}

fn sort<'s>(staging: &'s Connection, listener: &mut Listener<'_>) -> Result<Staged<'s>, DirectoryError> {
    let total: u64 = staging.query_row("SELECT count(*) FROM rows", [], |row| row.get(0))?;
    staging.execute_batch("BEGIN")?;
    let mut kept = 0;
    {
        let mut insert = staging.prepare("INSERT INTO sorted VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut select =
            staging.prepare("SELECT kind, key, host, line, attributes FROM rows ORDER BY kind, key, line")?;
        let mut rows = select.query([])?;
        let mut at_hand: Option<UnsortedRow> = None;
        let mut ambiguous = false;
        let mut seen = 0;
        loop {
            let next: Option<UnsortedRow> = match rows.next()? {
                Some(row) => Some((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
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
