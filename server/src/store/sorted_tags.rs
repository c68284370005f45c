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

impl<V: Copy + Default> SortedTags<V> {
    /// Sorts entries, and merges the values of equal tags. Tags are hashes, so that each bucket gets about as many: they
    /// are dealt out to the buckets, and each of these is sorted.
    pub(super) fn new(
        entries: impl ExactSizeIterator<Item = (u64, V)> + Clone,
        merge: impl Fn(V, V) -> V,
    ) -> Self {
        let buckets = (entries.len() / BUCKET).next_power_of_two().max(2);
        let shift = 64 - buckets.trailing_zeros();
        let bucket_of = |tag: u64| usize::try_from(tag >> shift).expect("fewer buckets than entries");
        let mut next = vec![0_usize; buckets];
        for (tag, _) in entries.clone() {
            next[bucket_of(tag)] += 1;
        }
        let mut begin = 0;
        for place in &mut next {
            begin += std::mem::replace(place, begin);
        }
        let mut sorted = vec![(0, V::default()); entries.len()];
        for (tag, value) in entries {
            let place = &mut next[bucket_of(tag)];
            sorted[*place] = (tag, value);
            *place += 1;
        }
        let place = |index: usize| u32::try_from(index).expect("fewer than 2^32 entries");
        let mut starts = Vec::with_capacity(buckets + 1);
        let (mut begin, mut kept) = (0, 0);
        // Each place is now the end of its bucket.
        for end in next {
            starts.push(place(kept));
            sorted[begin..end].sort_unstable_by_key(|(tag, _)| *tag);
            for index in begin..end {
                let (hash, value) = sorted[index];
                match sorted[..kept].last_mut() {
                    Some(last) if last.0 == hash => last.1 = merge(last.1, value),
                    _ => {
                        sorted[kept] = (hash, value);
                        kept += 1;
                    }
                }
            }
            begin = end;
        }
        starts.push(place(kept));
        sorted.truncate(kept);
        Self { entries: sorted.into(), starts: starts.into(), shift }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_tag_is_found_once_with_its_merged_value(
            few in proptest::collection::vec((0..50_u64, any::<u32>()), 0..200),
            many in proptest::collection::vec((any::<u64>(), any::<u32>()), 0..2000),
        ) {
            // Few different tags in the first bucket, the others as hashes are; and the greatest of all.
            let entries: Vec<(u64, u32)> = few.into_iter().chain(many).chain([(u64::MAX, 7), (u64::MAX, 3)]).collect();
            let mut model = BTreeMap::new();
            for (tag, value) in &entries {
                model.entry(*tag).and_modify(|known: &mut u32| *known = *value.min(known)).or_insert(*value);
            }
            let tags = SortedTags::new(entries.iter().copied(), u32::min);
            prop_assert_eq!(tags.entries.len(), model.len());
            for (tag, value) in &model {
                prop_assert_eq!(tags.get(*tag), Some(*value));
            }
            for tag in [51, u64::MAX - 1, 1 << 63] {
                prop_assert_eq!(tags.get(tag), model.get(&tag).copied());
            }
        }
    }

    #[test]
    fn none_are_found_among_none() {
        let tags = SortedTags::new(Vec::<(u64, u32)>::new().into_iter(), u32::min);
        assert_eq!((tags.get(0), tags.get(u64::MAX)), (None, None));
    }
}
