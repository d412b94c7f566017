//! What a client says to sign in: AUTH PLAIN (RFC 4616) and AUTH LOGIN, inside TLS only (RFC 4954).
//!
//! Answers: which user name and password. Does not: judge them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::command::reply;
use crate::model::{Reply, Secret};

/// Octets of a line with a response, its end included (RFC 4954 4).
pub const MAX_RESPONSE_OCTETS: usize = 12_288;
/// Octets of a user name.
const MAX_USER_OCTETS: usize = 320;
/// Octets of a password.
const MAX_PASSWORD_OCTETS: usize = 1024;

/// Who wants to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// How far signing in has come: what the next line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// The one response of PLAIN.
    Plain,
    /// The user name of LOGIN.
    LoginUser,
    /// The password of LOGIN.
    LoginPassword {
        /// The name given.
        user: String,
    },
}

/// What follows a response.
#[derive(Debug)]
pub(super) enum Turn {
    /// The server asks on.
    Challenge(Exchange),
    /// All is said.
    Done(Credentials),
    /// It is over.
    Failed(Reply),
}

impl Exchange {
    /// Begins with `mechanism`; none if it is not offered.
    pub(super) fn begin(mechanism: &str) -> Option<Self> {
        match mechanism {
            "PLAIN" => Some(Self::Plain),
            "LOGIN" => Some(Self::LoginUser),
            _ => None,
        }
    }

    /// What the server says to have the next response: base64 of a prompt.
    pub(super) const fn challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::LoginUser => "VXNlcm5hbWU6",
            Self::LoginPassword { .. } => "UGFzc3dvcmQ6",
        }
    }

    /// Takes an initial response: `=` is an empty one.
    pub(super) fn initial(self, text: &str) -> Turn {
        self.response(if text == "=" { b"" } else { text.as_bytes() })
    }

    /// Takes the line after a challenge.
    pub(super) fn response(self, line: &[u8]) -> Turn {
        if line == b"*" {
            return Turn::Failed(reply("501 5.7.0 signing in was cancelled"));
        }
        let Ok(octets) = STANDARD.decode(line) else { return Turn::Failed(reply("501 5.5.2 expected base64")) };
        let Ok(text) = String::from_utf8(octets) else { return Turn::Failed(reply("501 5.5.2 user name and password are UTF-8")) };
        match self {
            Self::Plain => plain(&text),
            Self::LoginUser => Turn::Challenge(Self::LoginPassword { user: text }),
            Self::LoginPassword { user } => checked(&user, &text),
        }
    }
}

/// `authzid NUL authcid NUL password`. To act for another user is not offered.
fn plain(text: &str) -> Turn {
    let parts: Vec<&str> = text.split('\0').collect();
    match parts.as_slice() {
        ["", user, password] => checked(user, password),
        [other, user, password] if other == user => checked(user, password),
        [_, _, _] => Turn::Failed(reply("535 5.7.8 a user signs in for himself only; leave the authorization identity empty")),
        _ => Turn::Failed(reply("501 5.5.2 expected NUL, user name, NUL, password")),
    }
}

fn checked(user: &str, password: &str) -> Turn {
    let fits = (1..=MAX_USER_OCTETS).contains(&user.len()) && (1..=MAX_PASSWORD_OCTETS).contains(&password.len());
    if !fits || user.chars().chain(password.chars()).any(char::is_control) {
        return Turn::Failed(reply("535 5.7.8 user name or password is wrong"));
    }
    Turn::Done(Credentials { user: user.to_owned(), password: Secret::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_of(text: &str) -> Result<(String, String), String> {
        match Exchange::Plain.response(STANDARD.encode(text).as_bytes()) {
            Turn::Done(found) => Ok((found.user, found.password.expose().clone())),
            Turn::Failed(reply) => Err(reply.to_string()),
            Turn::Challenge(_) => panic!("PLAIN has one response"),
        }
    }

    #[test]
    fn plain_names_user_and_password() {
        let expected = Ok(("a@b.example".to_owned(), "se cret".to_owned()));
        assert_eq!(plain_of("\0a@b.example\0se cret"), expected);
        assert_eq!(plain_of("a@b.example\0a@b.example\0se cret"), expected);
    }

    #[test]
    fn malformed_responses_are_told_apart() {
        for (text, code) in
            [("", "501"), ("a\0b", "501"), ("\0a\0b\0c", "501"), ("other\0a\0b", "535"), ("\0\0b", "535"), ("\0a\0", "535"), ("\0a\r\n\0b", "535")]
        {
            assert!(plain_of(text).unwrap_err().starts_with(code), "{text:?}");
        }
        assert!(plain_of(&format!("\0a\0{}", "x".repeat(1025))).unwrap_err().starts_with("535"));
        for (line, code) in [(&b"!!"[..], 501), (b"*", 501), (b"/w==", 501), (b"AGEAYg", 501)] {
            assert!(matches!(Exchange::Plain.response(line), Turn::Failed(reply) if reply.code == code), "{line:?}");
        }
    }

    #[test]
    fn login_asks_twice() {
        let Turn::Challenge(second) = Exchange::LoginUser.initial("YQ==") else { panic!("a challenge") };
        assert_eq!(second.challenge(), STANDARD.encode("Password:"));
        let Turn::Done(found) = second.response(b"Yg==") else { panic!("credentials") };
        assert_eq!((found.user.as_str(), found.password.expose().as_str()), ("a", "b"));
        assert_eq!(Exchange::LoginUser.challenge(), STANDARD.encode("Username:"));
    }
}
