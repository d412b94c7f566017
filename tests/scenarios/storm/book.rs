//! What the mail hosts of a storm wrote down: each reply that decided anything, under the token it carried, and each content that came whole.
//!
//! A host notes a reply before it says it, so whatever a gateway tells of a reply stands here, or nobody said it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Mutex;

/// How far a session had got, as attempts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Connect,
    Greeting,
    Ehlo,
    StartTls,
    Handshake,
    Mail,
    Rcpt,
    Data,
    Body,
    Dot,
    Quit,
}

impl Stage {
    /// The stages that an attempt may name which a reply of here ended. One that comes in the middle of the content is read at its end.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Connect => &["connect"],
            Self::Greeting => &["greeting"],
            Self::Ehlo => &["ehlo"],
            Self::StartTls | Self::Handshake => &["tls"],
            Self::Mail => &["mail"],
            Self::Rcpt => &["rcpt"],
            Self::Data => &["data"],
            Self::Body => &["body", "end_of_data"],
            Self::Dot | Self::Quit => &["end_of_data"],
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A 4yz reply.
    Deferred,
    /// A 5yz reply.
    Refused,
    /// No reply, and after a while the end.
    Silence,
    /// A reset.
    Reset,
    /// The end in order, without a reply.
    Close,
    /// What is no reply.
    Garbage,
    /// A reply that does not end.
    Endless,
}

/// One reply.
#[derive(Clone, Debug)]
pub struct Said {
    /// 2, 4 or 5.
    pub class: u8,
    pub stage: Stage,
    /// Whom it was about; nobody: all of the session.
    pub recipients: Vec<String>,
}

/// The book of all hosts.
#[derive(Debug, Default)]
pub struct Book(Mutex<Pages>);

/// What stands in it.
#[derive(Debug, Default)]
pub struct Pages {
    /// By token.
    pub said: HashMap<String, Said>,
    /// Contents that came whole and were not refused, by recipient: their hashes.
    pub kept: HashMap<String, Vec<u64>>,
    /// Faults made.
    pub faults: BTreeMap<(Stage, Fault), usize>,
    tries: HashMap<String, u32>,
}

impl Book {
    /// Reads it.
    pub fn read<T>(&self, read: impl FnOnce(&Pages) -> T) -> T {
        read(&self.0.lock().unwrap())
    }

    /// Writes in it.
    pub fn write<T>(&self, write: impl FnOnce(&mut Pages) -> T) -> T {
        write(&mut self.0.lock().unwrap())
    }

    /// Notes a reply that a host is about to give. Answers its token.
    pub fn say(&self, host: usize, class: u8, stage: Stage, recipients: &[String]) -> String {
        self.write(|pages| {
            let token = format!("t{host}-{}", pages.said.len());
            pages.said.insert(token.clone(), Said { class, stage, recipients: recipients.to_vec() });
            token
        })
    }

    /// Notes a content that came whole.
    pub fn keep(&self, recipients: &[String], hash: u64) {
        self.write(|pages| recipients.iter().for_each(|recipient| pages.kept.entry(recipient.clone()).or_default().push(hash)));
    }

    /// Notes a fault.
    pub fn fault(&self, stage: Stage, fault: Fault) {
        self.write(|pages| *pages.faults.entry((stage, fault)).or_default() += 1);
    }

    /// How often a recipient was named in a RCPT, this time included.
    pub fn tried(&self, recipient: &str) -> u32 {
        self.write(|pages| {
            let tries = pages.tries.entry(recipient.to_owned()).or_default();
            *tries += 1;
            *tries
        })
    }
}
