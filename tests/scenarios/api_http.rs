//! HTTP itself: paths, methods, bodies, heads, ids of requests, headers of answers, and what is open to all (faults A16, A17, A24).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::World;
use super::world::api::{CANARY, Ledger, sendable};
use super::world::http::{self, Answer};

#[tokio::test]
async fn every_problem_has_its_status_its_type_and_the_id_of_the_request() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    let body = sendable().to_string();
    let large = vec![b'x'; 70_000];
    let long = format!("/v1/messages?sender={}", "x".repeat(9_000));
    let padding = "x".repeat(20_000);
    let rows: Vec<(&str, &str, Vec<(&str, &str)>, &[u8], u16, &str)> = vec![
        ("GET", "/", vec![], b"", 404, "not-found"),
        ("GET", "/v1", vec![], b"", 404, "not-found"),
        ("GET", "/v1/", vec![], b"", 404, "not-found"),
        ("GET", "/v1/nothing", vec![], b"", 404, "not-found"),
        ("POST", "/v1/send/", vec![], body.as_bytes(), 404, "not-found"),
        ("POST", "//v1/send", vec![], body.as_bytes(), 404, "not-found"),
        ("POST", "/v1/../v1/send", vec![], body.as_bytes(), 404, "not-found"),
        ("POST", "/V1/SEND", vec![], body.as_bytes(), 404, "not-found"),
        ("GET", "/v1/send%00", vec![], b"", 404, "not-found"),
        ("GET", "/docs/../../etc/passwd", vec![], b"", 404, "not-found"),
        ("GET", "/docs/%2e%2e/%2e%2e/etc/passwd", vec![], b"", 404, "not-found"),
        ("GET", "/v1/send", vec![], b"", 405, "method-not-allowed"),
        ("PUT", "/v1/send", vec![], body.as_bytes(), 405, "method-not-allowed"),
        ("DELETE", "/v1/messages", vec![], b"", 405, "method-not-allowed"),
        ("PATCH", "/v1/keys", vec![], b"", 405, "method-not-allowed"),
        ("TRACE", "/v1/messages", vec![], b"", 405, "method-not-allowed"),
        ("BREW", "/v1/messages", vec![], b"", 405, "method-not-allowed"),
        ("POST", "/v1/messages", vec![("x-http-method-override", "GET")], b"", 405, "method-not-allowed"),
        ("POST", "/v1/send", vec![("content-type", "text/plain")], body.as_bytes(), 415, "unsupported-media-type"),
        ("POST", "/v1/send", vec![("content-type", "")], body.as_bytes(), 415, "unsupported-media-type"),
        ("POST", "/v1/send", vec![("content-type", "application/jsonp")], body.as_bytes(), 415, "unsupported-media-type"),
        ("POST", "/v1/send", vec![("content-type", "application/json; charset=utf-16")], body.as_bytes(), 415, "unsupported-media-type"),
        ("POST", "/v1/send", vec![("content-type", "multipart/form-data; boundary=x")], body.as_bytes(), 415, "unsupported-media-type"),
        ("POST", "/v1/send", vec![("content-type", "application/x-www-form-urlencoded")], b"from=a", 415, "unsupported-media-type"),
        ("POST", "/v1/send", vec![("content-encoding", "gzip")], &[0x1f, 0x8b, 8, 0], 415, "unsupported-encoding"),
        ("POST", "/v1/send", vec![("content-encoding", "br")], body.as_bytes(), 415, "unsupported-encoding"),
        ("POST", "/v1/keys", vec![], &large, 413, "body-too-large"),
        ("POST", "/v1/domains", vec![], &large, 413, "body-too-large"),
        ("GET", &long, vec![], b"", 414, "uri-too-long"),
        ("GET", "/v1/messages", vec![("x-padding", &padding)], b"", 431, "headers-too-large"),
        ("GET", "/v1/messages", vec![("x-many", "y"); 120], b"", 431, "headers-too-large"),
        ("POST", "/v1/send", vec![("idempotency-key", "")], body.as_bytes(), 400, "invalid-idempotency-key"),
    ];
    for (method, path, headers, body, status, slug) in rows {
        let what = format!("{method} {} {headers:.60?}", &path[..path.len().min(60)]);
        let headers: Vec<_> = headers.into_iter().chain([("x-request-id", "mine-7")]).collect();
        let answer = gateway.call(method, path, &headers, body).await;
        let problem = answer.assert_problem(status, slug, &what);
        assert_eq!(problem["request_id"], "mine-7", "{what}");
        assert_safe(&answer, &what);
        if status == 405 {
            assert!(answer.header("allow").is_some_and(|allow| !allow.is_empty()), "{what}");
        }
    }
    assert_eq!(ledger.counts().await, before);
    gateway.stop().await;
}

