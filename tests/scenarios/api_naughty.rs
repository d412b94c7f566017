//! Hundreds of odd strings in every field of strings: taken and given back as they are, or refused; never a fault of ours (fault A30).

use mail_parser::{HeaderForm, MessageParser, MimeHeaders};
use pennypost::mail::compose::safe_file_name;
use serde_json::{Value, json};

use super::world::World;
use super::world::api::{patched, sendable};
use super::world::gateway::Gateway;

/// Strings that programs stumble over.
fn naughty() -> Vec<String> {
    let mut strings: Vec<String> = [
        "",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "undefined",
        "undef",
        "null",
        "NULL",
        "(null)",
        "nil",
        "NIL",
        "true",
        "false",
        "True",
        "None",
        "hasOwnProperty",
        "then",
        "constructor",
        "__proto__",
        "\\",
        "\\\\",
        "0",
        "1",
        "1.00",
        "$1.00",
        "1/2",
        "1E2",
        "1E02",
        "1E+02",
        "-1",
        "-1.00",
        "-$1.00",
        "0/0",
        "-2147483648/-1",
        "0.00",
        "0..0",
        ".",
        "0.0.0",
        "0,00",
        "0,,0",
        ",",
        "--1",
        "-",
        "-.",
        "-,",
        "NaN",
        "Infinity",
        "-Infinity",
        "INF",
        "1#INF",
        "0x0",
        "0xffffffffffffffff",
        "0xabad1dea",
        "999999999999999999999999999999",
        "1,000.00",
        "1'000,00",
        "01000",
        "08",
        "2.2250738585072011e-308",
        ",./;'[]\\-=",
        "<>?:\"{}|_+",
        "!@#$%^&*()`~",
        "\u{1}\u{2}\u{3}\u{1f}",
        "\u{7f}",
        "\u{80}\u{81}\u{9f}",
        "\u{85}",
        "\u{feff}",
        "\u{fffe}",
        "\u{a0}\u{2000}\u{3000}",
        "\u{ad}\u{600}\u{61c}\u{200b}\u{200e}\u{202a}\u{2060}",
        "Ω≈ç√∫˜µ≤≥÷",
        "åß∂ƒ©˙∆˚¬…æ",
        "œ∑´®†¥¨ˆøπ“‘",
        "¡™£¢∞§¶•ªº–≠",
        "¸˛Ç◊ı˜Â¯˘¿",
        "ÅÍÎÏ˝ÓÔ\u{f8ff}ÒÚÆ☃",
        "`⁄€‹›ﬁﬂ‡°·‚—±",
        "ЁЂЃЄЅІЇЈЉЊЋЌЍЎЏ",
        "٠١٢٣٤٥٦٧٨٩",
        "⁰⁴⁵",
        "₀₁₂",
        "ด้้้้้็็็็็้้้้้",
        "'",
        "\"",
        "''",
        "\"\"",
        "'\"'",
        "\"''''\"'\"",
        "<foo val=“bar” />",
        "田中さんにあげて下さい",
        "パーティーへ行かないか",
        "和製漢語",
        "部落格",
        "사회과학원 어학연구소",
        "찦차를 타고 온 펲시맨과",
        "社會科學院語學研究所",
        "울란바토르",
        "𠜎𠜱𠝹𠱓𠱸𠲖𠳏",
        "Ⱥ",
        "Ⱦ",
        "ヽ༼ຈل͜ຈ༽ﾉ",
        "(｡◕ ∀ ◕｡)",
        "｀ｨ(´∀｀∩",
        "__ﾛ(,_,*)",
        "😍",
        "👩🏽",
        "👨‍🦰 👨🏿‍🦰",
        "👾 🙇 💁 🙅",
        "🐵 🙈 🙉 🙊",
        "❤️ 💔 💌",
        "👨‍👩‍👧‍👦",
        "🇺🇸🇷🇺🇸",
        "0️⃣ 1️⃣",
        "１２３",
        "بِسْمِ اللَّهِ",
        "הָיְתָהtestالصفحات",
        "\u{fdfd}",
        "\u{fdfa}",
        "مُنَاقَشَةُ سُبُلِ",
        "\u{202a}\u{202a}test\u{202a}",
        "\u{202b}test\u{202b}",
        "\u{2029}test\u{2029}",
        "test\u{2060}test\u{202b}",
        "\u{2066}test\u{2067}",
        "Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦͟o̶̙̰̠kè͚̮̺̪̹̱̤",
        "˙ɐnbᴉlɐ",
        "𝐓𝐡𝐞 𝐪𝐮𝐢𝐜𝐤",
        "𝕿𝖍𝖊",
        "⒯⒣⒠",
        "\u{10ffff}",
        "\u{e000}",
        "\u{fffd}",
        "a\u{301}\u{302}\u{303}",
        "é vs e\u{301}",
        "<script>alert(0)</script>",
        "&lt;script&gt;",
        "<svg><script>123<1>alert(3)</script>",
        "\"><script>alert(5)</script>",
        "' autofocus onkeyup=alert(9) '",
        "<img src=x onerror=alert(1)>",
        "javascript:alert(1);",
        "<a href=\"javas\u{0}cript:1\">x</a>",
        "1;DROP TABLE users",
        "1'; DROP TABLE users-- 1",
        "' OR 1=1 -- 1",
        "' OR '1'='1",
        "'; exec master..xp_cmdshell",
        "%",
        "_",
        "%%",
        "\\%",
        "$$",
        "$1",
        ":name",
        "?",
        "--",
        "--version",
        "--help",
        "$USER",
        "/dev/null; touch /tmp/blns.fail ; echo",
        "`touch /tmp/blns.fail`",
        "$(touch /tmp/blns.fail)",
        "@{[system \"touch /tmp/blns.fail\"]}",
        "eval(\"puts 'hello world'\")",
        "System(\"ls -al /\")",
        "Kernel.exit(1)",
        "<?xml version=\"1.0\"?><!DOCTYPE foo [<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]><foo>&xxe;</foo>",
        "$HOME",
        "$ENV{'HOME'}",
        "%d",
        "%s%s%s%s%s",
        "{0}",
        "%*.*s",
        "%@",
        "%n",
        "{{7*7}}",
        "${7*7}",
        "#{7*7}",
        "<%= 7*7 %>",
        "{% raw %}",
        "${jndi:ldap://127.0.0.1/a}",
        "File:///",
        "../../../../etc/passwd%00",
        "../../../../etc/hosts",
        "() { 0; }; touch /tmp/blns.shellshock1.fail;",
        "CON",
        "PRN",
        "AUX",
        "NUL",
        "COM1",
        "LPT1",
        "DCC SEND STARTKEYLOGGER 0 0 0",
        "Scunthorpe General Hospital",
        "But now...\u{1b}[20Cfor my greatest trick...\u{1b}[8m",
        "\u{7}\u{7}\u{7}",
        "The quic\u{8}\u{8}\u{8}",
        "Powerلُلُصّبُلُلصّبُررً ॣ ॣh ॣ ॣ 冗",
        "జ్ఞ‌ా",
        "گچپژ",
        "=?utf-8?q?abc?=",
        "=?utf-8?b?AA==?=",
        "=?UTF-8?Q?=0D=0ABcc:_x@y.example?=",
        "=?x?",
        "?=",
        "=?=?=",
        "=?iso-8859-1?q?=FC?= =?utf-8?q?=C3=BC?=",
        "a=?utf-8?q?b?=c",
        "=20",
        "=\r\n",
        "=3D",
        "From ",
        "\nFrom a",
        ".",
        "..",
        "\n.\n",
        "\r\n.\r\nMAIL FROM:<a@b>",
        "\r.\r",
        "\n.\r\n",
        "--boundary",
        "\n--=_x_1--\n",
        "Content-Type: text/html",
        "begin 644 x",
        "a\0b",
        "\0",
        "%00",
        "\\0",
        "\\u0000",
        "\\x00",
        "&#0;",
        "a,b;c:d",
        "(comment)",
        "a(b)c\\",
        "<a@b.example>",
        "a@b.example",
        "@",
        "@@",
        "\"@\"",
        "a\"b",
        "a\\\"b",
        "\\\"",
        "trailing \\",
        " leading",
        "trailing ",
        "two  spaces",
        "tab\there",
        "semi;colon",
        "k=v",
        "k=\"v\"",
        "*0*=utf-8''a",
        "utf-8''%41",
        "a'b'c",
        "%E2%82%AC",
        "x*",
        "+ADw-script+AD4-",
        "&amp;",
        "\u{1f595}",
        "true\u{0}",
        "[]",
        "{}",
        "[\"a\"]",
        "{\"a\":1}",
        "xn--a",
        "xn--bcher-kva.example",
        "bücher.example",
        "ａ.example",
        "a。example",
        "faß.example",
        "ſ.example",
        "K.example",
        "a.b",
        "localhost",
        "1.2.3.4",
        "[::1]",
        "a_b.example",
        "-a.example",
        "a-.example",
        "user@exa\u{301}mple.net",
        "\u{200d}",
        "\u{34f}",
        "İ",
        "ı",
        "ß",
        "ŉ",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    for (unit, count) in [
        ("x", 998),
        ("x", 999),
        ("ü", 499),
        ("🐧", 249),
        ("x ", 490),
        ("=?", 300),
        ("a\u{301}", 300),
        (" ", 300),
        ("x", 100_000),
        ("\"", 400),
        ("\\", 400),
        ("x y", 300),
    ] {
        strings.push(unit.repeat(count));
    }
    strings
}

/// Posts, and makes sure that it was no fault of ours.
async fn post(gateway: &Gateway, path: &str, body: &Value) -> super::world::http::Answer {
    let answer = gateway.post(path, body).await;
    let shown: String = body.to_string().chars().take(300).collect();
    assert!((200..500).contains(&answer.status), "{path} {shown}: {} {}", answer.status, answer.text());
    if answer.status >= 400 {
        let slug = answer.json()["type"].as_str().unwrap_or_default().to_owned();
        answer.assert_problem(answer.status, &slug, &shown);
        assert!(answer.body.len() < 20_000, "{shown}: an answer repeats no long value");
    }
    answer
}

#[tokio::test]
async fn texts_are_given_back_exactly_or_refused() {
    let mut world = World::new().await;
    world.config.delivery.sandbox = true;
    let gateway = world.gateway().await;
    let strings = naughty();
    assert!(strings.len() > 250, "{}", strings.len());
    let (mut taken, mut refused) = (0, 0);
    for text in &strings {
        for (field, patch) in [
            ("subject", json!({ "subject": text })),
            ("text", json!({ "text": text })),
            ("html", json!({ "html": text })),
            ("header", json!({ "headers": { "X-Odd": text } })),
            ("tag", json!({ "tags": { "odd": text } })),
            ("metadata", json!({ "metadata": { text: [text, { "inner": text }] } })),
            ("filename", json!({ "attachments": [{ "filename": text, "content": "YQ==" }] })),
            ("name", json!({ "from": format!("\"{}\" <hello@sender.example>", text.replace('\\', "\\\\").replace('"', "\\\"")) })),
        ] {
            let answer = post(&gateway, "/v1/send", &patched(sendable(), &patch)).await;
            if answer.status != 202 {
                assert!([413, 422].contains(&answer.status), "{field} {text:?}: {}", answer.text());
                refused += 1;
                continue;
            }
            taken += 1;
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            assert_given_back(&gateway, &id, field, text).await;
        }
    }
    assert!(taken > 1200 && refused > 200, "{taken} taken, {refused} refused");
    gateway.stop().await;
}

/// Reads the field of a message that was accepted.
async fn assert_given_back(gateway: &Gateway, id: &str, field: &str, text: &str) {
    let shown = match field {
        "subject" | "tag" | "metadata" => gateway.message(id).await,
        _ => Value::Null,
    };
    match field {
        "tag" => return assert_eq!(shown["tags"]["odd"], text),
        "metadata" => return assert_eq!(shown["metadata"], json!({ text: [text, { "inner": text }] })),
        "subject" => assert_eq!(shown["subject"], text),
        _ => {}
    }
    let raw = gateway.get(&format!("/v1/messages/{id}/raw")).await;
    assert!(raw.status == 200 && raw.body.is_ascii(), "{field} {text:?}");
    assert!(raw.body.split(|octet| *octet == b'\n').all(|line| line.len() <= 999), "{field} {text:?}");
    let message = MessageParser::default().parse(&raw.body).unwrap();
    let header =
        |name: &'static str| message.header_as(name, HeaderForm::Text).first().and_then(|value| value.as_text()).unwrap_or_default().to_owned();
    // A text part ends in one line end and has the line ends of mail (RFC 5322 2.3).
    let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned();
    match field {
        "subject" => assert_eq!(message.subject().unwrap_or_default(), text),
        "header" => assert_eq!(header("X-Odd"), text),
        "text" => assert_eq!(lines(&message.body_text(0).unwrap()), lines(text)),
        "html" => assert_eq!(lines(&message.body_html(0).unwrap()), lines(text)),
        "name" => assert_eq!(message.from().unwrap().first().unwrap().name().unwrap_or_default(), text),
        "filename" => assert_eq!(message.attachment(0).unwrap().attachment_name(), Some(safe_file_name(text).as_str()), "{text:?}"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn words_with_a_grammar_are_taken_in_their_form_or_refused() {
    let mut world = World::new().await;
    world.config.delivery.sandbox = true;
    let gateway = world.gateway().await;
    for text in &naughty() {
        for patch in [
            json!({ "from": text }),
            json!({ "to": text }),
            json!({ "to": [format!("{text}@example.net")], "cc": [format!("a@{text}")], "bcc": [format!("{text} <a@example.net>")], "reply_to": text }),
            json!({ "to": [format!("{text}@example.net")] }),
            json!({ "to": [format!("a@{text}")] }),
            json!({ "headers": { text: "v" } }),
            json!({ "tags": { text: "v" } }),
            json!({ "stream": text, "send_at": text, "expires_at": text, "priority": text }),
            json!({ "stream": text }),
            json!({ text: text }),
            json!({ "attachments": [{ "filename": "a", "content": text, "content_type": text, "content_id": text }] }),
            json!({ "attachments": [{ "filename": "a", "content": "YQ==", "content_id": text }] }),
            json!({ "envelope": { "from": text, "to": [text] }, "raw": text, "from": null, "to": null, "subject": null, "text": null }),
        ] {
            let answer = post(&gateway, "/v1/send", &patched(sendable(), &patch)).await;
            if answer.status == 202 {
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                let shown = gateway.message(&id).await;
                if patch["stream"].is_string() {
                    assert_eq!(shown["stream"], *text);
                }
                if let Some(to) = patch["to"][0].as_str().filter(|to| to.ends_with("@example.net")) {
                    let quoted = to.starts_with('"');
                    assert!(quoted || shown["deliveries"][0]["recipient"] == to.trim_matches(' '), "{to}: {shown}");
                }
                assert_eq!(gateway.get(&format!("/v1/messages/{id}/raw")).await.status, 200, "{text:?}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn keys_domains_and_queries_take_any_text_without_a_fault() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let (strings, mut names) = (naughty(), Vec::new());
    for text in &strings {
        let answer = post(&gateway, "/v1/keys", &json!({ "name": text, "scope": "read" })).await;
        if answer.status == 201 {
            assert_eq!(answer.json()["name"], *text);
            names.push((answer.json()["id"].as_str().unwrap().to_owned(), text));
        }
        post(&gateway, "/v1/keys", &json!({ "name": "k", "scope": text, "kind": text, "expires_at": text, "domains": [text] })).await;
        let answer = post(&gateway, "/v1/domains", &json!({ "name": text })).await;
        if answer.status == 201 {
            let domain = answer.json();
            assert_eq!(gateway.get(&format!("/v1/domains/{}", domain["id"].as_str().unwrap())).await.json(), domain);
        }
        let encoded: String = text.bytes().take(2000).map(|octet| format!("%{octet:02X}")).collect();
        for path in [
            "messages?sender=",
            "messages?recipient=",
            "messages?tag=a:",
            "messages?tag=",
            "messages?state=",
            "messages?since=",
            "messages?cursor=",
            "messages?",
            "events?kinds=",
            "events?cursor=",
            "keys?limit=",
            "messages/",
            "domains/",
        ] {
            let answer = gateway.get(&format!("/v1/{path}{encoded}")).await;
            assert!(answer.status < 500, "{path} {text:?}: {}", answer.text());
        }
    }
    let mut cursor = String::new();
    let mut seen = std::collections::HashMap::new();
    loop {
        let page = gateway.get(&format!("/v1/keys?limit=100{cursor}")).await.json();
        for key in page["data"].as_array().unwrap() {
            seen.insert(key["id"].as_str().unwrap().to_owned(), key["name"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(names.len() > 150, "{}", names.len());
    for (id, name) in names {
        assert_eq!(seen.get(&id), Some(name));
    }
    gateway.stop().await;
}
