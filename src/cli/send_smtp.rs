//! `pennypost send --via smtp465|smtp587`: a test message by SMTP, as any mail program would hand it over.
//!
//! Answers: a real sign-in and the id that the 250 names. The certificate must be good for `server.hostname` unless the gateway is on this machine, where one
//! that nobody trusts will do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncTransport, Message, Tokio1Executor};

use super::failure::Failure;
use crate::config::{Config, Listen};
use crate::model::Secret;

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// 465.
    Implicit,
    /// 587.
    StartTls,
}

/// What is sent, and who signs in.
pub(super) struct Letter<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a [String],
    pub(super) subject: &'a str,
    pub(super) text: String,
    pub(super) user: &'a str,
    pub(super) password: &'a Secret<String>,
}

/// Hands the letter over and answers the id of the message.
///
/// # Errors
/// The port is off, does not answer, or refuses.
pub(super) async fn send(config: &Config, port: Port, letter: Letter<'_>) -> anyhow::Result<String> {
    let (option, listen) = match port {
        Port::Implicit => ("smtp.submissions_listen", config.smtp.submissions_listen),
        Port::StartTls => ("smtp.submission_listen", config.smtp.submission_listen),
    };
    let address =
        address(listen).ok_or_else(|| Failure::usage(format!("{option} is off")).fix("set it to an address, and start the gateway again"))?;
    let refused = |error: &dyn std::fmt::Display| Failure::new(format!("the gateway at {address} did not take the message: {error}"));
    let message = message(&letter)?;
    let name = if config.server.hostname.is_empty() { "localhost.localdomain" } else { &config.server.hostname };
    let tls = TlsParameters::builder(name.to_owned()).dangerous_accept_invalid_certs(address.ip().is_loopback()).build()?;
    let tls = if port == Port::Implicit { Tls::Wrapper(tls) } else { Tls::Required(tls) };
    let credentials = Credentials::new(letter.user.to_owned(), letter.password.expose().clone());
    let transport: AsyncSmtpTransport<Tokio1Executor> = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
        .port(address.port())
        .tls(tls)
        .credentials(credentials)
        .build();
    let response = transport.send(message).await.map_err(|error| refused(&error))?;
    let told: String = response.message().collect::<Vec<_>>().join(" ");
    let id = told.split(' ').find(|word| word.starts_with("msg_")).ok_or_else(|| refused(&told))?;
    Ok(id.to_owned())
}

fn message(letter: &Letter<'_>) -> anyhow::Result<Message> {
    let mut builder = Message::builder().from(letter.from.parse()?).subject(letter.subject);
    for to in letter.to {
        builder = builder.to(to.parse()?);
    }
    Ok(builder.body(letter.text.clone())?)
}

/// Where a gateway that listens so is reached from this machine.
fn address(listen: Listen) -> Option<SocketAddr> {
    let address = *listen.addresses().last()?;
    let ip = match address.ip() {
        IpAddr::V4(four) if four.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(six) if six.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        given => given,
    };
    Some(SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_listens_everywhere_is_reached_on_loopback() {
        assert_eq!(address(Listen::Everywhere(465)), "127.0.0.1:465".parse().ok());
        assert_eq!(address("[::]:465".parse().unwrap()), "[::1]:465".parse().ok());
        assert_eq!(address(Listen::Off), None);
    }
}
