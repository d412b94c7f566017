//! Drafts are composed, checked by our own rules and read back by mail-parser.

use mail_parser::{Message, MessageParser, MimeHeaders as _, PartType};
use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::mail::headers::check_raw;
use crate::mail::lines;

fn draft() -> Draft {
    Draft {
        from: Mailbox::parse("Penny <hello@example.com>").unwrap(),
        to: vec![Mailbox::parse("a@example.net").unwrap()],
        cc: vec![],
        reply_to: vec![],
        subject: HeaderText::parse("Hi").unwrap(),
        text: Some("Hello".to_owned()),
        html: None,
        headers: vec![],
        attachments: vec![],
        message_id: "1@example.com".to_owned(),
        date: datetime!(2026-11-01 09:00 UTC),
    }
}

fn attachment(filename: &str, content_type: &str, content: &[u8], content_id: Option<&str>) -> Attachment {
    Attachment {
        filename: filename.to_owned(),
        content: content.to_vec(),
        content_type: MediaType::parse(content_type).unwrap(),
        content_id: content_id.map(|id| ContentId::parse(id).unwrap()),
    }
}

fn text_of(draft: &Draft) -> String {
    String::from_utf8(compose(draft)).unwrap()
}

/// The field of that name as it stands in the header block.
fn field(message: &str, name: &str) -> String {
    let header = message.split_once("\r\n\r\n").unwrap().0;
    let start = header.find(&format!("{name}:")).unwrap();
    let rest = &header[start..];
    let end = rest.match_indices("\r\n").find(|(at, _)| !rest[at + 2..].starts_with([' ', '\t'])).map_or(rest.len(), |(at, _)| at);
    rest[..end].to_owned()
}

fn subject(text: &str) -> String {
    field(&text_of(&Draft { subject: HeaderText::parse(text).unwrap(), ..draft() }), "Subject")
}

fn from(name: &str) -> String {
    let mailbox = Mailbox { name: Some(HeaderText::parse(name).unwrap()), ..draft().from };
    field(&text_of(&Draft { from: mailbox, ..draft() }), "From")
}

/// The tree of media types, children in brackets.
fn tree(message: &Message<'_>, part: u32) -> String {
    let part = message.part(part).unwrap();
    let name = part.content_type().map_or("none".to_owned(), |media| format!("{}/{}", media.ctype(), media.subtype().unwrap_or_default()));
    match &part.body {
        PartType::Multipart(children) => {
            format!("{name}[{}]", children.iter().map(|&child| tree(message, child)).collect::<Vec<_>>().join(" "))
        }
        _ => name,
    }
}

#[test]
fn a_plain_message_looks_as_simple_as_it_is() {
    let expected = "Date: Sun, 1 Nov 2026 09:00:00 +0000\r\nFrom: Penny <hello@example.com>\r\nTo: a@example.net\r\nMessage-ID: <1@example.com>\r\n\
                    Subject: Hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello\r\n";
    assert_eq!(text_of(&draft()), expected);
}

#[test]
fn subjects_are_encoded_where_they_must_be_and_only_there() {
    for (given, written) in [
        ("", "Subject:"),
        ("Hi", "Subject: Hi"),
        ("Re: Grüße <x>", "Subject: Re: =?utf-8?B?R3LDvMOfZQ==?= <x>"),
        ("世界 und 世界", "Subject: =?utf-8?B?5LiW55WMIHVuZCDkuJbnlYw=?="),
        (" a", "Subject: =?utf-8?Q?_a?="),
        ("a ", "Subject: =?utf-8?Q?a_?="),
        (" ", "Subject: =?utf-8?Q?_?="),
        ("a  b", "Subject: a  b"),
        ("1 = 1? yes", "Subject: 1 = 1? yes"),
        ("see =?utf-8?Q?x?= here", "Subject: see =?utf-8?B?PT91dGYtOD9RP3g/PQ==?= here"),
    ] {
        assert_eq!(subject(given), written, "{given:?}");
    }
    let ascii = "word ".repeat(40) + "end";
    assert_eq!(subject(&ascii).replace("\r\n", ""), format!("Subject: {ascii}"));
    let token = "x".repeat(300);
    assert_eq!(subject(&format!("a {token}")), format!("Subject: a\r\n {token}"));
    assert!(subject(&"x".repeat(998)).contains("=?utf-8?Q?"));
}

