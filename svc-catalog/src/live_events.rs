//! Every event that people may see, in memory, as the catalog told it last.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::body::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::event::{Event, Status};
use crate::domain::index::Index;
use crate::domain::listing::{Listed, Part, Place};

/// Most that pages take up which were answered lately: some 800 of fifty events with long descriptions.
const MAX_PAGES_BYTES: u64 = 64 * 1024 * 1024;
/// What a page takes up beside its JSON, its question and the cache's own included: pages of nothing must not be free.
const BESIDE_JSON_BYTES: usize = 1024;

/// An event, and its JSON from the first time on that somebody wants it.
#[derive(Debug)]
pub struct LiveEvent {
    /// The event.
    pub event: Event,
    json: OnceLock<Bytes>,
}

impl LiveEvent {
    /// One whose JSON nobody has wanted yet.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            json: OnceLock::new(),
        }
    }

    /// Its JSON, which `write` writes if it is not there.
    pub fn json(&self, write: impl FnOnce(&Event) -> Bytes) -> Bytes {
        self.json.get_or_init(|| write(&self.event)).clone()
    }
}

/// A page of the list as it is answered.
#[derive(Debug)]
pub struct LivePage {
    /// The same for the same page, whichever instance it comes from.
    pub tag: String,
    /// Its JSON.
    pub json: Bytes,
}

/// What a page was asked for, and which edition of the list.
type Question = (u64, Part);

/// Filled by [`crate::consume::catalog_events`], and by each publication of this instance, so that who has changed
/// something here finds it in the list at once. Read by whoever has not signed in.
///
/// About 4 KB for an event with a description of 500 characters, its words and its JSON.
pub struct LiveEvents {
    known: RwLock<Known>,
    /// What was answered lately: most people ask what somebody else has just asked, and the list seldom changes.
    pages: Cache<Question, Arc<LivePage>>,
    caught_up: watch::Sender<bool>,
    /// Events whose newest record was written when records said less than is needed here.
    untold: watch::Sender<HashSet<Uuid>>,
    complete: AtomicBool,
}

/// Public events by their ids, and the published ones among them in the list.
#[derive(Default)]
struct Known {
    events: HashMap<Uuid, Arc<LiveEvent>>,
    listed: Index,
    /// Another one after every change of the list or of an event on it.
    edition: u64,
}

/// Not all events that were known at the start are here.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the events are still being read")]
pub struct Behind;

impl Default for LiveEvents {
    fn default() -> Self {
        Self {
            known: RwLock::new(Known {
                listed: Index::filling(),
                ..Known::default()
            }),
            pages: Cache::builder()
                .max_capacity(MAX_PAGES_BYTES)
                .weigher(|_, page: &Arc<LivePage>| {
                    let bytes = page.json.len() + BESIDE_JSON_BYTES;
                    bytes.try_into().unwrap_or(u32::MAX)
                })
                // Pages of the edition before are wanted by nobody, however often they were.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            caught_up: watch::Sender::default(),
            untold: watch::Sender::default(),
            complete: AtomicBool::default(),
        }
    }
}

impl LiveEvents {
    /// Takes a newer version over; an older one changes nothing, and a draft is nobody's business but its owner's.
    pub fn put(&self, event: Event) {
        self.untold
            .send_if_modified(|untold| untold.remove(&event.id));
        if !event.is_public() {
            return;
        }
        let mut known = self.write();
        if known.version(event.id) >= Some(event.version) {
            return;
        }
        known.unlist(event.id);
        if event.status == Status::Published {
            known.list(&event);
        }
        known
            .events
            .insert(event.id, Arc::new(LiveEvent::new(event)));
    }

    /// Notes that a version exists of which not enough was told. Unless a later one is known, the event is not here until
    /// it was [`put`](Self::put).
    pub fn untold(&self, event_id: Uuid, version: i64) {
        let mut known = self.write();
        if known.version(event_id) < Some(version) {
            known.remove(event_id);
            self.untold
                .send_if_modified(|untold| untold.insert(event_id));
        }
    }

    /// Forgets an event.
    pub fn remove(&self, event_id: Uuid) {
        self.untold
            .send_if_modified(|untold| untold.remove(&event_id));
        self.write().remove(event_id);
    }

    /// The event, if it is here. The database may know more: what is not here may be there.
    pub fn get(&self, event_id: Uuid) -> Option<Arc<LiveEvent>> {
        self.check().ok()?;
        self.read().events.get(&event_id).cloned()
    }

    /// That part of the list as a page, which `write` writes if nobody has asked for it lately: of the events on it, and of
    /// the place behind which it goes on.
    pub fn page(
        &self,
        mut part: Part,
        write: impl FnOnce(Vec<Arc<LiveEvent>>, Option<Place>) -> LivePage,
    ) -> Result<Arc<LivePage>, Behind> {
        self.check()?;
        let known = self.read();
        // Whoever does not say from when on asks from now on, each at another moment.
        part.after = known.listed.place_up_to(part.after);
        let question = (known.edition, part);
        if let Some(page) = self.pages.get(&question) {
            return Ok(page);
        }
        let Listed { events, next } = known.listed.list(&question.1);
        let events = events.iter();
        let events = events
            .filter_map(|id| known.events.get(id).cloned())
            .collect();
        drop(known);
        let page = Arc::new(write(events, next));
        self.pages.insert(question, Arc::clone(&page));
        Ok(page)
    }

