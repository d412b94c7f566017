//! One transaction: MAIL, RCPT, then the content by DATA or BDAT (RFC 5321 3.3, RFC 2920, RFC 3030).
//!
//! Answers: for each recipient, how far it got and what ended it.
//! Does not: judge, retry, or open sessions.
//!
//! Three ways to send, in the order of preference:
//! - One flight: MAIL, RCPTs and `BDAT n LAST` with the content in one write, all replies in one read. Only for short content, and
//!   only in a session whose last message was taken for all its recipients: the first transaction is the one that meets limits, greylists
//!   and 421s, and a server that closes on content it has not read may destroy its own reply. A refused recipient costs at most
//!   the short content (which the server reads and drops, RFC 3030 2), and sends the session back to the second way.
//!   The time in which a lost connection leaves the outcome unknown is one round trip here as it is with DATA.
//! - Pipelined: MAIL, RCPTs and DATA in one write, then the content. No content is sent unless a recipient was accepted.
//! - Step by step, for servers without PIPELINING.

use std::time::Duration;

use super::client::{End, Fault, RecipientEnd, Sent, Transaction};
use super::command::{self, MailParameters};
use super::content::{DotStuffer, is_exact};
use super::extension::Size;
use super::session::{Session, out_of_step};
use crate::failpoint::Failpoint;
use crate::model::outcome::Stage;
use crate::model::{EmailAddress, Reply};

/// Content of at most so many octets goes in one flight.
const FLIGHT_OCTETS: usize = 32 * 1024;
/// Recipients written before their replies are read, so that neither side's buffers fill up while both write (RFC 2920 3.1).
const WINDOW: usize = 100;
/// Octets of content handed to TCP at a time.
const BLOCK_OCTETS: usize = 64 * 1024;

/// Why a transaction ends early; the session with it.
enum Stop {
    Fault(Stage, Fault),
    /// A 421, or a reply that makes no sense: it counts for every recipient still open.
    Reply(Stage, Reply),
    /// RSET was refused: nothing of this transaction counts.
    NotTried(Reply),
}

type Step<T> = Result<T, Stop>;

/// Where the envelope led to.
enum Next {
    /// No recipient is left, and nothing more was sent.
    Over,
    /// DATA was sent, and this is its reply.
    Data(Reply),
    /// The content was sent with the envelope, and this is its reply.
    Content(Reply),
}

impl Session {
    /// Sends one message. Each recipient gets an end; what goes wrong is told there.
    pub async fn send(&mut self, transaction: &Transaction<'_>) -> Sent {
        if self.transactions > 0 {
            self.wire.transcript.clear();
        }
        let mut ends = Ends::new(transaction.recipients.len());
        if let Some(fault) = self.obstacle(transaction) {
            ends.close(Stage::Mail, &End::Fault(fault));
            return ends.into_sent();
        }
        self.transactions += 1;
        self.in_step = false;
        match self.exchange(transaction, &mut ends).await {
            Ok(()) => self.in_step = true,
            Err(Stop::Fault(stage, fault)) => ends.close(stage, &End::Fault(fault)),
            Err(Stop::Reply(stage, reply)) => ends.close(stage, &End::Reply(reply)),
            Err(Stop::NotTried(reply)) => ends.close(Stage::Mail, &End::NotTried(reply)),
        }
        ends.into_sent()
    }

    /// What makes sending useless from the start.
    fn obstacle(&self, transaction: &Transaction<'_>) -> Option<Fault> {
        if !self.in_step {
            return Some(Fault::Disconnected);
        }
        if !self.wire.is_in_step() {
            return Some(out_of_step());
        }
        match self.extensions.size {
            Size::AtMost(limit) if u64::try_from(transaction.size).is_ok_and(|size| size > limit) => Some(Fault::SizeExceeded { limit }),
            _ if transaction.require_tls && !(self.extensions.require_tls && self.tls_facts().is_some()) => Some(Fault::RequireTlsMissing),
            _ if transaction.smtputf8 && !self.extensions.smtputf8 => Some(Fault::Smtputf8Missing),
            _ if transaction.eight_bit && !self.extensions.eight_bit_mime => Some(Fault::EightBitMissing),
            _ => None,
        }
    }

