//! All records of a meta slot, one for each recent commit.
//!
//! A record is listed while recovery may have to verify what its commit wrote, or while a new opener must replay its
//! changes of dead space ([`record`](super::record) describes the bytes). The newer records stand in the slot itself,
//! *inline*. Records that do not fit there are written one behind the other into an extent that the slot names: they
//! are *spilled*.
//!
//! A lazy commit repeats nearly all inline records of the slot before. So their bytes are kept, and copied where they
//! would be the same.

use super::record::{decode, Bounds, CommitRecord};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{Meta, Spill, META_PAGE, RECORDS_MAX, SPILL_BYTES};
use crate::pager::space::Dead;
use crate::util::crc32c;
use std::sync::Arc;

/// The bytes that a change of dead space takes in a record, more or less.
const CHANGE_BYTES: usize = 4;

/// Records in an extent of their own.
#[derive(Debug, Clone)]
pub(in crate::pager) struct SpilledRecords {
    /// The extent and its checksum.
    pub spill: Spill,
    /// The records, oldest first.
    pub records: Arc<[Arc<CommitRecord>]>,
}

/// All records of a slot, oldest first.
#[derive(Debug, Clone, Default)]
pub(in crate::pager) struct SlotRecords {
    /// The older records, in extents.
    pub spilled: Vec<SpilledRecords>,
    /// The newer records, inside the slot.
    pub inline: Vec<Arc<CommitRecord>>,
    /// The bytes of the newer records.
    pub inline_bytes: InlineBytes,
    /// The memory for the bytes of the next slot.
    spare: Vec<u8>,
}

/// The inline records as bytes.
#[derive(Debug, Clone, Default)]
pub(in crate::pager) struct InlineBytes {
    /// The records, one behind the other.
    pub bytes: Vec<u8>,
    /// Records up to `base`, which is the slot's, list no runs, and records up to `listed` no changes of dead space.
    base: CommitId,
    listed: CommitId,
    /// The number of records, counted from the oldest, that are known to be at or below `base`, and the bytes they
    /// take. While `listed` stays the same, nothing in them changes any more.
    final_records: usize,
    final_bytes: usize,
}

/// The records of a slot that the next slot needs, and those that it does not.
#[derive(Debug)]
pub(in crate::pager) struct NeededRecords {
    /// The extents that are still needed.
    pub spilled: Vec<SpilledRecords>,
    /// The extents that are not needed any more.
    pub unneeded: Vec<Spill>,
    /// The number of inline records, counted from the oldest, that are not needed any more.
    pub unneeded_inline: usize,
}

/// The records of the slot that a commit writes.
#[derive(Debug)]
pub(in crate::pager) struct NextRecords {
    /// The commit's own record.
    pub own: Arc<CommitRecord>,
    /// All extents of records.
    pub spilled: Vec<SpilledRecords>,
    /// The number of inline records, counted from the oldest, that are not in the slot any more.
    pub gone_inline: usize,
    /// The slot's inline records: those left and the commit's own. It is empty if the commit's own is in an extent.
    pub inline_bytes: InlineBytes,
}

/// A change to the content of the space tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceChange {
    /// Pages died.
    Died(Dead),
    /// Dead pages were put into use again.
    Taken(Run),
}

/// The reason why the records of a slot cannot be had.
#[derive(Debug)]
pub(in crate::pager) enum NoRecords {
    /// The extent that begins with this page is not what the slot says. A crash can be the reason.
    Torn(PageNo),
    /// The bytes cannot be read, or are no records although their checksum is right.
    Failed(Error),
}

impl From<Error> for NoRecords {
    fn from(error: Error) -> NoRecords {
        NoRecords::Failed(error)
    }
}

impl NoRecords {
    /// Returns the error for a case in which no crash can be the reason.
    pub fn into_error(self, what: &'static str) -> Error {
        match self {
            NoRecords::Torn(page) => Error::unreadable(page, what),
            NoRecords::Failed(error) => error,
        }
    }
}

