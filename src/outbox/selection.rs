//! Which deliveries an operator means: conditions that must all hold.
//!
//! Answers: is this a selection? None at all is refused: everything has to be said. Does not: read requests or the database.

use serde::Serialize;

use crate::model::{DomainName, MessageId, ProjectId, SiteName};
use crate::store::operator::SelectedRows;

/// Deliveries that satisfy every condition given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// Of this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// To this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient_domain: Option<DomainName>,
    /// The author's address or the reverse-path is of this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_domain: Option<DomainName>,
    /// Key and value of a tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<(String, String)>,
    /// At this site now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// All deliveries, said in so many words.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Why a selection is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Nothing is said.
    #[error("nothing is selected: give a message, recipient_domain, sender_domain, tag or site, or all")]
    Empty,
    /// Everything, and yet a condition.
    #[error("all stands alone: it selects everything, and a condition beside it would be without effect")]
    AllBeside,
}

impl Selection {
    /// One message.
    #[must_use]
    pub fn message(id: MessageId) -> Self {
        Self { message: Some(id), ..Self::default() }
    }

    /// Refuses what selects nothing or contradicts itself.
    ///
    /// # Errors
    /// [`SelectionError`].
    pub const fn check(&self) -> Result<(), SelectionError> {
        let by_address = self.recipient_domain.is_some() || self.sender_domain.is_some() || self.site.is_some();
        let narrowed = by_address || self.message.is_some() || self.tag.is_some();
        match (narrowed, self.all) {
            (false, false) => Err(SelectionError::Empty),
            (true, true) => Err(SelectionError::AllBeside),
            _ => Ok(()),
        }
    }

    pub(super) fn rows(&self, project: Option<ProjectId>) -> SelectedRows {
        SelectedRows {
            project: project.map(ProjectId::uuid),
            recipient: self.recipient_domain.as_ref().map(|domain| format!("@{domain}")),
            sender: self.sender_domain.as_ref().map(|domain| format!("@{domain}")),
            tag: self.tag.as_ref().map(|(key, value)| serde_json::json!({ key: value })),
            only: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_says_something_or_everything_and_never_both() {
        let tagged = Selection { tag: Some(("flow".into(), "signup".into())), ..Selection::default() };
        assert_eq!(tagged.check(), Ok(()));
        assert_eq!(Selection { all: true, ..Selection::default() }.check(), Ok(()));
        assert_eq!(Selection::default().check(), Err(SelectionError::Empty));
        assert_eq!(Selection { all: true, ..tagged }.check(), Err(SelectionError::AllBeside));
    }
}
