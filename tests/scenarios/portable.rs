//! The configuration as text: what was exported is imported elsewhere and works there, and a text with a fault changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::world::program::command;
use super::world::{World, database, http};

const PASSPHRASE: &str = "correct horse battery staple";

/// A configuration as somebody writes it by hand.
const TEXT: &str = r#"
format = 1

[[project]]
name = "default"
strict_verp = true

[[project.domain]]
name = "wac.example"

[[project.key]]
name = "shop"
prefix = "pp_live_4fJk29sLqP"
scope = "send"
domains = ["wac.example"]
expires_at = "2036-01-01T00:00:00Z"

[[project.smtp_user]]
username = "i@wac.example"
send_as = ["*@wac.example"]

[[project.route]]
pattern = "*@wac.example"
action = "forward"

[[project.route.target]]
address = "x@gmail.example"

[[project.route]]
pattern = "hook@wac.example"
action = "webhook"
url = "https://hooks.example/mail"

[[project.route]]
pattern = "old@wac.example"
action = "reject"
text = "gone; write to i@wac.example"

[[project.suppression]]
address = "bee@example.net"
reason = "bounce"
note = "said so herself"
since = "2026-01-01T00:00:00Z"

[[project]]
name = "shop"

[[project.domain]]
name = "shop.example"
"#;