#[test]
fn names_are_bare_quoted_or_encoded() {
    for (given, written) in [
        ("Penny", "Penny"),
        ("Penny & Co", "Penny & Co"),
        ("Penny, Inc.", "\"Penny, Inc.\""),
        ("a \"b\" \\c", "\"a \\\"b\\\" \\\\c\""),
        ("Jürgen", "=?utf-8?Q?J=C3=BCrgen?="),
        ("a=?b", "=?utf-8?Q?a=3D=3Fb?="),
        (" x", "=?utf-8?Q?_x?="),
        ("a  b", "=?utf-8?Q?a__b?="),
        ("(c) <x>", "\"(c) <x>\""),
    ] {
        assert_eq!(from(given), format!("From: {written} <hello@example.com>"), "{given:?}");
    }
}

#[test]
fn encoded_words_keep_their_limits() {
    for text in ["世界".repeat(160), "é".repeat(499), "🐧".repeat(249), format!("{}é", "a ".repeat(498)), "é a".repeat(249)] {
        let written = subject(&text);
        assert!(written.lines().all(|line| line.len() <= 76), "{written}");
        for word in written.split_whitespace().skip(1).filter(|word| word.starts_with("=?")) {
            assert!(word.len() <= 75, "{word}");
            let line = format!("{word}\r\n");
            let decoded = mail_parser::parsers::MessageStream::new(line.as_bytes()).parse_unstructured();
            assert!(!decoded.as_text().unwrap().contains('\u{fffd}'), "a character is split: {word}");
        }
    }
}

