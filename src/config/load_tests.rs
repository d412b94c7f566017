//! Tests of loading: every error text as an operator sees it, and which source wins.

use super::*;
use crate::config::egress::SmartHostTls;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read_file(text: &str) -> Result<Loaded, ConfigError> {
    read(text, Some(PathBuf::from("/etc/pennypost/pennypost.toml")), &Environment::new())
}

fn complaint(text: &str) -> String {
    read_file(text).expect_err("the text should be refused").to_string()
}

#[test]
fn the_defaults_are_sound_and_every_option_has_a_comment() {
    let loaded = read("", None, &Environment::new()).unwrap();
    assert_eq!(loaded.config.delivery.mx_port, 25);
    assert!(loaded.origins.is_empty());
    let mut commented = false;
    for line in DEFAULT_TOML.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(commented, "no comment above: {line}");
        } else {
            commented = line.starts_with('#');
        }
    }
}

#[test]
fn the_file_wins_over_defaults_and_the_environment_over_the_file() {
    let text = "[server]\nhostname = \"mail.example.com\"\nhttp_listen = \"127.0.0.1:1\"\n";
    let variables = environment(&[
        ("PENNYPOST_SERVER__HTTP_LISTEN", "[::1]:2"),
        ("PENNYPOST_DELIVERY__RETRY_SECONDS", "5, 10"),
        ("PENNYPOST_DELIVERY__EGRESS", "[\"192.0.2.1\"]"),
        ("PENNYPOST_DELIVERY__SANDBOX", "true"),
        ("PENNYPOST_LOG", "not an option"),
        ("DATABASE_URL", "postgres://app:hush@db/app"),
    ]);
    let loaded = read(text, Some(PathBuf::from("conf/pennypost.toml")), &variables).unwrap();
    let config = &loaded.config;
    assert_eq!(config.server.hostname, "mail.example.com");
    assert_eq!(config.server.http_listen.to_string(), "[::1]:2");
    assert_eq!(config.delivery.retry_seconds, [5, 10]);
    assert_eq!(config.delivery.egress.len(), 1);
    assert!(config.delivery.sandbox);
    assert_eq!(config.database.url.expose(), "postgres://app:hush@db/app");
    assert_eq!(config.database.data_dir, Path::new("conf/data/postgres"), "relative paths count from the file");
    assert_eq!(loaded.origins.get("server.hostname").unwrap().to_string(), "conf/pennypost.toml:2");
    assert!(!format!("{config:?}").contains("hush"), "a configuration in a log must not show secrets");
}

#[test]
fn a_special_variable_wins_over_database_url() {
    let variables = environment(&[("DATABASE_URL", "postgres://other"), ("PENNYPOST_DATABASE__URL", "postgres://mine")]);
    assert_eq!(read("", None, &variables).unwrap().config.database.url.expose(), "postgres://mine");
    let empty = environment(&[("DATABASE_URL", "")]);
    assert!(read("", None, &empty).unwrap().config.database.url.expose().is_empty());
}

#[test]
fn unknown_names_are_refused_with_the_line_and_the_nearest_name() {
    insta::assert_snapshot!(complaint(
        "[server]\nhostnam = \"mail.example.com\"\n\n[delivry]\nmx_port = 25\n\n[dns]\nsandbox = true\ncolour = 1\n\n[zebra]\n"
    ));
    insta::assert_snapshot!(complaint("server = 3\n"));
}

#[test]
fn values_of_a_wrong_type_are_all_named() {
    insta::assert_snapshot!(complaint(
        "[server]\nhttp_listen = \"localhost\"\n[delivery]\nmx_port = 70000\nsandbox = \"yes\"\negress = [\"home\"]\nretry_jitter = \"much\"\n\
         [telemetry]\nlog_format = \"xml\"\n"
    ));
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    insta::assert_snapshot!(complaint("[server]\n\nhostname = mail.example.com\n"));
}

#[test]
fn doubtful_values_are_all_named() {
    insta::assert_snapshot!(complaint(
        r#"[server]
hostname = "mail"
public_url = "mail.example.com/"
master_key_file = ""
[database]
url = "mysql://root:hush@db/app"
max_connections = 0
[delivery]
mx_port = 0
egress = ["8.8.8.8", "0.0.0.0"]
smart_host = "smtp.example.com"
allow_private_addresses = true
retry_seconds = []
retry_jitter = 1.5
greylist_seconds = 100000
expire_seconds = 9000000
max_connections = 10
max_connections_per_domain = 11
max_messages_per_connection = 0
max_recipients_per_transaction = 0
idle_seconds = 600
memory_octets = 1000
node_timeout_seconds = 1
drain_seconds = 86400
[dns]
servers = ["127.0.0.1:0"]
timeout_seconds = 0
[retention]
message_days = 30
event_days = 7
[limits]
message_octets = 1000
recipients = 0
attachments = 100000
headers = 100000
request_memory_octets = 1000
connections = 0
connections_per_client = 2
[telemetry]
otlp_endpoint = "collector:4317"
"#
    ));
}

