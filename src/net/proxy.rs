//! Connections through a proxy on another host, whose addresses then are those that mail leaves from.
//!
//! Answers: the words that make a proxy connect to a target: SOCKS5 (RFC 1928) with user name and password (RFC 1929), or the PROXY
//! protocol's version 2 header, which tells an HAProxy where from and where to.
//! Does not: dial the proxy or keep time (`dial` does), or resolve names: the target is an address that was checked.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::model::Secret;

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What a proxy speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SOCKS5, with a user name and password if it wants them (1 to 255 octets each).
    Socks5(Option<(String, Secret<String>)>),
    /// The PROXY protocol, version 2.
    HaProxy,
}

/// Why the proxy did not connect.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy could not reach the target: that says something about the target.
    #[error("{0}")]
    Target(&'static str),
    /// The proxy is not what it should be, or refuses us.
    #[error("{0}")]
    Proxy(String),
}

impl From<std::io::Error> for ProxyError {
    fn from(error: std::io::Error) -> Self {
        Self::Proxy(format!("the connection failed: {error}"))
    }
}

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Makes the proxy at the other end of `stream` connect to `target`, from `source` where the protocol can say so.
///
/// # Errors
/// [`ProxyError`].
pub async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    protocol: &Protocol,
    source: IpAddr,
    target: SocketAddr,
) -> Result<(), ProxyError> {
    match protocol {
        Protocol::Socks5(login) => {
            greet(stream, login.as_ref()).await?;
            connect(stream, target).await
        }
        Protocol::HaProxy => Ok(stream.write_all(&header(SocketAddr::new(source, 0), target)).await?),
    }
}

/// The greeting and the login (RFC 1928 3, RFC 1929 2).
async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), login: Option<&(String, Secret<String>)>) -> Result<(), ProxyError> {
    let method = if login.is_some() { PASSWORD } else { NO_LOGIN };
    stream.write_all(&[VERSION, 1, method]).await?;
    let mut reply = [0_u8; 2];
    stream.read_exact(&mut reply).await?;
    match (reply, login) {
        ([VERSION, NO_LOGIN], None) => Ok(()),
        ([VERSION, PASSWORD], Some((username, password))) => {
            let mut words = vec![1];
            for word in [username.as_str(), password.expose()] {
                words.push(u8::try_from(word.len()).map_err(|_| ProxyError::Proxy("the login is longer than 255 octets".to_owned()))?);
                words.extend_from_slice(word.as_bytes());
            }
            stream.write_all(&words).await?;
            stream.read_exact(&mut reply).await?;
            let [_, status] = reply;
            if status == 0 { Ok(()) } else { Err(ProxyError::Proxy("it does not take our user name and password".to_owned())) }
        }
        ([VERSION, 0xff], None) => Err(ProxyError::Proxy("it wants a user name and password".to_owned())),
        ([VERSION, _], _) => Err(ProxyError::Proxy("it does not take our way to log in".to_owned())),
        _ => Err(ProxyError::Proxy("it does not speak SOCKS5".to_owned())),
    }
}

/// The request and its reply (RFC 1928 4 to 6).
async fn connect(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), target: SocketAddr) -> Result<(), ProxyError> {
    let mut request = vec![VERSION, CONNECT, 0];
    match target.ip() {
        IpAddr::V4(four) => {
            request.push(IPV4);
            request.extend_from_slice(&four.octets());
        }
        IpAddr::V6(six) => {
            request.push(IPV6);
            request.extend_from_slice(&six.octets());
        }
    }
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await?;
    let mut reply = [0_u8; 4];
    stream.read_exact(&mut reply).await?;
    let [version, code, _, kind] = reply;
    if version != VERSION {
        return Err(ProxyError::Proxy("it does not speak SOCKS5".to_owned()));
    }
    // The address it connects from; what follows is the target's word.
    let octets = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        _ => return Err(ProxyError::Proxy("it answers with an address of an unknown kind".to_owned())),
    };
    let mut bound = vec![0_u8; octets + 2];
    stream.read_exact(&mut bound).await?;
    match code {
        0 => Ok(()),
        3 => Err(ProxyError::Target("network unreachable")),
        4 => Err(ProxyError::Target("host unreachable")),
        5 => Err(ProxyError::Target("connection refused")),
        6 => Err(ProxyError::Target("no answer in time")),
        2 => Err(ProxyError::Proxy("its rules do not let us connect there".to_owned())),
        8 => Err(ProxyError::Proxy("it cannot connect to addresses of this IP version".to_owned())),
        other => Err(ProxyError::Proxy(format!("it failed with code {other}"))),
    }
}

/// The PROXY protocol header, version 2, of a TCP connection (section 2.2 of its specification).
fn header(source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match (source.ip(), target.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend_from_slice(&[0x11, 0, 12]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
        }
        (from, to) => {
            let six = |address: IpAddr| match address {
                IpAddr::V4(four) => four.to_ipv6_mapped(),
                IpAddr::V6(six) => six,
            };
            header.extend_from_slice(&[0x21, 0, 36]);
            header.extend_from_slice(&six(from).octets());
            header.extend_from_slice(&six(to).octets());
        }
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&target.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks a proxy that answers with `script`; what was said to it, and how that ended.
    async fn asked(protocol: Protocol, target: &str, script: &[u8]) -> (Vec<u8>, Result<(), String>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(script).await.unwrap();
        let ended = ask(&mut ours, &protocol, "2001:db8::7".parse().unwrap(), target.parse().unwrap()).await;
        drop(ours);
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        (said, ended.map_err(|error| error.to_string()))
    }

    #[tokio::test]
    async fn ipv6_targets_are_named_as_both_protocols_want_them() {
        let target = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25];
        let socks = b"\x05\x00\x05\x00\x00\x03\x05proxy\x04\x38";
        let (said, ended) = asked(Protocol::Socks5(None), "[2001:db8::19]:25", socks).await;
        assert_eq!((said, ended), ([&[5, 1, 0, 5, 1, 0, 4][..], &target, &[0, 25]].concat(), Ok(())));
        let (said, ended) = asked(Protocol::HaProxy, "[2001:db8::19]:25", b"").await;
        assert_eq!(ended, Ok(()));
        let source = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(said, [b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24", &source[..], &target, &[0, 0, 0, 25]].concat());
    }

    #[tokio::test]
    async fn what_is_no_socks_proxy_is_told_as_such() {
        for (script, reason) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "it does not speak SOCKS5"),
            (b"\x05\x02", "it does not take our way to log in"),
            (b"\x05\x00\x04\x00\x00\x01", "it does not speak SOCKS5"),
            (b"\x05\x00\x05\x00\x00\x09", "it answers with an address of an unknown kind"),
            (b"\x05\x00\x05\x08\x00\x01\0\0\0\0\0\0", "it cannot connect to addresses of this IP version"),
        ] {
            assert_eq!(asked(Protocol::Socks5(None), "192.0.2.1:25", script).await.1, Err(reason.to_owned()));
        }
    }
}
