//! Entries as they are carried to another database (`portable`).

use super::{NewSuppression, Origin, Suppressions, table};
use crate::model::ProjectId;
use crate::store::{StoreError, Tx};

impl Suppressions {
    /// Puts entries on the list, unless they are there; answers how many are new. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_within(&self, tx: &mut Tx, project: ProjectId, entries: &[NewSuppression]) -> Result<u64, StoreError> {
        let mut added = 0;
        for piece in entries.chunks(1_000) {
            let rows: Vec<_> = piece.iter().map(|entry| self.row(project, entry.clone(), Origin::Import)).collect();
            added += table::insert(tx, &rows).await?;
        }
        Ok(added)
    }
}
