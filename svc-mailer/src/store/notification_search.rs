//! Finds messages by what they have in common, newest first.
//!
//! The narrowest list is read, and what the other filters do not want is left out, so every combination works. The
//! work for one page has a limit: a page may hold fewer messages than it could, even none, and still have a next one.

use std::time::Duration;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use platform::clock::Timestamp;
use platform::cql::CqlError;
use uuid::Uuid;

use super::notification::Notifications;
use super::notification_list::{Entry, List, NotificationLists};
use crate::domain::cause::Cause;
use crate::domain::notification::{Notification, Status};

/// Most messages that one page looks at.
const MAX_LOOKED_AT: usize = 1_000;
/// Most days that one page goes back when it reads day by day.
const MAX_DAYS: i64 = 31;
/// How far back such pages go in the end.
const OLDEST: Duration = Duration::from_secs(2 * 366 * 24 * 60 * 60);
/// Rows read at a time.
const READ_AT_ONCE: usize = 32;

/// What all messages that are found have.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// To this user.
    pub user_id: Option<Uuid>,
    /// To this address, in small letters.
    pub address: Option<String>,
    /// About this order.
    pub order_id: Option<Uuid>,
    /// About this event.
    pub event_id: Option<Uuid>,
    /// In this state.
    pub status: Option<Status>,
}

/// One page.
#[derive(Debug)]
pub struct Found {
    /// The messages.
    pub messages: Vec<Notification>,
    /// Behind which place to go on.
    pub next: Option<Entry>,
}

impl Search {
    /// At most `limit` messages behind `after`.
    pub async fn page(
        &self,
        lists: &NotificationLists,
        notifications: &Notifications,
        mut after: Entry,
        limit: usize,
        now: Timestamp,
    ) -> Result<Found, CqlError> {
        let mut messages = Vec::new();
        let mut looked_at = 0;
        while looked_at < MAX_LOOKED_AT {
            let entries = match self
                .entries(lists, notifications, after, limit, now)
                .await?
            {
                Entries::Some(entries) => entries,
                Entries::NoneSince(place) => {
                    return Ok(Found {
                        messages,
                        next: Some(place),
                    });
                }
                Entries::End => {
                    return Ok(Found {
                        messages,
                        next: None,
                    });
                }
            };
            let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
            let rows: Vec<Option<Notification>> = stream::iter(ids)
                .map(|id| notifications.find(id))
                .buffered(READ_AT_ONCE)
                .try_collect()
                .await?;
            for (entry, row) in entries.iter().zip(rows) {
                if messages.len() == limit {
                    return Ok(Found {
                        messages,
                        next: Some(after),
                    });
                }
                after = *entry;
                looked_at += 1;
                messages.extend(row.filter(|message| self.wants(message)));
            }
        }
        Ok(Found {
            messages,
            next: Some(after),
        })
    }

    async fn entries(
        &self,
        lists: &NotificationLists,
        notifications: &Notifications,
        after: Entry,
        limit: usize,
        now: Timestamp,
    ) -> Result<Entries, CqlError> {
        // One more than wanted shows whether there is a next page.
        let limit = limit + 1;
        let some = |entries: Vec<Entry>| match entries.is_empty() {
            true => Entries::End,
            false => Entries::Some(entries),
        };
        if let Some(order_id) = self.order_id {
            return Ok(some(about_order(notifications, order_id, after).await?));
        }
        if let Some(list) = self.list() {
            return Ok(some(lists.page(&list, after, limit).await?));
        }
        let newest = List::day_number(after.at.min(now));
        let oldest = List::day_number(now - OLDEST);
        let last = (newest - MAX_DAYS).max(oldest);
        for day in (last..=newest).rev() {
            let entries = lists.page(&List::Day(day), after, limit).await?;
            if !entries.is_empty() {
                return Ok(Entries::Some(entries));
            }
        }
        Ok(if last > oldest {
            Entries::NoneSince(Entry::below_day(last))
        } else {
            Entries::End
        })
    }

    /// The narrowest list that holds all that is searched; `None`: only the days do.
    fn list(&self) -> Option<List> {
        self.user_id
            .map(List::User)
            .or(self.address.clone().map(List::Address))
            .or(self.event_id.map(List::Event))
    }

    fn wants(&self, message: &Notification) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let address = message
            .content
            .as_ref()
            .map(|said| said.recipient.to_lowercase());
        is(self.user_id.as_ref(), Some(&message.cause.user_id()))
            && is(self.address.as_ref(), address.as_ref())
            && is(self.order_id.as_ref(), message.cause.order_id().as_ref())
            && is(self.event_id.as_ref(), message.cause.event_id().as_ref())
            && is(self.status.as_ref(), Some(&message.status))
    }
}

/// The messages about an order behind `after`: so few that they are all read.
async fn about_order(
    notifications: &Notifications,
    order_id: Uuid,
    after: Entry,
) -> Result<Vec<Entry>, CqlError> {
    let found = Cause::ids_about_order(order_id).map(|id| notifications.find(id));
    let found = try_join_all(found).await?.into_iter().flatten();
    let mut entries: Vec<Entry> = found.map(|message| Entry::of(&message)).collect();
    entries.retain(|entry| entry.is_behind(&after));
    Entry::sort(&mut entries);
    Ok(entries)
}

enum Entries {
    Some(Vec<Entry>),
    /// None down to this place, where the work for one page ends.
    NoneSince(Entry),
    End,
}
