//! Keys that the installation signs with by itself: made once, and kept.

use rusqlite::params;

use super::Store;
use super::db::error::StoreError;
use super::db::sql;

impl Store {
    /// The key of this name; `fresh` becomes it where there is none yet.
    pub async fn key(&self, name: &'static str, fresh: [u8; 32]) -> Result<Vec<u8>, StoreError> {
        self.writer
            .write(move |write| {
                let kept = sql::first(
                    write,
                    "SELECT key FROM keys WHERE name = ?1",
                    [name],
                    |row| row.get(0),
                )?;
                if let Some(key) = kept {
                    return Ok(key);
                }
                let statement = "INSERT INTO keys (name, key) VALUES (?1, ?2)";
                sql::run(write, statement, params![name, fresh])?;
                Ok(fresh.to_vec())
            })
            .await
    }
}
