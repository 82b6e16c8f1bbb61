//! Records of svc-mailer.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Micros, record};

/// The message will not be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationFailed {
    /// The key.
    pub notification_id: Uuid,
    /// Which mail.
    pub template: String,
    /// Order it is about.
    pub order_id: Option<Uuid>,
    /// Event it is about.
    pub event_id: Option<Uuid>,
    /// Who gets it.
    pub user_id: Option<Uuid>,
    /// Tries made.
    pub attempts: i64,
    /// The server's answer, without addresses.
    pub reason: String,
    /// When.
    pub failed_at: Micros,
}

/// The mail server took the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSent {
    /// The key.
    pub notification_id: Uuid,
    /// Which mail.
    pub template: String,
    /// Order it is about.
    pub order_id: Option<Uuid>,
    /// Event it is about.
    pub event_id: Option<Uuid>,
    /// Who gets it.
    pub user_id: Option<Uuid>,
    /// Tries it took.
    pub attempts: i64,
    /// When.
    pub sent_at: Micros,
}

record!(
    NotificationFailed,
    "mailer.notifications",
    "ticketing.mailer.NotificationFailed",
    "../mailer.notifications/NotificationFailed.avsc"
);
record!(
    NotificationSent,
    "mailer.notifications",
    "ticketing.mailer.NotificationSent",
    "../mailer.notifications/NotificationSent.avsc"
);
