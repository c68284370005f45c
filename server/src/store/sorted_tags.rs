//! Tags in sorted arrays, and the hasher for tags in hash maps.

use std::hash::{BuildHasherDefault, Hasher};

/// Entries for each bucket of a sorted array.
const BUCKET: usize = 16;

/// Passes a tag on: it is a hash already.
#[derive(Default)]
pub(super) struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, tag: u64) {
        self.0 = tag;
    }
}

/// Builds hashers for maps by tag.
pub(super) type ByTag = BuildHasherDefault<TagHasher>;

/// Tags in order, each with a value.
pub(super) struct SortedTags<V> {
    entries: Box<[(u64, V)]>,
    /// Where the entries of each bucket begin; a bucket holds the tags with the same first bits.
    starts: Box<[u32]>,
    shift: u32,
}

impl<V: Copy> SortedTags<V> {
    /// Sorts entries, and merges the values of equal tags.
    pub(super) fn new(mut entries: Vec<(u64, V)>, merge: impl Fn(V, V) -> V) -> Self {
        entries.sort_unstable_by_key(|(tag, _)| *tag);
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = merge(earlier.1, later.1);
            }
            same
        });
        let buckets = (entries.len() / BUCKET).next_power_of_two().max(2);
        let shift = 64 - buckets.trailing_zeros();
        let mut starts = Vec::with_capacity(buckets + 1);
        for (index, (tag, _)) in (0_u32..).zip(&entries) {
            let bucket = usize::try_from(*tag >> shift).expect("fewer buckets than entries");
            while starts.len() <= bucket {
                starts.push(index);
            }
        }
        starts.resize(buckets + 1, u32::try_from(entries.len()).expect("fewer than 2^32 entries"));
        Self { entries: entries.into(), starts: starts.into(), shift }
    }

    pub(super) fn get(&self, tag: u64) -> Option<V> {
        let bucket = usize::try_from(tag >> self.shift).ok()?;
        let start = |bucket: usize| usize::try_from(self.starts[bucket]).expect("32 bits");
        let entries = &self.entries[start(bucket)..start(bucket + 1)];
        entries.binary_search_by_key(&tag, |(tag, _)| *tag).ok().map(|index| entries[index].1)
    }

    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.entries) + std::mem::size_of_val(&*self.starts)
    }
}
