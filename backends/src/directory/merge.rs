//! Brings staged rows into the directory: a few in one transaction, many by building the next table beside
//! the one in use and swapping the two.

use super::DirectoryError;
use super::entries::{key_of, new_change};
use super::outcome::{ConflictKind, ImportOptions, ImportPhase, Listener, Sync};
use super::schema::entry_table;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::cmp::Ordering;
use std::collections::VecDeque;

/// Up to this many rows, one transaction takes well under a second.
const AT_ONCE: u64 = 50_000;
/// Rows written before other writers get a chance.
const CHUNK: usize = 20_000;

/// The sorted rows of an import.
pub(super) struct Staged<'s> {
    pub(super) connection: &'s Connection,
    pub(super) rows: u64,
}

/// One row of either table: kind, key, host, change, attributes or, of the import, a change of them.
type Row = (u8, String, i64, i64, Option<String>);

/// A row of the import: kind, key, host, line.
type StagedRow = (u8, String, i64, u64);

/// Reports every staged key that the directory has on another host. Returns how many there are, and how many staged
/// keys the directory has at all.
pub(super) fn tell_elsewhere(
    directory: &Connection,
    staged: &Staged<'_>,
    listener: &mut Listener<'_>,
) -> Result<(u64, u64), DirectoryError> {
    let (mut elsewhere, mut there) = (0, 0);
    let empty: bool = directory.query_row("SELECT NOT EXISTS (SELECT 1 FROM entry)", [], |row| row.get(0))?;
    if empty {
        return Ok((0, 0));
    }
    let mut find = directory.prepare(
        "SELECT h.id, h.name FROM entry e JOIN host h ON h.id = e.host WHERE e.kind = ?1 AND e.key = ?2",
    )?;
    let mut select =
        staged.connection.prepare("SELECT kind, key, host, line FROM sorted ORDER BY kind, key")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, key, host, line): StagedRow = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let found: Option<(i64, String)> =
            find.query_row((kind, &key), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((id, name)) = found {
            there += 1;
            if id != host {
                elsewhere += 1;
                listener.conflict(line, ConflictKind::Elsewhere { user: key_of(kind, key), host: name });
            }
        }
    }
    Ok((elsewhere, there))
}

/// Says what would be applied.
pub(super) fn look(
    directory: &Connection,
    staged: &Staged<'_>,
    options: &ImportOptions<'_>,
    listener: &mut Listener<'_>,
) -> Result<(), DirectoryError> {
    let (elsewhere, there) = tell_elsewhere(directory, staged, listener)?;
    may_remove(directory, there, options, listener)?;
    listener.tally.moved = elsewhere;
    listener.tally.added = staged.rows - there;
    Ok(())
}

/// Applies the staged rows, unless a key is on another host and must not be moved.
pub(super) fn merge(
    directory: &mut Connection,
    staged: &Staged<'_>,
    options: &ImportOptions<'_>,
    listener: &mut Listener<'_>,
) -> Result<(), DirectoryError> {
    let mut touched = staged.rows;
    if options.sync.is_some() {
        touched = touched.max(entries(directory)?);
    }
    if touched <= AT_ONCE {
        let transaction = directory.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (elsewhere, there) = tell_elsewhere(&transaction, staged, listener)?;
        if elsewhere > 0 && !options.moves() || !may_remove(&transaction, there, options, listener)? {
            return Ok(());
        }
        let change = new_change(&transaction, options.by, None)?;
        insert_all(&transaction, staged, change, listener)?;
        if options.sync.is_some() {
            remove_others(&transaction, staged, options.by)?;
        }
        transaction.commit()?;
        finish(listener, staged, elsewhere, there);
        return Ok(());
    }
    // Record the change first: what others change from here on is examined at the end.
    let change = begin_next(directory, options.by)?;
    let (elsewhere, there) = tell_elsewhere(directory, staged, listener)?;
    let may_move = elsewhere == 0 || options.moves();
    if may_move && may_remove(directory, there, options, listener)? {
        fill_next(directory, staged, change, options, listener)?;
        if swap(directory, staged, change, options, listener)? {
            finish(listener, staged, elsewhere, there);
        }
    }
    // Drops the table that is not in use: the former one, or an abandoned next one.
    directory.execute_batch("DROP TABLE IF EXISTS entry_former; DROP TABLE IF EXISTS entry_next;")?;
    Ok(())
}

fn entries(directory: &Connection) -> Result<u64, DirectoryError> {
    Ok(directory.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))?)
}

