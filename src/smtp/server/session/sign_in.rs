//! Signing in, as part of a session (RFC 4954): when it may be, and each line of the exchange.
//!
//! Does not: judge credentials; whoever runs the session is asked.

use bytes::BytesMut;

use super::{Ask, Asked, Channel, Next, Phase, Purpose, Session};
use crate::model::Reply;
use crate::smtp::server::auth::{Exchange, MAX_RESPONSE_OCTETS, Turn};
use crate::smtp::server::command::reply;
use crate::smtp::server::lines::Line;
use crate::smtp::server::reply::write;

impl Session {
    pub(super) fn auth(&mut self, output: &mut Vec<u8>, mechanism: &str, initial: Option<&str>) -> Option<Next> {
        let refusal = match (self.settings.purpose, self.channel) {
            (Purpose::Exchange, _) => Some("502 5.5.1 nobody signs in here; use port 587 or 465"),
            (_, Channel::Clear) if initial.is_some() => {
                Some("530 5.7.0 STARTTLS comes first; the password just sent could be read on its way, so change it")
            }
            (_, Channel::Clear) => Some("530 5.7.0 STARTTLS comes first"),
            _ if self.client.is_none() => Some("503 5.5.1 EHLO comes first"),
            _ if self.signed_in => Some("503 5.5.1 you are signed in already"),
            _ => None,
        };
        if let Some(text) = refusal {
            self.tell(output, text);
            return None;
        }
        let Some(exchange) = Exchange::begin(mechanism) else {
            self.tell(output, "504 5.5.4 this mechanism is not offered; use PLAIN or LOGIN");
            return None;
        };
        let turn = match initial {
            Some(text) => exchange.initial(text),
            None => Turn::Challenge(exchange),
        };
        self.turn(output, turn)
    }

    fn turn(&mut self, output: &mut Vec<u8>, turn: Turn) -> Option<Next> {
        self.phase = Phase::Command;
        match turn {
            Turn::Challenge(exchange) => {
                write(output, &Reply::new(334, exchange.challenge()));
                self.phase = Phase::SignIn(exchange);
                None
            }
            Turn::Failed(reply) => {
                self.say(output, &reply);
                None
            }
            Turn::Done(credentials) => {
                self.asked = Some(Asked::SignIn);
                Some(Next::Ask(Ask::SignIn(credentials)))
            }
        }
    }

    pub(super) fn sign_in_line(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> Option<Next> {
        let line = match self.lines.next(input, MAX_RESPONSE_OCTETS) {
            Line::Whole(line) => line,
            Line::Partial => return Some(Next::Read),
            Line::TooLong => return self.turn(output, Turn::Failed(reply("500 5.5.6 the response is too long"))),
            Line::BareLineFeed => return self.turn(output, Turn::Failed(reply("501 5.5.2 a line must end in CRLF"))),
            Line::Endless => {
                self.end(output, &reply("421 4.7.0 the response does not end, good bye"));
                return None;
            }
        };
        let Phase::SignIn(exchange) = std::mem::replace(&mut self.phase, Phase::Command) else { return None };
        self.turn(output, exchange.response(&line))
    }
}
