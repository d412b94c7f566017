//! What time it is elsewhere: one question to a time server (RFC 5905, as a client does it by RFC 4330).
//!
//! Answers: how far a clock is ahead of the server's, to within the time the answer took.
//! Does not: set a clock.

use std::net::SocketAddr;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::net::UdpSocket;

use crate::clock::Clock;

const PACKET_OCTETS: usize = 48;
/// Version 4, mode client.
const ASK: u8 = 0b00_100_011;
/// Seconds from 1900, where the protocol's time begins, to 1970.
const ERA_SECONDS: i64 = 2_208_988_800;
/// Where the server's time of sending and the echo of ours stand.
const TRANSMITTED: usize = 40;
const ORIGINATED: usize = 24;

/// Why a time server told nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The network refused.
    #[error("cannot ask: {0}")]
    Network(String),
    /// The answer is none, or its server does not know the time itself.
    #[error("the server does not know the time")]
    NoTime,
}

/// How far `clock` is ahead of the server's time; negative if it is behind.
///
/// # Errors
/// [`TimeError`].
pub async fn ahead(server: SocketAddr, clock: &Clock, limit: Duration) -> Result<time::Duration, TimeError> {
    let failed = |error: std::io::Error| TimeError::Network(error.to_string());
    let local: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(local).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    let mark: [u8; 8] = clock.random();
    let mut packet = [0_u8; PACKET_OCTETS];
    let [first, ..] = &mut packet;
    *first = ASK;
    // A mark instead of our time: it tells nothing of us, and an answer must repeat it.
    packet.iter_mut().skip(TRANSMITTED).zip(mark).for_each(|(octet, value)| *octet = value);
    let asked = clock.now();
    socket.send(&packet).await.map_err(failed)?;
    let mut answer = [0_u8; PACKET_OCTETS];
    match clock.timeout(limit, socket.recv(&mut answer)).await {
        Err(timed_out) => return Err(TimeError::TimedOut(timed_out.0)),
        Ok(Err(error)) => return Err(failed(error)),
        Ok(Ok(octets)) if octets < PACKET_OCTETS => return Err(TimeError::NoTime),
        Ok(Ok(_)) => {}
    }
    let took = clock.now() - asked;
    let told = read(&answer, mark).ok_or(TimeError::NoTime)?;
    Ok(asked + took / 2 - told)
}

/// The time in an answer to the question with `mark`.
fn read(answer: &[u8; PACKET_OCTETS], mark: [u8; 8]) -> Option<OffsetDateTime> {
    let [first, stratum, ..] = *answer;
    let (leap, mode) = (first >> 6, first & 7);
    // Leap 3: not set; stratum 0: a refusal; mode 4: a server.
    if leap == 3 || stratum == 0 || mode != 4 || answer.get(ORIGINATED..ORIGINATED + 8)? != mark {
        return None;
    }
    let word = |start: usize| -> Option<u32> { Some(u32::from_be_bytes(answer.get(start..start + 4)?.try_into().ok()?)) };
    let (seconds, fraction) = (word(TRANSMITTED)?, word(TRANSMITTED + 4)?);
    // Numbers with a low first bit belong to the era that begins in 2036 (RFC 4330 3).
    let era = if seconds & 0x8000_0000 == 0 { 1_i64 << 32 } else { 0 };
    let nanos = (u64::from(fraction) * 1_000_000_000) >> 32;
    let whole = OffsetDateTime::from_unix_timestamp(i64::from(seconds) + era - ERA_SECONDS).ok()?;
    Some(whole + Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::Supervisor;

    /// A server whose clock is `behind` that of the test.
    async fn server(behind: time::Duration, spoil: fn(&mut [u8; PACKET_OCTETS]), clock: &Clock, supervisor: &Supervisor) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let clock = clock.clone();
        supervisor.spawn("time server", async move {
            let mut packet = [0_u8; PACKET_OCTETS];
            let (_, peer) = socket.recv_from(&mut packet).await.unwrap();
            let mark: [u8; 8] = packet[TRANSMITTED..].try_into().unwrap();
            let now = clock.now() - behind;
            let seconds = u32::try_from((now.unix_timestamp() + ERA_SECONDS) & 0xffff_ffff).unwrap();
            packet[0] = 0b00_100_100;
            packet[1] = 2;
            packet[ORIGINATED..ORIGINATED + 8].copy_from_slice(&mark);
            packet[TRANSMITTED..TRANSMITTED + 4].copy_from_slice(&seconds.to_be_bytes());
            spoil(&mut packet);
            socket.send_to(&packet, peer).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn the_skew_is_measured_and_a_server_without_time_is_not_believed() {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let limit = Duration::from_secs(20);
        for seconds in [0_i64, 90, -3_600, 600_000_000] {
            let behind = time::Duration::seconds(seconds);
            let address = server(behind, |_| {}, &clock, &supervisor).await;
            let found = ahead(address, &clock, limit).await.unwrap();
            assert!((found - behind).abs() < time::Duration::seconds(3), "{seconds}: {found}");
        }
        let spoils: [fn(&mut [u8; PACKET_OCTETS]); 4] =
            [|packet| packet[0] |= 0b1100_0000, |packet| packet[1] = 0, |packet| packet[0] = ASK, |packet| packet[ORIGINATED] ^= 1];
        for (number, spoil) in spoils.into_iter().enumerate() {
            let address = server(time::Duration::ZERO, spoil, &clock, &supervisor).await;
            assert_eq!(ahead(address, &clock, limit).await, Err(TimeError::NoTime), "{number}");
        }
        supervisor.kill();
    }
}
