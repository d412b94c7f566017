//! A server that knows the key, and servers that do not.

use hickory_resolver::proto::op::OpCode;
use hickory_resolver::proto::rr::TSigResponseContext;
use tokio::net::TcpListener;

use super::*;

const VALUE: &str = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo";

/// How a server answers.
#[derive(Clone, Copy)]
enum Way {
    Signed,
    Unsigned,
    Refused,
}

fn key(octet: u8) -> Secret<Vec<u8>> {
    Secret::new(vec![octet; 32])
}

/// Takes one update; answers it as `way` says and hands it over.
async fn take(listener: &TcpListener, way: Way) -> Message {
    let signer = TSigner::new(key(7).expose().clone(), TsigAlgorithm::HmacSha256, absolute("acme-key").unwrap(), FUDGE).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut octets = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut octets).await.unwrap();
    let update = Message::from_vec(&octets).unwrap();
    let mut answer = Message::response(update.metadata.id, OpCode::Update);
    match signer.verify_message_byte(&octets, None, true) {
        Ok((mac, time, _)) if matches!(way, Way::Signed) => {
            let signature = TSigResponseContext::new(update.metadata.id, time, signer, mac, None).sign(&answer.to_vec().unwrap()).unwrap();
            answer.set_signature(signature);
        }
        Ok(_) if matches!(way, Way::Unsigned) => {}
        Ok(_) => answer.metadata.response_code = ResponseCode::Refused,
        Err(_) => answer.metadata.response_code = ResponseCode::NotAuth,
    }
    let answer = answer.to_vec().unwrap();
    stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
    stream.write_all(&answer).await.unwrap();
    update
}

async fn change(change: Change, octet: u8, way: Way) -> (Result<(), UpdateError>, Message) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let updater = DnsUpdater::new(listener.local_addr().unwrap(), "acme-key.", &key(octet), Clock::system()).unwrap();
    tokio::join!(updater.change(change, "example.com", "_acme-challenge.mail.example.com", VALUE), take(&listener, way))
}

#[tokio::test]
async fn a_record_is_added_and_removed_under_the_key() {
    let (done, update) = change(Change::Add, 7, Way::Signed).await;
    assert_eq!(done, Ok(()));
    assert_eq!(update.queries[0].name().to_ascii(), "example.com.");
    let record = &update.authorities[0];
    assert_eq!((record.name.to_ascii().as_str(), record.dns_class, record.ttl), ("_acme-challenge.mail.example.com.", DNSClass::IN, TTL));
    assert!(matches!(&record.data, RData::TXT(text) if text.txt_data.concat() == VALUE.as_bytes()));
    let (done, update) = change(Change::Remove, 7, Way::Signed).await;
    assert_eq!(done, Ok(()));
    assert_eq!((update.authorities[0].dns_class, update.authorities[0].ttl), (DNSClass::NONE, 0));
}

#[tokio::test]
async fn an_answer_that_proves_nothing_is_no_success() {
    assert!(matches!(change(Change::Add, 7, Way::Unsigned).await.0, Err(UpdateError::Unsigned(..))));
    assert!(matches!(change(Change::Add, 7, Way::Refused).await.0, Err(UpdateError::Refused(..))));
    assert!(matches!(change(Change::Add, 8, Way::Signed).await.0, Err(UpdateError::Refused(..))), "another key");
}

#[tokio::test]
async fn a_name_outside_the_zone_and_a_server_that_is_not_there_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let updater = DnsUpdater::new(address, "acme-key", &key(7), Clock::system()).unwrap();
    assert!(matches!(updater.change(Change::Add, "example.com", "a.example.net", VALUE).await, Err(UpdateError::Unfit(_))));
    assert!(matches!(updater.change(Change::Add, "example.com", "a.example.com", VALUE).await, Err(UpdateError::Unreachable(..))));
}
