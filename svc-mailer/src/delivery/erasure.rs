//! Forgetting a person: that there was a message, and about what, stays.

use platform::clock::Timestamp;
use platform::cql::CqlError;
use uuid::Uuid;

use super::Delivery;
use crate::domain::notification::Notification;
use crate::store::notification_list::{Entry, List};

/// Messages looked at with one read.
const BATCH: usize = 100;

impl Delivery {
    /// Takes an erased person out of everything that was sent to them.
    pub async fn erase(&self, user_id: Uuid) -> Result<(), CqlError> {
        self.recipients.erase(user_id, Timestamp::now()).await?;
        let list = List::User(user_id);
        let mut after = Entry::TOP;
        loop {
            let page = self.lists.page(&list, after, BATCH).await?;
            for entry in &page {
                if let Some(message) = self.notifications.find_newest(entry.id).await? {
                    self.scrub(&message).await?;
                }
            }
            match page.last() {
                Some(last) if page.len() == BATCH => after = *last,
                _ => return Ok(()),
            }
        }
    }

    /// The user may have been erased while the attempt was written down that says something to him.
    pub(super) async fn forget_if_erased(&self, message: &Notification) -> Result<(), CqlError> {
        let says_something = message.content.is_some();
        if says_something && self.recipients.is_erased(message.cause.user_id()).await? {
            self.scrub(message).await?;
        }
        Ok(())
    }

    async fn scrub(&self, message: &Notification) -> Result<(), CqlError> {
        if let Some(content) = &message.content {
            let list = List::Address(content.recipient.clone());
            self.lists.delete(&list, Entry::of(message)).await?;
            self.notifications.scrub(message.id).await?;
        }
        Ok(())
    }
}