    async fn exchange(&mut self, transaction: &Transaction<'_>, ends: &mut Ends) -> Step<()> {
        let next = if self.extensions.pipelining { self.pipelined(transaction, ends).await? } else { self.step_by_step(transaction, ends).await? };
        let taken = match next {
            Next::Over => false,
            Next::Data(reply) => self.after_data(reply, transaction, ends).await?,
            Next::Content(reply) => finish(reply, ends)?,
        };
        self.is_proven = taken && !ends.any_refused;
        // A transaction that got no content is still there, and the state after a refused BDAT is open (RFC 3030 2).
        self.reset_first = !taken;
        Ok(())
    }

    /// The envelope in as few writes as there are windows, with DATA or the whole content behind the last recipient.
    async fn pipelined(&mut self, transaction: &Transaction<'_>, ends: &mut Ends) -> Step<Next> {
        let one_flight = self.fits_one_flight(transaction);
        let mut windows = transaction.recipients.chunks(WINDOW).enumerate().peekable();
        self.put_opening(transaction);
        while let Some((number, window)) = windows.next() {
            let is_last = windows.peek().is_none();
            for recipient in window {
                command::rcpt(&mut self.wire.output, recipient, transaction.reports, &self.extensions);
            }
            let lost_at = if is_last && one_flight { Stage::EndOfData } else { Stage::Rcpt };
            match (is_last, one_flight) {
                (false, _) => self.send_commands(Stage::Mail, self.timeouts.mail).await?,
                (true, false) => {
                    self.wire.output.extend_from_slice(b"DATA\r\n");
                    self.send_commands(Stage::Mail, self.timeouts.mail).await?;
                }
                (true, true) => self.send_flight(transaction).await?,
            }
            if number == 0 {
                self.read_opening(ends, if one_flight && is_last { Stage::EndOfData } else { Stage::Mail }).await?;
            }
            self.read_recipients(number * WINDOW, window, ends, lost_at).await?;
            if !ends.mail_taken && !is_last {
                return Ok(Next::Over);
            }
        }
        if one_flight {
            let limit = self.timeouts.data_end;
            return Ok(Next::Content(self.reply(Stage::EndOfData, limit).await?));
        }
        let limit = self.timeouts.data_start;
        Ok(Next::Data(self.reply(Stage::Data, limit).await?))
    }

    async fn step_by_step(&mut self, transaction: &Transaction<'_>, ends: &mut Ends) -> Step<Next> {
        if self.reset_first {
            self.wire.output.extend_from_slice(b"RSET\r\n");
            self.send_commands(Stage::Mail, self.timeouts.command).await?;
            self.read_reset(Stage::Mail).await?;
        }
        self.put_mail(transaction);
        self.send_commands(Stage::Mail, self.timeouts.mail).await?;
        self.read_mail(ends, Stage::Mail).await?;
        if !ends.mail_taken {
            return Ok(Next::Over);
        }
        for (place, recipient) in transaction.recipients.iter().enumerate() {
            command::rcpt(&mut self.wire.output, recipient, transaction.reports, &self.extensions);
            self.send_commands(Stage::Rcpt, self.timeouts.rcpt).await?;
            self.read_recipients(place, std::slice::from_ref(recipient), ends, Stage::Rcpt).await?;
        }
        if ends.accepted == 0 {
            return Ok(Next::Over);
        }
        self.wire.output.extend_from_slice(b"DATA\r\n");
        let limit = self.timeouts.data_start;
        self.send_commands(Stage::Data, limit).await?;
        Ok(Next::Data(self.reply(Stage::Data, limit).await?))
    }