    /// Where the reader says that it has read everything that there was.
    pub fn caught_up(&self) -> &watch::Sender<bool> {
        &self.caught_up
    }

    /// The events of which not enough was told, as they come and go.
    pub fn watch_untold(&self) -> watch::Receiver<HashSet<Uuid>> {
        self.untold.subscribe()
    }

    /// Everything is here that was there at the start.
    pub fn set_complete(&self) {
        self.write().listed.filled();
        self.complete.store(true, Ordering::Release);
    }

    /// Whether everything is here that was there at the start: before that, events are missing or of old.
    pub fn check(&self) -> Result<(), Behind> {
        if self.complete.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(Behind)
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn version(&self, event_id: Uuid) -> Option<i64> {
        Some(self.events.get(&event_id)?.event.version)
    }

    fn list(&mut self, event: &Event) {
        self.edition += 1;
        self.listed.insert(event);
    }

    fn unlist(&mut self, event_id: Uuid) {
        if let Some(before) = self.events.get(&event_id)
            && before.event.status == Status::Published
        {
            self.edition += 1;
            self.listed.remove(&before.event);
        }
    }

    fn remove(&mut self, event_id: Uuid) {
        self.unlist(event_id);
        self.events.remove(&event_id);
    }
}

#[cfg(test)]
mod tests {
    use platform::clock::Timestamp;

    use super::*;
    use crate::domain::event::samples::{START, draft};
    use crate::domain::listing::Filter;

    fn event(version: i64, status: Status) -> Event {
        Event {
            version,
            status,
            ..draft()
        }
    }

    fn live() -> LiveEvents {
        let live = LiveEvents::default();
        live.set_complete();
        live
    }

    fn everything(after: Timestamp) -> Part {
        Part {
            after: Place::before(after),
            until: Timestamp::MAX,
            filter: Filter::default(),
            limit: 10,
        }
    }

    /// A page that has nothing but versions.
    fn versions(events: Vec<Arc<LiveEvent>>, next: Option<Place>) -> LivePage {
        assert_eq!(next, None);
        let versions = events.into_iter().map(|live| live.event.version);
        let versions: Vec<i64> = versions.collect();
        LivePage {
            tag: String::new(),
            json: Bytes::from(format!("{versions:?}")),
        }
    }

    fn listed(live: &LiveEvents) -> Bytes {
        let page = live.page(everything(START), versions).unwrap();
        page.json.clone()
    }

    #[test]
    fn only_newer_versions_count() {
        let (live, id) = (live(), draft().id);
        for (version, status, known, in_list) in [
            (1, Status::Draft, None, "[]"),
            (3, Status::Published, Some(3), "[3]"),
            (2, Status::Published, Some(3), "[3]"),
            (4, Status::Published, Some(4), "[4]"),
            (1, Status::Draft, Some(4), "[4]"),
            (5, Status::Cancelled, Some(5), "[]"),
            (4, Status::Published, Some(5), "[]"),
        ] {
            live.put(event(version, status));
            assert_eq!(live.get(id).map(|live| live.event.version), known);
            assert_eq!(listed(&live), in_list, "{version}");
        }
        live.remove(id);
        assert!(live.get(id).is_none());
    }

    #[test]
    fn an_event_that_moved_is_in_the_list_once() {
        let live = live();
        live.put(event(3, Status::Published));
        let mut moved = event(4, Status::Published);
        moved.details.starts_at = Timestamp::from_seconds(START.as_seconds() + 60);
        live.put(moved);
        assert_eq!(listed(&live), "[4]");
    }

    #[test]
    fn what_was_not_told_is_waited_for() {
        let (live, id) = (live(), draft().id);
        let untold = live.watch_untold();
        live.put(event(3, Status::Published));
        live.untold(id, 3);
        assert!(untold.borrow().is_empty(), "that version is known");
        live.untold(id, 4);
        assert!(live.get(id).is_none() && listed(&live) == "[]");
        assert!(untold.borrow().contains(&id));
        live.put(event(4, Status::Published));
        assert_eq!(listed(&live), "[4]");
        assert!(untold.borrow().is_empty());
    }

    #[test]
    fn nothing_is_told_before_everything_is_read() {
        let live = LiveEvents::default();
        live.put(event(3, Status::Published));
        assert!(live.get(draft().id).is_none() && live.check().is_err());
        live.set_complete();
        assert!(live.get(draft().id).is_some() && live.check().is_ok());
    }

    #[test]
    fn a_page_is_written_once_for_all_who_ask_before_anything_changes() {
        let live = live();
        live.put(event(3, Status::Published));
        let earlier = Timestamp::from_seconds(START.as_seconds() - 60);
        assert_eq!(listed(&live), "[3]");
        for after in [START, earlier] {
            let page = live.page(everything(after), |_, _| unreachable!("it is there"));
            assert_eq!(page.unwrap().json, "[3]");
        }
        let later = Timestamp::from_seconds(START.as_seconds() + 60);
        let page = live.page(everything(later), versions).unwrap();
        assert_eq!(page.json, "[]", "another place is another question");
        live.put(event(4, Status::Published));
        assert_eq!(listed(&live), "[4]");
    }

    #[test]
    fn json_is_written_once() {
        let live = LiveEvent::new(draft());
        let first = live.json(|_| Bytes::from_static(b"{}"));
        assert_eq!(first, live.json(|_| unreachable!("it is there")));
    }
}
