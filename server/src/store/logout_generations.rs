//! The logouts in memory, by generations: one hash map that grows, and sorted arrays that are only read and then
//! dropped as a whole.
//!
//! A `jti` takes 8 bytes in a sorted generation, and a target 16: its tag, and the newest `iat` and position as
//! differences from the generation's. One bucket index of 4 bytes for about 16 of them finds each with two accesses
//! to memory. A logout with `sid` and `sub` has two targets and takes 41 bytes, 33 once its token has expired. In the
//! youngest generation, a hash map, it takes at most [`HASHED_BYTES`].
//!
//! A generation ends when it is full or old. It is sorted by a thread of its own, while its map is still read.
//!
//! Entries that are kept for about as long are together ([`LIFETIMES`]), so that one of 30 days does not keep a million
//! of a quarter of an hour. An entry may be known longer than it must be, which refuses nothing that it would not
//! have refused before: what it ends was issued, or begun, before it.
//!
//! All together take at most [`MEMORY`], or what `logout_memory` says. Beyond that the oldest generation is dropped early, and the [`Watermark`]
//! takes its place: whatever one of its entries could have refused is refused, or cannot be judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::RwLock;

use super::logout_entry::{LogoutEntry, Tagger, TargetTagger};
use super::logout_generation::{Collected, Ended, Hashed, Newest, Sorted, Span};
use claimgate::time::UnixTime;

/// Most bytes of all logouts in memory unless the configuration says otherwise: 25,000 logouts a second with `sid` and
/// `sub` for a quarter of an hour, and some more. Beyond that the oldest are dropped, and what they could have refused
/// is refused.
const MEMORY: usize = 1 << 30;

/// Most logouts of one generation: they fill hash tables of a power of two to seven eighths at most.
const GENERATION: usize = 850_000;

/// Most bytes of a logout in a hash map: 10 for its `jti`, and 31 for each of two targets, in tables of the size that
/// [`GENERATION`] fills. A smaller table may be half as full, and is smaller.
const HASHED_BYTES: usize = 10 + 2 * 31;

/// Bytes kept free for the youngest generations, each of which may be full, and for one that is being sorted.
const RESERVE: usize = (LIFETIMES.len() + 1) * GENERATION * HASHED_BYTES;

/// Age at which a generation ends although it is not full, in seconds.
const GENERATION_AGE: u64 = 3600;

/// The longest lifetimes of the entries that are kept together, in seconds: sign-ins under way, presented tokens of the
/// usual age, and all others.
const LIFETIMES: [u32; 3] = [3600, 2 * 86_400, u32::MAX];

/// The generations of the entries that are kept for about as long.
#[derive(Default)]
struct Lineage {
    youngest: Arc<Hashed>,
    /// When a purge first found an entry in the youngest.
    since: Option<UnixTime>,
    /// The oldest first.
    ended: Vec<Ended>,
}

/// What takes the place of generations that were dropped early: the newest times of their entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watermark {
    /// Of each target.
    pub(super) newest: Newest,
    /// A logout token whose `iat` is not newer may have been used.
    pub(super) token_issued_at: UnixTime,
    until: UnixTime,
}

#[derive(Default)]
struct State {
    lineages: [Lineage; LIFETIMES.len()],
    watermark: Option<Watermark>,
    dropped: u64,
}

/// The number of a lineage.
pub(super) type LineageId = usize;

/// Returns the lineage of an entry.
pub(super) fn lineage_of(entry: &LogoutEntry) -> LineageId {
    let lifetime = entry.lifetime();
    LIFETIMES.iter().position(|longest| lifetime <= *longest).expect("the last takes all")
}

/// All generations. The writing thread alone changes them; requests that verify tokens read the newest logouts, which
/// are seen from when they are recorded, just before they are durable.
#[derive(Clone)]
pub(super) struct Generations {
    state: Arc<RwLock<State>>,
    /// Most bytes of the generations that have ended.
    most_bytes: usize,
    /// Most logouts of one generation.
    generation: usize,
}

impl Default for Generations {
    fn default() -> Self {
        Self::within(MEMORY)
    }
}

impl Generations {
    /// Builds generations that take at most so many bytes in all.
    pub(super) fn within(memory: usize) -> Self {
        Self::bounded(memory.saturating_sub(RESERVE), GENERATION)
    }

    pub(super) fn bounded(most_bytes: usize, generation: usize) -> Self {
        Self { state: Arc::default(), most_bytes, generation }
    }

    /// Reports whether a `jti` is known.
    pub(super) fn contains_jti(&self, tag: u64) -> bool {
        self.state.read().lineages.iter().any(|lineage| {
            lineage.youngest.jtis.lock().contains(&tag)
                || lineage.ended.iter().any(|generation| generation.contains_jti(tag))
        })
    }

