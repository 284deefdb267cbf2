//! Signing keys that Miniback generates once and stores.

use rusqlite::params;

use super::Store;
use super::db::error::StoreError;
use super::db::sql;

impl Store {
    /// Returns the key with this name. If it doesn't exist, stores and returns `new_key`.
    pub async fn get_or_create_signing_key(
        &self,
        name: &'static str,
        new_key: [u8; 32],
    ) -> Result<Vec<u8>, StoreError> {
        self.writer
            .write(move |tx| {
                let select = "SELECT key FROM signing_keys WHERE name = ?1";
                if let Some(key) = sql::query_optional(tx, select, [name], |row| row.get(0))? {
                    return Ok(key);
                }
                let insert = "INSERT INTO signing_keys (name, key) VALUES (?1, ?2)";
                sql::execute(tx, insert, params![name, new_key])?;
                Ok(new_key.to_vec())
            })
            .await
    }
}
