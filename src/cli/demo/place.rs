//! The directory of one demo: made at its start, removed at its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::clock::Clock;

/// A directory of our own. Its path is short: a socket lies in it.
#[derive(Debug)]
pub struct Place {
    directory: PathBuf,
    keep: bool,
}

impl Place {
    /// Makes it.
    ///
    /// # Errors
    /// The system's temporary directory cannot be written.
    pub fn make(clock: &Clock, keep: bool) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("pennypost-demo-{:08x}", u32::from_be_bytes(clock.random())));
        let cannot = |error: std::io::Error| Failure::new(format!("{} cannot be made", directory.display())).because(error);
        fs::create_dir(&directory).map_err(cannot)?;
        // As root, PostgreSQL runs as another user, who has to get to its data below.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).map_err(cannot)?;
        Ok(Self { directory, keep })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.directory)
        {
            tracing::warn!(%error, directory = %self.directory.display(), "the demo's directory could not be removed");
        }
    }
}
