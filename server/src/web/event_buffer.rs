//! Events that wait to be recorded: the refusals and logouts of the last second, which become one transaction.
//!
//! Strangers cause refusals as they like, and a storm brings tens of thousands of logouts a second: what is recorded of
//! them one by one is limited, and the rest is counted. A logout waits for none of this. Sign-ins and the changes of
//! administrators are not here: they are recorded in their own transactions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::client_address::subscriber;
use crate::store::{Event, EventKind};

/// Most different refusals that are recorded of a second.
const REFUSALS_RECORDED: usize = 100;
/// Most of these from one client address.
const REFUSALS_RECORDED_BY_ADDRESS: u32 = 10;
/// Most logouts that are recorded one by one of a second.
const LOGOUTS_RECORDED: usize = 500;
/// Most different sums of further logouts, by provider and address, that are recorded of a second.
const LOGOUT_SUMS_RECORDED: usize = 50;

/// The code of the event that counts those which were not recorded one by one.
const DROPPED: &str = "dropped";

/// The events that wait.
#[derive(Default)]
pub(crate) struct EventBuffer {
    state: Mutex<State>,
    /// Held while events are recorded: those of the last requests wait for the ones before.
    turn: tokio::sync::Mutex<()>,
    /// Whether the last attempt to record events failed, which is logged once.
    is_failing: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Refusals, each with the number of times that it happened.
    refusals: HashMap<Event, u32>,
    /// The number of different refusals by address.
    by_address: HashMap<IpAddr, u32>,
    one_by_one: Vec<Event>,
    /// Logouts, each with the number of times that it happened.
    sums: HashMap<Event, u32>,
    /// Events beyond the limits, by kind.
    dropped: HashMap<EventKind, u32>,
}

impl State {
    fn drop_event(&mut self, kind: EventKind) {
        let dropped = self.dropped.entry(kind).or_default();
        *dropped = dropped.saturating_add(1);
    }
}

/// Counts an event among those that are alike. Returns the event if it is the first and there is no room for it.
fn count(events: &mut HashMap<Event, u32>, event: Event, has_room: impl FnOnce() -> bool) -> Option<Event> {
    match events.entry(event) {
        Entry::Occupied(mut known) => {
            let count = known.get_mut();
            *count = count.saturating_add(1);
            None
        }
        Entry::Vacant(place) => {
            if !has_room() {
                return Some(place.into_key());
            }
            place.insert(1);
            None
        }
    }
}

impl EventBuffer {
    /// Adds the refusal of a client. Those that are alike are one event.
    pub(crate) fn add_refusal(&self, event: Event, client: Option<IpAddr>) {
        let state = &mut *self.state.lock();
        let total = state.refusals.len();
        let by_address = &mut state.by_address;
        let has_room = || {
            if total >= REFUSALS_RECORDED {
                return false;
            }
            let Some(client) = client else { return true };
            let of_client = by_address.entry(subscriber(client)).or_default();
            *of_client += 1;
            *of_client <= REFUSALS_RECORDED_BY_ADDRESS
        };
        if let Some(event) = count(&mut state.refusals, event, has_room) {
            state.drop_event(event.kind());
        }
    }

    /// Adds a logout, or another event of a kind that only people with accounts cause. It is not made if there is no
    /// room for it.
    pub(crate) fn add(&self, kind: EventKind, event: impl FnOnce() -> Event) {
        let state = &mut *self.state.lock();
        if state.one_by_one.len() < LOGOUTS_RECORDED {
            state.one_by_one.push(event());
        } else {
            state.drop_event(kind);
        }
    }

    /// Adds a logout that ended no session. Those that are alike are one event.
    pub(crate) fn add_logout_without_effect(&self, event: Event) {
        let state = &mut *self.state.lock();
        let sums = state.sums.len();
        if let Some(event) = count(&mut state.sums, event, || sums < LOGOUT_SUMS_RECORDED) {
            state.drop_event(event.kind());
        }
    }

    /// Notes whether an attempt to record events failed. Returns whether the one before failed, too.
    pub(crate) fn note_failure(&self, is_failing: bool) -> bool {
        self.is_failing.swap(is_failing, Ordering::Relaxed)
    }

    /// Waits until no events are being recorded. No others are for as long as the result lives.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Takes the events that wait, and how many were dropped: these are counted by an event of their kind.
    pub(crate) fn take(&self) -> (Vec<Event>, u64) {
        let State { refusals, one_by_one, sums, dropped, .. } = std::mem::take(&mut *self.state.lock());
        let mut events = one_by_one;
        events.extend(refusals.into_iter().chain(sums).map(|(event, count)| event.count(count)));
        let total = dropped.values().map(|count| u64::from(*count)).sum();
        events.extend(dropped.into_iter().map(|(kind, count)| Event::new(kind, DROPPED).count(count)));
        (events, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(user: u32) -> Event {
        Event::new(EventKind::Refusal, "password.wrong").user(&user.to_string())
    }

    #[test]
    fn refusals_that_are_alike_are_one_event() {
        let buffer = EventBuffer::default();
        let client = Some([192, 0, 2, 1].into());
        (0..5_000).for_each(|_| buffer.add_refusal(refusal(1).client(client), client));
        assert_eq!(buffer.take(), (vec![refusal(1).client(client).count(5_000)], 0));
        assert_eq!(buffer.take(), (vec![], 0));
    }

    #[test]
    fn one_address_takes_a_tenth_of_a_second_and_all_together_no_more_than_the_whole() {
        let buffer = EventBuffer::default();
        (0..50).for_each(|user| buffer.add_refusal(refusal(user), Some([192, 0, 2, 1].into())));
        let (events, dropped) = buffer.take();
        assert_eq!((events.len(), dropped), (11, 40), "ten, and the number of the others");
        let counted =
            events.iter().filter(|event| **event == Event::new(EventKind::Refusal, DROPPED).count(40));
        assert_eq!(counted.count(), 1);
        for address in 0..=255 {
            (0..10).for_each(|user| {
                buffer
                    .add_refusal(refusal(user * 256 + u32::from(address)), Some([192, 0, 2, address].into()))
            });
        }
        assert_eq!(buffer.take().0.len(), REFUSALS_RECORDED + 1);
    }

    #[test]
    fn a_storm_of_logouts_is_counted() {
        let buffer = EventBuffer::default();
        let logout = |user: u32| Event::new(EventKind::Logout, "back_channel").user(&user.to_string());
        (0..20_000).for_each(|user| buffer.add(EventKind::Logout, || logout(user)));
        (0..20_000).for_each(|_| buffer.add_logout_without_effect(logout(0).detail("no session")));
        let (events, dropped) = buffer.take();
        assert_eq!(events.len(), LOGOUTS_RECORDED + 2);
        assert_eq!(dropped, 19_500);
        assert!(events.contains(&logout(0).detail("no session").count(20_000)));
        assert!(events.contains(&Event::new(EventKind::Logout, DROPPED).count(19_500)));
    }
}
