//! URLs that strangers give us to post to.
//!
//! Answers: scheme, host, port and path of one that may be asked for, or what is wrong with it (rule C10, fault A27). A host is a domain name
//! or an address written out; nothing that some parsers take for an address, such as `127.1` or `0x7f.1`.
//! Does not: look names up. What a name leads to is judged again when a connection is made.

use std::fmt;
use std::net::IpAddr;

use hyper::http::Uri;

use super::dial::AddressPolicy;
use crate::model::DomainName;

/// Octets of a URL.
pub const MAX_OCTETS: usize = 2_000;
/// Names that lead to this machine or network, or to none (RFC 6761, RFC 6762, RFC 9476).
const INNER: [&str; 8] = ["localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "arpa"];
/// Ports of databases and the like that stand above the privileged ones.
const OTHERS: [u16; 12] = [1433, 1521, 2049, 3306, 3389, 5432, 5672, 6379, 9200, 9300, 11211, 27017];

/// Where to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// True: `https`.
    pub is_secure: bool,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// Path and query; begins with `/`.
    pub path: String,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name.
    Name(DomainName),
    /// An address.
    Address(IpAddr),
}

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlPolicy {
    /// Which addresses.
    pub addresses: AddressPolicy,
    /// `http` too.
    pub allow_http: bool,
}

/// Why a URL is not posted to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL.
    #[error("write it like https://hooks.example.com/path, in ASCII and at most {MAX_OCTETS} octets")]
    Syntax,
    /// Neither `http` nor `https`.
    #[error("the URL must begin with https://")]
    Scheme,
    /// Clear text.
    #[error("http sends mail and secrets in the clear; use https (or set webhooks.allow_http)")]
    Insecure,
    /// `user:password@`
    #[error("a URL with a user name or password is not taken; the signature proves who posts")]
    User,
    /// The host is no name and no address.
    #[error("the host must be a domain name, or an address written out in full")]
    Host,
    /// It leads into a private network.
    #[error("{0} is not on the public Internet; for a closed network set webhooks.allow_private_addresses")]
    Private(String),
    /// Another service's.
    #[error("port {0} belongs to another service; use 443, or a port above 1023")]
    Port(u16),
}

impl Url {
    /// Reads a URL and says whether it may be posted to, as far as can be told without a look-up.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str, policy: UrlPolicy) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_OCTETS || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(UrlError::Syntax);
        }
        let uri: Uri = text.split('#').next().unwrap_or(text).parse().map_err(|_| UrlError::Syntax)?;
        let is_secure = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Syntax),
        };
        let authority = uri.authority().ok_or(UrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        if !is_secure && !policy.allow_http && !policy.addresses.allow_private {
            return Err(UrlError::Insecure);
        }
        let host = host(authority.host(), policy)?;
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| UrlError::Syntax)?,
            // A colon without a number behind it.
            None if authority.as_str().len() != authority.host().len() => return Err(UrlError::Syntax),
            None if is_secure => 443,
            None => 80,
        };
        let usual = matches!(port, 80 | 443) || (port >= 1024 && !OTHERS.contains(&port));
        if port == 0 || !usual && !policy.addresses.allow_private {
            return Err(UrlError::Port(port));
        }
        let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { text: text.to_owned(), is_secure, host, port, path })
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port, as the field `Host` names them (RFC 9110 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match &self.host {
            Host::Address(IpAddr::V6(six)) => format!("[{six}]"),
            other => other.to_string(),
        };
        if self.port == if self.is_secure { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

fn host(text: &str, policy: UrlPolicy) -> Result<Host, UrlError> {
    let private = || UrlError::Private(text.to_owned());
    let literal = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = literal.unwrap_or(text).parse::<IpAddr>() {
        let allowed = policy.addresses.permits(address) && literal.is_some() == address.is_ipv6();
        return if allowed { Ok(Host::Address(address)) } else { Err(private()) };
    }
    let bare = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let last = bare.rsplit('.').next().unwrap_or_default();
    if INNER.contains(&last) && !policy.addresses.allow_private {
        return Err(private());
    }
    // `127.1`, `0x7f.1`, `2130706433`: names for no resolver, addresses for some.
    if last.starts_with("0x") || last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(UrlError::Host);
    }
    DomainName::parse(&bare).map(Host::Name).map_err(|_| UrlError::Host)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: UrlPolicy = UrlPolicy { addresses: AddressPolicy { allow_private: false }, allow_http: false };
    const OPEN: UrlPolicy = UrlPolicy { addresses: AddressPolicy { allow_private: true }, allow_http: false };

    #[test]
    fn a_url_is_read_into_its_parts() {
        for (text, authority, port, path) in [
            ("https://hooks.example.com", "hooks.example.com", 443, "/"),
            ("HTTPS://Hooks.Example.com:443/a/b?c=d#e", "hooks.example.com", 443, "/a/b?c=d"),
            ("https://hooks.example.com.:8443?x", "hooks.example.com:8443", 8443, "/?x"),
            ("https://93.184.215.14/", "93.184.215.14", 443, "/"),
            ("https://[2606:4700::1111]:9443/", "[2606:4700::1111]:9443", 9443, "/"),
        ] {
            let url = Url::parse(text, STRICT).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.authority().as_str(), url.port, url.path.as_str(), url.is_secure), (authority, port, path, true), "{text}");
        }
        let clear = Url::parse("http://127.0.0.1:8080/x", OPEN).unwrap();
        assert!(!clear.is_secure && clear.authority() == "127.0.0.1:8080");
        assert_eq!(Url::parse("http://hooks.example.com/", UrlPolicy { allow_http: true, ..STRICT }).unwrap().port, 80);
    }

    #[test]
    fn what_leads_elsewhere_than_it_seems_is_refused() {
        let wrong = |text: &str| Url::parse(text, STRICT).expect_err(text);
        for text in [
            "",
            "hooks.example.com",
            "https://",
            "https://b\u{fc}cher.example/",
            "https://a b.example/",
            "//hooks.example.com",
            "https://hooks.example.com:/",
            "/x",
        ] {
            assert_eq!(wrong(text), UrlError::Syntax, "{text}");
        }
        assert_eq!(wrong("ftp://hooks.example.com/"), UrlError::Scheme);
        assert_eq!(wrong("http://hooks.example.com/"), UrlError::Insecure);
        for text in ["https://user:pw@hooks.example.com/", "https://hooks.example.com@10.0.0.1/"] {
            assert_eq!(wrong(text), UrlError::User, "{text}");
        }
        for text in [
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://localhost/",
            "https://localhost./",
            "https://metadata.google.internal/",
            "https://printer.local/",
        ] {
            assert!(matches!(wrong(text), UrlError::Private(_)), "{text}");
        }
        for text in [
            "https://127.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://intranet-host/",
            "https://a..example/",
            "https://0x7f000001/",
        ] {
            assert!(matches!(wrong(text), UrlError::Host), "{text}");
        }
        for port in [0, 22, 25, 587, 5432, 6379] {
            assert_eq!(wrong(&format!("https://hooks.example.com:{port}/")), UrlError::Port(port));
        }
        assert_eq!(Url::parse("https://0.0.0.0/", OPEN), Err(UrlError::Private("0.0.0.0".to_owned())), "no policy permits it");
    }
}
