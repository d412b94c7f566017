//! The phrases of mail systems: where a returned message begins, what a subject announces, how far a session got.
//!
//! Answers: what to look for in a report, as tables; a form that is not read yet is a line here. All texts in lower case.
//! Does not: hold what refusals mean; that is `deliver::class` and its rules.

use crate::model::outcome::Stage;

/// Lines after which the returned message stands.
const ORIGINAL_MARKS: &[&str] = &[
    "copy of the message",
    "copy of the original",
    "copy of your message",
    "original message follow",
    "original message is following",
    "original message -",
    "original message headers",
    "original message:",
    "original mail as follows",
    "original mail follow",
    "headers of the original",
    "header of the original",
    "message headers follow",
    "message header follow",
    "message text follow",
    "message follows",
    "returned message -",
    "unsent message",
    "undelivered message",
    "rejected message",
    "your message reads",
    "message contents follow",
    "text of your message",
];

/// Names of fields by which a header block is known.
const HEADER_NAMES: &[&str] = &[
    "received",
    "return-path",
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "delivered-to",
    "dkim-signature",
    "mime-version",
    "content-type",
    "x-mailer",
    "x-received",
    "reply-to",
    "arc-seal",
    "authentication-results",
    "x-originating-ip",
    "domainkey-signature",
    "x-apparently-to",
];

/// Fields with which a returned message begins although no line announces it.
const HEADER_BEGINNINGS: &[&str] =
    &["Received: ", "Return-Path: ", "Return-path: ", "DKIM-Signature: ", "X-Received: ", "ARC-Seal: ", "X-Apparently-To: "];

/// Lines looked at for a header after a mark.
const LOOK_AHEAD: usize = 8;

/// The report of a text, and the message that it returns.
pub(super) fn cut(text: &str) -> (&str, Option<&str>) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let begins = HEADER_BEGINNINGS.iter().any(|start| line.starts_with(start));
        if begins && at > 0 {
            return text.split_at_checked(at).map_or((text, None), |(report, original)| (report, Some(original)));
        }
        let after = at + line.len();
        let low = line.to_lowercase();
        if ORIGINAL_MARKS.iter().any(|mark| low.contains(mark))
            && let (Some(report), Some(original)) = (text.get(..at), text.get(after..))
            && header_follows(original)
        {
            return (report, Some(original));
        }
        at = after;
    }
    (text, None)
}

fn header_follows(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(LOOK_AHEAD);
    lines.any(|line| {
        let name = line.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase());
        name.is_some_and(|name| HEADER_NAMES.contains(&name.as_str()))
    })
}

/// What the command was that a remote host refused, by the words of the report; the first that fits.
const STAGES: &[(&[&str], Stage)] = &[
    (&["need rcpt", "no valid recipients", "valid rcpt command must precede", "no recipients specified", "no valid rcpt"], Stage::Rcpt),
    (
        &[
            "in reply to rcpt to",
            "reply to rcpt to",
            "after rcpt to",
            "after rcpt command",
            "[rcpt_to]",
            "does not like recipient",
            "our rcpt to",
            "smtp:rcpt",
            "rcpt command",
            "rejected address",
            "recipient was rejected",
            ">>> rcpt to",
            "recipient address rejected",
        ],
        Stage::Rcpt,
    ),
    (
        &[
            "in reply to mail from",
            "reply to mail from",
            "after mail from",
            "after mail command",
            "[mail_from]",
            "sender was rejected",
            "our mail from",
            ">>> mail from",
            "rejected mail from",
            "smtp:mail",
        ],
        Stage::Mail,
    ),
    (
        &[
            "in reply to end of data",
            "after end of data",
            "end of data",
            "final data",
            "after i sent the message",
            "after sending the message",
            "text command",
            "smtp transmission failure",
            "failed on data command",
            "accept your message (data)",
            ">>> .",
            ">>> data",
            "[data]",
            "after data",
            "while sending the message",
            "body of message generated",
        ],
        Stage::EndOfData,
    ),
    (&["in reply to data"], Stage::Data),
    (
        &["refused to talk to me", "after initial connection", "after ehlo", "after helo", "in reply to ehlo", "in reply to helo", "greeting"],
        Stage::Greeting,
    ),
    (&["starttls", "tls handshake"], Stage::Tls),
];

/// How far the session got, by the words of a report.
#[must_use]
pub fn stage_of(text: &str) -> Option<Stage> {
    let low = text.to_lowercase();
    STAGES.iter().find(|(words, _)| words.iter().any(|word| low.contains(word))).map(|(_, stage)| *stage)
}

