//! A TCP proxy before a PostgreSQL server that cuts a connection at the worst moment, or lets it hang as a lost machine would.
//!
//! It reads just enough of the protocol (PostgreSQL, "Message Formats") to know when a transaction is over: ReadyForQuery ends
//! every answer and says whether a transaction is still open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pennypost::supervisor::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What to cut off, once.
#[derive(Clone, Debug)]
pub enum Cut {
    /// The request that holds these octets never reaches the server.
    Request(Vec<u8>),
    /// The transaction of the request that holds these octets commits, and nobody is told.
    Commit(Vec<u8>),
    /// The answer that holds these octets does not come back.
    Answer(Vec<u8>),
}

/// A proxy that listens on loopback.
pub struct Proxy {
    pub address: SocketAddr,
    plan: Arc<Mutex<Option<Cut>>>,
    cuts: Arc<AtomicUsize>,
    lost: watch::Sender<()>,
}

impl Proxy {
    /// Stands before the server at `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (plan, cuts, tasks) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)), Supervisor::default());
        let lost = watch::Sender::new(());
        let connection = Connection { plan: Arc::clone(&plan), cuts: Arc::clone(&cuts), lost: lost.clone() };
        let spawner = tasks.clone();
        tasks.spawn("proxy", async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(target).await else { continue };
                spawner.spawn("proxied connection", connection.clone().run(client, server));
            }
        });
        Self { address, plan, cuts, lost }
    }

    /// Plans a cut.
    pub fn cut(&self, cut: Cut) {
        *self.plan.lock().unwrap() = Some(cut);
    }

    /// Passes nothing on any more over the connections there are, and closes none: the other side is gone without a word. New ones work.
    pub fn lose_connections(&self) {
        self.lost.send_replace(());
    }

    /// Cuts made so far.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Connection {
    plan: Arc<Mutex<Option<Cut>>>,
    cuts: Arc<AtomicUsize>,
    lost: watch::Sender<()>,
}

impl Connection {
    async fn run(self, mut client: TcpStream, mut server: TcpStream) {
        let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
        // Answers are kept back from when a commit is to be cut until it is known whether its transaction is over.
        let mut kept: Option<Vec<u8>> = None;
        let mut lost = self.lost.subscribe();
        loop {
            tokio::select! {
                biased;
                _ = lost.changed() => std::future::pending().await,
                Ok(count) = client.read(&mut asked) => {
                    if count == 0 || self.fires(|cut| matches!(cut, Cut::Request(text) if holds(&asked[..count], text))) {
                        return;
                    }
                    if self.fires(|cut| matches!(cut, Cut::Commit(text) if holds(&asked[..count], text))) {
                        kept = Some(Vec::new());
                    }
                    if server.write_all(&asked[..count]).await.is_err() {
                        return;
                    }
                }
                Ok(count) = server.read(&mut answered) => {
                    if count == 0 || self.fires(|cut| matches!(cut, Cut::Answer(text) if holds(&answered[..count], text))) {
                        return;
                    }
                    let answer = match &mut kept {
                        None => answered[..count].to_vec(),
                        Some(octets) => {
                            octets.extend_from_slice(&answered[..count]);
                            match octets.last_chunk::<6>() {
                                Some([b'Z', 0, 0, 0, 5, b'I']) => return,
                                Some([b'Z', 0, 0, 0, 5, _]) => std::mem::take(octets),
                                _ => continue,
                            }
                        }
                    };
                    if client.write_all(&answer).await.is_err() {
                        return;
                    }
                }
                else => return,
            }
        }
    }

    /// True, once, if the plan is one that `matches`.
    fn fires(&self, matches: impl Fn(&Cut) -> bool) -> bool {
        let mut plan = self.plan.lock().unwrap();
        let fires = plan.as_ref().is_some_and(matches);
        if fires {
            *plan = None;
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        fires
    }
}

fn holds(octets: &[u8], text: &[u8]) -> bool {
    octets.windows(text.len()).any(|window| window == text)
}