    /// Adds an entry's `jti` to the youngest generation of its lineage. Reports whether it is new there.
    pub(super) fn add_jti(&self, lineage: LineageId, tag: u64, entry: &LogoutEntry) -> bool {
        let state = self.state.read();
        let youngest = &state.lineages[lineage].youngest;
        let is_new = youngest.jtis.lock().insert(tag);
        let (count, span) = &mut *youngest.state.lock();
        *count += 1;
        span.include(entry);
        is_new
    }

    /// Undoes an [`add_jti`](Self::add_jti) since the generations last changed, with what it reported.
    pub(super) fn remove_jti(&self, lineage: LineageId, tag: u64, was_new: bool) {
        let state = self.state.read();
        let youngest = &state.lineages[lineage].youngest;
        if was_new {
            youngest.jtis.lock().remove(&tag);
        }
        youngest.state.lock().0 -= 1;
    }

    /// Merges a logout into the newest one of a target in the youngest generation. Returns the value before.
    pub(super) fn merge(&self, lineage: LineageId, tag: u64, newest: Newest) -> Option<Newest> {
        let state = self.state.read();
        let mut shard = state.lineages[lineage].youngest.shard(tag).write();
        let before = shard.get(&tag).copied();
        shard.insert(tag, before.map_or(newest, |before| before.merged(newest)));
        before
    }

    /// Sets a target back to what [`merge`](Self::merge) returned.
    pub(super) fn set_back(&self, lineage: LineageId, tag: u64, before: Option<Newest>) {
        let state = self.state.read();
        let mut shard = state.lineages[lineage].youngest.shard(tag).write();
        match before {
            Some(before) => drop(shard.insert(tag, before)),
            None => drop(shard.remove(&tag)),
        }
    }

    /// Returns the newest logout of a target, of the generations that hold one as new as `since` by the provider's
    /// clock.
    pub(super) fn newest(&self, tag: u64, since: UnixTime) -> Option<Newest> {
        let state = self.state.read();
        let mut found: Option<Newest> = None;
        for lineage in &state.lineages {
            let ended = lineage.ended.iter().filter(|generation| generation.span().issued_at >= since);
            let all = lineage.youngest.get(tag).into_iter().chain(ended.filter_map(|ended| ended.get(tag)));
            found = all.chain(found).reduce(Newest::merged);
        }
        found
    }

    /// Returns what takes the place of the generations that were dropped early, if any.
    pub(super) fn watermark(&self) -> Option<Watermark> {
        self.state.read().watermark
    }

    /// Returns the number of logouts that were dropped early.
    pub(super) fn dropped(&self) -> u64 {
        self.state.read().dropped
    }

    /// Ends the youngest generations that are full. No change may be made to them afterwards.
    pub(super) fn end_full(&self) {
        for lineage in 0..LIFETIMES.len() {
            let length = self.state.read().lineages[lineage].youngest.len();
            if length >= self.generation {
                self.end_youngest(lineage);
            }
        }
    }

    /// Ends the youngest generation of a lineage, and has it sorted.
    fn end_youngest(&self, lineage: LineageId) {
        let mut state = self.state.write();
        let Lineage { youngest, since, ended } = &mut state.lineages[lineage];
        let hashed = std::mem::take(youngest);
        *since = None;
        ended.push(Ended::Hashed(Arc::clone(&hashed)));
        self.keep_within_bounds(&mut state);
        drop(state);
        let generations = self.clone();
        let sort = move || generations.sort(lineage, &hashed);
        // Without a thread it stays a hash map, which is as good to read.
        let _ = std::thread::Builder::new().name("sort logouts".to_owned()).spawn(sort);
    }

    /// Replaces a hash map by its sorted form, unless it was dropped meanwhile.
    fn sort(&self, lineage: LineageId, hashed: &Arc<Hashed>) {
        let sorted = Ended::Sorted(Arc::new(Sorted::new(hashed.collect())));
        let mut state = self.state.write();
        let place = state.lineages[lineage]
            .ended
            .iter_mut()
            .find(|ended| matches!(ended, Ended::Hashed(known) if Arc::ptr_eq(known, hashed)));
        if let Some(place) = place {
            *place = sorted;
        }
    }

    /// Drops the oldest generations while all take more memory than they may; those of short lifetimes first, because
    /// their watermark is over first.
    fn keep_within_bounds(&self, state: &mut State) {
        while state.lineages.iter().flat_map(|lineage| &lineage.ended).map(Ended::bytes).sum::<usize>()
            > self.most_bytes
        {
            let Some(lineage) = state.lineages.iter_mut().find(|lineage| !lineage.ended.is_empty()) else {
                return;
            };
            let oldest = lineage.ended.remove(0);
            let Span { issued_at, received, until, .. } = oldest.span();
            let newest = Newest { issued_at, received };
            let before = state.watermark;
            if before.is_none() {
                tracing::error!(
                    bytes = self.most_bytes.saturating_add(RESERVE),
                    "the memory for logouts is full, and the oldest are dropped: sign-ins that began before them are refused, and tokens that they could end cannot be judged"
                );
            }
            state.dropped += u64::try_from(oldest.len()).unwrap_or(u64::MAX);
            state.watermark =
                Some(before.map_or(Watermark { newest, token_issued_at: issued_at, until }, |before| {
                    Watermark {
                        newest: before.newest.merged(newest),
                        token_issued_at: before.token_issued_at.max(issued_at),
                        until: before.until.max(until),
                    }
                }));
        }
    }

