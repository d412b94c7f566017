//! The PROXY protocol, versions 1 and 2: whose connection a proxy hands on.
//!
//! Answers: the client's address, and where its own octets begin. Does not: decide whose word counts; only listed proxies are asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of a header of version 1, its end included.
const MAX_TEXT_OCTETS: usize = 107;
/// Octets of a header of version 2 beyond its first 16.
const MAX_BINARY_OCTETS: usize = 2048;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// More octets are needed.
    Partial,
    /// A header.
    Whole {
        /// Its octets.
        octets: usize,
        /// The client; none if the proxy speaks for itself.
        client: Option<SocketAddr>,
    },
    /// No header.
    Invalid,
}

/// Reads the header at the beginning of `input`.
#[must_use]
pub fn read(input: &[u8]) -> Header {
    let starts = |mark: &[u8]| input.iter().zip(mark).all(|(octet, mark)| octet == mark);
    if starts(SIGNATURE) {
        if input.len() < SIGNATURE.len() { Header::Partial } else { binary(input) }
    } else if starts(b"PROXY ") {
        text(input)
    } else {
        Header::Invalid
    }
}

fn text(input: &[u8]) -> Header {
    let Some(end) = input.iter().take(MAX_TEXT_OCTETS).position(|octet| *octet == b'\n') else {
        return if input.len() < MAX_TEXT_OCTETS { Header::Partial } else { Header::Invalid };
    };
    let line = input.get(..end).and_then(|line| line.strip_suffix(b"\r")).and_then(|line| std::str::from_utf8(line).ok());
    let Some(line) = line else { return Header::Invalid };
    let octets = end + 1;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Header::Whole { octets, client: None },
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, port, _] => {
            let [source, destination] = [source, destination].map(|address| address.parse::<IpAddr>().ok());
            let fits = |address: &IpAddr| address.is_ipv4() == (*family == "TCP4");
            match (source.filter(fits), destination.filter(fits), port.parse::<u16>()) {
                (Some(source), Some(_), Ok(port)) => Header::Whole { octets, client: Some(SocketAddr::new(source, port)) },
                _ => Header::Invalid,
            }
        }
        _ => Header::Invalid,
    }
}

fn binary(input: &[u8]) -> Header {
    let Some(&[command, family, high, low]) = input.get(SIGNATURE.len()..16).and_then(|rest| <&[u8; 4]>::try_from(rest).ok()) else {
        return Header::Partial;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BINARY_OCTETS || !matches!(command, 0x20 | 0x21) {
        return Header::Invalid;
    }
    let octets = 16 + length;
    let Some(addresses) = input.get(16..octets) else { return Header::Partial };
    // LOCAL: the proxy asks for itself. A family other than TCP over IP tells nothing that could be used.
    let client = match (command, family) {
        (0x21, 0x11) => four(addresses),
        (0x21, 0x21) => six(addresses),
        _ => return Header::Whole { octets, client: None },
    };
    client.map_or(Header::Invalid, |client| Header::Whole { octets, client: Some(client) })
}

fn four(addresses: &[u8]) -> Option<SocketAddr> {
    let source: [u8; 4] = addresses.get(..4)?.try_into().ok()?;
    let port: [u8; 2] = addresses.get(8..10)?.try_into().ok()?;
    addresses.get(..12)?;
    Some(SocketAddr::new(Ipv4Addr::from(source).into(), u16::from_be_bytes(port)))
}

fn six(addresses: &[u8]) -> Option<SocketAddr> {
    let source: [u8; 16] = addresses.get(..16)?.try_into().ok()?;
    let port: [u8; 2] = addresses.get(32..34)?.try_into().ok()?;
    addresses.get(..36)?;
    Some(SocketAddr::new(Ipv6Addr::from(source).into(), u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(octets: usize, client: &str) -> Header {
        Header::Whole { octets, client: client.parse().ok() }
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, addresses].concat()
    }

    #[test]
    fn both_versions_name_the_client() {
        let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 587\r\n";
        assert_eq!(read(&[&line[..], b"EHLO"].concat()), whole(line.len(), "192.0.2.7:4711"));
        assert_eq!(read(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 587\r\n"), whole(45, "[2001:db8::7]:4711"));
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), whole(15, ""));
        let four = version_2(0x21, 0x11, &[192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 2, 75]);
        assert_eq!(read(&four), whole(28, "192.0.2.7:4711"));
        let mut addresses = [0; 40];
        addresses[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        addresses[32..34].copy_from_slice(&[0x12, 0x67]);
        assert_eq!(read(&version_2(0x21, 0x21, &addresses)), whole(56, "[2001:db8::7]:4711"), "what follows the addresses is passed over");
        assert_eq!(read(&version_2(0x20, 0x00, &[])), whole(16, ""));
    }

    #[test]
    fn half_a_header_is_waited_for() {
        for header in [&b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 587\r\n"[..], &version_2(0x21, 0x11, &[1; 12])] {
            for length in 0..header.len() {
                assert_eq!(read(&header[..length]), Header::Partial, "{length}");
            }
            assert!(matches!(read(header), Header::Whole { .. }));
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for text in [
            &b"EHLO c\r\n"[..],
            b"PROXY TCP4 192.0.2.7\r\n",
            b"PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 99999 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
            b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
            b"proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
            &[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(),
            &version_2(0x22, 0x11, &[1; 12]),
            &version_2(0x11, 0x11, &[1; 12]),
            &version_2(0x21, 0x11, &[1; 11]),
            &version_2(0x21, 0x11, &[1; 3000]),
        ] {
            assert_eq!(read(text), Header::Invalid, "{}", String::from_utf8_lossy(text));
        }
    }
}
