//! The tables that usher makes.

use super::failed;
use crate::sources::fault::SourceFault;
use tokio_postgres::Client;
use usher_policy::identity::NORMALISATION;

/// The version of the tables below.
const SCHEMA: i64 = 1;

/// As in the embedded directory, an entry refers to its change, which says when and by whom; and a change of a single key
/// names that key. `xid` is the transaction that made it: changes are not committed in the order of their numbers.
/// `kind`: 0 user, 1 tenant, 2 domain. `attributes` is JSON.
const TABLES: &str = r#"
CREATE SCHEMA IF NOT EXISTS usher;
CREATE TABLE usher.meta (name text PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE usher.change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at bigint NOT NULL,
    by text NOT NULL,
    kind smallint,
    key text COLLATE "C"
);
CREATE INDEX change_xid ON usher.change (xid);
CREATE TABLE usher.entry (
    kind smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    host text NOT NULL,
    change bigint NOT NULL,
    attributes text,
    PRIMARY KEY (kind, key)
);
CREATE INDEX entry_host ON usher.entry (host, kind, key);
CREATE FUNCTION usher.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('usher_change', coalesce(NEW.kind || ':' || NEW.key, ''));
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON usher.change FOR EACH ROW EXECUTE FUNCTION usher.tell();
"#;

/// Makes the tables, unless they are there. Returns whether they were not.
pub(super) async fn make(client: &mut Client) -> Result<bool, SourceFault> {
    if are_there(client).await? {
        check(client).await?;
        return Ok(false);
    }
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(TABLES).await.map_err(failed)?;
    for (name, value) in [("schema", SCHEMA), ("normalisation", i64::from(NORMALISATION))] {
        let sql = "INSERT INTO usher.meta VALUES ($1, $2)";
        transaction.execute(sql, &[&name, &value]).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

async fn are_there(client: &Client) -> Result<bool, SourceFault> {
    let row = client.query_one("SELECT to_regclass('usher.meta') IS NOT NULL", &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// Makes sure that this usher knows the tables.
pub(super) async fn check(client: &Client) -> Result<(), SourceFault> {
    let rows = client.query("SELECT name, value FROM usher.meta", &[]).await.map_err(failed)?;
    for (name, ours) in [("schema", SCHEMA), ("normalisation", i64::from(NORMALISATION))] {
        let theirs = rows.iter().find(|row| row.try_get(0).is_ok_and(|written: &str| written == name));
        let theirs: Option<i64> = theirs.and_then(|row| row.try_get(1).ok());
        if theirs != Some(ours) {
            let theirs = theirs.map_or_else(|| "none".to_owned(), |theirs| theirs.to_string());
            return Err(SourceFault::Out(format!(
                "its {name} version is {theirs}, but this usher supports only version {ours}"
            )));
        }
    }
    Ok(())
}
