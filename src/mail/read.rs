//! A message taken apart for programs: addresses, texts, fields, attachments, decoded (RFC 5322, RFC 2045 to 2047).
//!
//! Answers: what a reader would see of whatever came, by a lenient parser. A message nested or divided without measure is not taken apart: its header
//! alone is read. Does not: judge, or keep to anybody's idea of what is safe to show; HTML comes as it was sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{MessageParser, MimeHeaders};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::fields::Fields;
use super::headers::mailbox::{printable, text};
use super::headers::{MAX_FIELDS, MAX_HEADER_OCTETS, is_excessive};
use super::parse::{HeaderView, mailboxes};

/// Octets of a text that are shown.
const MAX_TEXT_OCTETS: usize = 1024 * 1024;
/// Attachments that are listed.
const MAX_ATTACHMENTS: usize = 1_000;

/// A message, taken apart.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ParsedMessage)]
pub struct Parsed {
    /// Authors, `Name <address>` or the address.
    pub from: Vec<String>,
    /// The To field.
    pub to: Vec<String>,
    /// The Cc field.
    pub cc: Vec<String>,
    /// Where answers shall go.
    pub reply_to: Vec<String>,
    /// The subject, decoded.
    pub subject: String,
    /// The Date field.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub date: Option<OffsetDateTime>,
    /// The Message-ID without its brackets.
    pub message_id: Option<String>,
    /// The text, at most 1 MiB of it; made of the HTML where there is no other.
    pub text: Option<String>,
    /// The HTML as it was sent, at most 1 MiB of it.
    pub html: Option<String>,
    /// All header fields in their order, decoded.
    pub headers: Vec<HeaderField>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// False if the message is nested or divided so much that its header alone was read.
    pub is_whole: bool,
}

/// A header field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HeaderField {
    /// Its name, as written.
    pub name: String,
    /// Its value, unfolded and decoded.
    pub value: String,
}

/// A file of a message.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = IncomingAttachment)]
pub struct Attachment {
    /// Its name, as the sender wrote it: not one to write a file by.
    pub filename: Option<String>,
    /// Its media type.
    pub content_type: String,
    /// Its id in the message, for HTML that shows it.
    pub content_id: Option<String>,
    /// Octets, decoded.
    pub size: usize,
    /// The octets in base64; null if they are left out because of their size.
    pub content: Option<String>,
}

impl Parsed {
    /// Takes a message apart; attachments come along up to `attachment_octets` in all.
    #[must_use]
    pub fn read(message: &[u8], attachment_octets: usize) -> Self {
        let view = HeaderView::read(message);
        let fields = Fields::split(message, MAX_FIELDS, MAX_HEADER_OCTETS);
        let name = |octets: &[u8]| printable(String::from_utf8_lossy(octets).into_owned());
        let headers = fields.all.iter().map(|field| HeaderField { name: name(field.name()), value: text(field.value()) }).collect();
        let reply_to = fields.named("Reply-To").next().map(|field| mailboxes(field.value())).unwrap_or_default();
        let mut parsed = Self {
            from: view.from,
            to: view.to,
            cc: view.cc,
            reply_to,
            subject: view.subject,
            date: view.date,
            message_id: view.message_id,
            text: None,
            html: None,
            headers,
            attachments: Vec::new(),
            is_whole: false,
        };
        if !is_excessive(message, &fields)
            && let Some(message) = MessageParser::new().parse(message)
        {
            parsed.is_whole = true;
            parsed.text = message.body_text(0).map(|text| cut(&text));
            // Made of plain text there is nothing in it that the text does not say.
            parsed.html = message.html_bodies().find(|part| part.is_text_html()).and_then(|part| part.text_contents()).map(cut);
            let mut left = attachment_octets;
            parsed.attachments = message.attachments().take(MAX_ATTACHMENTS).map(|part| attachment(part, &mut left)).collect();
        }
        parsed
    }
}

fn attachment(part: &mail_parser::MessagePart<'_>, left: &mut usize) -> Attachment {
    let octets = part.contents();
    let content_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| kind.subtype().map_or_else(|| kind.ctype().to_owned(), |subtype| format!("{}/{subtype}", kind.ctype())),
    );
    let fits = octets.len() <= *left;
    if fits {
        *left -= octets.len();
    }
    Attachment {
        filename: part.attachment_name().map(|name| printable(name.to_owned())),
        content_type: printable(content_type.to_ascii_lowercase()),
        content_id: part.content_id().map(|id| printable(id.to_owned())),
        size: octets.len(),
        content: fits.then(|| STANDARD.encode(octets)),
    }
}

/// At most [`MAX_TEXT_OCTETS`] of a text.
fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT_OCTETS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"From: =?utf-8?Q?J=C3=BCrgen?= <j@x.example>\r\nTo: info@d.example\r\nReply-To: b@x.example\r\nSubject: Files\r\n\
        Date: Sun, 1 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@x.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n\
        --m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n--a\r\nContent-Type: text/html\r\n\r\n<b>Hi</b>\r\n--a--\r\n\
        --m\r\nContent-Type: Application/PDF; name=\"a.pdf\"\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\nContent-ID: <c1>\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--m\r\nContent-Type: application/zip\r\nContent-Disposition: attachment\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nQUJDRA==\r\n--m--\r\n";

    #[test]
    fn a_message_is_taken_apart() {
        let parsed = Parsed::read(MAIL, 5);
        assert_eq!(
            (parsed.from.as_slice(), parsed.reply_to.as_slice()),
            (&["J\u{fc}rgen <j@x.example>".to_owned()][..], &["b@x.example".to_owned()][..])
        );
        assert_eq!(parsed.text.as_deref().map(str::trim), Some("Gr\u{fc}\u{df}e"));
        assert_eq!(parsed.html.as_deref().map(str::trim), Some("<b>Hi</b>"));
        assert_eq!((parsed.headers.len(), parsed.headers[3].value.as_str(), parsed.is_whole), (8, "Files", true));
        let [pdf, zip] = parsed.attachments.as_slice() else { panic!("{:?}", parsed.attachments) };
        assert_eq!((pdf.filename.as_deref(), pdf.content_type.as_str(), pdf.content_id.as_deref()), (Some("a.pdf"), "application/pdf", Some("c1")));
        assert_eq!((pdf.size, pdf.content.as_deref()), (3, Some("QUJD")));
        assert_eq!((zip.size, zip.content.as_deref(), zip.filename.as_deref()), (4, None, None), "together they are too large");
    }

    #[test]
    fn whatever_came_is_shown_as_far_as_it_goes() {
        let plain = Parsed::read(b"From: a@x.example\r\nSubject: Hi\r\n\r\nA line.\r\n", 0);
        assert_eq!((plain.text.as_deref().map(str::trim), plain.html), (Some("A line."), None));
        let html = Parsed::read(b"Content-Type: text/html\r\n\r\n<p>Hi</p>", 0);
        assert!(html.html.is_some() && html.text.is_some_and(|text| text.contains("Hi") && !text.contains("<p>")));
        for odd in [&b""[..], b"\xff\xfe", b"no header", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x"] {
            assert!(Parsed::read(odd, 9).attachments.len() < 2, "{odd:?}");
        }
    }

    #[test]
    fn a_message_without_measure_is_read_by_its_header_alone() {
        let level = |level: usize| format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
        let nested = format!("Subject: deep\r\n{}", (0..200).map(level).collect::<Vec<_>>().concat());
        let parsed = Parsed::read(nested.as_bytes(), 0);
        assert_eq!((parsed.subject.as_str(), parsed.is_whole, parsed.text), ("deep", false, None));
    }
}
