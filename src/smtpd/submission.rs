//! What users may do: sign in, send as themselves, submit (RFC 6409).
//!
//! Answers: a judgement on each step, and the way of a message into `accept`. Its octets stay as they came but for a Received field in front, what `accept` adds
//! to every whole message that lacks it, and the fields that are for us or for nobody.
//! Does not: speak SMTP, or know whether a domain is verified.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};

use super::attempts::Try;
use super::refusal::Refusal;
use super::{Door, options};
use crate::accept::AcceptError;
use crate::accept::checks::{Raw, Trace};
use crate::accept::request::SendRequest;
use crate::access::smtp_users::{SignInError, SignedIn};
use crate::clock::Tick;
use crate::mail::headers::{RawHeaders, check_raw, take_fields};
use crate::model::{EmailAddress, Reply, ReversePath};
use crate::outbox::{IdempotencyKey, Origin};
use crate::smtp::server::auth::Credentials;
use crate::smtp::server::parameter::{Notify, Return};
use crate::smtp::server::path::Recipient;
use crate::smtp::server::session::{Message, Named};
use crate::telemetry::metrics::{self, SignIn};

/// How long somebody who signed in is believed before it is asked again: a removed user or revoked key ends a long session.
const BELIEVED: Duration = Duration::from_mins(1);
/// Relays that a message may have passed (RFC 5321 6.3).
const MAX_RECEIVED: usize = 100;
/// Octets of what is kept of the parameters for delivery reports.
const MAX_DSN_OCTETS: usize = 4096;

/// Somebody who signed in.
pub(super) struct Submitter {
    who: SignedIn,
    credentials: Credentials,
    asked: Tick,
}

/// Lets somebody in, or says why not. Guessing is slow and ends.
pub(super) async fn sign_in(door: &Door, client: IpAddr, credentials: &Credentials) -> Result<Submitter, Reply> {
    let account = door.users.account(&credentials.user, &credentials.password);
    let tried = Try { client, user: account.as_deref() };
    if let Some(left) = door.attempts.locked_for(tried) {
        metrics::smtp_sign_in(SignIn::Locked);
        let minutes = left.as_secs().div_ceil(60);
        return Err(Reply::new(454, format!("4.7.0 too many wrong passwords; try again in {minutes} minutes")));
    }
    match door.users.sign_in(&credentials.user, &credentials.password).await {
        Ok(who) => {
            door.attempts.succeeded(tried);
            metrics::smtp_sign_in(SignIn::Taken);
            Ok(Submitter { who, credentials: credentials.clone(), asked: door.clock.tick() })
        }
        Err(SignInError::Wrong) => Err(failed(door, tried, credentials).await),
        Err(SignInError::MayNotSend) => {
            metrics::smtp_sign_in(SignIn::Refused);
            Err(Reply::new(535, "5.7.8 this API key may not send; use one with the scope send or full"))
        }
        Err(SignInError::Unavailable(error)) => {
            tracing::warn!(error, "an SMTP user could not be looked up");
            metrics::smtp_sign_in(SignIn::Unavailable);
            Err(Reply::new(454, "4.7.0 signing in does not work now; try again in a moment"))
        }
    }
}

async fn failed(door: &Door, tried: Try<'_>, credentials: &Credentials) -> Reply {
    metrics::smtp_sign_in(SignIn::Refused);
    let cost = door.attempts.failed(tried, credentials.password.expose());
    // docs/operate/smtp.md gives fail2ban these words.
    tracing::info!(client = %tried.client, "SMTP sign-in failed");
    if cost.locked_now {
        tracing::warn!(client = %tried.client, "SMTP sign-in locked out for 15 minutes");
    }
    door.clock.sleep(cost.delay).await;
    Reply::new(535, "5.7.8 user name or password is wrong; `pennypost smtp-user passwd` makes another")
}

/// May mail come from this address?
pub(super) async fn may_send(door: &Door, submitter: &mut Submitter, from: &ReversePath) -> Reply {
    let now = door.clock.tick();
    if now.since(submitter.asked) >= BELIEVED {
        match door.users.sign_in(&submitter.credentials.user, &submitter.credentials.password).await {
            Ok(who) => (submitter.who, submitter.asked) = (who, now),
            Err(SignInError::Unavailable(_)) => {
                return Reply::new(451, "4.3.0 whether you may still send cannot be found out now; try again in a moment");
            }
            Err(_) => return Reply::new(421, "4.7.0 your password is not valid any more; sign in again"),
        }
    }
    match from.address() {
        Some(address) if !submitter.who.may_send_as(address) => refused(Refusal::sender("MAIL FROM", address)),
        _ => Reply::new(250, "2.1.0 ok"),
    }
}

/// May mail go to this address?
pub(super) fn may_receive(to: &Recipient) -> Reply {
    match to {
        Recipient::Address(_) => Reply::new(250, "2.1.5 ok"),
        Recipient::Postmaster => Reply::new(550, "5.1.1 there are no mailboxes here; write postmaster@ and a domain"),
    }
}