    /// True if the content was taken.
    async fn after_data(&mut self, reply: Reply, transaction: &Transaction<'_>, ends: &mut Ends) -> Step<bool> {
        if reply.is_intermediate() {
            if !self.wire.is_in_step() {
                return Err(Stop::Fault(Stage::Data, out_of_step()));
            }
            // Recipients were refused and DATA was not: a lone dot, so that nobody gets anything (RFC 2920 3.1).
            let content = if ends.accepted == 0 { &[] } else { transaction.content };
            Failpoint::AttemptGranted.reach();
            self.send_content(content).await?;
            let limit = self.timeouts.data_end;
            let reply = self.reply(Stage::EndOfData, limit).await?;
            return finish(reply, ends);
        }
        if reply.code == 421 {
            return Err(Stop::Reply(Stage::Data, reply));
        }
        if reply.is_positive() {
            return Err(Stop::Fault(Stage::Data, Fault::Protocol(format!("unexpected reply {reply}"))));
        }
        ends.any_refused = true;
        ends.close(Stage::Data, &End::Reply(reply));
        Ok(false)
    }

    fn fits_one_flight(&self, transaction: &Transaction<'_>) -> bool {
        self.is_proven
            && self.extensions.chunking
            && transaction.recipients.len() <= WINDOW
            && octets(transaction.content) <= FLIGHT_OCTETS
            && is_exact(transaction.content)
    }

    fn put_opening(&mut self, transaction: &Transaction<'_>) {
        if self.reset_first {
            self.wire.output.extend_from_slice(b"RSET\r\n");
        }
        self.put_mail(transaction);
    }

    fn put_mail(&mut self, transaction: &Transaction<'_>) {
        let parameters = MailParameters {
            size: transaction.size,
            eight_bit: transaction.eight_bit,
            smtputf8: transaction.smtputf8,
            require_tls: transaction.require_tls,
            reports: transaction.reports,
        };
        command::mail(&mut self.wire.output, transaction.reverse_path, parameters, &self.extensions);
    }

    async fn read_opening(&mut self, ends: &mut Ends, lost_at: Stage) -> Step<()> {
        if self.reset_first {
            self.read_reset(lost_at).await?;
        }
        self.read_mail(ends, lost_at).await
    }

    async fn read_reset(&mut self, lost_at: Stage) -> Step<()> {
        let limit = self.timeouts.command;
        let reply = self.reply(lost_at, limit).await?;
        if reply.is_positive() {
            self.reset_first = false;
            return Ok(());
        }
        Err(Stop::NotTried(reply))
    }

    async fn read_mail(&mut self, ends: &mut Ends, lost_at: Stage) -> Step<()> {
        let limit = self.timeouts.mail;
        let reply = self.reply(lost_at, limit).await?;
        if reply.code == 421 {
            return Err(Stop::Reply(Stage::Mail, reply));
        }
        match reply.code / 100 {
            2 => ends.mail_taken = true,
            3 => return Err(Stop::Fault(Stage::Mail, Fault::Protocol(format!("unexpected reply {reply}")))),
            _ => {
                ends.any_refused = true;
                ends.close(Stage::Mail, &End::Reply(reply));
            }
        }
        Ok(())
    }

    async fn read_recipients(&mut self, first: usize, window: &[EmailAddress], ends: &mut Ends, lost_at: Stage) -> Step<()> {
        let limit = self.timeouts.rcpt;
        for place in first..first + window.len() {
            let reply = self.reply(lost_at, limit).await?;
            if reply.code == 421 {
                return Err(Stop::Reply(Stage::Rcpt, reply));
            }
            if reply.is_intermediate() {
                return Err(Stop::Fault(Stage::Rcpt, Fault::Protocol(format!("unexpected reply {reply}"))));
            }
            ends.recipient(place, reply);
        }
        Ok(())
    }

    async fn reply(&mut self, lost_at: Stage, limit: Duration) -> Step<Reply> {
        self.wire.reply(limit).await.map_err(|fault| Stop::Fault(lost_at, fault))
    }

