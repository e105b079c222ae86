//! Imports: what the file says is sorted out in a directory of its own, sent to the server, and compared and put in force
//! there in one transaction.

use super::failed;
use super::header::Header;
use super::writer::{Writer, new_change};
use crate::directory::{
    Conflict, ConflictKind, Directory, DirectoryError, ImportOptions, ImportPhase, Imported, Sync, key_of,
    kind, stored_as,
};
use crate::sources::fault::SourceFault;
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, SinkExt};
use std::io::Read;
use std::pin::pin;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver};
use tokio_postgres::Transaction;
use usher_policy::ArchiveKey;

/// Bytes that are sent at once.
const CHUNK: usize = 64 * 1024;
/// Chunks that may wait to be sent.
const WAITING: usize = 16;

const INCOMING: &str = "CREATE TEMPORARY TABLE incoming (kind smallint, key text COLLATE \"C\", host text, \
     attributes jsonb, PRIMARY KEY (kind, key)) ON COMMIT DROP";

/// What is sent to the server.
enum Piece {
    Lines(Bytes),
    /// That was all.
    End,
}

/// What the server is to do.
struct Plan {
    moves: bool,
    sync: Option<Sync>,
    only_look: bool,
    by: String,
    /// The attributes that the file has columns for.
    columns: Vec<String>,
}

/// Whoever is on another host: the key, and that host.
type Elsewhere = (ArchiveKey, String);

/// What the server has done.
struct Outcome {
    done: bool,
    there: u64,
    elsewhere: u64,
    present: u64,
    is_too_much: bool,
}

pub(super) fn import(
    ledger: &Writer,
    source: &mut dyn Read,
    options: &ImportOptions<'_>,
    conflict: &mut dyn FnMut(&Conflict),
    progress: &mut dyn FnMut(ImportPhase),
) -> Result<Imported, DirectoryError> {
    let io = |source| DirectoryError::Io { path: "a temporary directory".into(), source };
    let scratch = tempfile::tempdir().map_err(io)?;
    let staged = Directory::open(scratch.path())?;
    let ImportOptions { domains, is_host, replace, by, .. } = *options;
    // Nothing is there that could be elsewhere, so lines can only be wrong in themselves.
    let itself = ImportOptions { domains, is_host, replace: true, sync: None, only_look: false, by };
    let mut header = Header::new(source);
    let mut tally = staged.import(&mut header, &itself, conflict, progress)?;
    (tally.added, tally.moved, tally.done) = (0, 0, false);
    if tally.left_out > 0 && !options.only_look && !(replace && options.sync.is_none()) {
        return Ok(tally);
    }
    let plan = Plan {
        moves: replace || options.sync.is_some(),
        sync: options.sync,
        only_look: options.only_look,
        by: by.to_owned(),
        columns: header.columns(),
    };
    let (outcome, mut elsewhere) = send(ledger, staged, plan)?;
    while let Ok((user, host)) = elsewhere.try_recv() {
        tally.conflicts += 1;
        conflict(&Conflict { line: 0, kind: ConflictKind::Elsewhere { user, host } });
    }
    let removed = outcome.present - outcome.there;
    if options.sync.is_some() && removed > 0 {
        progress(ImportPhase::Removing(removed, outcome.present));
    }
    tally.done = outcome.done;
    tally.is_too_much = outcome.is_too_much;
    if outcome.done || options.only_look {
        tally.added = tally.keys - outcome.there;
        tally.moved = outcome.elsewhere;
        tally.removed = if options.sync.is_some() { removed } else { 0 };
    }
    Ok(tally)
}

/// Sends what is staged, and has it put in force.
fn send(
    ledger: &Writer,
    staged: Directory,
    plan: Plan,
) -> Result<(Outcome, UnboundedReceiver<Elsewhere>), DirectoryError> {
    let (sender, lines) = mpsc::channel::<Piece>(WAITING);
    let (told, elsewhere) = mpsc::unbounded_channel();
    let reader = std::thread::spawn(move || {
        let mut chunk = BytesMut::with_capacity(2 * CHUNK);
        let mut is_wanted = true;
        let scanned = staged.scan(None, |entry| {
            let attributes = stored_as(&entry.attributes);
            let kind = kind(&entry.key).to_string();
            let fields =
                [Some(kind.as_str()), Some(entry.key.name()), Some(&entry.host), attributes.as_deref()];
            for (at, field) in fields.into_iter().enumerate() {
                if at > 0 {
                    chunk.extend_from_slice(b"\t");
                }
                write(field, &mut chunk);
            }
            chunk.extend_from_slice(b"\n");
            if chunk.len() >= CHUNK {
                is_wanted = sender.blocking_send(Piece::Lines(chunk.split().freeze())).is_ok();
            }
            is_wanted
        });
        if scanned.is_ok() && is_wanted {
            let _ = sender.blocking_send(Piece::Lines(chunk.freeze()));
            let _ = sender.blocking_send(Piece::End);
        }
        scanned
    });
    let outcome = ledger.change_if(
        true,
        Box::new(|transaction| {
            async move {
                copy(transaction, lines).await?;
                apply(transaction, &plan, told).await
            }
            .boxed()
        }),
        |outcome| outcome.done,
    );
    let read =
        reader.join().unwrap_or_else(|_| Err(DirectoryError::Unsure("the import was lost".to_owned())));
    let outcome = outcome?;
    if outcome.done {
        ledger.tell_of_everything();
    }
    read.map(|()| (outcome, elsewhere))
}