#[test]
fn machine_read_fields_stay_readable() {
    let url = format!("<https://example.com/unsubscribe?token={}>", "t".repeat(200));
    let headers = [("List-Unsubscribe", url.as_str()), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"), ("X-Order", "7")];
    let headers = headers.map(|(name, value)| (HeaderName::parse(name).unwrap(), HeaderText::parse(value).unwrap())).to_vec();
    let message = text_of(&Draft { headers, ..draft() });
    assert_eq!(field(&message, "List-Unsubscribe").replace("\r\n", ""), format!("List-Unsubscribe: {url}"));
    assert_eq!(field(&message, "List-Unsubscribe-Post"), "List-Unsubscribe-Post: List-Unsubscribe=One-Click");
    assert_eq!(field(&message, "X-Order"), "X-Order: 7");
}

#[test]
fn the_longest_name_and_value_fit_the_line_limit() {
    let name = HeaderName::parse(&"N".repeat(76)).unwrap();
    for value in
        ["x".repeat(998), "x".repeat(997), format!("{} y", "x".repeat(900)), " ".repeat(998), format!("a{}b", " ".repeat(996)), "é".repeat(499)]
    {
        let message = compose(&Draft { headers: vec![(name.clone(), HeaderText::parse(&value).unwrap())], ..draft() });
        assert_eq!(lines::first_long_line(&message), None, "{value}");
        assert!(check_raw(&message).is_ok(), "{value}");
    }
}

#[test]
fn reserved_fields_and_bcc_are_never_written() {
    let names = ["Bcc", "bcc", "From", "Resent-Bcc", "Content-Type", "DKIM-Signature", "ARC-Seal", "Received", "Return-Path", "Subject", "X-Fine"];
    let headers = names.map(|name| (HeaderName::parse(name).unwrap(), HeaderText::parse("evil@example.net").unwrap())).to_vec();
    let message = text_of(&Draft { headers, ..draft() });
    assert_eq!(message.matches("evil@example.net").count(), 1);
    assert_eq!(field(&message, "X-Fine"), "X-Fine: evil@example.net");
}

#[test]
fn a_message_to_nobody_visible_says_so() {
    assert_eq!(field(&text_of(&Draft { to: vec![], ..draft() }), "To"), "To: undisclosed-recipients:;");
    let cc = text_of(&Draft { to: vec![], cc: draft().to, ..draft() });
    assert!(!cc.contains("\r\nTo:") && cc.contains("\r\nCc: a@example.net\r\n"));
}

#[test]
fn addresses_beyond_ascii_have_a_label_domains_and_raw_local_parts() {
    let message = text_of(&Draft { to: vec![Mailbox::parse("Zoë <zoë@bücher.example>").unwrap()], ..draft() });
    assert_eq!(field(&message, "To"), "To: =?utf-8?Q?Zo=C3=AB?= <zoë@xn--bcher-kva.example>");
    let headers = check_raw(message.as_bytes()).unwrap();
    assert!(headers.needs_smtputf8 && !headers.has_eight_bit_body);
    let ascii = text_of(&Draft { to: vec![Mailbox::parse("Zoë <zoe@bücher.example>").unwrap()], ..draft() });
    assert!(ascii.is_ascii() && !check_raw(ascii.as_bytes()).unwrap().needs_smtputf8);
}

#[test]
fn a_message_id_cannot_bring_a_field_along() {
    let message = text_of(&Draft { message_id: format!("1@x>\r\nBcc: evil@example.net\r\n <{}", "y".repeat(2000)), ..draft() });
    assert!(field(&message, "Message-ID").starts_with("Message-ID: <1@xBcc:evil@example.netyyy"));
    assert!(check_raw(message.as_bytes()).is_ok());
}

#[test]
fn parts_are_nested_as_mail_programs_expect() {
    let file = attachment("a.pdf", "application/pdf", b"%PDF", None);
    let logo = attachment("l.png", "image/png", b"PNG", Some("logo"));
    let text = Some("t".to_owned());
    let html = Some("<img src=\"cid:logo\">".to_owned());
    for (text, html, attachments, expected) in [
        (text.clone(), None, vec![], "text/plain"),
        (None, html.clone(), vec![], "text/html"),
        (None, None, vec![], "text/plain"),
        (text.clone(), html.clone(), vec![], "multipart/alternative[text/plain text/html]"),
        (text.clone(), None, vec![file.clone()], "multipart/mixed[text/plain application/pdf]"),
        (None, None, vec![file.clone()], "multipart/mixed[application/pdf]"),
        (None, html.clone(), vec![logo.clone()], "multipart/related[text/html image/png]"),
        (text.clone(), None, vec![logo.clone()], "multipart/mixed[text/plain image/png]"),
        (
            text.clone(),
            html.clone(),
            vec![file.clone(), logo.clone(), file],
            "multipart/mixed[multipart/alternative[text/plain multipart/related[text/html image/png]] application/pdf application/pdf]",
        ),
    ] {
        let octets = compose(&Draft { text, html, attachments, ..draft() });
        let message = MessageParser::new().parse(&octets).unwrap();
        assert_eq!(tree(&message, 0), expected);
        assert!(octets.ends_with(b"\r\n") && check_raw(&octets).is_ok(), "{expected}");
    }
}

#[test]
fn an_inline_file_is_found_by_its_content_id() {
    let logo = attachment("l.png", "image/png", b"PNG", Some("logo@x"));
    let message = text_of(&Draft { html: Some("<img src=\"cid:logo@x\">".to_owned()), attachments: vec![logo], ..draft() });
    assert!(message.contains("multipart/related; type=\"text/html\";"), "{message}");
    assert!(message.contains("\r\nContent-Disposition: inline; filename=\"l.png\"\r\nContent-ID: <logo@x>\r\n"), "{message}");
}

#[test]
fn bodies_are_encoded_so_that_nothing_dangerous_is_left() {
    for (given, encoding, read) in [
        ("", "7bit", "\r\n"),
        ("a", "7bit", "a\r\n"),
        ("a\r\n\r\n\n", "7bit", "a\r\n"),
        ("a\n.\nb", "7bit", "a\r\n.\r\nb\r\n"),
        ("a\r.\rb", "7bit", "a\r\n.\r\nb\r\n"),
        ("a\n\r\nb", "7bit", "a\r\n\r\nb\r\n"),
        ("a \nb", "quoted-printable", "a \r\nb\r\n"),
        ("a\n \t", "quoted-printable", "a\r\n \t\r\n"),
        ("Grüße an alle, die das lesen", "quoted-printable", "Grüße an alle, die das lesen\r\n"),
        ("世界", "base64", "世界\r\n"),
        ("a\r\n\0.\r\nb", "base64", "a\r\n\0.\r\nb\r\n"),
        ("a\u{b}b", "base64", "a\u{b}b\r\n"),
        ("--=_1", "quoted-printable", "--=_1\r\n"),
    ] {
        let octets = compose(&Draft { text: Some(given.to_owned()), ..draft() });
        let text = String::from_utf8(octets.clone()).unwrap();
        assert_eq!(field(&text, "Content-Transfer-Encoding"), format!("Content-Transfer-Encoding: {encoding}"), "{given:?}");
        let message = MessageParser::new().parse(&octets).unwrap();
        assert_eq!(message.text_part(0).unwrap().text_contents(), Some(read), "{given:?}");
        assert!(check_raw(&octets).is_ok() && octets.is_ascii(), "{given:?}");
    }
    let long = text_of(&Draft { text: Some("x".repeat(5000)), ..draft() });
    assert!(long.lines().all(|line| line.len() <= 78));
}

#[test]
fn a_body_cannot_end_its_own_part() {
    let first = text_of(&Draft { html: Some("<p>".to_owned()), ..draft() });
    let boundary = field(&first, "Content-Type").split('"').nth(1).unwrap().to_owned();
    let text = format!("--{boundary}\r\nContent-Type: text/html\r\n\r\nevil\r\n--{boundary}--");
    let octets = compose(&Draft { text: Some(text.clone()), html: Some("<p>".to_owned()), ..draft() });
    let message = MessageParser::new().parse(&octets).unwrap();
    assert_eq!(tree(&message, 0), "multipart/alternative[text/plain text/html]");
    assert_eq!(message.text_part(0).unwrap().text_contents(), Some(format!("{text}\r\n").as_str()));
}

#[test]
fn files_arrive_as_they_are_under_a_safe_name() {
    let octets: Vec<u8> = (0..=255).collect();
    for (given, shown) in [
        ("a.pdf", "a.pdf"),
        ("../../etc/passwd", "passwd"),
        ("Grüße 世界.txt", "Grüße 世界.txt"),
        ("a \"b\".txt", "a _b_.txt"),
        ("x\u{202e}fdp.exe", "xfdp.exe"),
        ("a\r\nX-Evil: 1.txt", "aX-Evil_ 1.txt"),
    ] {
        for content in [&b""[..], b"x", &octets] {
            let attachments = vec![attachment(given, "application/octet-stream", content, None)];
            let written = compose(&Draft { attachments, ..draft() });
            let message = MessageParser::new().parse(&written).unwrap();
            let file = message.attachment(0).unwrap();
            assert_eq!(file.attachment_name(), Some(shown), "{given:?}");
            assert_eq!(file.contents(), content, "{given:?}");
            assert!(check_raw(&written).is_ok(), "{given:?}");
        }
    }
    let name = format!("{}.pdf", "世".repeat(83));
    let written = text_of(&Draft { attachments: vec![attachment(&name, "application/pdf", b"x", None)], ..draft() });
    assert!(written.contains("filename*0*=UTF-8''%E4%B8%96") && written.lines().all(|line| line.len() <= 78), "{written}");
}

#[test]
fn text_files_say_their_character_set_if_it_is_utf_8() {
    let attachments = vec![attachment("a.csv", "text/csv", "ü;1\n".as_bytes(), None), attachment("b.csv", "text/csv", b"\xfc;1\n", None)];
    let message = text_of(&Draft { attachments, ..draft() });
    assert!(message.contains("Content-Type: text/csv; charset=\"utf-8\"\r\n") && message.contains("Content-Type: text/csv\r\n"), "{message}");
}

#[test]
fn the_same_draft_gives_the_same_octets_and_another_id_other_boundaries() {
    let both = Draft { html: Some("<p>".to_owned()), ..draft() };
    assert_eq!(compose(&both), compose(&both.clone()));
    let other = Draft { message_id: "2@example.com".to_owned(), ..both.clone() };
    assert_ne!(field(&text_of(&both), "Content-Type"), field(&text_of(&other), "Content-Type"));
}

/// Text a header may hold, rich in what is special to headers.
fn header_text() -> impl Strategy<Value = HeaderText> {
    let piece =
        prop_oneof!["[ -~]{0,12}", "[ -~é世🐧ß]{0,12}", Just("=?utf-8?Q?x?=".to_owned()), "[ =?_:;<>@\",]{0,6}", "[a-z]{60,90}", any::<String>()];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| {
        let text: String = pieces.concat().chars().filter(|&character| !crate::model::header::breaks_lines(character)).collect();
        let mut end = text.len().min(998);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        HeaderText::parse(&text[..end]).unwrap()
    })
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    let address = prop_oneof!["[a-z]{1,8}(\\.[a-z0-9]{1,5})?@[a-z]{1,9}\\.example", Just("\"a b\"@x.example".to_owned()), "[é世]{1,3}@x\\.example"];
    (prop::option::of(header_text()), address).prop_map(|(name, address)| Mailbox {
        name: name.filter(|name| !name.as_str().trim().is_empty() && !name.as_str().contains('@')),
        address: crate::model::EmailAddress::parse(&address).unwrap(),
    })
}

