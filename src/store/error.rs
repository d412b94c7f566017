//! What a failure of the database means to a caller.
//!
//! Answers: try again, free some space, the row exists, or a fault of ours. Judged by SQLSTATE (PostgreSQL, appendix A).

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `database.url` cannot be read.
    #[error("database.url {0}")]
    Url(String),
    /// No server, no free connection within the limit, or a connection lost. A commit that was on its way may have happened.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The disk of the server is full.
    #[error("the disk of the database is full")]
    Full,
    /// A row with the same key exists.
    #[error("the database refused a second row: {constraint}")]
    Conflict {
        /// The unique constraint or index.
        constraint: String,
    },
    /// The server is a standby or was made read-only.
    #[error("the database is read-only: a standby, or a primary that lost its role")]
    ReadOnly,
    /// The server must not be used: too old, or it forgets what it confirmed.
    #[error("the database server is not fit: {0}")]
    Unfit(String),
    /// A row holds what this program never writes, or the server found damage.
    #[error("the database holds what cannot be read: {0}")]
    Corrupt(String),
    /// Any other failure.
    #[error("the database failed: {0}")]
    Database(#[source] Box<sqlx::Error>),
}

impl StoreError {
    /// True if the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::ReadOnly => true,
            // Serialisation failure, deadlock, lock not available: the transaction was rolled back for another's sake.
            Self::Database(error) => matches!(code_of(error).as_deref(), Some("40001" | "40P01" | "55P03")),
            Self::Url(_) | Self::Full | Self::Conflict { .. } | Self::Unfit(_) | Self::Corrupt(_) => false,
        }
    }

    /// A word for the kind of failure, as metrics count it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Unavailable(_) => "unavailable",
            Self::Full => "full",
            Self::Conflict { .. } => "conflict",
            Self::ReadOnly => "read_only",
            Self::Unfit(_) => "unfit",
            Self::Corrupt(_) => "corrupt",
            Self::Database(_) => "database",
        }
    }

    /// True if the unique constraint or index `name` refused the row.
    #[must_use]
    pub fn is_conflict_on(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }
}

fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                match code.as_ref() {
                    "53100" => Self::Full,
                    "23505" => Self::Conflict { constraint: database.constraint().unwrap_or_default().to_owned() },
                    "25006" => Self::ReadOnly,
                    "XX001" | "XX002" => Self::Corrupt(database.message().to_owned()),
                    // Statement time limit; connection failures; out of connections or memory; shutting down or starting up.
                    "57014" => Self::Unavailable(error.to_string()),
                    code if code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") => Self::Unavailable(error.to_string()),
                    _ => Self::Database(Box::new(error)),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error.to_string()),
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Self::Corrupt(error.to_string()),
            _ => Self::Database(Box::new(error)),
        }
    }
}