/// Writes a field as COPY reads it; nothing is NULL.
fn write(field: Option<&str>, out: &mut BytesMut) {
    let Some(field) = field else { return out.extend_from_slice(b"\\N") };
    for byte in field.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.extend_from_slice(&[byte]),
        }
    }
}

async fn copy(transaction: &Transaction<'_>, mut lines: Receiver<Piece>) -> Result<(), SourceFault> {
    transaction.batch_execute(INCOMING).await.map_err(failed)?;
    let sink = transaction.copy_in("COPY incoming FROM STDIN").await.map_err(failed)?;
    let mut sink = pin!(sink);
    loop {
        match lines.recv().await {
            Some(Piece::Lines(chunk)) => sink.send(chunk).await.map_err(failed)?,
            Some(Piece::End) => break,
            // What is cut off would be taken for all there is.
            None => return Err(SourceFault::out("the list is cut off")),
        }
    }
    sink.finish().await.map_err(failed)?;
    transaction.batch_execute("ANALYZE incoming").await.map_err(failed)
}

async fn apply(
    transaction: &Transaction<'_>,
    plan: &Plan,
    told: mpsc::UnboundedSender<Elsewhere>,
) -> Result<Outcome, SourceFault> {
    // Others go on reading, and wait with their changes.
    let wait = "SET LOCAL lock_timeout = 0; LOCK TABLE usher.entry IN SHARE ROW EXCLUSIVE MODE";
    transaction.batch_execute(wait).await.map_err(failed)?;
    let count = async |sql: &str| -> Result<u64, SourceFault> {
        let counted: i64 =
            transaction.query_one(sql, &[]).await.map_err(failed)?.try_get(0).map_err(failed)?;
        Ok(counted.unsigned_abs())
    };
    let there = count("SELECT count(*) FROM incoming JOIN usher.entry USING (kind, key)").await?;
    let present = match plan.sync {
        Some(_) => count("SELECT count(*) FROM usher.entry").await?,
        None => there,
    };
    let sql = "SELECT i.kind, i.key, e.host FROM incoming i JOIN usher.entry e USING (kind, key) \
         WHERE e.host <> i.host ORDER BY 1, 2";
    let differing = transaction.query(sql, &[]).await.map_err(failed)?;
    for row in &differing {
        let of: i16 = row.try_get(0).map_err(failed)?;
        let key = key_of(u8::try_from(of).unwrap_or_default(), row.try_get(1).map_err(failed)?);
        let _ = told.send((key, row.try_get(2).map_err(failed)?));
    }
    let is_too_much = plan.sync == Some(Sync::Careful) && (present - there) * 10 > present;
    let mut outcome = Outcome { done: false, there, elsewhere: differing.len() as u64, present, is_too_much };
    if plan.only_look || is_too_much || outcome.elsewhere > 0 && !plan.moves {
        return Ok(outcome);
    }
    let change = new_change(transaction, &plan.by, None).await?;
    // A key that stays on its host keeps its history.
    let sql = "INSERT INTO usher.entry AS e (kind, key, host, change, attributes)
        SELECT kind, key, host, $1, attributes::text FROM incoming
        ON CONFLICT (kind, key) DO UPDATE SET host = excluded.host,
            change = CASE WHEN e.host = excluded.host THEN e.change ELSE excluded.change END,
            attributes = nullif(((coalesce(e.attributes, '{}')::jsonb - $2::text[])
                || coalesce(excluded.attributes, '{}')::jsonb)::text, '{}')";
    transaction.execute(sql, &[&change, &plan.columns]).await.map_err(failed)?;
    if plan.sync.is_some() {
        let sql = "DELETE FROM usher.entry e WHERE NOT EXISTS \
             (SELECT 1 FROM incoming i WHERE i.kind = e.kind AND i.key = e.key)";
        transaction.execute(sql, &[]).await.map_err(failed)?;
    }
    outcome.done = true;
    Ok(outcome)
}