/// Returns what the records of a slot change in the content of its space tree, in order. `read` fills a buffer from
/// an offset on.
///
/// # Errors
/// `Corrupt`: the records are damaged. `NoMemory`. Also what `read` returns.
pub fn dead_changes(meta: &Meta, read: impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Vec<SpaceChange>> {
    match SlotRecords::read(meta, read) {
        Ok(records) => records.changes(meta.folded),
        Err(reason) => Err(reason.into_error("records differ from their checksum")),
    }
}

impl SlotRecords {
    /// Returns the records of a slot. `read` fills a buffer from an offset on.
    ///
    /// # Errors
    /// `Torn`: an extent differs from its checksum. `Failed`, with `Corrupt`, `NoMemory` or what `read` returns.
    pub fn read(
        meta: &Meta,
        read: impl Fn(u64, &mut [u8]) -> Result<()>,
    ) -> std::result::Result<SlotRecords, NoRecords> {
        SlotRecords::read_after(&SlotRecords::default(), meta, meta.folded, read)
    }

    /// Does what [`SlotRecords::read`] does where the records of an earlier slot are known. Those that both slots have
    /// are taken from there; extents that both have are not even read. The earlier slot omits what became unnecessary
    /// before, so what it says of a commit is all that the later one says, or more. The slot lists the changes of dead
    /// space of commits above `listed`.
    pub fn read_after(
        known: &SlotRecords,
        meta: &Meta,
        listed: CommitId,
        read: impl Fn(u64, &mut [u8]) -> Result<()>,
    ) -> std::result::Result<SlotRecords, NoRecords> {
        let mut known_records = known.all().peekable();
        let bounds = Bounds {
            page_size: meta.page_size as usize,
            pages: meta.pages,
            id: meta.id,
        };
        let mut all = SlotRecords::default();
        let mut after = CommitId::NONE;
        for spill in &meta.spills {
            if let Some(same) = known.spilled.iter().find(|s| s.spill == *spill) {
                after = same.records.last().map_or(after, |record| record.id);
                all.spilled.push(same.clone());
                continue;
            }
            let mut bytes = Vec::new();
            let room = bytes.try_reserve_exact(spill.bytes as usize);
            room.map_err(|_| Error::NoMemory("records of recent commits"))?;
            bytes.resize(spill.bytes as usize, 0);
            let page = spill.extent.run.first;
            read(page.offset(bounds.page_size), &mut bytes)?;
            if crc32c(&bytes) != spill.checksum {
                return Err(NoRecords::Torn(page));
            }
            let records = decode(&bytes, bounds, after, &mut known_records)?.records;
            after = records.last().map_or(after, |record| record.id);
            all.spilled.push(SpilledRecords {
                spill: *spill,
                records: records.into(),
            });
        }
        let inline = decode(&meta.inline, bounds, after, &mut known_records)?;
        let newest = inline.records.last().or_else(|| all.all().last());
        if newest.map(|record| record.id) != Some(meta.id) {
            return Err(Error::corrupt(META_PAGE, "meta slot: the commit's own record is missing").into());
        }
        let final_records = inline.records.partition_point(|record| record.id <= meta.base);
        all.inline_bytes = InlineBytes {
            bytes: meta.inline.clone(),
            base: meta.base,
            listed,
            final_records,
            final_bytes: final_records.checked_sub(1).map_or(0, |last| inline.ends[last]),
        };
        all.inline = inline.records;
        Ok(all)
    }

    /// Returns the changes above `folded` to the content of the space tree, in order.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn changes(&self, folded: CommitId) -> Result<Vec<SpaceChange>> {
        let mut changes = Vec::new();
        for record in self.above(folded) {
            Error::or_room(&mut changes, record.changes(), "changes of free space")?;
            changes.extend(record.taken.iter().map(|taken| SpaceChange::Taken(*taken)));
            changes.extend(record.freed.iter().map(|freed| {
                SpaceChange::Died(Dead {
                    extent: *freed,
                    death: record.id,
                })
            }));
        }
        Ok(changes)
    }

    /// Returns every record, the oldest first.
    fn all(&self) -> impl Iterator<Item = &Arc<CommitRecord>> {
        self.spilled.iter().flat_map(|s| &*s.records).chain(&self.inline)
    }

    /// Returns the records of the commits above `id`, the oldest first.
    pub fn above(&self, id: CommitId) -> impl Iterator<Item = &CommitRecord> {
        self.all().filter(move |record| record.id > id).map(|record| &**record)
    }

    /// Returns the newest commit that is not among those whose changes, in inline records, take about so many bytes.
    pub fn before_newest(&self, bytes: usize) -> CommitId {
        let mut left = bytes;
        for record in self.inline.iter().rev() {
            match left.checked_sub(CHANGE_BYTES * record.changes()) {
                Some(rest) => left = rest,
                None => return record.id,
            }
        }
        let spilled = self.spilled.last().and_then(|s| s.records.last());
        spilled.map_or(CommitId::NONE, |record| record.id)
    }

    /// Returns which records a slot with this `base` needs that lists the changes of commits above `listed`: those
    /// above the lower of the two.
    pub fn needed(&self, base: CommitId, listed: CommitId) -> NeededRecords {
        let needed = |record: &Arc<CommitRecord>| record.id > base.min(listed);
        let (spilled, unneeded): (Vec<_>, Vec<_>) = self
            .spilled
            .iter()
            .cloned()
            .partition(|s| s.records.last().is_some_and(needed));
        NeededRecords {
            spilled,
            unneeded: unneeded.into_iter().map(|s| s.spill).collect(),
            unneeded_inline: self.inline.partition_point(|record| !needed(record)),
        }
    }

    /// Returns the bytes of all inline records except the first `gone`, for a slot with this `base` that lists the
    /// changes of commits above `listed`.
    pub fn encode_inline(&mut self, gone: usize, base: CommitId, listed: CommitId) -> InlineBytes {
        let old = &self.inline_bytes;
        let goes_on = gone == 0 && listed == old.listed && base >= old.base;
        // Either everything need not be encoded again, or what is final, or nothing.
        let (mut final_records, mut final_bytes) = (0, 0);
        let (mut encoded, mut encoded_bytes) = (gone, 0);
        if goes_on {
            (final_records, final_bytes) = (old.final_records, old.final_bytes);
            (encoded, encoded_bytes) = match base == old.base {
                true => (self.inline.len(), old.bytes.len()),
                false => (final_records, final_bytes),
            };
        }
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.reserve(RECORDS_MAX);
        bytes.extend_from_slice(&old.bytes[..encoded_bytes]);
        for record in &self.inline[encoded..] {
            record.encode(base, listed, &mut bytes);
            if record.id <= base {
                (final_records, final_bytes) = (final_records + 1, bytes.len());
            }
        }
        InlineBytes {
            bytes,
            base,
            listed,
            final_records,
            final_bytes,
        }
    }

    /// Becomes the records of the slot that was just written.
    pub fn advance(&mut self, next: NextRecords) {
        debug_assert!(
            self.all().all(|record| record.id < next.own.id),
            "I-4: ids ascend, in records too"
        );
        self.spilled = next.spilled;
        self.inline.drain(..next.gone_inline);
        if !next.inline_bytes.bytes.is_empty() {
            self.inline.push(next.own);
        }
        self.spare = std::mem::replace(&mut self.inline_bytes, next.inline_bytes).bytes;
    }
}