/// Says how many entries are to be removed, of which `there` are in the file, and whether that may be.
fn may_remove(
    directory: &Connection,
    there: u64,
    options: &ImportOptions<'_>,
    listener: &mut Listener<'_>,
) -> Result<bool, DirectoryError> {
    let Some(sync) = options.sync else { return Ok(true) };
    let present = entries(directory)?;
    let others = present.saturating_sub(there);
    (listener.progress)(ImportPhase::Removing(others, present));
    listener.tally.is_too_much = sync == Sync::Careful && others.saturating_mul(10) > present;
    listener.tally.removed = if listener.tally.is_too_much { 0 } else { others };
    Ok(!listener.tally.is_too_much)
}

/// Removes every entry that is not in the file.
fn remove_others(directory: &Connection, staged: &Staged<'_>, by: &str) -> Result<(), DirectoryError> {
    let mut is_staged = staged.connection.prepare("SELECT 1 FROM sorted WHERE kind = ?1 AND key = ?2")?;
    let mut others: Vec<(u8, String)> = Vec::new();
    let mut select = directory.prepare("SELECT kind, key FROM entry")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, key): (u8, String) = (row.get(0)?, row.get(1)?);
        if !is_staged.exists((kind, &key))? {
            others.push((kind, key));
        }
    }
    for (kind, key) in others {
        directory.execute("DELETE FROM entry WHERE kind = ?1 AND key = ?2", (kind, &key))?;
        new_change(directory, by, Some(&key_of(kind, key)))?;
    }
    Ok(())
}

fn finish(listener: &mut Listener<'_>, staged: &Staged<'_>, elsewhere: u64, there: u64) {
    listener.tally.done = true;
    listener.tally.moved = elsewhere;
    listener.tally.added = staged.rows - there;
}

fn insert_all(
    directory: &Connection,
    staged: &Staged<'_>,
    change: i64,
    listener: &mut Listener<'_>,
) -> Result<(), DirectoryError> {
    let mut upsert = directory.prepare(
        "INSERT INTO entry (kind, key, host, change, attributes)
         VALUES (?1, ?2, ?3, ?4, nullif(json_patch('{}', coalesce(?5, '{}')), '{}'))
         ON CONFLICT (kind, key) DO UPDATE SET host = excluded.host, change = excluded.change,
             attributes = nullif(json_patch(coalesce(attributes, '{}'), coalesce(?5, '{}')), '{}')
         WHERE host <> excluded.host OR ?5 IS NOT NULL
             AND json_patch(coalesce(attributes, '{}'), ?5) <> coalesce(attributes, '{}')",
    )?;
    let mut select =
        staged.connection.prepare("SELECT kind, key, host, attributes FROM sorted ORDER BY kind, key")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, key, host): (u8, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        upsert.execute((kind, key, host, change, row.get::<_, Option<String>>(3)?))?;
    }
    (listener.progress)(ImportPhase::Writing(staged.rows, staged.rows));
    Ok(())
}

/// Creates the next table and records the change: whatever is changed from here on is replayed.
fn begin_next(directory: &mut Connection, by: &str) -> Result<i64, DirectoryError> {
    let transaction = directory.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("DROP TABLE IF EXISTS entry_next; DROP TABLE IF EXISTS entry_former;")?;
    transaction.execute_batch(&entry_table("entry_next"))?;
    let change = new_change(&transaction, by, None)?;
    transaction.commit()?;
    Ok(change)
}

