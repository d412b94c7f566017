//! The five messages of the demo, and what has to become of each.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A message to post.
#[derive(Clone, Debug)]
pub struct Letter {
    /// What it shows.
    pub title: &'static str,
    /// The body of `POST /v1/send`.
    pub request: Value,
    /// What has to become of it.
    pub expected: Vec<Expected>,
}

/// What has to become of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The recipient.
    pub recipient: &'static str,
    /// The final state.
    pub state: &'static str,
    /// How each attempt has to end, with the start of the server's reply.
    pub attempts: &'static [(&'static str, &'static str)],
}

const TAKEN: &[(&str, &str)] = &[("delivered", "250 ")];

/// All five.
#[must_use]
pub fn all() -> Vec<Letter> {
    let from = "Penny <hello@penny.test>";
    let delivered = |recipient| Expected { recipient, state: "delivered", attempts: TAKEN };
    vec![
        Letter {
            title: "plain text",
            request: json!({"from": from, "to": "ada@bakery.test", "subject": "Six loaves, please", "text": "For Friday.\nThank you!"}),
            expected: vec![delivered("ada@bakery.test")],
        },
        Letter {
            title: "HTML with an attachment",
            request: json!({
                "from": from, "to": ["Bob the Baker <bob@bakery.test>"], "subject": "Grüße und eine Rechnung",
                "text": "Your invoice is attached.", "html": "<p>Your <b>invoice</b> is attached.</p>",
                "attachments": [{"filename": "invoice.csv", "content_type": "text/csv", "content": STANDARD.encode("loaves,6\r\nprice,21.00\r\n")}],
                "tags": {"flow": "invoice"},
            }),
            expected: vec![delivered("bob@bakery.test")],
        },
        Letter {
            title: "to two domains",
            request: json!({
                "from": from, "to": ["cleo@bakery.test"], "cc": ["dora@florist.test"], "subject": "The party", "text": "Bread and flowers!",
            }),
            expected: vec![delivered("cleo@bakery.test"), delivered("dora@florist.test")],
        },
        Letter {
            title: "to a server that greylists",
            request: json!({"from": from, "to": "greylist.emil@florist.test", "subject": "Roses", "text": "A dozen."}),
            expected: vec![Expected {
                recipient: "greylist.emil@florist.test",
                state: "delivered",
                attempts: &[("deferred", "451 4.7.1"), ("delivered", "250 ")],
            }],
        },
        Letter {
            title: "to a server that refuses",
            request: json!({"from": from, "to": "refuse.fred@florist.test", "subject": "Tulips", "text": "Ten."}),
            expected: vec![Expected { recipient: "refuse.fred@florist.test", state: "bounced", attempts: &[("bounced", "550 5.1.1")] }],
        },
    ]
}

/// How many of their deliveries arrive. Each of them is a transaction of its own: no two go to one domain.
#[must_use]
pub fn arrivals(letters: &[Letter]) -> usize {
    letters.iter().flat_map(|letter| &letter.expected).filter(|expected| expected.state == "delivered").count()
}
