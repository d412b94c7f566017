//! An SMTP client that sends what the test says, octet for octet.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pennypost::net::tls;
use pennypost::smtp::client::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection to a submission port.
pub struct SmtpClient {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
    /// The certificate that was shown, within TLS.
    pub certificate: Option<Vec<u8>>,
}

impl SmtpClient {
    /// A TCP connection; nothing is read yet.
    pub async fn dial(address: SocketAddr) -> Self {
        Self { stream: Box::new(TcpStream::connect(address).await.unwrap()), unread: Vec::new(), certificate: None }
    }

    /// Connects in the clear and reads the greeting.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut client = Self::dial(address).await;
        let greeting = client.reply().await;
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects by TLS and reads the greeting.
    pub async fn connect_tls(address: SocketAddr) -> Self {
        let mut client = Self::dial(address).await.handshake().await;
        let greeting = client.reply().await;
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects in the clear, greets and starts TLS.
    pub async fn connect_starttls(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        client.expect("EHLO client.example", "250").await;
        client.expect("STARTTLS", "220").await;
        client.handshake().await
    }

    /// Shakes hands, whatever certificate is shown.
    pub async fn handshake(self) -> Self {
        self.try_handshake().await.unwrap()
    }

    pub async fn try_handshake(self) -> std::io::Result<Self> {
        let name = rustls_pki_types::ServerName::try_from("mail.sender.example").unwrap();
        let stream = TlsConnector::from(tls::opportunistic()).connect(name, self.stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|first| first.to_vec());
        Ok(Self { stream: Box::new(stream), unread: Vec::new(), certificate })
    }

    /// Sends octets.
    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads one reply; its lines are joined by LF. Empty if the connection has ended.
    pub async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            while let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8(line).unwrap().trim_end().to_owned();
                let last = line.as_bytes().get(3) != Some(&b'-');
                lines.push(line);
                if last {
                    return lines.join("\n");
                }
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more).await {
                Ok(octets) if octets > 0 => self.unread.extend_from_slice(&more[..octets]),
                _ => return lines.join("\n"),
            }
        }
    }

    /// Sends a line and reads the reply.
    pub async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Sends a line whose reply must begin like this.
    pub async fn expect(&mut self, line: &str, begins: &str) -> String {
        let reply = self.say(line).await;
        assert!(reply.starts_with(begins), "{line}: {reply}, not {begins}");
        reply
    }

    /// `AUTH PLAIN` with these.
    pub fn plain(user: &str, password: &str) -> String {
        format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}")))
    }

    /// Greets and signs in.
    pub async fn sign_in(&mut self, user: &str, password: &str) {
        self.expect("EHLO client.example", "250").await;
        self.expect(&Self::plain(user, password), "235 2.7.0").await;
    }

    /// Sends an envelope and a message, whose lines end in CRLF already and begin with no dot. Answers the last reply.
    pub async fn submit(&mut self, from: &str, to: &[&str], message: &str) -> String {
        let reply = self.say(&format!("MAIL FROM:<{from}>")).await;
        if !reply.starts_with("250") {
            return reply;
        }
        for to in to {
            self.expect(&format!("RCPT TO:<{to}>"), "250 2.1.5").await;
        }
        self.expect("DATA", "354").await;
        self.send(message).await;
        self.say(".").await
    }

    /// Reads octets until the connection ends.
    pub async fn rest_of_octets(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        let _ended = self.stream.read_to_end(&mut octets).await;
        octets
    }

    /// Reads until the connection ends: all that was said.
    pub async fn rest(&mut self) -> String {
        let mut replies = Vec::new();
        loop {
            let reply = self.reply().await;
            if reply.is_empty() {
                return replies.join("\n");
            }
            replies.push(reply);
        }
    }
}

/// The id in a reply like `250 2.0.0 accepted as msg_...`.
pub fn id_in(reply: &str) -> String {
    assert!(reply.starts_with("250 2.0.0 accepted as msg_"), "{reply}");
    reply.split(' ').nth(4).unwrap().to_owned()
}
