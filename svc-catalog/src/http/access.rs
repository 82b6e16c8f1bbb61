//! Who may do what to an event.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use platform::auth::{Caller, Role, Verifier};
use platform::http::{Code, Keep, Problem};
use uuid::Uuid;

use super::kept::FOR_EVERYONE;
use crate::app::App;
use crate::domain::event::Event;
use crate::live_events::LiveEvent;

/// A caller who makes events. As an argument it stands before the body: who may not ask learns nothing about how.
#[derive(Debug, Clone)]
pub struct Organizer(pub Caller);

impl<S> FromRequestParts<S> for Organizer
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        caller.require(&[Role::Organizer, Role::Admin])?;
        Ok(Self(caller))
    }
}

/// 404 unless the event is the caller's: not yours and not there look alike. An admin may change every event.
pub(super) fn owns(caller: &Caller, event: &Event) -> Result<(), Problem> {
    if manages(caller, event) {
        Ok(())
    } else {
        Err(Problem::new(Code::NotFound))
    }
}

/// An event that the caller may see.
pub(super) struct Seen {
    pub(super) event: Arc<LiveEvent>,
    /// Who may keep what is made of it.
    pub(super) keep: Keep,
}

/// The event, if the caller may see it: everyone may, but a draft is there for those alone who may change it.
///
/// Who has signed in may have changed it a moment ago, at another instance, so the row is read for him. For everyone else it
/// is as this instance knows it; what it does not know it looks for in the rows as well.
pub(super) async fn visible(app: &App, caller: Option<&Caller>, id: Uuid) -> Result<Seen, Problem> {
    if caller.is_none()
        && let Some(event) = app.live.get(id)
    {
        let keep = FOR_EVERYONE;
        return Ok(Seen { event, keep });
    }
    let event = app.events.find(id).await?.ok_or(Code::NotFound)?;
    if event.is_public() || caller.is_some_and(|caller| manages(caller, &event)) {
        Ok(Seen {
            event: Arc::new(LiveEvent::new(event)),
            keep: caller.map_or(FOR_EVERYONE, |_| Keep::Caller),
        })
    } else {
        Err(Problem::new(Code::NotFound))
    }
}

fn manages(caller: &Caller, event: &Event) -> bool {
    let owner = caller.has(Role::Organizer) && caller.user_id == event.organizer_id;
    owner || caller.has(Role::Admin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::samples::draft;

    #[test]
    fn only_the_owner_and_admins_manage_an_event() {
        let event = draft();
        let (owner, other) = (event.organizer_id, Uuid::from_u128(99));
        for (user_id, role, expected) in [
            (owner, Role::Organizer, true),
            (other, Role::Organizer, false),
            (other, Role::Admin, true),
            // Who is no organizer any more has no say any more.
            (owner, Role::Customer, false),
            (other, Role::Support, false),
            (other, Role::Service, false),
        ] {
            let caller = Caller {
                user_id,
                roles: [role].into(),
                locale: "en".into(),
                token_id: Uuid::nil(),
            };
            assert_eq!(owns(&caller, &event).is_ok(), expected, "{role}");
        }
    }
}
