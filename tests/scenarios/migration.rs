//! Death by kill -9 while the schema is brought up to date (fault K12): the old schema or the new one, never half, and the next start completes it.

use std::process::Stdio;

use sqlx::{Connection, Executor, PgConnection};

use super::world::gateway::eventually;
use super::world::{World, program};

/// Makes each `create table` of the named table wait for whoever holds a lock.
fn obstacle(table: &str) -> String {
    format!(
        "create function stand_still() returns event_trigger language plpgsql as $$
         begin
           if exists (select from pg_event_trigger_ddl_commands() where object_identity = 'public.{table}') then
             perform pg_advisory_xact_lock(12);
           end if;
         end $$;
         create event trigger stand_still on ddl_command_end when tag in ('CREATE TABLE') execute function stand_still()"
    )
}

const WAITING: &str = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
const TABLES: &str = "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')";

async fn migrate(world: &World, arguments: &[&str]) -> bool {
    let mut command = program::command(world, "");
    command.arg("migrate").args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    tokio::task::spawn_blocking(move || command.status().unwrap().success()).await.unwrap()
}

#[tokio::test]
async fn killed_while_migrating_the_schema_is_the_old_one_and_the_next_start_completes_it() {
    let world = World::new().await;
    let mut operator = PgConnection::connect(&world.database_url).await.unwrap();
    // The first table of all, one in the middle, one of the last migration.
    for table in ["project", "dkim_key", "delivery"] {
        operator.execute(sqlx::AssertSqlSafe(obstacle(table))).await.unwrap();
        operator.execute("select pg_advisory_lock(12)").await.unwrap();
        let mut victim = program::command(&world, "");
        let mut victim = victim.arg("migrate").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually(|| async { if world.number(WAITING).await == 1 { Ok(()) } else { Err(format!("nothing stands still at {table}")) } }).await;
        victim.kill().unwrap();
        victim.wait().unwrap();
        operator.execute("select pg_advisory_unlock(12)").await.unwrap();
        eventually(|| async { if world.number(WAITING).await == 0 { Ok(()) } else { Err("the killed one still waits".to_owned()) } }).await;
        // The server goes on with the statement it was sent, and finds nobody to commit what it did.
        let others = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'pennypost'";
        eventually(|| async { if world.number(others).await == 0 { Ok(()) } else { Err("a session is left".to_owned()) } }).await;
        assert_eq!(world.number(TABLES).await, 1, "only the lock of migrations is there after a death at {table}");
        assert!(!migrate(&world, &["--check"]).await, "migrations wait");
        operator.execute("drop event trigger stand_still; drop function stand_still()").await.unwrap();
    }
    assert!(migrate(&world, &[]).await);
    assert!(migrate(&world, &["--check"]).await);
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(mx.counts().messages, 1);
    gateway.stop().await;
}
