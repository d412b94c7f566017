//! A proxy on an egress host: SOCKS5 with or without a login, or one that reads a PROXY header as HAProxy does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::World;

/// What the proxy speaks.
#[derive(Clone, Copy)]
pub enum Speaks {
    /// SOCKS5; the login that it wants, and the code that it answers to every request unless it is 0.
    Socks5 { login: Option<(&'static str, &'static str)>, code: u8 },
    /// The PROXY protocol.
    HaProxy,
}

/// A proxy that listens.
pub struct EgressProxy {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<SocketAddr>>>,
}

impl EgressProxy {
    /// A proxy that connects from `outside`.
    pub async fn start(world: &World, speaks: Speaks, outside: IpAddr) -> Self {
        let listener = TcpListener::bind((world.fresh_address(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, tasks) = (Arc::clone(&asked), world.lab.clone());
        world.lab.spawn("egress proxy", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tasks.spawn("egress proxy connection", async move {
                    let _over = relay(stream, speaks, outside, &log).await;
                });
            }
        });
        Self { address, asked }
    }

    /// The targets asked for so far.
    pub fn asked(&self) -> Vec<SocketAddr> {
        self.asked.lock().unwrap().clone()
    }
}

async fn relay(mut inner: TcpStream, speaks: Speaks, outside: IpAddr, asked: &Mutex<Vec<SocketAddr>>) -> std::io::Result<()> {
    let (from, target) = match speaks {
        Speaks::Socks5 { login, .. } => match socks(&mut inner, login).await? {
            Some(target) => (outside, target),
            None => return Ok(()),
        },
        Speaks::HaProxy => {
            let mut header = [0_u8; 28];
            inner.read_exact(&mut header).await?;
            assert_eq!(&header[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
            (four(&header[16..20]).into(), SocketAddr::new(four(&header[20..24]).into(), port(&header[26..28])))
        }
    };
    asked.lock().unwrap().push(target);
    if let Speaks::Socks5 { code, .. } = speaks {
        inner.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        if code != 0 {
            return Ok(());
        }
    }
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let mut outer = socket.connect(target).await?;
    tokio::io::copy_bidirectional(&mut inner, &mut outer).await?;
    Ok(())
}

async fn socks(stream: &mut TcpStream, login: Option<(&str, &str)>) -> std::io::Result<Option<SocketAddr>> {
    let mut greeting = [0_u8; 3];
    stream.read_exact(&mut greeting).await?;
    let method = if login.is_some() { 2 } else { 0 };
    if greeting != [5, 1, method] {
        stream.write_all(&[5, 0xff]).await?;
        return Ok(None);
    }
    stream.write_all(&[5, method]).await?;
    if let Some((username, password)) = login {
        assert_eq!(stream.read_u8().await?, 1);
        let given = [word(stream).await?, word(stream).await?];
        let is_right = given == [username.as_bytes(), password.as_bytes()];
        stream.write_all(&[1, u8::from(!is_right)]).await?;
        if !is_right {
            return Ok(None);
        }
    }
    let mut request = [0_u8; 10];
    stream.read_exact(&mut request).await?;
    assert_eq!(&request[..4], &[5, 1, 0, 1]);
    Ok(Some(SocketAddr::new(four(&request[4..8]).into(), port(&request[8..]))))
}

async fn word(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut word = vec![0_u8; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut word).await?;
    Ok(word)
}

fn four(octets: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])
}

fn port(octets: &[u8]) -> u16 {
    u16::from_be_bytes([octets[0], octets[1]])
}
