//! A start with a long queue (fault L7): ready at once, sessions and memory within their limits, and new mail does not wait behind the old.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::world::World;
use super::world::gateway::eventually;

/// Deliveries that wait at the start, to a hundred domains.
const WAITING: i64 = 100_000;
const DOMAINS: usize = 100;
const SESSIONS: usize = 12;
const SESSIONS_OF_A_DOMAIN: usize = 2;

/// A mail host that takes nothing before it is told to, and knows how many sessions it has.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
    taken: AtomicUsize,
}

impl Crowd {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut sessions = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let crowd = Arc::clone(&self);
            sessions.spawn(async move {
                let open = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
                crowd.most.fetch_max(open, Ordering::SeqCst);
                let _cut_off = crowd.talk(stream).await;
                crowd.now.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mx\r\n").await?;
        let mut line = String::new();
        let mut content = false;
        while stream.read_line(&mut line).await? > 0 {
            let reply: &[u8] = match (content, line.trim_end()) {
                (true, ".") => {
                    content = false;
                    self.taken.fetch_add(1, Ordering::SeqCst);
                    b"250 taken\r\n"
                }
                (true, _) => b"",
                (false, "DATA") => {
                    content = true;
                    b"354 go\r\n"
                }
                (false, _) => b"250 ok\r\n",
            };
            stream.write_all(reply).await?;
            line.clear();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_start_with_many_waiting_is_ready_at_once_and_does_not_stampede() {
    let mut world = World::new().await;
    world.config.delivery.max_connections = SESSIONS;
    world.config.delivery.max_connections_per_domain = SESSIONS_OF_A_DOMAIN;
    world.config.delivery.memory_octets = 1 << 20;
    let crowd = Arc::new(Crowd::default());
    let host = world.publish_host("d0.example");
    for number in 1..DOMAINS {
        world.zone.add(&format!("d{number}.example MX 10 mx1.d0.example")).unwrap();
    }
    let serving = crowd.clone().serve(TcpListener::bind(host).await.unwrap());
    let filled = async {
        let gateway = world.gateway_with(pennypost::serve::Roles { deliver: false, ..pennypost::serve::Roles::ALL }).await;
        for number in 0..DOMAINS {
            gateway.send(&[&format!("bee@d{number}.example")]).await;
        }
        gateway.stop().await;
        let copies = format!(
            "insert into delivery (message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient)
             select message_id, number, project_id, lane, owner, priority, next_at, expires_at, recipient
             from delivery, generate_series(1, {}) as number",
            WAITING / i64::try_from(DOMAINS).unwrap() - 1
        );
        world.execute(&copies).await;
        assert_eq!(world.number("select count(*) from delivery where owner = 0").await, WAITING);
        let began = world.clock.tick();
        let gateway = world.gateway().await;
        assert_eq!(gateway.get("/readyz").await.status, 200);
        let took = world.clock.tick().since(began);
        assert!(took < Duration::from_secs(10), "ready after {took:?}");
        // New mail to a domain of its own goes past all that waits.
        let mx = world.accepting_mx("fresh.example").await;
        let id = gateway.send(&["bee@fresh.example"]).await;
        gateway.delivery_in(&id, "bee@fresh.example", "delivered").await;
        assert_eq!(mx.counts().messages, 1);
        eventually(|| async {
            let taken = crowd.taken.load(Ordering::SeqCst);
            if taken >= 500 { Ok(()) } else { Err(format!("{taken} taken")) }
        })
        .await;
        let (deliveries, octets) = gateway.running.claims.held();
        assert!(octets <= 2 << 20, "{deliveries} deliveries take {octets} octets");
        let most = crowd.most.load(Ordering::SeqCst);
        assert!((1..=SESSIONS).contains(&most), "{most} sessions at once");
        gateway.crash().await;
    };
    tokio::select! {
        () = serving => panic!("the host ended"),
        () = filled => {}
    }
}
