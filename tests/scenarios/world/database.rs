//! One private PostgreSQL for the whole test process, one database for each world.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use pennypost::clock::Clock;
use pennypost::store::embedded::PrivatePostgres;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

static SERVER: OnceCell<PrivatePostgres> = OnceCell::const_new();

const FOLDER: &str = "pp-scenarios-";

/// A folder of this test process. A test process has no end at which to remove it, so the next one does.
pub fn scratch() -> PathBuf {
    static FIRST: Once = Once::new();
    FIRST.call_once(sweep);
    let folder = std::env::temp_dir().join(format!("{FOLDER}{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Removes the folders of test processes that have ended.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.strip_prefix(FOLDER)) else { continue };
        let lives = Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if process.parse::<u32>().is_ok() && !lives {
            // Another test process may be at it too, or it may be another user's.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

async fn server() -> &'static PrivatePostgres {
    SERVER.get_or_init(|| async { PrivatePostgres::start(&scratch().join("pg"), Path::new(""), &Clock::system()).await.unwrap() }).await
}

/// The address of a new, empty database.
pub async fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = server().await;
    let name = format!("world_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    connection.close().await.unwrap();
    replace_database(server.url(), &name)
}

/// Puts another database's name into an address like `postgres://user@host/database?host=/socket`.
fn replace_database(url: &str, name: &str) -> String {
    let (before, query) = url.split_once('?').map_or((url, String::new()), |(before, query)| (before, format!("?{query}")));
    let (server, _) = before.rsplit_once('/').unwrap();
    format!("{server}/{name}{query}")
}

/// Runs a statement on a world's database, as an operator with psql would. Answers the rows touched.
pub async fn execute(url: &str, statement: &str) -> u64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let done = connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
}

/// Reads one number.
pub async fn number(url: &str, query: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let number: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}
