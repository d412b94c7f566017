//! A smart host: takes mail after a login inside TLS, and says what it heard.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pennypost::smtp::client::Stream;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{World, database};

/// How a relay behaves.
#[derive(Clone, Copy)]
pub struct RelaySettings {
    /// TLS from the first octet.
    pub implicit: bool,
    /// STARTTLS is offered.
    pub starttls: bool,
    /// The mechanisms of AUTH.
    pub auth: &'static str,
    /// It offers REQUIRETLS.
    pub promises: bool,
}

/// A relay that listens. It knows one user, `shop`, whose password is `open sesame`.
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate, for [`NAME`].
    pub ca_file: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
}

/// The name of every relay.
pub const NAME: &str = "relay.sender.example";

/// The password of its user.
pub const PASSWORD: &str = "open sesame";

impl Relay {
    pub async fn start(world: &World, settings: RelaySettings) -> Self {
        let listener = TcpListener::bind((world.fresh_address(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        world.zone.remove(NAME);
        world.zone.add(&format!("{NAME} A {}", address.ip())).unwrap();
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
        let ca_file = database::scratch().join(format!("relay-{address}.pem"));
        std::fs::write(&ca_file, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (log, tasks) = (Arc::clone(&heard), world.lab.clone());
        world.lab.spawn("relay", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, acceptor) = (Arc::clone(&log), TlsAcceptor::from(Arc::clone(&config)));
                tasks.spawn("relay session", async move {
                    let _over = converse(Box::new(stream), settings, &log, acceptor).await;
                });
            }
        });
        Self { address, ca_file, heard }
    }

    /// `host:port` by its name.
    pub fn host(&self) -> String {
        format!("{NAME}:{}", self.address.port())
    }

    /// Every line heard so far, content left out.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Lines heard that begin so.
    pub fn count(&self, start: &str) -> usize {
        self.heard().iter().filter(|line| line.starts_with(start)).count()
    }
}

async fn converse(stream: Box<dyn Stream>, settings: RelaySettings, heard: &Mutex<Vec<String>>, acceptor: TlsAcceptor) -> std::io::Result<()> {
    let stream: Box<dyn Stream> = if settings.implicit { Box::new(acceptor.accept(stream).await?) } else { stream };
    let (mut stream, mut is_secure, mut is_known) = (BufReader::new(stream), settings.implicit, false);
    stream.write_all(b"220 relay\r\n").await?;
    while let Some(line) = hear(&mut stream, heard).await? {
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match verb {
            "EHLO" if settings.starttls && !is_secure => format!("250-relay\r\n250-STARTTLS\r\n250 AUTH {}", settings.auth),
            "EHLO" if settings.promises => format!("250-relay\r\n250-REQUIRETLS\r\n250 AUTH {}", settings.auth),
            "EHLO" => format!("250-relay\r\n250 AUTH {}", settings.auth),
            "STARTTLS" => {
                stream.write_all(b"220 go ahead\r\n").await?;
                stream = BufReader::new(Box::new(acceptor.accept(stream.into_inner()).await?));
                is_secure = true;
                continue;
            }
            "AUTH" => {
                is_known = match rest.split_once(' ') {
                    Some((_, secret)) => decode(secret) == format!("\0shop\0{PASSWORD}"),
                    None => ask(&mut stream, heard, "Username:").await? == "shop" && ask(&mut stream, heard, "Password:").await? == PASSWORD,
                };
                if is_known { "235 2.7.0 welcome".to_owned() } else { "535 5.7.8 no such user, or another password".to_owned() }
            }
            "MAIL" if !is_known => "530 5.7.0 who are you?".to_owned(),
            "DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                let mut line = String::new();
                while line != ".\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await?;
                }
                "250 2.0.0 taken".to_owned()
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "250 ok".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn hear(stream: &mut BufReader<Box<dyn Stream>>, heard: &Mutex<Vec<String>>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let line = line.trim_end().to_owned();
    heard.lock().unwrap().push(line.clone());
    Ok(Some(line))
}

async fn ask(stream: &mut BufReader<Box<dyn Stream>>, heard: &Mutex<Vec<String>>, prompt: &str) -> std::io::Result<String> {
    stream.write_all(format!("334 {}\r\n", STANDARD.encode(prompt)).as_bytes()).await?;
    Ok(decode(&hear(stream, heard).await?.unwrap_or_default()))
}

fn decode(secret: &str) -> String {
    String::from_utf8(STANDARD.decode(secret).unwrap()).unwrap()
}