/// Takes a message for good, or says why not.
pub(super) async fn take(door: &Door, submitter: &Submitter, message: Message) -> Reply {
    match submit(door, &submitter.who, message).await {
        Ok(reply) => reply,
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Reply {
    metrics::refused(refusal.slug);
    refusal.reply
}

async fn submit(door: &Door, who: &SignedIn, message: Message) -> Result<Reply, Refusal> {
    let Message { reverse_path, parameters, recipients, content } = message;
    let (ours, content) = take_fields(content, options::is_ours);
    let (mut request, key) = options::read(ours).map_err(|fault| Refusal::option(&fault))?;
    let headers = check_raw(&content).map_err(|problems| Refusal::message(&problems))?;
    check_authors(who, &headers)?;
    let to: Vec<EmailAddress> = recipients.iter().filter_map(address_of).cloned().collect();
    let key = key.map(|key| keyed(key, &reverse_path, &to, &headers));
    if let Some(dsn) = report_wishes(parameters.ret, parameters.envid.as_deref(), &recipients) {
        add_metadata(&mut request, dsn);
    }
    request.require_tls = parameters.require_tls;
    let trace = Trace { hostname: door.hostname.clone(), protocol: if parameters.smtputf8 { "UTF8SMTPSA" } else { "ESMTPSA" } };
    let raw = Raw { reverse_path, headers, bytes: content, trace: Some(trace) };
    let mut message = door.accept.whole(&who.caller, request, &to, raw).await?;
    message.origin = Origin::Smtp;
    let accepted = door.accept.send_all(vec![(message, key)]).await.pop().unwrap_or(Err(AcceptError::Overloaded))?;
    let again = if accepted.replayed { " before" } else { "" };
    Ok(Reply::new(250, format!("2.0.0 accepted as {}{again}", accepted.id)))
}

/// The author, and who sent it for the author, must be addresses of theirs; and the message must not go in circles.
fn check_authors(who: &SignedIn, headers: &RawHeaders) -> Result<(), Refusal> {
    if headers.received > MAX_RECEIVED {
        return Err(Refusal::looping(headers.received));
    }
    let sender = headers.sender.as_ref().map(|mailbox| ("Sender:", &mailbox.address));
    let mut authors = std::iter::once(("From:", &headers.from.address)).chain(sender);
    authors.find(|(_, address)| !who.may_send_as(address)).map_or(Ok(()), |(field, address)| Err(Refusal::sender(field, address)))
}

fn address_of(named: &Named) -> Option<&EmailAddress> {
    match &named.recipient {
        Recipient::Address(address) => Some(address),
        Recipient::Postmaster => None,
    }
}

/// What the key stands for: envelope, author and subject. Programs that try again write a message anew, with another Date, Message-ID and boundaries, so its
/// octets are no mark.
fn keyed(key: String, from: &ReversePath, to: &[EmailAddress], headers: &RawHeaders) -> IdempotencyKey {
    let mut digest = digest::Context::new(&digest::SHA256);
    let (from, author) = (from.to_string(), headers.from.address.to_string());
    let mut to: Vec<String> = to.iter().map(ToString::to_string).collect();
    to.sort_unstable();
    for part in ["SMTP", &from, &author, &headers.subject].into_iter().chain(to.iter().map(String::as_str)) {
        digest.update(part.as_bytes());
        digest.update(&[0]);
    }
    IdempotencyKey { key, request_hash: <[u8; 32]>::try_from(digest.finish().as_ref()).unwrap_or_default() }
}

/// What the client asks of reports (RFC 3461), for whoever reads the message's events; none if it says nothing beyond the ordinary, or too much.
fn report_wishes(ret: Option<Return>, envid: Option<&str>, recipients: &[Named]) -> Option<Value> {
    let mut dsn = Map::new();
    if let Some(ret) = ret {
        dsn.insert("ret".to_owned(), json!(if ret == Return::Full { "full" } else { "headers" }));
    }
    if let Some(envid) = envid {
        dsn.insert("envid".to_owned(), json!(envid));
    }
    let mut wishes = Map::new();
    for (address, named) in recipients.iter().filter_map(|named| Some((address_of(named)?.to_string(), named))) {
        let mut wish = Map::new();
        if let Some(notify) = named.parameters.notify {
            wish.insert("notify".to_owned(), json!(words(notify)));
        }
        let original = named.parameters.orcpt.as_ref().filter(|original| original.split_once(';').is_none_or(|(_, original)| original != address));
        if let Some(original) = original {
            wish.insert("orcpt".to_owned(), json!(original));
        }
        if !wish.is_empty() {
            wishes.insert(address, Value::Object(wish));
        }
    }
    if !wishes.is_empty() {
        dsn.insert("recipients".to_owned(), Value::Object(wishes));
    }
    let dsn = Value::Object(dsn);
    (dsn != json!({}) && dsn.to_string().len() <= MAX_DSN_OCTETS).then_some(dsn)
}

fn words(notify: Notify) -> Vec<&'static str> {
    let all = [(notify.never, "never"), (notify.success, "success"), (notify.failure, "failure"), (notify.delay, "delay")];
    all.into_iter().filter(|(asked, _)| *asked).map(|(_, word)| word).collect()
}

/// Adds the wishes to the metadata as `dsn`, unless the client has something of its own there.
fn add_metadata(request: &mut SendRequest, dsn: Value) {
    let metadata = request.metadata.get_or_insert_with(|| json!({}));
    if let Some(fields) = metadata.as_object_mut() {
        fields.entry("dsn").or_insert(dsn);
    }
}