/// Beginnings of subjects of automatic replies, after any `Re:`.
const AUTO_SUBJECTS: &[&str] = &[
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto:",
    "automatic reply",
    "automatic response",
    "auto response",
    "auto-response",
    "autoresponse",
    "automated reply",
    "automated response",
    "automated message",
    "out of office",
    "out of the office",
    "out-of-office",
    "ooo",
    "away from",
    "away until",
    "i am away",
    "i'm away",
    "on vacation",
    "vacation",
    "on holiday",
    "on leave",
    "holiday",
    "absence",
    "absent",
    "abwesen",
    "automatische antwort",
    "autom. antwort",
    "nicht im haus",
    "réponse automatique",
    "reponse automatique",
    "absence du bureau",
    "respuesta automática",
    "respuesta automatica",
    "fuera de la oficina",
    "risposta automatica",
    "fuori sede",
    "fuori ufficio",
    "resposta automática",
    "automatisch antwoord",
    "afwezig",
    "automatiskt svar",
    "frånvaro",
    "automatisk svar",
    "autosvar",
    "fravær",
    "automaattinen vastaus",
    "poza biurem",
    "automatyczna odpowied",
    "odpowiedź automatyczna",
    "автоответ",
    "автоматический ответ",
    "自動応答",
    "自動返信",
    "不在",
    "自动回复",
    "自動回覆",
    "자동 회신",
    "부재중",
    "thank you for your email",
    "thank you for contacting",
    "we have received your",
    "ticket received",
    "[auto",
    "(auto",
    "read:",
    "gelesen:",
    "lu :",
    "leído:",
    "letto:",
    "lida:",
    "not read:",
];

/// True of the subject of an automatic reply.
pub(super) fn is_auto_subject(subject: &str) -> bool {
    let mut low = subject.to_lowercase();
    for prefix in ["re:", "aw:", "fw:", "fwd:", "sv:"] {
        if let Some(rest) = low.trim_start().strip_prefix(prefix) {
            low = rest.to_owned();
        }
    }
    let low = low.trim_start_matches(['*', '[', '(', '【', ' ']);
    AUTO_SUBJECTS.iter().any(|start| low.starts_with(start.trim_start_matches(['[', '('])))
        || low.contains("out of office")
        || low.contains("autoreply")
}

/// Words in the subjects of failure notices.
const FAILURE_SUBJECTS: &[&str] = &[
    "undeliver",
    "undelivered",
    "returned mail",
    "returned to sender",
    "return to sender",
    "returning message",
    "returning to sender",
    "failure notice",
    "failure notif",
    "failure delivery",
    "delivery fail",
    "delivery status",
    "delivery notif",
    "delivery report",
    "delivery error",
    "delivery problem",
    "delivery has failed",
    "delivery incomplete",
    "delivery delayed",
    "delayed mail",
    "could not be delivered",
    "could not send",
    "mail failure",
    "mail failed",
    "mail delivery",
    "message delivery",
    "mail system error",
    "mail error",
    "message status",
    "error sending",
    "not delivered",
    "not be delivered",
    "undelivered mail",
    "nondeliverable",
    "non-deliver",
    "non deliver",
    "unable to deliver",
    "rejected mail",
    "mail rejected",
    "message rejected",
    "bounced",
    "bounce:",
    "loop alert",
    "warning: could not",
    "warning: message",
    "cannot send message",
    "unzustellbar",
    "nicht zugestellt",
    "zustellung",
    "non remis",
    "échec de la remise",
    "non distribu",
    "no se puede entregar",
    "no entregado",
    "devuelto",
    "mancata consegna",
    "não entregue",
    "onbestelbaar",
    "недоставлен",
    "не доставлено",
    "配信不能",
    "配送不能",
    "配達不能",
    "未配信",
    "エラーメール",
    "退信",
    "無法傳遞",
    "无法投递",
    "無法投遞",
];