    /// Sends commands. If that fails, a server that closed may have said why.
    async fn send_commands(&mut self, stage: Stage, limit: Duration) -> Step<()> {
        match self.wire.send(limit).await {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.unsent(stage, fault).await),
        }
    }

    async fn unsent(&mut self, stage: Stage, fault: Fault) -> Stop {
        match self.wire.last_words(&fault).await {
            Some(reply) if reply.is_transient() || reply.is_permanent() => Stop::Reply(stage, reply),
            _ => Stop::Fault(stage, fault),
        }
    }

    /// Adds `BDAT n LAST` and the content to the envelope and sends all of it.
    async fn send_flight(&mut self, transaction: &Transaction<'_>) -> Step<()> {
        let size = octets(transaction.content);
        command::bdat_last(&mut self.wire.output, size);
        self.wire.transcript.client(&self.wire.output);
        self.wire.transcript.content(size);
        for chunk in transaction.content {
            self.wire.output.extend_from_slice(chunk);
        }
        match self.wire.flush(self.timeouts.data_block).await {
            Ok(()) => {
                Failpoint::AttemptDotSent.reach();
                Ok(())
            }
            Err(fault) => Err(self.unsent(Stage::Body, fault).await),
        }
    }

    /// Sends content and final dot in blocks. A failure here means that the dot was not sent.
    async fn send_content(&mut self, content: &[&[u8]]) -> Step<()> {
        let deadline = self.wire.clock.tick().plus(self.timeouts.data_total);
        self.wire.transcript.content(octets(content));
        let mut stuffer = DotStuffer::new();
        for block in content.iter().flat_map(|chunk| chunk.chunks(BLOCK_OCTETS)) {
            stuffer.feed(block, &mut self.wire.output);
            if self.wire.output.len() >= BLOCK_OCTETS {
                self.send_block(deadline).await?;
                Failpoint::AttemptInContent.reach();
            }
        }
        stuffer.finish(&mut self.wire.output);
        self.send_block(deadline).await?;
        Failpoint::AttemptDotSent.reach();
        Ok(())
    }

    async fn send_block(&mut self, deadline: crate::clock::Tick) -> Step<()> {
        let left = deadline.since(self.wire.clock.tick());
        match self.wire.flush(self.timeouts.data_block.min(left)).await {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.unsent(Stage::Body, fault).await),
        }
    }
}

fn octets(content: &[&[u8]]) -> usize {
    content.iter().map(|chunk| chunk.len()).sum()
}

/// The reply to the end of the content counts for all who were accepted. True if it was taken.
fn finish(reply: Reply, ends: &mut Ends) -> Step<bool> {
    if reply.is_intermediate() {
        return Err(Stop::Fault(Stage::EndOfData, Fault::Protocol(format!("unexpected reply {reply}"))));
    }
    if reply.code == 421 {
        return Err(Stop::Reply(Stage::EndOfData, reply));
    }
    let taken = reply.is_positive() && ends.accepted > 0;
    ends.any_refused |= !reply.is_positive();
    ends.close(Stage::EndOfData, &End::Reply(reply));
    Ok(taken)
}

/// The ends of all recipients as far as they are known.
struct Ends {
    recipients: Vec<Option<RecipientEnd>>,
    mail_taken: bool,
    accepted: usize,
    any_refused: bool,
}

impl Ends {
    fn new(count: usize) -> Self {
        Self { recipients: vec![None; count], mail_taken: false, accepted: 0, any_refused: false }
    }

    /// The reply to one RCPT.
    fn recipient(&mut self, place: usize, reply: Reply) {
        if !self.mail_taken {
            return;
        }
        if reply.is_positive() {
            self.accepted += 1;
            return;
        }
        self.any_refused = true;
        let end = if self.accepted > 0 && is_too_many(&reply) { End::NotTried(reply) } else { End::Reply(reply) };
        if let Some(slot) = self.recipients.get_mut(place) {
            *slot = Some(RecipientEnd { stage: Stage::Rcpt, end });
        }
    }

    /// Ends what has not ended yet.
    fn close(&mut self, stage: Stage, end: &End) {
        for slot in self.recipients.iter_mut().filter(|slot| slot.is_none()) {
            *slot = Some(RecipientEnd { stage, end: end.clone() });
        }
    }

    fn into_sent(self) -> Sent {
        Sent { recipients: self.recipients.into_iter().flatten().collect() }
    }
}

/// True if the server takes no more recipients in this transaction (RFC 5321 4.5.3.1.10: 452, formerly 552).
fn is_too_many(reply: &Reply) -> bool {
    match reply.enhanced {
        Some(status) => (status.subject, status.detail) == (5, 3),
        None => matches!(reply.code, 452 | 552) && reply.text.to_ascii_lowercase().contains("recipient"),
    }
}