/// Runs a command of the program with something on its standard input.
async fn run(world: &World, arguments: &[&str], given: &str) -> Output {
    let mut command = tokio::process::Command::from(command(world, ""));
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = stdin.write_all(given.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

/// The JSON of an import that was done.
async fn imported(world: &World, arguments: &[&str], text: &str) -> Value {
    let arguments = [&["--json", "import", "-"], arguments].concat();
    let output = run(world, &arguments, text).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn exported(world: &World, arguments: &[&str]) -> String {
    let output = run(world, &[&["export"], arguments].concat(), "").await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A file that holds a passphrase.
fn passphrase(name: &str, text: &str, mode: u32) -> PathBuf {
    let file = database::scratch().join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    file
}

fn sealed_by(file: &Path) -> [&str; 2] {
    ["--secrets-passphrase-file", file.to_str().unwrap()]
}

/// How often each thing became what, as in `domain added`.
fn changes(imported: &Value) -> Vec<String> {
    let changes = imported["changes"].as_array().unwrap().iter();
    changes.map(|change| format!("{} {}", change["kind"].as_str().unwrap(), change["what"].as_str().unwrap())).collect()
}

fn secret(imported: &Value, kind: &str) -> String {
    let change = imported["changes"].as_array().unwrap().iter().find(|change| change["kind"] == kind && change["secret"].is_string());
    change.unwrap()["secret"].as_str().unwrap().to_owned()
}

/// Everything that an import could have left behind.
async fn rows(world: &World) -> i64 {
    let tables = ["project", "domain", "dkim_key", "api_key", "smtp_user", "route", "route_target", "webhook", "suppression"];
    let counts: Vec<String> = tables.iter().map(|table| format!("(select count(*) from {table})")).collect();
    world.number(&format!("select {}", counts.join(" + "))).await
}

#[tokio::test]
async fn what_was_exported_with_a_passphrase_works_elsewhere_as_it_did() {
    let (here, there) = (World::new().await, World::new().await);
    let file = passphrase("portable-round-trip", PASSPHRASE, 0o600);
    let made = imported(&here, &["--replace"], TEXT).await;
    assert_eq!((&made["added"], &made["replaced"], &made["dry_run"]), (&9.into(), &1.into(), &false.into()), "{made:#}");
    let (key, password, hook) = (secret(&made, "key"), secret(&made, "smtp_user"), secret(&made, "route"));
    assert!(key.starts_with("pp_live_") && password.starts_with("pp_smtp_") && hook.starts_with("whsec_"), "{made:#}");
    here.execute("update route_target set confirmed_at = '2026-02-03T04:05:06Z'").await;

    let redacted = exported(&here, &["--suppressions"]).await;
    let sealed = exported(&here, &[&sealed_by(&file)[..], &["--suppressions"]].concat()).await;
    for secret in [&key, &password, &hook] {
        assert!(!sealed.contains(secret.as_str()) && !redacted.contains(secret.as_str()));
    }
    assert!(!redacted.contains("argon2") && !redacted.contains("private_key") && !redacted.contains("hash"), "{redacted}");
    assert!(!sealed.contains("$argon2id") && !sealed.contains("PRIVATE KEY"), "{sealed}");
    assert_eq!(
        sealed,
        exported(&here, &[&sealed_by(&file)[..], &["--suppressions"]].concat()).await,
        "an export that changed nothing differs in nothing"
    );

    let moved = imported(&there, &sealed_by(&file), &sealed).await;
    assert!(moved["changes"].as_array().unwrap().iter().all(|change| change.get("secret").is_none()), "nothing is made anew: {moved:#}");
    // strict_verp of a project that is there is not touched without --replace.
    assert_eq!(imported(&there, &[&sealed_by(&file)[..], &["--replace"]].concat(), &sealed).await["replaced"], 1);
    assert_eq!(exported(&there, &["--suppressions"]).await, redacted, "all of it arrived");
    let again = imported(&there, &sealed_by(&file), &sealed).await;
    assert_eq!((&again["added"], &again["replaced"], &again["kept"]), (&0.into(), &0.into(), &0.into()), "{again:#}");

    assert_eq!(run(&there, &["smtp-user", "check", "i@wac.example"], &password).await.status.code(), Some(0), "the password is the same");
    assert_eq!(run(&there, &["smtp-user", "check", "i@wac.example"], &format!("{password}x")).await.status.code(), Some(1));
    assert_eq!(there.number("select count(*) from route_target where confirmed_at = '2026-02-03T04:05:06Z'").await, 1, "who agreed has agreed");
    assert_eq!(there.number("select count(*) from audit where action = 'config.import'").await, 3);
    let dns = ["--json", "domain", "dns", "wac.example", "--format", "json"];
    let mut records: Vec<Vec<Value>> = Vec::new();
    for world in [&here, &there] {
        let mut printed: Vec<Value> = serde_json::from_slice(&run(world, &dns, "").await.stdout).unwrap();
        printed.sort_by_key(Value::to_string);
        records.push(printed);
    }
    assert_eq!(records[0], records[1], "the records in DNS stay as they are");
    let gateway = there.gateway().await;
    let send = br#"{"from":"i@wac.example","to":"a@example.net","subject":"Hi","text":"It signs."}"#;
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = http::call(gateway.running.http.unwrap(), "POST", "/v1/send", &headers, send).await;
    assert_eq!(answer.status, 202, "the key is the same: {}", answer.text());
    gateway.stop().await;
}

#[tokio::test]
async fn without_their_secrets_keys_and_passwords_are_made_once() {
    let world = World::new().await;
    let first = imported(&world, &[], TEXT).await;
    let before = rows(&world).await;
    let again = imported(&world, &["--replace"], TEXT).await;
    assert_eq!((&again["added"], secret(&first, "key").len()), (&0.into(), 52), "{again:#}");
    assert!(again["changes"].as_array().unwrap().iter().all(|change| change.get("secret").is_none()), "{again:#}");
    // Of the export too, whose prefix is that of the key that was made.
    let redacted = exported(&world, &[]).await;
    let third = imported(&world, &[], &redacted).await;
    assert!(changes(&third).iter().all(|change| change.ends_with("unchanged")), "{third:#}");
    assert_eq!(rows(&world).await, before);
}

#[tokio::test]
async fn what_is_there_stays_unless_it_is_to_be_replaced() {
    let world = World::new().await;
    let file = passphrase("portable-replace", PASSPHRASE, 0o600);
    imported(&world, &[], TEXT).await;
    world.execute("update route_target set confirmed_at = now()").await;
    let sealed = exported(&world, &sealed_by(&file)).await;
    // What somebody changed after the export.
    world.execute("update smtp_user set send_as = '{}'").await;
    assert_eq!(run(&world, &["smtp-user", "passwd", "i@wac.example"], "").await.status.code(), Some(0));
    world.execute("update route set reply = 'another text' where action = 'reject'").await;
    world.execute("update route_target set target = 'y@gmail.example'").await;
    world.execute("update dkim_key set selector = selector || '-2', public_record = public_record || ';' where domain_id = (select id from domain where name = 'wac.example')").await;
    let standing = exported(&world, &[]).await;

    let kept = imported(&world, &sealed_by(&file), &sealed).await;
    assert_eq!(exported(&world, &[]).await, standing, "nothing changed");
    assert_eq!((&kept["added"], &kept["replaced"], &kept["kept"]), (&0.into(), &0.into(), &4.into()), "{kept:#}");

    let dry = imported(&world, &[&sealed_by(&file)[..], &["--replace", "--dry-run"]].concat(), &sealed).await;
    assert_eq!((exported(&world, &[]).await, &dry["replaced"], &dry["dry_run"]), (standing, &4.into(), &true.into()), "{dry:#}");

    let replaced = imported(&world, &[&sealed_by(&file)[..], &["--replace"]].concat(), &sealed).await;
    assert_eq!((&replaced["added"], &replaced["replaced"], &replaced["kept"]), (&0.into(), &4.into(), &0.into()), "{replaced:#}");
    let now = exported(&world, &[]).await;
    for (text, count) in [("send_as = [\"*@wac.example\"]", 1), ("gone; write to", 1), ("x@gmail.example", 1), ("y@gmail.example", 0)] {
        assert_eq!(now.matches(text).count(), count, "{text}: {now}");
    }
    // The keys of the text wait for their records, while those that sign go on.
    assert_eq!(now.matches("state = \"next\"").count(), 2, "{now}");
    assert_eq!(world.number("select count(*) from route_target where confirmed_at is not null").await, 1);
}

#[tokio::test]
async fn a_text_with_faults_is_told_with_its_lines_and_leaves_nothing_behind() {
    let world = World::new().await;
    assert_eq!(run(&world, &["project", "show"], "").await.status.code(), Some(0));
    let before = rows(&world).await;
    let head = "format = 1\n[[project]]\nname = \"default\"\n[[project.domain]]\nname = \"wac.example\"\n";
    let many: Vec<String> = (0..1_001).map(|number| format!("[[project.route]]\npattern = \"a{number}@wac.example\"\naction = \"drop\"\n")).collect();
    for (rest, told) in [
        ("[[project.domain]]\nname = \"nodots\"\n", &["line 7: project[0].domain[1].name: the domain has a single label"][..]),
        ("[[project.domain]]\nname = \"WAC.example\"\n", &["line 7: project[0].domain[1].name", "named twice"]),
        ("[[project.domain]]\nnmae = \"a.example\"\n", &["line 7: project[0].domain[1].nmae: unknown field `nmae`"]),
        ("[[project.smtp_user]]\nusername = \"a b\"\n", &["line 7: project[0].smtp_user[0].username"]),
        ("[[project.smtp_user]]\nusername = \"printer\"\n", &["line 7", "needs at least one sender"]),
        ("[[project.smtp_user]]\nusername = \"i@wac.example\"\nsend_as = [\"*@localhost\"]\n", &["line 8: project[0].smtp_user[0].send_as"]),
        ("[[project.key]]\nname = \"a\"\nprefix = \"pp_live_x\"\nscope = \"send\"\n", &["line 8: project[0].key[0].prefix", "first part of a key"]),
        ("[[project.key]]\nname = \"a\"\nprefix = \"pp_live_4fJk29sLqP\"\nscope = \"all\"\n", &["line 9", "unknown variant `all`"]),
        (
            "[[project.route]]\npattern = \"*@other.example\"\naction = \"drop\"\n",
            &["line 7: project[0].route[0].pattern", "other.example is not a domain of this project"],
        ),
        ("[[project.route]]\npattern = \"*@wac.example\"\naction = \"forward\"\n", &["line 7", "one address at least"]),
        (
            "[[project.route]]\npattern = \"*@wac.example\"\naction = \"drop\"\nurl = \"https://a.example/\"\n",
            &["line 9: project[0].route[0].url", "takes no such field"],
        ),
        ("[[project.route]]\npattern = \"*@wac.example\"\naction = \"webhook\"\nurl = \"ftp://a.example/\"\n", &["line 9: project[0].route[0].url"]),
        ("[[project.suppression]]\naddress = \"bee\"\nreason = \"bounce\"\n", &["line 7: project[0].suppression[0].address"]),
        ("[[project.domain]]\nname = \"a\"\n[[project.suppression]]\naddress = \"b\"\nreason = \"bounce\"\n", &["line 7", "line 9"]),
        (many.concat().as_str(), &["1000 routes, and no more"]),
    ] {
        let output = run(&world, &["import", "-"], &format!("{head}{rest}")).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.iter().all(|told| said.contains(told)) && said.contains("nothing was imported"), "{rest}: {said}");
        assert_eq!(rows(&world).await, before, "{rest}");
    }
    let dry = imported(&world, &["--dry-run"], TEXT).await;
    assert_eq!(
        (rows(&world).await, dry["changes"].as_array().unwrap().iter().any(|change| change.get("secret").is_some())),
        (before, false),
        "{dry:#}"
    );
}

#[tokio::test]
async fn secrets_open_in_their_place_with_their_passphrase_only() {
    let (here, there) = (World::new().await, World::new().await);
    let (file, other) = (passphrase("portable-right", PASSPHRASE, 0o600), passphrase("portable-wrong", "another passphrase", 0o600));
    let two = format!("{TEXT}\n[[project.smtp_user]]\nusername = \"j@shop.example\"\n");
    imported(&here, &[], &two).await;
    let sealed = exported(&here, &sealed_by(&file)).await;
    assert_eq!(run(&there, &["project", "show"], "").await.status.code(), Some(0));
    let before = rows(&there).await;
    let values: Vec<&str> = sealed.lines().filter_map(|line| line.strip_prefix("password = ")).collect();
    let exchanged = sealed.replace(values[0], "@one@").replace(values[1], values[0]).replace("@one@", values[1]);
    let cut = sealed.replacen("private_key = \"", "private_key = \"AAAA", 1);
    for (text, file, told) in [
        (&sealed, &other, "not the one that the secrets were sealed with"),
        (&exchanged, &file, "smtp_user[0].password: the secret does not open"),
        (&cut, &file, "private_key: the secret does not open"),
        (&sealed, &passphrase("portable-open", PASSPHRASE, 0o644), "open to other users"),
        (&sealed, &passphrase("portable-short", "short", 0o600), "fewer than 12 characters"),
    ] {
        let output = run(&there, &[&["import", "-"][..], &sealed_by(file)].concat(), text).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(told), "{told}: {said}");
        assert_eq!(rows(&there).await, before, "{told}");
    }
}