/// What every answer carries.
#[track_caller]
fn assert_safe(answer: &Answer, what: &str) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert!(
        answer
            .header("content-security-policy")
            .is_some_and(|policy| policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'")),
        "{what}"
    );
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{what}");
    assert!(answer.header("server").is_none() && answer.header("x-powered-by").is_none(), "{what}");
    assert!(answer.header("access-control-allow-origin").is_none(), "{what}: pages of others do not read answers");
}

#[tokio::test]
async fn text_that_is_not_well_formed_json_is_refused_as_such() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    let whole = sendable().to_string();
    let with = |extra: &str| format!("{},{extra}}}", &whole[..whole.len() - 1]).into_bytes();
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(whole.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let deep = |open: &str, close: &str, depth: usize| with(&format!("\"metadata\":{}1{}", open.repeat(depth), close.repeat(depth)));
    let malformed: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b" ".to_vec(),
        b"{".to_vec(),
        b"}".to_vec(),
        b"nul".to_vec(),
        b"{]".to_vec(),
        b"{'from':'a'}".to_vec(),
        b"{\"from\"}".to_vec(),
        whole.as_bytes()[..whole.len() - 1].to_vec(),
        [whole.as_bytes(), b"x"].concat(),
        [whole.as_bytes(), whole.as_bytes()].concat(),
        [b"\xef\xbb\xbf".as_slice(), whole.as_bytes()].concat(),
        utf16,
        with(""),
        with("\"from\":\"b@sender.example\""),
        with("\"to\":\"x@y.example\""),
        with("\"fr\\u006fm\":\"b@sender.example\""),
        with("\"metadata\":{\"a\":1,\"a\":2}"),
        with("\"metadata\":{\"a\":[{\"b\":1,\"b\":1}]}"),
        with("\"tags\":{\"a\":\"1\",\"a\":\"2\"}"),
        with("\"headers\":{\"X-A\":\"1\",\"X-A\":\"2\"}"),
        with("\"metadata\":{\"a\":NaN}"),
        with("\"metadata\":{\"a\":Infinity}"),
        with("\"metadata\":{\"a\":1e400}"),
        with("\"metadata\":{\"a\":-1e999}"),
        with("\"metadata\":{\"a\":01}"),
        with("\"metadata\":{\"a\":+1}"),
        with("\"metadata\":{\"a\":0x1}"),
        with("\"metadata\":{\"a\":1.}"),
        with("\"html\":\"\\ud800\""),
        with("\"html\":\"\\udc00x\""),
        with("\"html\":\"a\nb\""),
        with("\"html\":\"\\x41\""),
        [whole.as_bytes(), b"\0"].concat(),
        whole.replace("Hi", "H\u{0}i").into_bytes(),
        [b"{\"from\":\"".as_slice(), b"\xff\xfe\"}"].concat(),
        with("/* c */\"html\":\"\""),
        deep("[", "]", 10_000),
        deep("{\"a\":", "}", 10_000),
    ];
    for body in malformed {
        let what: String = String::from_utf8_lossy(&body).chars().rev().take(60).collect::<String>().chars().rev().collect();
        let answer = gateway.call("POST", "/v1/send", &[("idempotency-key", "k")], &body).await;
        answer.assert_problem(400, "malformed-json", &what);
    }
    for body in ["[]", "null", "1", "\"text\"", "true"] {
        gateway.call("POST", "/v1/send", &[], body.as_bytes()).await.assert_field("wrong-type", "", body);
    }
    for huge in ["123456789012345678901234567890", "-99999999999999999999", "18446744073709551616"] {
        let answer = gateway.call("POST", "/v1/send", &[], &with(&format!("\"metadata\":{{\"a\":{huge}}}"))).await;
        answer.assert_field("invalid-metadata", "/metadata", huge);
    }
    assert_eq!(ledger.counts().await, before);
    for body in
        [with("\"metadata\":{\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":0.1,\"d\":1e15}"), [whole.as_bytes(), b" \r\n\t"].concat()]
    {
        assert_eq!(gateway.call("POST", "/v1/send", &[("content-type", "Application/JSON; charset=\"UTF-8\"")], &body).await.status, 202);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_early_by_its_length_in_pieces_and_by_growth() {
    let mut world = World::new().await;
    world.config.limits.message_octets = 100_000;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    let head = |more: &str| {
        format!("POST /v1/send HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{more}\r\n", gateway.key)
    };
    // By its length: nothing of the body is waited for.
    for length in ["400000", "99999999999999", "9223372036854775807"] {
        let answer = http::raw(gateway.http, head(&format!("content-length: {length}\r\n")).as_bytes()).await.unwrap();
        answer.assert_problem(413, "body-too-large", length);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    // In pieces: refused while it comes, though its end never does.
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let answer = http::raw(gateway.http, format!("{}{}", head("transfer-encoding: chunked\r\n"), piece.repeat(7)).as_bytes()).await.unwrap();
    answer.assert_problem(413, "body-too-large", "chunked");
    // By growth: base64 makes a third more of it, the message is too large though the body was not.
    use base64::Engine;
    let content = base64::engine::general_purpose::STANDARD.encode(vec![7_u8; 90_000]);
    let body = json!({ "from": "a@sender.example", "to": ["b@example.net"], "subject": "x", "text": "x", "attachments": [{ "filename": "a", "content": content }] });
    gateway.post("/v1/send", &body).await.assert_problem(413, "message-too-large", "growth");
    let text = json!({ "from": "a@sender.example", "to": ["b@example.net"], "subject": "x", "text": "ü".repeat(49_000) });
    gateway.post("/v1/send", &text).await.assert_problem(413, "message-too-large", "growth by encoding");
    assert_eq!(ledger.counts().await, before);
    gateway.stop().await;
}

#[tokio::test]
async fn bodies_that_do_not_fit_the_memory_are_refused_until_there_is_room() {
    let mut world = World::new().await;
    world.config.limits.request_memory_octets = 1_000_000;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let head = format!(
        "POST /v1/send HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 900000\r\nexpect: 100-continue\r\n\r\n",
        gateway.key
    );
    let mut holder = TcpStream::connect(gateway.http).await.unwrap();
    holder.write_all(head.as_bytes()).await.unwrap();
    let large = json!({ "from": "a@sender.example", "to": ["b@example.net"], "subject": "x", "text": "x".repeat(200_000) });
    // The server asks for the body once it has the memory for it.
    let mut go_on = [0; 21];
    holder.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue");
    let refused = gateway.post("/v1/send", &large).await;
    refused.assert_problem(503, "overloaded", "no memory");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.json()["detail"].is_null(), "a server's fault says only the id");
    drop(holder);
    super::world::gateway::eventually(|| async {
        let answer = gateway.post("/v1/send", &large).await;
        if answer.status == 202 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    let head = format!(
        "POST /v1/send HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{{",
        gateway.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut octets = Vec::new();
    let reading = stream.read_to_end(&mut octets);
    tokio::pin!(reading);
    loop {
        world.advance(Duration::from_secs(20));
        tokio::select! {
            _ = reading.as_mut() => break,
            _ = gateway.get("/healthz") => {}
        }
    }
    let text = String::from_utf8_lossy(&octets).into_owned();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408 "), "{text}");
    gateway.stop().await;
}

#[tokio::test]
async fn requests_that_two_readers_would_read_differently_do_not_pass() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    let key = &gateway.key;
    let smuggled = format!(
        "POST /v1/domains HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{{\"name\":\"smuggled.example\"}}\r\n"
    );
    let head =
        |more: &str| format!("POST /v1/domains HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{more}\r\n");
    for (what, request) in [
        ("two lengths", format!("{}{{}}{smuggled}", head("content-length: 2\r\ncontent-length: 0\r\n"))),
        ("a list of lengths", format!("{}{{}}{smuggled}", head("content-length: 2, 0\r\n"))),
        ("a signed length", format!("{}{{}}{smuggled}", head("content-length: +2\r\n"))),
        ("a negative length", format!("{}{{}}{smuggled}", head("content-length: -1\r\n"))),
        ("a length in hex", format!("{}{{}}{smuggled}", head("content-length: 0x2\r\n"))),
        ("an unknown coding", format!("{}0\r\n\r\n{smuggled}", head("transfer-encoding: xchunked\r\n"))),
        ("chunked not last", format!("{}0\r\n\r\n{smuggled}", head("transfer-encoding: chunked, identity\r\n"))),
        ("coding and length", format!("{}2\r\n{{}}\r\n0\r\n\r\n{smuggled}", head("content-length: 2\r\ntransfer-encoding: chunked\r\n"))),
        ("length and coding", format!("{}2\r\n{{}}\r\n0\r\n\r\n{smuggled}", head("transfer-encoding: chunked\r\ncontent-length: 2\r\n"))),
        ("a space before the colon", format!("{}{{}}{smuggled}", head("content-length : 2\r\n"))),
        ("a folded field", format!("{}{{}}{smuggled}", head("content-length:\r\n 2\r\n"))),
        ("a bad size of a piece", format!("{}zz\r\n{{}}\r\n0\r\n\r\n{smuggled}", head("transfer-encoding: chunked\r\n"))),
        ("a huge size of a piece", format!("{}ffffffffffffffff1\r\n{{}}\r\n0\r\n\r\n{smuggled}", head("transfer-encoding: chunked\r\n"))),
        ("no version", "GET /v1/messages\r\n\r\n".to_owned()),
        ("another version", "GET / HTTP/9.9\r\n\r\n".to_owned()),
        ("no target", "GET  HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
        ("NUL in a field", "GET /healthz HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n".to_owned()),
        ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned()),
        ("mail", "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\n".to_owned()),
        ("a CONNECT", "CONNECT example.net:25 HTTP/1.1\r\nhost: example.net:25\r\n\r\n".to_owned()),
    ] {
        match http::raw(gateway.http, request.as_bytes()).await {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{what}: {}", answer.status),
            Err(error) => assert!(error.to_string().contains("no answer") || error.kind() == std::io::ErrorKind::ConnectionReset, "{what}: {error}"),
        }
    }
    for request in [format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)), format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(10_000))] {
        if let Ok(answer) = http::raw(gateway.http, request.as_bytes()).await {
            assert!([400, 414, 431].contains(&answer.status), "{}", answer.status);
        }
    }
    assert_eq!(ledger.counts().await, before, "nothing came through behind another request");
    assert_eq!(gateway.get("/v1/messages").await.status, 200);
    gateway.stop().await;
}

