//! The commands a server is given, one line each (RFC 5321 4.1.1, RFC 3030, RFC 3207, RFC 4954).
//!
//! Answers: which command a line is, with its arguments as words of the model, or which reply it gets.
//! Does not: know whether the command may come now; `session` does.

use super::parameter::{self, MailParameters, ParameterError, RcptParameters};
use super::path::{self, PathError, Recipient};
use crate::model::{Reply, ReversePath};

/// Octets of a client's name (RFC 5321 4.5.3.1.2).
const MAX_NAME_OCTETS: usize = 255;

/// A command that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name`; what the client calls itself proves nothing.
    Ehlo(String),
    /// `HELO name`
    Helo(String),
    /// `STARTTLS`
    StartTls,
    /// `AUTH mechanism [initial response]`
    Auth {
        /// In upper case.
        mechanism: String,
        /// As it came: base64, or `=` for an empty one.
        initial: Option<String>,
    },
    /// `MAIL FROM:<..>`
    Mail {
        /// The path.
        from: ReversePath,
        /// What follows it.
        parameters: MailParameters,
        /// The path was written with octets beyond ASCII.
        is_utf8: bool,
    },
    /// `RCPT TO:<..>`
    Rcpt {
        /// The path.
        to: Recipient,
        /// What follows it.
        parameters: RcptParameters,
        /// The path was written with octets beyond ASCII.
        is_utf8: bool,
    },
    /// `DATA`
    Data,
    /// `BDAT size [LAST]`
    Bdat {
        /// Octets that follow at once.
        size: u64,
        /// No chunk comes after this one.
        last: bool,
    },
    /// `RSET`
    Rset,
    /// `NOOP [text]`
    Noop,
    /// `VRFY text`
    Vrfy,
    /// `EXPN text`
    Expn,
    /// `HELP [text]`
    Help,
    /// `QUIT`
    Quit,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A verb that is no verb.
    #[error("500 5.5.2 this command is not known")]
    Unknown,
    /// A verb that is known and not spoken here.
    #[error("502 5.5.1 this command is not offered here")]
    NotOffered,
    /// Control characters, or octets that are not UTF-8.
    #[error("500 5.5.2 a command is one line of text")]
    NotText,
    /// The same in MAIL or RCPT.
    #[error("501 5.5.4 an address and its parameters are text without control characters, in ASCII or UTF-8")]
    NotTextInPath,
    /// Arguments missing, or too many.
    #[error("501 5.5.4 write {0}")]
    Arguments(&'static str),
    /// The path of MAIL.
    #[error("501 5.1.7 {0}")]
    From(PathError),
    /// The path of RCPT.
    #[error("501 5.1.3 {0}")]
    To(PathError),
    /// A parameter of MAIL or RCPT that is malformed.
    #[error("501 5.5.4 {0}")]
    Parameter(ParameterError),
    /// A parameter of MAIL or RCPT that is not spoken here.
    #[error("555 5.5.4 {0}")]
    UnknownParameter(ParameterError),
}

impl CommandError {
    /// What the client is told.
    #[must_use]
    pub fn reply(&self) -> Reply {
        reply(&self.to_string())
    }
}

impl From<ParameterError> for CommandError {
    fn from(error: ParameterError) -> Self {
        if matches!(error, ParameterError::Unknown(_)) { Self::UnknownParameter(error) } else { Self::Parameter(error) }
    }
}

/// A reply from its text, code first.
pub(super) fn reply(text: &str) -> Reply {
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    Reply::new(code.parse().unwrap_or(554), rest)
}

/// Reads a line without its CRLF.
///
/// # Errors
/// [`CommandError`].
pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
    let text = std::str::from_utf8(line).ok().filter(|text| !text.chars().any(char::is_control)).ok_or_else(|| not_text(line))?;
    let text = text.trim_end_matches(' ');
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let alone = |command, form| if rest.is_empty() { Ok(command) } else { Err(CommandError::Arguments(form)) };
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => named(rest, Command::Ehlo, "EHLO and the name of your host"),
        "HELO" => named(rest, Command::Helo, "HELO and the name of your host"),
        "STARTTLS" => alone(Command::StartTls, "STARTTLS alone"),
        "AUTH" => auth(rest),
        "MAIL" => mail(rest),
        "RCPT" => rcpt(rest),
        "DATA" => alone(Command::Data, "DATA alone"),
        "BDAT" => bdat(rest),
        "RSET" => alone(Command::Rset, "RSET alone"),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => {
            if rest.is_empty() {
                Err(CommandError::Arguments("VRFY and an address"))
            } else {
                Ok(Command::Vrfy)
            }
        }
        "EXPN" => {
            if rest.is_empty() {
                Err(CommandError::Arguments("EXPN and a list"))
            } else {
                Ok(Command::Expn)
            }
        }
        "HELP" => Ok(Command::Help),
        "QUIT" => alone(Command::Quit, "QUIT alone"),
        "TURN" | "ETRN" | "ATRN" | "SEND" | "SAML" | "SOML" | "BURL" | "XCLIENT" | "XFORWARD" => Err(CommandError::NotOffered),
        _ => Err(CommandError::Unknown),
    }
}

fn not_text(line: &[u8]) -> CommandError {
    let names_path = |verb: &[u8]| line.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb));
    if names_path(b"MAIL ") || names_path(b"RCPT ") { CommandError::NotTextInPath } else { CommandError::NotText }
}

/// True for a first line by which another protocol begins: HTTP, a TLS hello, SSH, PROXY, whose second version begins with an empty line. What follows
/// must not be taken for commands.
#[must_use]
pub fn is_foreign(line: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 13] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"CONNECT ",
        b"OPTIONS ",
        b"DELETE ",
        b"PATCH ",
        b"TRACE ",
        b"PRI * HTTP/",
        b"SSH-",
        b"PROXY ",
        b"Host:",
    ];
    line.is_empty()
        || line.first() == Some(&0x16)
        || BEGINNINGS.iter().any(|begin| line.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin)))
}