#[test]
fn sources_and_smart_hosts_are_read_from_tables_and_passwords_from_elsewhere() {
    let directory = std::env::temp_dir().join(format!("pennypost-load-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("relay.password"), "hush one\n").unwrap();
    let text = r#"[[delivery.source]]
address = "192.0.2.26"
[[delivery.source]]
address = "2001:db8::26"
pool = "bulk"
weight = 3
[[delivery.pool_rule]]
pool = "bulk"
stream = "news"
[[delivery.smart_host_rule]]
host = "smtp.example.com:587"
username = "shop"
password_file = "relay.password"
[[delivery.smart_host_rule]]
host = "[2001:db8::1]:465"
username = "shop"
password_env = "RELAY_PASSWORD"
"#;
    let loaded = read(text, Some(directory.join("pennypost.toml")), &environment(&[("RELAY_PASSWORD", "hush two")])).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let delivery = &loaded.config.delivery;
    assert_eq!((delivery.source[0].weight, delivery.source[0].pool.as_str()), (1, "default"));
    assert_eq!((delivery.source[1].weight, delivery.source[1].pool.as_str()), (3, "bulk"));
    let rules = &delivery.smart_host_rule;
    assert_eq!([rules[0].password.expose(), rules[1].password.expose()], ["hush one", "hush two"]);
    assert_eq!([rules[0].tls(), rules[1].tls()], [SmartHostTls::Starttls, SmartHostTls::Implicit]);
    assert!(!format!("{loaded:?}").contains("hush"), "a configuration in a log must not show secrets");
}

#[test]
fn tables_that_cannot_be_meant_are_all_named() {
    insta::assert_snapshot!(complaint("[[delivery.source]]\naddress = \"192.0.2.26\"\nwieght = 2\n[[delivery.smart_host_rule]]\nport = 25\n"));
    insta::assert_snapshot!(complaint(
        r#"[[delivery.source]]
address = "0.0.0.0"
weight = 0
pool = "a pool"
ehlo_name = "-"
proxy = "http://proxy.example:3128"
[[delivery.source]]
address = "192.0.2.27"
proxy = "haproxy://10.0.0.2:2525"
proxy_username = "penny"
proxy_password_env = "NOT_SET"
[[delivery.source]]
address = "192.0.2.28"
proxy = "socks5://10.0.0.2:1080"
proxy_username = "penny"
[[delivery.pool_rule]]
pool = "bulk"
[[delivery.pool_rule]]
pool = "a pool"
stream = "a stream"
[[delivery.smart_host_rule]]
host = "smtp.example.com"
domain = "*.example"
share = 0
tls = "off"
username = "shop"
[[delivery.smart_host_rule]]
host = "mx"
username = "shop"
password_env = "NOT_SET"
[[delivery.smart_host_rule]]
host = "smtp.example.com:25"
password_file = "/nowhere/password"
ca_file = "ca.pem"
"#
    ));
}

#[test]
fn mail_that_expires_before_its_second_attempt_is_doubtful() {
    insta::assert_snapshot!(complaint("[delivery]\nretry_seconds = [60, 0]\nexpire_seconds = 30\n"));
}

#[test]
fn a_mistyped_variable_is_refused() {
    let variables = environment(&[("PENNYPOST_SERVER__HOSTNAM", "x"), ("PENNYPOST_DELIVERY__MX_PORT", "many"), ("PENNYPOST_ZEBRA__STRIPES", "1")]);
    insta::assert_snapshot!(read("", None, &variables).expect_err("refused").to_string());
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    insta::assert_snapshot!(load(Some(Path::new("/nowhere/pennypost.toml")), &Environment::new()).expect_err("refused").to_string());
}

#[test]
fn serving_needs_a_name_unless_all_mail_stays_here() {
    let mut config = Config::default();
    insta::assert_snapshot!(check::missing_for_serving(&config).expect("a problem").to_string());
    config.delivery.sandbox = true;
    assert_eq!(check::missing_for_serving(&config), None);
}
