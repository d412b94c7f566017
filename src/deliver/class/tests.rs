//! What real replies mean, and how an operator's rules change it.

use super::*;
use crate::deliver::class::rules::Rules;

/// One line of `tests/corpus/replies.txt`.
struct Row<'t> {
    stage: Stage,
    host: Option<&'t str>,
    class: BounceClass,
    reply: Reply,
    line: &'t str,
}

fn rows(text: &str) -> Vec<Row<'_>> {
    fn read(line: &str) -> Option<Row<'_>> {
        let mut words = line.splitn(4, ' ');
        let (stage, host, class, reply) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let stage = serde_json::from_value(stage.into()).ok()?;
        let reply = Reply::new(reply.get(..3)?.parse().ok()?, reply.get(4..)?.replace('|', "\n"));
        Some(Row { stage, host: Some(host).filter(|host| *host != "-"), class: class.parse().ok()?, reply, line })
    }
    text.lines().filter(|line| !line.starts_with('#')).map(|line| read(line).unwrap_or_else(|| panic!("not a row: {line}"))).collect()
}

fn found(rules: &Rules, stage: Stage, text: &str, host: Option<&str>) -> BounceClass {
    let reply = Reply::new(text[..3].parse().unwrap(), &text[4..]);
    classify(rules, stage, &reply, host).class
}