fn named(rest: &str, command: fn(String) -> Command, form: &'static str) -> Result<Command, CommandError> {
    let fits = (1..=MAX_NAME_OCTETS).contains(&rest.len()) && !rest.contains(' ');
    if fits { Ok(command(rest.to_owned())) } else { Err(CommandError::Arguments(form)) }
}

fn auth(rest: &str) -> Result<Command, CommandError> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) => Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial: initial.map(str::to_owned) }),
        _ => Err(CommandError::Arguments("AUTH and a mechanism")),
    }
}

fn mail(rest: &str) -> Result<Command, CommandError> {
    let path = after(rest, "FROM:").ok_or(CommandError::Arguments("MAIL FROM:<address>"))?;
    let path = path::reverse(path).map_err(CommandError::From)?;
    Ok(Command::Mail { parameters: parameter::mail(path.rest)?, from: path.value, is_utf8: path.is_utf8 })
}

fn rcpt(rest: &str) -> Result<Command, CommandError> {
    let path = after(rest, "TO:").ok_or(CommandError::Arguments("RCPT TO:<address>"))?;
    let path = path::forward(path).map_err(CommandError::To)?;
    Ok(Command::Rcpt { parameters: parameter::rcpt(path.rest)?, to: path.value, is_utf8: path.is_utf8 })
}

fn after<'a>(text: &'a str, begin: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(begin.len())?;
    start.eq_ignore_ascii_case(begin).then_some(rest)
}

fn bdat(rest: &str) -> Result<Command, CommandError> {
    const FORM: CommandError = CommandError::Arguments("BDAT and the octets of the chunk, then LAST behind the last one");
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let size = words.next().filter(|word| word.bytes().all(|octet| octet.is_ascii_digit())).and_then(|word| word.parse().ok()).ok_or(FORM)?;
    match (words.next(), words.next()) {
        (None, _) => Ok(Command::Bdat { size, last: false }),
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => Ok(Command::Bdat { size, last: true }),
        _ => Err(FORM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_any_case() {
        for (line, command) in [
            ("EHLO [192.0.2.1]", Command::Ehlo("[192.0.2.1]".to_owned())),
            ("helo my_pc", Command::Helo("my_pc".to_owned())),
            ("Quit ", Command::Quit),
            ("NOOP whatever", Command::Noop),
            ("auth plain =", Command::Auth { mechanism: "PLAIN".to_owned(), initial: Some("=".to_owned()) }),
            ("AUTH LOGIN", Command::Auth { mechanism: "LOGIN".to_owned(), initial: None }),
            ("BDAT 0 last", Command::Bdat { size: 0, last: true }),
            ("bdat 86", Command::Bdat { size: 86, last: false }),
            ("VRFY x", Command::Vrfy),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
        let from = ReversePath::from_stored("a@b.example").unwrap();
        let parameters = MailParameters { size: Some(7), ..MailParameters::default() };
        assert_eq!(parse(b"mail from: <a@b.example> SIZE=7"), Ok(Command::Mail { from, parameters, is_utf8: false }));
    }

    #[test]
    fn what_is_no_command_gets_its_reply() {
        for (line, code) in [
            (&b""[..], "500 5.5.2"),
            (b"FOO", "500 5.5.2"),
            (b"MAILFROM:<a@b.example>", "500 5.5.2"),
            (b"NOOP\x07", "500 5.5.2"),
            (b"NOOP \xff", "500 5.5.2"),
            (b"MAIL FROM:<a\0@b.example>", "501 5.5.4"),
            (b"MAIL FROM:<a\x07@b.example>", "501 5.5.4"),
            (b"rcpt to:<a\xff@b.example>", "501 5.5.4"),
            (b"EHLO", "501 5.5.4"),
            (b"EHLO a b", "501 5.5.4"),
            (b"DATA now", "501 5.5.4"),
            (b"MAIL <a@b.example>", "501 5.5.4"),
            (b"MAIL FROM:a@b.example", "501 5.1.7"),
            (b"MAIL FROM:<@a.example:b@c.example>", "501 5.1.7"),
            (b"MAIL FROM:<a@b.example> SIZE=x", "501 5.5.4"),
            (b"MAIL FROM:<a@b.example> HOLDFOR=1", "555 5.5.4"),
            (b"RCPT TO:<>", "501 5.1.3"),
            (b"RCPT TO:<a@[127.0.0.1]>", "501 5.1.3"),
            (b"RCPT TO:<a@b.example> NOTIFY=NEVER,FAILURE", "501 5.5.4"),
            (b"BDAT", "501 5.5.4"),
            (b"BDAT -1", "501 5.5.4"),
            (b"BDAT 99999999999999999999 LAST", "501 5.5.4"),
            (b"BDAT 1 FIRST", "501 5.5.4"),
            (b"TURN", "502 5.5.1"),
            (b"XCLIENT ADDR=192.0.2.1", "502 5.5.1"),
        ] {
            let told = parse(line).unwrap_err().reply().to_string();
            assert!(told.starts_with(code), "{}: {told}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn other_protocols_are_known_by_how_they_begin() {
        for line in [&b"GET / HTTP/1.1"[..], b"post /x HTTP/1.1", b"CONNECT a:25 HTTP/1.1", b"\x16\x03\x01", b"SSH-2.0-x", b"PROXY TCP4 1 2 3 4", b""]
        {
            assert!(is_foreign(line));
        }
        assert!(!is_foreign(b"EHLO get.example") && !is_foreign(b"GETX"));
    }
}