/// A frame of HTTP/2 (RFC 9113 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The start of a connection, and the head of a POST to `/v1/send` without a key in the static table's words (RFC 7541).
fn http2_start() -> (Vec<u8>, Vec<u8>) {
    let start = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b"")].concat();
    let mut head = vec![0x83, 0x86, 0x04, 8];
    head.extend_from_slice(b"/v1/send");
    head.extend_from_slice(&[0x41, 1, b'a', 0x5f, 16]);
    head.extend_from_slice(b"application/json");
    (start, head)
}

/// The error code of the GOAWAY frame among these frames (RFC 9113 6.8).
fn goodbye(mut frames: &[u8]) -> Option<u8> {
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == 7 {
            return rest.get(7).copied();
        }
        frames = rest.get(length..)?;
    }
    None
}

#[tokio::test]
async fn a_flood_of_resets_or_empty_frames_ends_its_own_connection_and_no_other() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let (start, head) = http2_start();
    let mut resets = start.clone();
    for number in 0..3_000_u32 {
        resets.extend(frame(1, 4, 2 * number + 1, &head));
        resets.extend(frame(3, 0, 2 * number + 1, &8_u32.to_be_bytes()));
    }
    let mut empty = [start.clone(), frame(1, 4, 1, &head)].concat();
    (0..30_000).for_each(|_| empty.extend(frame(0, 0, 1, b"")));
    let mut settings = start.clone();
    (0..20_000).for_each(|_| settings.extend(frame(4, 0, 0, b"")));
    let mut pings = start.clone();
    (0..20_000).for_each(|_| pings.extend(frame(6, 0, 0, b"12345678")));
    let mut continuation = [start.clone(), frame(1, 0, 1, &head)].concat();
    (0..20_000).for_each(|_| continuation.extend(frame(9, 0, 1, b"")));
    for (what, flood) in [("resets", resets), ("empty frames", empty), ("settings", settings), ("pings", pings), ("continuations", continuation)] {
        let mut stream = TcpStream::connect(gateway.http).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let mut heard = Vec::new();
        let writing = async {
            // The server may end the connection first.
            let _cut_off = writer.write_all(&flood).await;
            let _cut_off = writer.shutdown().await;
        };
        let listening = async {
            let _reset = reader.read_to_end(&mut heard).await;
        };
        tokio::join!(writing, listening);
        assert!(heard.len() < 4_000_000, "{what}: the answers are bounded");
        if ["resets", "empty frames", "continuations"].contains(&what) {
            assert_eq!(goodbye(&heard), Some(11), "{what}: ENHANCE_YOUR_CALM");
        }
        assert_eq!(gateway.get("/healthz").await.status, 200, "{what}");
        assert_eq!(gateway.get("/v1/messages").await.status, 200, "{what}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_harmless_request_id_comes_back_and_another_is_replaced() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for path in ["/healthz", "/v1/messages", "/nowhere"] {
        let answer = gateway.call("GET", path, &[("x-request-id", "order-7_a.B")], b"").await;
        assert_eq!(answer.header("x-request-id"), Some("order-7_a.B"), "{path}");
    }
    for bad in ["", "a b", "\"><script>", "ü", &"x".repeat(65), CANARY.repeat(9).as_str(), "a\tb", "../x"] {
        let answer = gateway.call("GET", "/nowhere", &[("x-request-id", bad)], b"").await;
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() == 32 && id != bad, "{bad}: {id}");
        answer.assert_problem(404, "not-found", bad);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_open_to_all_says_how_the_server_is_and_how_to_use_it() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let get = async |path: &str| gateway.call_as(None, "GET", path, b"").await;
    let (health, ready) = (get("/healthz").await, get("/readyz").await);
    assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
    assert_eq!(gateway.call_as(None, "HEAD", "/healthz", b"").await.body, b"");
    let metrics = get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text().lines().any(|line| line.starts_with("# TYPE pennypost_")), "{}", metrics.text());
    assert!(!metrics.text().contains("sender.example") && !metrics.text().contains(&gateway.key), "figures name nobody");
    let document = get("/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json(), serde_json::to_value(pennypost::http::openapi()).unwrap());
    for answer in [&health, &ready, &metrics, &document] {
        assert_safe(answer, &answer.text()[..3]);
    }
    assert_eq!(get("/docs").await.header("location"), Some("/docs/"));
    gateway.stop().await;
}