#[test]
fn replies_of_large_receivers_have_the_class_they_mean() {
    let rules = Rules::built_in();
    let mut wrong = Vec::new();
    for row in rows(include_str!("../../../tests/corpus/replies.txt")) {
        let found = classify(&rules, row.stage, &row.reply, row.host);
        if found.class != row.class {
            wrong.push(format!("{} (by {:?}): {}", found.class, found.rule, row.line));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_address_in_a_reply_is_not_taken_for_its_words() {
    let rules = Rules::built_in();
    assert_eq!(found(&rules, Stage::Rcpt, "550 5.1.1 <spamhaus-blocked@d.example>: User unknown", None), BounceClass::BadMailbox);
    assert_eq!(found(&rules, Stage::Rcpt, "550 5.7.1 <user-unknown@d.example>: Access denied", None), BounceClass::Policy);
}

#[test]
fn a_stage_says_what_words_are_about_and_none_before_rcpt_condemns_a_recipient() {
    let own = Rules::with("[[rule]]\nname = \"ours\"\ntext = [\"away\"]\nclass = \"inactive\"\n").unwrap();
    for (stage, text, class) in [
        (Stage::Rcpt, "550 5.1.1 user unknown", BounceClass::BadMailbox),
        (Stage::EndOfData, "550 5.1.1 user unknown", BounceClass::BadMailbox),
        (Stage::Mail, "550 5.1.1 user unknown", BounceClass::Authentication),
        (Stage::Mail, "550 5.2.1 mailbox disabled", BounceClass::Authentication),
        (Stage::Mail, "550 gone away", BounceClass::Authentication),
        (Stage::Greeting, "554 user unknown", BounceClass::Other),
        (Stage::Mail, "552 5.2.2 mailbox full", BounceClass::Full),
        // The same words mean us before the content was seen, and the content afterwards.
        (Stage::Rcpt, "554 no spam here", BounceClass::Reputation),
        (Stage::EndOfData, "554 no spam here", BounceClass::Content),
    ] {
        assert_eq!(found(&own, stage, text, None), class, "{stage:?} {text}");
    }
}

#[test]
fn a_status_counts_where_it_stands_if_it_is_of_the_kind_of_its_code() {
    let rules = Rules::built_in();
    // 5yz with a status that says "later": the words are not known, and the number is no refusal of the mailbox.
    for (text, class) in [
        ("550 4.1.1 hm", BounceClass::Other),
        ("550 hm (#4.1.1)", BounceClass::Other),
        ("550 5.1.1 hm", BounceClass::BadMailbox),
        ("550 hm (#5.1.1)", BounceClass::BadMailbox),
    ] {
        assert_eq!(found(&rules, Stage::Rcpt, text, None), class, "{text}");
    }
    // Repeated on each line, the status does not part the words.
    assert_eq!(found(&rules, Stage::Rcpt, "550 5.9.9 No such\n5.9.9 user here", None), BounceClass::BadMailbox);
}

#[test]
fn rules_of_an_operator_come_first_or_stand_alone() {
    let own = "[[rule]]\nname = \"ours\"\nhost = [\"*.partner.example\"]\ncode = [\"550\"]\ntext = [\"User Unknown\"]\nclass = \"policy\"\n";
    let both = Rules::with(own).unwrap();
    let reply = "550 5.1.1 user unknown";
    assert_eq!(found(&both, Stage::Rcpt, reply, Some("mx.partner.example.")), BounceClass::Policy);
    assert_eq!(found(&both, Stage::Rcpt, reply, Some("mx.other.example")), BounceClass::BadMailbox);
    assert_eq!(found(&both, Stage::Rcpt, reply, None), BounceClass::BadMailbox);
    let alone = Rules::with(&format!("replace = true\n{own}")).unwrap();
    assert_eq!(found(&alone, Stage::Rcpt, reply, Some("mx.partner.example")), BounceClass::Policy);
    assert_eq!(found(&alone, Stage::Rcpt, reply, None), BounceClass::Other);
}

#[test]
fn a_file_of_rules_that_is_wrong_is_refused_with_every_line() {
    for (text, expected) in [
        ("[[rule]]\nname = \"a\"\nclass = \"policy\"\n", "line 1: the rule \"a\": has no condition"),
        ("\n[[rule]]\nname = \"a\"\ncode = [\"250\"]\nclass = \"policy\"\n", "line 2: the rule \"a\": code holds \"250\""),
        ("[[rule]]\nname = \"a\"\nstatus = [\"5.1\"]\nclass = \"policy\"\n", "status holds \"5.1\"; write 5.1.1"),
        ("[[rule]]\nname = \"a\"\nhost = [\"a b\"]\nclass = \"policy\"\n", "host holds \"a b\""),
        ("[[rule]]\nname = \"\"\ntext = [\" \"]\nclass = \"policy\"\n", "name is empty"),
        ("[[rule]]\nname = \"a\"\ntext = [\"x\"]\nclass = \"hard\"\n", "line 4: unknown variant `hard`"),
        ("[[rule]]\nname = \"a\"\ntxt = [\"x\"]\nclass = \"policy\"\n", "line 3: unknown field `txt`"),
        ("[[rules]]\n", "unknown field `rules`"),
        ("rule", "line 1: "),
    ] {
        let faults = Rules::with(text).expect_err(text).join("\n");
        assert!(faults.contains(expected), "{text}: {faults}");
    }
    let two = "[[rule]]\nname = \"a\"\nclass = \"policy\"\n[[rule]]\nname = \"b\"\ncode = [\"x\"]\nclass = \"policy\"\n";
    assert_eq!(Rules::with(two).expect_err("two faults").len(), 2);
    let missing = Rules::load(std::path::Path::new("/nonexistent/rules.toml")).expect_err("no file").to_string();
    assert!(missing.starts_with("delivery.bounce_rules: /nonexistent/rules.toml cannot be read"), "{missing}");
    let endless = std::env::temp_dir().join(format!("pennypost-rules-{}.toml", std::process::id()));
    std::fs::write(&endless, "#".repeat(1024 * 1024 + 1)).unwrap();
    let refused = Rules::load(&endless).expect_err("too large").to_string();
    std::fs::remove_file(&endless).unwrap();
    assert!(refused.contains("more than 1048576 octets"), "{refused}");
}

/// How far we agree with another analyser about bounces that were really sent. Reads the collection that the environment names.
#[test]
fn real_bounces_are_classed_as_another_analyser_does() {
    let Some(folder) = std::env::var_os("PENNYPOST_CORPUS").map(std::path::PathBuf::from) else {
        println!("skipped: PENNYPOST_CORPUS names no folder of bounces");
        return;
    };
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: std::collections::BTreeMap<String, Vec<serde_json::Value>> = serde_json::from_str(&text).unwrap();
    let rules = Rules::built_in();
    let (mut compared, mut same_class, mut same_hard, mut wrongly_hard, mut differing) = (0, 0, 0, 0, Vec::new());
    for (file, verdicts) in &expected {
        let mail = String::from_utf8_lossy(&std::fs::read(folder.join(file)).unwrap()).into_owned();
        for (theirs, told) in verdicts.iter().zip(replies_in(&mail)) {
            let reason = theirs["reason"].as_str().unwrap_or_default();
            let classes = ours_for(reason);
            if classes.is_empty() {
                continue;
            }
            let stage = if mail.contains("end of DATA") { Stage::EndOfData } else { Stage::Rcpt };
            let ours = classify(&rules, stage, &told.0, told.1.as_deref());
            let hard = matches!(ours.class, BounceClass::BadMailbox | BounceClass::BadDomain) && told.0.is_permanent();
            compared += 1;
            same_class += usize::from(classes.contains(&ours.class));
            same_hard += usize::from(hard == theirs["hard"].as_bool().unwrap_or_default());
            wrongly_hard += usize::from(hard && theirs["hard"] == false && !classes.contains(&ours.class));
            if !classes.contains(&ours.class) {
                differing.push(format!("{file}: {reason}, we say {}: {}", ours.class, told.0));
            }
        }
    }
    println!("{}", differing.join("\n"));
    println!("replies={compared} hard_or_not={same_hard} class={same_class} wrongly_hard={wrongly_hard}");
    assert!(compared >= 100, "only {compared} replies were found");
    assert!(same_hard * 100 >= compared * 85, "hard or not: {same_hard} of {compared}");
    assert!(same_class * 100 >= compared * 85, "class: {same_class} of {compared}");
}

/// Our classes for a reason of the other analyser; none where it says nothing about a reply.
fn ours_for(reason: &str) -> &'static [BounceClass] {
    use BounceClass as C;
    match reason {
        "userunknown" | "hasmoved" => &[C::BadMailbox],
        // A refusal of this recipient after the content: it means an unknown user as often as a filter.
        "filtered" => &[C::BadMailbox, C::Policy, C::Content, C::Inactive],
        "hostunknown" => &[C::BadDomain],
        "notaccept" => &[C::BadDomain, C::Network],
        "mailboxfull" => &[C::Full],
        "suspend" => &[C::Inactive],
        "blocked" | "badreputation" => &[C::Reputation, C::Policy],
        "requireptr" | "authfailure" => &[C::Authentication],
        "rejected" => &[C::Authentication, C::Policy, C::Reputation],
        "policyviolation" | "securityerror" => &[C::Policy, C::Content, C::Tls, C::Authentication],
        "spamdetected" => &[C::Content, C::Reputation],
        "virusdetected" | "contenterror" | "notcompliantrfc" => &[C::Content],
        "norelaying" => &[C::Relay],
        "toomanyconn" | "speeding" => &[C::Rate],
        "mesgtoobig" | "exceedlimit" => &[C::Size],
        "networkerror" | "expired" => &[C::Network],
        _ => &[],
    }
}

/// The SMTP replies that a bounce quotes in its delivery status (RFC 3464 2.3.6), with the host that gave them.
fn replies_in(mail: &str) -> Vec<(Reply, Option<String>)> {
    let unfolded = mail.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let (mut found, mut host) = (Vec::new(), None);
    for line in unfolded.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "remote-mta" => host = value.rsplit([';', ' ']).next().map(str::to_ascii_lowercase),
            "diagnostic-code" => {
                let text = value.trim().strip_prefix("smtp;").or_else(|| value.trim().strip_prefix("SMTP;")).unwrap_or_default().trim();
                if let Some(code) = text.get(..3).and_then(|code| code.parse().ok()).filter(|code| (400..600).contains(code)) {
                    found.push((Reply::new(code, text.get(4..).unwrap_or_default()), host.take()));
                }
            }
            _ => {}
        }
    }
    found
}
