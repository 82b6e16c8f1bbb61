//! The support desk: how cases come into being, change, and go with the person.
//!
//! A place in the lists is written before the case is, and one that is no longer true goes afterwards: whatever crashes in
//! between leaves a place too many, which readers look past, and never a case that is in no list.

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::ids::new_id;
use uuid::Uuid;

use crate::domain::case::{Case, Full, Head, Place, Status};
use crate::store::case_places::CasePlaces;
use crate::store::cases::Cases;

/// How often a change is tried that may start from any version.
const CHANGE_ATTEMPTS: u32 = 5;
/// Cases of a person that are looked up at once when the person is erased.
const ERASED_AT_ONCE: usize = 100;

/// Makes, changes and finds cases.
pub struct Desk {
    /// The cases.
    pub cases: Cases,
    /// Where to look for them.
    pub places: CasePlaces,
}

/// Why a case was not opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// There is no such case, or its customer was erased.
    #[error("there is no such case")]
    NotFound,
    /// The case changed in the meantime.
    #[error("the case changed in the meantime")]
    Stale,
    /// It takes no more messages.
    #[error(transparent)]
    Full(#[from] Full),
    /// The database is away: it may or may not have happened.
    #[error(transparent)]
    Store(#[from] CqlError),
}

/// Which cases to list.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Of this customer.
    pub user_id: Option<Uuid>,
    /// In this status.
    pub status: Option<Status>,
}

impl Desk {
    /// Opens a case, while `is_there` says that its customer is.
    ///
    /// It is asked when the case has its place among the customer's: whoever erases the customer after that finds the
    /// place, and takes the case with it or keeps it from being made.
    pub async fn open<E: From<DeskError>>(
        &self,
        case: &Case,
        is_there: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let failed = |error: CqlError| E::from(error.into());
        let head = &case.head;
        self.places.add_of_user(head).await.map_err(failed)?;
        is_there.await?;
        self.places.add_in_status(head).await.map_err(failed)?;
        let made = self.cases.insert(case, new_id()).await;
        match made.map_err(failed)? {
            true => Ok(()),
            false => Err(DeskError::NotFound.into()),
        }
    }

    /// Replaces `case`, or what has become of it meanwhile, by what `change` makes of that. It may refuse, and it may be
    /// asked several times; a case that it leaves as it is stays at its version.
    pub async fn change<E: From<DeskError>>(
        &self,
        mut case: Case,
        change: impl Fn(Case) -> Result<Case, E>,
    ) -> Result<Case, E> {
        let failed = |error: CqlError| E::from(error.into());
        for _ in 0..CHANGE_ATTEMPTS {
            let after = change(case.clone())?;
            if after == case {
                return Ok(case);
            }
            let head = &after.head;
            self.places.add_in_status(head).await.map_err(failed)?;
            let replaced = self.cases.replace(&case, &after, new_id()).await;
            if replaced.map_err(failed)? {
                self.leave(&case.head, head).await;
                return Ok(after);
            }
            let found = self.cases.find_newest(case.head.id).await;
            case = found.map_err(failed)?.ok_or(DeskError::NotFound)?;
        }
        Err(DeskError::Stale.into())
    }

    /// Takes the place away that the case had in another status. What fails leaves a place too many.
    async fn leave(&self, before: &Head, after: &Head) {
        if before.status == after.status {
            return;
        }
        let removed = self
            .places
            .remove_in_status(before.place(), before.status, after.version)
            .await;
        if let Err(error) = removed {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, case_id = %after.id, "a case is in the list of a status that it has no more");
        }
    }

    /// Up to `limit` cases before `before`, newest first, and where the next ones begin. There may be fewer, or none, and
    /// still more to come.
    pub async fn list(
        &self,
        wanted: Wanted,
        before: Place,
        limit: usize,
    ) -> Result<(Vec<Head>, Option<Place>), CqlError> {
        let statuses = wanted.status.map_or(Status::ALL.to_vec(), |one| vec![one]);
        let (places, next) = match wanted.user_id {
            Some(user_id) => self.places.of_user(user_id, before, limit).await?,
            None => self.places.in_statuses(&statuses, before, limit).await?,
        };
        let ids = places.iter().map(|place| place.id).collect();
        let mut heads = self.cases.heads(ids).await?;
        heads.retain(|head| statuses.contains(&head.status));
        Ok((heads, next))
    }

    /// Erases the cases that are closed and have not changed since `long_ago`; again is the same.
    pub async fn forget_closed(&self, long_ago: Timestamp) -> Result<(), CqlError> {
        // What was opened later changed later.
        let mut before = Place {
            opened_at: long_ago,
            id: Uuid::nil(),
        };
        loop {
            let closed = [Status::Closed];
            let found = self.places.in_statuses(&closed, before, ERASED_AT_ONCE);
            let (places, next) = found.await?;
            for place in places {
                self.forget(place, long_ago).await?;
            }
            match next {
                Some(next) => before = next,
                None => return Ok(()),
            }
        }
    }

    /// One that somebody changes in this moment stays.
    async fn forget(&self, place: Place, long_ago: Timestamp) -> Result<(), CqlError> {
        let Some(case) = self.cases.find_newest(place.id).await? else {
            return Ok(());
        };
        let head = &case.head;
        let is_due = head.status == Status::Closed && head.changed_at < long_ago;
        if is_due && self.cases.erase(&case, new_id()).await? {
            let after = head.version + 1;
            let status = Status::Closed;
            self.places.remove_in_status(place, status, after).await?;
            self.places.remove_of_user(head.user_id, place).await?;
        }
        Ok(())
    }

    /// Erases every case of a user; again is the same.
    pub async fn erase_of(&self, user_id: Uuid) -> Result<(), CqlError> {
        let mut before = Place::newest(Timestamp::now());
        loop {
            let found = self.places.of_user(user_id, before, ERASED_AT_ONCE).await?;
            let (places, next) = found;
            for place in places {
                self.erase(place).await?;
                self.places.remove_of_user(user_id, place).await?;
            }
            match next {
                Some(next) => before = next,
                None => return Ok(()),
            }
        }
    }

    async fn erase(&self, place: Place) -> Result<(), CqlError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let Some(case) = self.cases.find_newest(place.id).await? else {
                // It was erased before, or it is about to be made: then it must not be.
                if self.cases.take(place.id, new_id()).await?
                    || self.cases.find_newest(place.id).await?.is_none()
                {
                    return Ok(());
                }
                continue;
            };
            if self.cases.erase(&case, new_id()).await? {
                let (status, version) = (case.head.status, case.head.version + 1);
                return self.places.remove_in_status(place, status, version).await;
            }
        }
        Err(CqlError::answer(
            "a case that changes whenever it is erased",
        ))
    }
}