#[tokio::test]
async fn the_documentation_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let page = gateway.call_as(None, "GET", "/docs/", b"").await;
    assert_eq!(page.status, 200);
    assert_safe(&page, "/docs/");
    let html = page.text();
    let mut files = Vec::new();
    for (place, _) in html.match_indices("src=\"").chain(html.match_indices("href=\"")) {
        files.push(html[place..].split('"').nth(1).unwrap().to_owned());
    }
    assert!(files.iter().any(|file| file.ends_with(".js")) && files.iter().any(|file| file.ends_with(".css")), "{files:?}");
    let mut loaded = vec![("index.html".to_owned(), html.clone())];
    for file in &files {
        assert!(!file.contains("//") && !file.contains(':'), "{file} lies elsewhere");
        let answer = gateway.call_as(None, "GET", &format!("/docs/{}", file.trim_start_matches("./")), b"").await;
        assert_eq!(answer.status, 200, "{file}");
        assert_safe(&answer, file);
        if answer.header("content-type").is_some_and(|kind| kind.contains("javascript") || kind.contains("css")) {
            loaded.push((file.clone(), answer.text()));
        }
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        !policy.contains("http") && !policy.contains('*') && policy.contains("connect-src 'self'"),
        "the browser is told to load nothing else: {policy}"
    );
    for (file, text) in &loaded {
        for fetch in ["@import", "url(http", "url(\"http", "url(//", "src=\"http", "src=\"//", "importScripts("] {
            assert!(!text.contains(fetch), "{file} has {fetch}");
        }
    }
    let start = loaded.iter().find(|(file, _)| file.contains("initializer")).unwrap();
    assert!(start.1.contains("/openapi.json") && !start.1.contains("http://") && !start.1.contains("https://"), "{}", start.1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_over_its_rate_is_told_to_wait_and_others_are_not() {
    let mut world = World::new().await;
    world.config.limits.requests_per_second = 5;
    let gateway = world.gateway().await;
    let other = gateway.make_key(json!({ "scope": "read" })).await.1;
    world.advance(Duration::from_secs(10));
    let mut limited = None;
    for _ in 0..50 {
        let answer = gateway.get("/v1/messages").await;
        assert_eq!(answer.header("ratelimit-policy"), Some("\"key\";q=5;w=1"));
        assert!(answer.header("ratelimit").is_some_and(|value| value.starts_with("\"key\";r=")));
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
    }
    let limited = limited.expect("fifty requests in a moment are more than five a second");
    limited.assert_problem(429, "rate-limited", "over the rate");
    assert_eq!(limited.header("retry-after"), Some("1"));
    assert_safe(&limited, "429");
    assert_eq!(gateway.call_as(Some(&other), "GET", "/v1/messages", b"").await.status, 200, "another key has its own rate");
    assert_eq!(gateway.get("/healthz").await.status, 200, "what is open has none");
    world.advance(Duration::from_secs(2));
    assert_eq!(gateway.get("/v1/messages").await.status, 200);
    let page: Value = gateway.get("/v1/messages").await.json();
    assert_eq!(page["data"], json!([]));
    gateway.stop().await;
}