/// Words in the texts of failure notices.
const FAILURE_TEXTS: &[&str] = &[
    "could not be delivered",
    "couldn't be delivered",
    "cannot be delivered",
    "can't be delivered",
    "could not deliver",
    "unable to deliver",
    "wasn't able to deliver",
    "not able to deliver",
    "were unable to deliver",
    "was not delivered",
    "wasn't delivered",
    "not been delivered",
    "did not reach",
    "delivery failed",
    "delivery has failed",
    "failed to deliver",
    "failed permanently",
    "undeliverable",
    "undelivered",
    "trouble delivering",
    "problem delivering",
    "error delivering",
    "error was encountered while",
    "error has occurred while attempting",
    "error occurred while trying to deliver",
    "permanent error",
    "permanent fatal error",
    "had delivery errors",
    "delivery errors",
    "delivery problems",
    "has been delayed",
    "is delayed",
    "no valid recipients",
    "returned to sender",
    "rejected by a remote mail server",
    "rejected by the recipient",
    "transcript of session",
    "error message below",
    "failure reasons",
    "could not be sent",
    "mailbox exceeds",
    "the following addresses failed",
    "following address failed",
    "address(es) failed",
    "message log follows",
    "returned mail",
    "group you tried to contact",
    "user unknown",
    "unknown user",
    "duplicated message-id",
    "mail could not be",
    "delivery to the following",
];

/// True of the subject of a failure notice.
pub(super) fn is_failure_subject(subject: &str) -> bool {
    let low = subject.to_lowercase();
    FAILURE_SUBJECTS.iter().any(|word| low.contains(word))
}

/// True of the text of a failure notice.
pub(super) fn is_failure_text(text: &str) -> bool {
    let low = text.to_lowercase();
    FAILURE_TEXTS.iter().any(|word| low.contains(word))
}

/// Words that tell a delay from a failure.
const DELAYS: &[&str] = &[
    "warning message only",
    "this is a warning only",
    "has been delayed",
    "is delayed",
    "do not need to resend",
    "don't need to resend",
    "do not need to re-send",
    "will be retried",
    "will keep trying",
    "will retry",
    "still trying",
    "temporary failure report",
    "delivery status notification (delay)",
    "still undelivered",
    "delivery delayed",
];

/// True if a notice tells of a delay.
pub(super) fn is_delay(text: &str) -> bool {
    let low = text.to_lowercase();
    DELAYS.iter().any(|word| low.contains(word))
}

/// Words that say why, though no number does.
const REASONS: &[&str] = &[
    "unknown",
    "not found",
    "does not exist",
    "not exist",
    "no such",
    "full",
    "quota",
    "exceed",
    "disabled",
    "inactive",
    "locked",
    "suspend",
    "timed out",
    "timeout",
    "expired",
    "too long",
    "refused",
    "lookup",
    "resolve",
    "unrouteable",
    "unroutable",
    "spam",
    "virus",
    "policy",
    "blocked",
    "denied",
    "not listed",
    "not recognized",
    "too large",
    "too big",
    "size limit",
    "attempts",
    "try again",
    "unavailable",
    "loop",
    "invalid",
    "disk space",
    "couldn't find",
    "could not find",
    "no mx",
    "no smtp service",
    "network error",
];

/// True if the text says why.
pub(super) fn tells_reason(text: &str) -> bool {
    let low = text.to_lowercase();
    REASONS.iter().any(|word| low.contains(word))
}

/// Words directly before an address of somebody to whom mail was not sent: its author, or who can help.
pub(super) const NOT_RECIPIENTS: &[&str] = &[
    "mail from:",
    "mail from:<",
    "mail from: <",
    "from:",
    "from: <",
    "from",
    "f=[",
    "contact",
    "contact <",
    "reply-to:",
    "sender:",
    "sender",
    "sender <",
    "return-path:",
    "return-path: <",
    "envelope-from",
    "envelope-from <",
    "hello",
    "hi",
    "dear",
    "bonjour",
    "hallo",
    "hola,",
    "support",
    "to:to",
    "message-id: <",
    "message-id:",
    "sent by",
    "helo=[",
    "postmaster",
    "administrator",
    "abuse",
    "via",
    "domain of",
    "id <",
    "cc:",
];

/// Words directly before an address that mail was sent to.
pub(super) const RECIPIENTS: &[&str] = &[
    "rcpt to:<",
    "rcpt to:",
    "rcpt to: <",
    "rcpt to: ",
    "rcpt: <",
    "recipient: <",
    "recipient:",
    "recipient address:",
    "recipients:",
    "recipient",
    "recipient <",
    "addressed to:",
    "to: <",
    "to:",
    "to",
    "to <",
    "to address",
    "to the address",
    "delivered to",
    "for",
    "for <",
    "user",
    "user <",
    "mailbox",
    "mailbox <",
    "address",
    "address <",
    "address:",
    "size:",
    "attempts:",
    "errors:",
    "generated by",
    "expanded from",
    "expanded from:",
    "expanded from: <",
    "expanded from <",
    "email address",
    "account",
    "for user",
    "failed recipient:",
    "failed address:",
    "destinataire :",
    "empfänger:",
    "宛先:",
    "宛先：",
    "送信先:",
];