/// Merges the table in use and the staged rows into the next table, chunk by chunk.
fn fill_next(
    directory: &mut Connection,
    staged: &Staged<'_>,
    change: i64,
    options: &ImportOptions<'_>,
    listener: &mut Listener<'_>,
) -> Result<(), DirectoryError> {
    let present = entries(directory)?;
    let total = present + staged.rows;
    let mut select =
        staged.connection.prepare("SELECT kind, key, host, attributes FROM sorted ORDER BY kind, key")?;
    let mut staged_rows = select.query([])?;
    let mut next_staged = || -> Result<Option<Row>, DirectoryError> {
        Ok(match staged_rows.next()? {
            Some(row) => Some((row.get(0)?, row.get(1)?, row.get(2)?, change, row.get(3)?)),
            None => None,
        })
    };
    let mut new = next_staged()?;
    let mut written = 0;
    // The table in use is read in chunks too: one long read would keep the write-ahead log from being truncated.
    let mut old = VecDeque::new();
    let mut after: (u8, String) = (0, String::new());
    let mut old_ended = false;
    loop {
        let transaction = directory.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare(
                "INSERT INTO entry_next VALUES (?1, ?2, ?3, ?4, CASE WHEN ?6 IS NULL THEN ?5
                     ELSE nullif(json_patch(coalesce(?5, '{}'), ?6), '{}') END)",
            )?;
            for _ in 0..CHUNK {
                if old.is_empty() && !old_ended {
                    old = chunk_after(&transaction, &after)?;
                    old_ended = old.len() < CHUNK;
                    if let Some(last) = old.back() {
                        after = (last.0, last.1.clone());
                    }
                }
                let order = match (old.front(), &new) {
                    (Some(old), Some(new)) => (old.0, &old.1).cmp(&(new.0, &new.1)),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => break,
                };
                let before = if order.is_le() { old.pop_front() } else { None };
                let coming = if order.is_ge() { new.take() } else { None };
                if coming.is_some() {
                    new = next_staged()?;
                }
                // A key that stays on its host keeps its history.
                let row = match (before, coming) {
                    (Some(before), Some(coming)) if before.2 != coming.2 => {
                        Some(((before.0, before.1, coming.2, coming.3, before.4), coming.4))
                    }
                    (Some(_), None) if options.sync.is_some() => None,
                    (Some(before), coming) => Some((before, coming.and_then(|coming| coming.4))),
                    (None, coming) => coming.map(|(kind, key, host, change, attributes)| {
                        ((kind, key, host, change, None), attributes)
                    }),
                };
                if let Some(((kind, key, host, change, attributes), changes)) = row {
                    insert.execute((kind, key, host, change, attributes, changes))?;
                    written += 1;
                }
            }
        }
        transaction.commit()?;
        (listener.progress)(ImportPhase::Writing(written, total));
        if old.is_empty() && old_ended && new.is_none() {
            return Ok(());
        }
    }
}

fn chunk_after(directory: &Connection, after: &(u8, String)) -> Result<VecDeque<Row>, DirectoryError> {
    let mut select = directory.prepare_cached(
        "SELECT kind, key, host, change, attributes FROM entry
         WHERE (kind, key) > (?1, ?2) ORDER BY kind, key LIMIT ?3",
    )?;
    let rows = select.query_map((after.0, &after.1, CHUNK), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Replays what was changed meanwhile, which is newer than the import and wins, even if it removes a key, and puts the
/// next table into use. False if a key has meanwhile been put on another host and must not be moved.
fn swap(
    directory: &mut Connection,
    staged: &Staged<'_>,
    change: i64,
    options: &ImportOptions<'_>,
    listener: &mut Listener<'_>,
) -> Result<bool, DirectoryError> {
    let transaction = directory.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut select =
            transaction.prepare("SELECT DISTINCT kind, key FROM change WHERE id > ?1 AND key IS NOT NULL")?;
        let mut rows = select.query([change])?;
        let mut find_staged =
            staged.connection.prepare("SELECT host, line FROM sorted WHERE kind = ?1 AND key = ?2")?;
        while let Some(row) = rows.next()? {
            let (kind, key): (u8, String) = (row.get(0)?, row.get(1)?);
            let now: Option<(i64, String)> = transaction
                .query_row(
                    "SELECT h.id, h.name FROM entry e JOIN host h ON h.id = e.host
                     WHERE e.kind = ?1 AND e.key = ?2",
                    (kind, &key),
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let wanted: Option<(i64, u64)> =
                find_staged.query_row((kind, &key), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            if let (Some((host, line)), Some((id, name))) = (wanted, now)
                && host != id
                && !options.moves()
            {
                listener.conflict(line, ConflictKind::Elsewhere { user: key_of(kind, key), host: name });
                return Ok(false);
            }
            transaction.execute("DELETE FROM entry_next WHERE kind = ?1 AND key = ?2", (kind, &key))?;
            transaction.execute(
                "INSERT INTO entry_next SELECT * FROM entry WHERE kind = ?1 AND key = ?2",
                (kind, &key),
            )?;
        }
    }
    transaction
        .execute_batch("ALTER TABLE entry RENAME TO entry_former; ALTER TABLE entry_next RENAME TO entry;")?;
    // Recorded once more, now that it takes effect: whoever follows changes forgets what they remember.
    transaction.execute(
        "INSERT INTO change (at, by, kind, key) SELECT at, by, NULL, NULL FROM change WHERE id = ?1",
        [change],
    )?;
    transaction.commit()?;
    Ok(true)
}