/// Returns the bytes that the descriptions of extents take in a slot.
pub(in crate::pager) fn spill_bytes(spilled: &[SpilledRecords]) -> usize {
    spilled.len() * SPILL_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;
    use crate::file::sim::Random;

    #[test]
    fn what_is_copied_from_the_slot_before_is_what_would_be_encoded() {
        let mut random = Random::new(6);
        for _ in 0..200 {
            let (mut slot, mut base, mut folded) = <(SlotRecords, CommitId, CommitId)>::default();
            for id in 1..60 {
                base = CommitId::new(base.get() + random.below(id - base.get()) * random.below(2));
                if random.one_in(12) {
                    folded = CommitId::new(id - 1);
                }
                let gone = slot.needed(base, folded).unneeded_inline;
                let mut inline = slot.encode_inline(gone, base, folded);
                let record = Arc::new(sample(&mut random, id));
                record.encode(base, folded, &mut inline.bytes);
                let mut bytes = Vec::new();
                let records = slot.inline[gone..].iter().chain([&record]);
                records.for_each(|r| r.encode(base, folded, &mut bytes));
                assert!(inline.bytes == bytes, "commit {id}");
                if random.one_in(20) {
                    (inline, bytes) = <(InlineBytes, Vec<u8>)>::default();
                }
                let gone = if bytes.is_empty() { slot.inline.len() } else { gone };
                if random.one_in(30) {
                    // This commit fails, and the next one starts from the same records.
                    continue;
                }
                slot.advance(NextRecords {
                    own: record,
                    spilled: Vec::new(),
                    gone_inline: gone,
                    inline_bytes: inline,
                });
            }
        }
    }
}
