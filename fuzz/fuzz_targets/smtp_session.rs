//! What a client says to the submission ports and to port 25: any octets in any pieces, from a clear and from an encrypted beginning (RFC 5321,
//! RFC 3030, RFC 4954).
#![no_main]

use std::sync::Arc;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pennypost::mail::headers::check_raw;
use pennypost::model::Reply;
use pennypost::net::proxy_protocol::{self, Header};
use pennypost::smtp::server::session::{Ask, Channel, Next, Purpose, Session, Settings};

fuzz_target!(|octets: &[u8]| {
    if let Header::Whole { octets: taken, .. } = proxy_protocol::read(octets) {
        assert!(taken <= octets.len());
    }
    let Some((&mode, rest)) = octets.split_first() else { return };
    let purpose = if mode & 2 == 0 { Purpose::Exchange } else { Purpose::Submission };
    let settings = Settings { hostname: "mx.example".to_owned(), purpose, max_octets: 4096, max_recipients: 5 };
    let (mut channel, size) = (if mode & 1 == 0 { Channel::Clear } else { Channel::Tls }, 1 + usize::from(mode >> 2));
    let mut session = Session::new(Arc::new(settings), channel);
    let (mut input, mut output, mut signed_in) = (BytesMut::new(), Vec::new(), false);
    session.greet(&mut output);
    'pieces: for piece in rest.chunks(size) {
        input.extend_from_slice(piece);
        loop {
            match session.step(&mut input, &mut output) {
                Next::Read => break,
                Next::Close => break 'pieces,
                Next::StartTls => {
                    assert!(input.is_empty() && channel == Channel::Clear, "nothing read before TLS survives it");
                    (channel, signed_in) = (Channel::Tls, false);
                    session.tls_started();
                }
                Next::Ask(ask) => {
                    if purpose == Purpose::Submission {
                        assert!(channel == Channel::Tls, "before TLS nobody is judged");
                        assert!(signed_in || matches!(ask, Ask::SignIn(_)), "before signing in nothing else is");
                    } else {
                        assert!(!matches!(ask, Ask::SignIn(_)), "nobody signs in on port 25");
                    }
                    let (code, text) = match ask {
                        Ask::SignIn(_) => {
                            signed_in = true;
                            (235, "2.7.0 ok")
                        }
                        Ask::Mail(_) | Ask::Rcpt(_) => (250, "2.1.0 ok"),
                        Ask::Message(message) => {
                            assert!(!message.recipients.is_empty() && message.recipients.len() <= 5 && message.content.len() <= 4096);
                            let bare = pennypost::mail::lines::first_bare_line_end(&message.content);
                            assert_eq!(bare, None, "no line ends in anything but CRLF");
                            let _ = check_raw(&message.content);
                            (250, "2.0.0 ok")
                        }
                    };
                    session.answer(&mut output, &Reply::new(code, text));
                }
            }
        }
    }
    for line in output.split_inclusive(|octet| *octet == b'\n') {
        assert!(line.ends_with(b"\r\n") && line.len() <= 512 && line[..line.len() - 2].iter().all(|octet| (b' '..=b'~').contains(octet)));
    }
});