    /// Drops what is over: whole generations, and the `jti`s of generations whose tokens have expired.
    pub(super) fn remove_expired(&self, now: UnixTime) {
        let mut old = Vec::new();
        let mut state = self.state.write();
        for (id, lineage) in state.lineages.iter_mut().enumerate() {
            lineage.ended.retain(|generation| generation.span().until > now);
            for generation in lineage.ended.iter().filter(|generation| generation.span().token_until <= now) {
                generation.forget_jtis();
            }
            let (count, span) = *lineage.youngest.state.lock();
            if count == 0 || span.until <= now {
                lineage.youngest = Arc::default();
                lineage.since = None;
            } else if lineage.since.get_or_insert(now).saturating_add(GENERATION_AGE) <= now {
                old.push(id);
            }
        }
        state.watermark = state.watermark.filter(|watermark| watermark.until > now);
        drop(state);
        for lineage in old {
            self.end_youngest(lineage);
        }
    }
}

/// Most generations that are sorted at a time while logouts are read in bulk.
const SORTED_AT_A_TIME: usize = 4;

/// Adds entries in bulk as generations that have ended; they are sorted on all cores while further ones are read.
pub(super) struct Loading<'g> {
    generations: &'g Generations,
    collected: [Collected; LIFETIMES.len()],
    /// The issuer of the last entry, and what tags its targets.
    issuer: Option<(String, TargetTagger)>,
    report: Sender<(usize, LineageId, Sorted)>,
    sorted: Receiver<(usize, LineageId, Sorted)>,
    /// Sorted ones that follow one which is not sorted yet.
    early: BTreeMap<usize, (LineageId, Sorted)>,
    begun: usize,
    added: usize,
}

impl<'g> Loading<'g> {
    pub(super) fn new(generations: &'g Generations) -> Self {
        let (report, sorted) = channel();
        let collected = [Collected::EMPTY; LIFETIMES.len()];
        Self {
            generations,
            collected,
            issuer: None,
            report,
            sorted,
            early: BTreeMap::new(),
            begun: 0,
            added: 0,
        }
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, tagger: &Tagger, issuer: &str, entry: &LogoutEntry) {
        let lineage = lineage_of(entry);
        let of_issuer = match self.issuer.take() {
            Some((name, of_issuer)) if name == issuer => (name, of_issuer),
            _ => (issuer.to_owned(), tagger.of_issuer(issuer)),
        };
        let (_, of_issuer) = self.issuer.insert(of_issuer);
        self.collected[lineage].add(tagger, of_issuer, entry);
        if self.collected[lineage].count >= self.generations.generation {
            self.end(lineage);
        }
    }

    /// Adds the rest, and returns when all is sorted.
    pub(super) fn finish(mut self) {
        for lineage in 0..LIFETIMES.len() {
            if self.collected[lineage].count > 0 {
                self.end(lineage);
            }
        }
        while self.added < self.begun {
            self.receive();
        }
    }

    fn end(&mut self, lineage: LineageId) {
        let collected = std::mem::replace(&mut self.collected[lineage], Collected::EMPTY);
        let (report, number) = (self.report.clone(), self.begun);
        self.begun += 1;
        rayon::spawn_fifo(move || {
            // Fails if the loading has failed.
            let _ = report.send((number, lineage, Sorted::new(collected)));
        });
        while self.begun - self.added > SORTED_AT_A_TIME {
            self.receive();
        }
    }

    /// Waits for a sorted generation, and adds those whose turn it is.
    fn receive(&mut self) {
        let (number, lineage, sorted) = self.sorted.recv().expect("a sender is kept here");
        self.early.insert(number, (lineage, sorted));
        while let Some((lineage, sorted)) = self.early.remove(&self.added) {
            self.added += 1;
            let mut state = self.generations.state.write();
            state.lineages[lineage].ended.push(Ended::Sorted(Arc::new(sorted)));
            self.generations.keep_within_bounds(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_limit_leaves_is_for_generations_that_have_ended() {
        assert_eq!(Generations::within(RESERVE + 7).most_bytes, 7);
        assert_eq!(Generations::default().most_bytes, MEMORY - RESERVE);
        const { assert!(RESERVE < 256 << 20, "the least that the configuration accepts") };
    }
}
