//! The parser beside another one (smtp-proto): whatever both take, they must take for the same command, addresses and parameters.
//!
//! Ours is the stricter; where only the other one takes a line, the table says why.

use proptest::prelude::*;
use smtp_proto::Request;

use super::command::{Command, parse};
use super::path::Recipient;

/// What the other parser reads in a line, in words of its own.
fn theirs(line: &[u8]) -> Option<String> {
    let whole = [line, b"\r\n"].concat();
    Some(match Request::parse(&mut whole.iter()).ok()? {
        Request::Ehlo { .. } => "ehlo".to_owned(),
        Request::Helo { .. } => "helo".to_owned(),
        Request::Mail { from } => format!("mail <{}> size {} envid {:?}", lower(&from.address), from.size, from.env_id),
        Request::Rcpt { to } => format!("rcpt <{}>", lower(&to.address)),
        Request::Bdat { chunk_size, is_last } => format!("bdat {chunk_size} {is_last}"),
        Request::StartTls => "starttls".to_owned(),
        Request::Data => "data".to_owned(),
        Request::Rset => "rset".to_owned(),
        Request::Quit => "quit".to_owned(),
        Request::Noop { .. } => "noop".to_owned(),
        Request::Vrfy { .. } => "vrfy".to_owned(),
        Request::Expn { .. } => "expn".to_owned(),
        Request::Help { .. } => "help".to_owned(),
        _ => return None,
    })
}

fn ours(line: &[u8]) -> Option<String> {
    Some(match parse(line).ok()? {
        Command::Ehlo(_) => "ehlo".to_owned(),
        Command::Helo(_) => "helo".to_owned(),
        Command::Mail { from, parameters, .. } => {
            let size = parameters.size.unwrap_or(0);
            format!("mail {} size {size} envid {:?}", lower(&from.to_string()), parameters.envid)
        }
        // A limit of the other parser: it reads <postmaster> as an empty address.
        Command::Rcpt { to: Recipient::Postmaster, .. } => "rcpt <>".to_owned(),
        Command::Rcpt { to: Recipient::Address(to), .. } => format!("rcpt <{}>", lower(&to.to_string())),
        Command::Bdat { size, last } => format!("bdat {size} {last}"),
        Command::StartTls => "starttls".to_owned(),
        Command::Data => "data".to_owned(),
        Command::Rset => "rset".to_owned(),
        Command::Quit => "quit".to_owned(),
        Command::Noop => "noop".to_owned(),
        Command::Vrfy => "vrfy".to_owned(),
        Command::Expn => "expn".to_owned(),
        Command::Help => "help".to_owned(),
        Command::Auth { .. } => return None,
    })
}

/// The case of a domain, and of what both keep of it, is no difference.
fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn agree(line: &str) {
    if let (Some(ours), Some(theirs)) = (ours(line.as_bytes()), theirs(line.as_bytes())) {
        assert_eq!(ours, theirs, "{line:?}");
    }
}

#[test]
fn well_formed_commands_are_taken_by_both() {
    for line in [
        "EHLO mail.example.com",
        "HELO c.example",
        "MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME ENVID=Q1 RET=FULL",
        "MAIL FROM:<>",
        "mail from:<A.b+c@d.example>",
        "RCPT TO:<x@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y.example",
        "BDAT 86 LAST",
        "BDAT 0",
        "STARTTLS",
        "DATA",
        "RSET",
        "QUIT",
        "NOOP",
    ] {
        assert_eq!(ours(line.as_bytes()), theirs(line.as_bytes()), "{line}");
        assert!(ours(line.as_bytes()).is_some(), "{line}");
    }
}

#[test]
fn what_only_the_other_one_takes_is_refused_for_a_reason() {
    for (line, why) in
        [("MAIL FROM:<a@b.example> SIZE=1 SIZE=2", "which one counts would be a guess"), ("RCPT TO:<a@localhost>", "no mail goes to a single label")]
    {
        assert!(ours(line.as_bytes()).is_none(), "{line}: {why}");
    }
}

proptest! {
    #[test]
    fn any_line_is_read_without_a_panic_and_alike(line in "\\PC{0,80}") {
        agree(&line);
    }

    #[test]
    fn envelopes_are_read_alike(
        verb in "(MAIL FROM|RCPT TO|mail from|Rcpt To)",
        local in "[a-zA-Z0-9.+_%!=-]{1,12}",
        domain in "[a-zA-Z0-9-]{1,8}(\\.[a-zA-Z]{2,5}){0,2}",
        rest in "( SIZE=[0-9]{1,5}| BODY=8BITMIME| SMTPUTF8| NOTIFY=NEVER| ENVID=[A-Za-z0-9]{1,5}| X)?",
    ) {
        agree(&format!("{verb}:<{local}@{domain}>{rest}"));
    }

    #[test]
    fn octets_never_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&line);
    }
}
