//! Keys that the installation signs with by itself: made once, and kept.

use rusqlite::params;

use super::Store;
use super::db::error::StoreError;
use super::db::sql;

impl Store {
    /// The key of this name; `new_key` becomes it where there is none yet.
    pub async fn get_or_create_key(
        &self,
        name: &'static str,
        new_key: [u8; 32],
    ) -> Result<Vec<u8>, StoreError> {
        self.writer
            .write(move |write| {
                let kept = sql::query_optional(
                    write,
                    "SELECT key FROM signing_keys WHERE name = ?1",
                    [name],
                    |row| row.get(0),
                )?;
                if let Some(key) = kept {
                    return Ok(key);
                }
                let statement = "INSERT INTO signing_keys (name, key) VALUES (?1, ?2)";
                sql::execute(write, statement, params![name, new_key])?;
                Ok(new_key.to_vec())
            })
            .await
    }
}
