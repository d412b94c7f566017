//! AUTH: telling a server who we are (RFC 4954), by PLAIN (RFC 4616) or LOGIN.
//!
//! Answers: is the login taken. A password leaves inside TLS only, and is never in the record of the dialogue.
//! Does not: use mechanisms that hide the password from the server; inside TLS they protect nothing that matters here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::{Fault, Login, Settings};
use super::extension::Extensions;
use super::session::{Step, Stop, turn, unexpected};
use super::wire::Wire;
use crate::model::Reply;
use crate::model::outcome::Stage;

/// A command line has so many octets at most (RFC 5321 4.5.3.1.4); a longer login waits for the server to ask for it.
const MAX_COMMAND_OCTETS: usize = 512;

/// Logs in.
pub(super) async fn log_in(wire: &mut Wire, settings: &Settings, login: &Login, extensions: &Extensions, is_secure: bool) -> Step<()> {
    if !is_secure {
        return Err(Stop::fault(Stage::Auth, Fault::Auth("the session has no TLS, and a password is never sent in the clear")));
    }
    let offers = |mechanism: &str| extensions.auth.iter().any(|offered| offered == mechanism);
    let reply = if offers("PLAIN") {
        plain(wire, settings, login).await?
    } else if offers("LOGIN") {
        by_login(wire, settings, login).await?
    } else {
        return Err(Stop::fault(Stage::Auth, Fault::Auth("the server offers neither PLAIN nor LOGIN")));
    };
    if reply.is_positive() { Ok(()) } else { Err(unexpected(Stage::Auth, reply)) }
}

async fn plain(wire: &mut Wire, settings: &Settings, login: &Login) -> Step<Reply> {
    let secret = STANDARD.encode(format!("\0{}\0{}", login.username, login.password.expose()));
    if secret.len() + "AUTH PLAIN \r\n".len() <= MAX_COMMAND_OCTETS {
        return say(wire, settings, &["AUTH PLAIN ", &secret]).await;
    }
    match say(wire, settings, &["AUTH PLAIN"]).await? {
        asked if asked.code == 334 => say(wire, settings, &[&secret]).await,
        other => Ok(other),
    }
}

async fn by_login(wire: &mut Wire, settings: &Settings, login: &Login) -> Step<Reply> {
    let mut reply = say(wire, settings, &["AUTH LOGIN"]).await?;
    for word in [&login.username, login.password.expose()] {
        if reply.code != 334 {
            return Ok(reply);
        }
        reply = say(wire, settings, &[&STANDARD.encode(word)]).await?;
    }
    Ok(reply)
}

async fn say(wire: &mut Wire, settings: &Settings, words: &[&str]) -> Step<Reply> {
    for word in words {
        wire.output.extend_from_slice(word.as_bytes());
    }
    wire.output.extend_from_slice(b"\r\n");
    turn(wire, settings, Stage::Auth).await
}