fn body() -> impl Strategy<Value = Option<String>> {
    let piece = prop_oneof![
        "[ -~]{0,100}",
        "[ -~é世🐧]{0,60}",
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        "[\0-\u{1f}]{0,3}",
        Just("\n.\n".to_owned()),
        Just("\n--=_".to_owned())
    ];
    prop::option::of(prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()))
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let file = (any::<String>(), prop::collection::vec(any::<u8>(), 0..200), prop::bool::ANY).prop_map(|(name, content, inline)| {
        attachment(&name, if inline { "image/png" } else { "application/pdf" }, &content, inline.then_some("cid@x"))
    });
    let headers = prop::collection::vec(("X-[A-Za-z]{1,70}", header_text()), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (HeaderName::parse(&name).unwrap(), value)).collect());
    let lists = (mailbox(), prop::collection::vec(mailbox(), 0..5), prop::collection::vec(mailbox(), 0..3), prop::collection::vec(mailbox(), 0..2));
    (lists, header_text(), body(), body(), headers, prop::collection::vec(file, 0..3), any::<String>()).prop_map(
        |((from, to, cc, reply_to), subject, text, html, headers, attachments, id)| Draft {
            from,
            to,
            cc,
            reply_to,
            subject,
            text,
            html,
            headers,
            attachments,
            message_id: format!("{id}@example.com"),
            date: datetime!(2026-11-01 09:00 UTC),
        },
    )
}

