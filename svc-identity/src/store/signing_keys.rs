//! The rows of the keys that sign access tokens.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::{from_cql, to_cql};

/// The partition of the keys; another use of keys gets another one.
const PURPOSE: &str = "access-token";

/// A key as it is stored: the private part encrypted.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// 1 for the first key, one more for each next one.
    pub sequence: i32,
    /// The `kid` of its tokens.
    pub key_id: String,
    /// 32 bytes.
    pub public_key: Vec<u8>,
    /// What [`platform::vault`] made of the private part.
    pub sealed_private_key: Vec<u8>,
    /// When it takes over from the key before.
    pub signs_from: Timestamp,
}

/// The table of keys.
pub struct SigningKeys {
    session: Arc<Session>,
    list: PreparedStatement,
    insert: PreparedStatement,
    delete: PreparedStatement,
}

type Row = (i32, String, Vec<u8>, Vec<u8>, CqlTimestamp);

impl SigningKeys {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const LIST: &str = "SELECT sequence, key_id, public_key, sealed_private_key, signs_from \
             FROM signing_keys WHERE purpose = ?";
        const INSERT: &str = "INSERT INTO signing_keys \
             (purpose, sequence, key_id, public_key, sealed_private_key, signs_from) \
             VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS";
        const DELETE: &str =
            "DELETE FROM signing_keys WHERE purpose = ? AND sequence = ? IF key_id = ?";
        Ok(Self {
            list: cql::prepare_serial_read(&session, LIST).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            delete: cql::prepare_lwt(&session, DELETE).await?,
            session,
        })
    }

    /// All keys, in the order in which they take over.
    pub async fn list(&self) -> Result<Vec<StoredKey>, CqlError> {
        let rows = cql::rows(&self.session, &self.list, (PURPOSE,))
            .await?
            .into_iter();
        let key = |(sequence, key_id, public_key, sealed_private_key, signs_from): Row| StoredKey {
            sequence,
            key_id,
            public_key,
            sealed_private_key,
            signs_from: from_cql(signs_from),
        };
        Ok(rows.map(key).collect())
    }

    /// Adds the key unless its place in the sequence is taken: of instances that start together one wins, and
    /// [`SigningKeys::list`] tells which.
    pub async fn insert(&self, key: &StoredKey) -> Result<(), CqlError> {
        let values = (
            PURPOSE,
            key.sequence,
            &key.key_id,
            &key.public_key,
            &key.sealed_private_key,
            to_cql(key.signs_from),
        );
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }

    /// Takes the key away, and none that has its place meanwhile. On an error it may or may not be there; again is the same.
    pub async fn delete(&self, key: &StoredKey) -> Result<(), CqlError> {
        let values = (PURPOSE, key.sequence, &key.key_id);
        self.session.execute_unpaged(&self.delete, values).await?;
        Ok(())
    }
}