/// What a reader sees of a body: lines with CRLF, one at the end.
fn as_read(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim_end_matches('\n');
    text.replace('\n', "\r\n") + "\r\n"
}

fn names(mailboxes: &[Mailbox]) -> Vec<(Option<String>, String)> {
    mailboxes.iter().map(|mailbox| (mailbox.name.as_ref().map(|name| name.as_str().to_owned()), mailbox.address.to_string())).collect()
}

fn read_names(address: Option<&mail_parser::Address<'_>>) -> Vec<(Option<String>, String)> {
    let shown = |address: &mail_parser::Addr<'_>| (address.name().map(str::to_owned), address.address().unwrap_or_default().to_owned());
    address.map(|address| address.iter().map(shown).collect()).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_draft_the_message_is_sound_and_reads_back(draft in any_draft()) {
        let octets = compose(&draft);
        prop_assert!(octets.ends_with(b"\r\n"));
        let headers = check_raw(&octets).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        prop_assert!(!headers.has_eight_bit_body);
        prop_assert_eq!(&headers.subject, draft.subject.as_str());
        prop_assert_eq!(&headers.from, &draft.from);

        let message = MessageParser::new().parse(&octets).unwrap();
        prop_assert_eq!(read_names(message.from()), names(std::slice::from_ref(&draft.from)));
        prop_assert_eq!(read_names(message.cc()), names(&draft.cc));
        prop_assert_eq!(read_names(message.reply_to()), names(&draft.reply_to));
        if !draft.to.is_empty() {
            prop_assert_eq!(read_names(message.to()), names(&draft.to));
        }
        if let Some(text) = &draft.text {
            prop_assert_eq!(message.text_part(0).unwrap().text_contents().map(str::to_owned), Some(as_read(text)));
        }
        if let Some(html) = &draft.html {
            prop_assert_eq!(message.html_part(0).unwrap().text_contents().map(str::to_owned), Some(as_read(html)));
        }
        for file in &draft.attachments {
            let name = safe_file_name(&file.filename);
            prop_assert!(message.parts.iter().any(|part| part.attachment_name() == Some(name.as_str()) && part.contents() == file.content));
        }
    }

    #[test]
    fn no_draft_writes_a_field_that_was_not_asked_for(draft in any_draft()) {
        let octets = compose(&draft);
        let text = String::from_utf8(octets).unwrap();
        let header = text.split_once("\r\n\r\n").unwrap().0;
        let written: Vec<&str> = header.split("\r\n").filter(|line| !line.starts_with(' ')).map(|line| line.split_once(':').unwrap().0).collect();
        let has = |present: bool, name: &'static str| present.then_some(name);
        let multipart = text.contains("\r\nContent-Type: multipart/") && field(&text, "Content-Type").contains("multipart/");
        let expected: Vec<&str> = [
            Some("Date"), Some("From"), has(!draft.reply_to.is_empty(), "Reply-To"), has(!draft.to.is_empty() || draft.cc.is_empty(), "To"),
            has(!draft.cc.is_empty(), "Cc"), Some("Message-ID"), Some("Subject"),
        ]
        .into_iter()
        .flatten()
        .chain(draft.headers.iter().map(|(name, _)| name.as_str()))
        .chain(["MIME-Version", "Content-Type"])
        .chain(has(!multipart, "Content-Transfer-Encoding"))
        .collect();
        prop_assert_eq!(written, expected);
    }
}
