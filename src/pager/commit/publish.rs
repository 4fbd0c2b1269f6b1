//! Publishing: how a commit is made, from the pages of a transaction to what others see.
//!
//! Steps 1 to 7 are the transaction's (`txn/commit.rs`): at their end every page is written and the roots are known.
//! The steps here go on from there; `docs/design.md` 6 describes all of them under the same numbers.
//!
//! 8. Check what was freed, and the roots: damaged trees must not be committed.
//! 9. Sync first if the commit is too large to be listed, closes the database, or before the ring of descriptors is
//!    full.
//! 10. Choose a slot that nobody needs (I-1). What is durable now is the commit's base.
//! 11. List the records that the slot needs, this commit's own among them (I-2). What does not fit is spilled.
//! 12. Make the file as long as the commit says (I-9).
//! 13. Use up the id (I-4), then write the slot. An error before this undoes everything; an error here poisons (I-8).
//! 14. Take the commit over as what the next writer builds on.
//! 15. Publish it: its descriptor, then `tip`.
//! 16. Make it visible, unless it or a full commit on which it stands is not durable (I-7). Release the write lock.
//! 17. Sync: after a full commit always, after a lazy one if much is unsynced.

use super::record::{CommitRecord, FREED_PAGES_MAX};
use super::records::{spill_bytes, NeededRecords, NextRecords, SpilledRecords};
use crate::error::{Detail, Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{Meta, Spill, RECORDS_MAX, SLOTS, SLOT_BYTES};
use crate::page::{Extent, PageSink, Roots};
use crate::pager::core::Pager;
use crate::pager::descriptor::{Descriptor, Origin};
use crate::pager::identity::now;
use crate::pager::options::Durability;
use crate::pager::page_writer::{PageWriter, Progress};
use crate::pager::shared::{CommitSlot, FreeSlot, RING};
use crate::pager::space::Fold;
use crate::pager::write_state::Unsynced;
use crate::util::crc32c;
use crate::util::seeded::{self, Bug};
use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// A lazy commit syncs if more bytes than this are unsynced. Recovery writes and reads that much in less than 10 ms.
const LAZY_BYTES: u64 = 3 << 20;
/// In a small file less may be unsynced: the part of the bytes that live in it that this number names, because what
/// lazy commits replace waits for two syncs before it is reused.
const LAZY_PART: u64 = 4;
/// So many pages may always be unsynced, up to [`LAZY_BYTES`], because a sync costs as much as some twenty small lazy
/// commits.
const LAZY_PAGES: u64 = 256;
/// A lazy commit syncs if more commits than this are unsynced.
const LAZY_COMMITS: usize = 256;
/// Where another process has made one of so many commits before, others are taken to go on committing.
const FOREIGN: u64 = 64;
/// So many commits before the newest are listed for them with their changes, whether these are folded or not, as far as
/// they take no more than so many bytes.
const FOLLOWED: u64 = 32;
const FOLLOWED_BYTES: usize = RECORDS_MAX / 4;
/// The number of entries of the ring that are kept free for writers that are killed: each uses up an id and may skip
/// another.
const RING_SPARE: u64 = 4;
/// The spare bytes of an extent that is asked for to hold records, because taking it changes the commit's own record
/// by an entry or two.
const SPILL_SPARE: u64 = 128;
/// What memory is lacking for, if it is.
const RECORDS: &str = "the record of a commit";

/// A commit that was written to its slot.
struct Published {
    id: CommitId,
    /// Whether only a sync will make the commit visible.
    unsynced: bool,
    /// Whether so much is unsynced that it is time for a sync.
    backlog: bool,
}

/// Makes a commit, and answers for a panic in it, which means a mistake in libkv. As long as the slot is not written,
/// dropping the page writer has undone everything, and the panic goes on to whoever catches it. From then on the commit
/// may survive, so its outcome is in doubt, and saying that it failed would be wrong.
fn in_doubt_after_panic(commit: impl FnOnce(&Cell<bool>) -> Result<CommitId>) -> Result<CommitId> {
    let written = Cell::new(false);
    match catch_unwind(AssertUnwindSafe(|| commit(&written))) {
        Ok(answer) => answer,
        Err(panic) if !written.get() => resume_unwind(panic),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(Error::InDoubt(
                format!(
                    "a mistake in libkv ended the commit after its slot was written: {}",
                    text.unwrap_or("no message")
                )
                .into(),
            ))
        }
    }
}

impl PageWriter {
    /// Publishes the commit, and waits until it is what `durability` says. Everything that was placed must be written
    /// already.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Corrupt`, `Limit`: the commit is undone, and the database is as before. `InDoubt`,
    /// `Poisoned`: see [`crate::Error`].
    pub fn commit(self, roots: Roots, durability: Durability) -> Result<CommitId> {
        in_doubt_after_panic(|written| {
            let pager = self.pager.clone();
            let published = self.publish(roots, durability, written)?;
            // This is step 17.
            if published.unsynced || published.backlog {
                assert!(!seeded::on(Bug::PanicAfterPublish), "seeded");
                pager.sync_published(published.id)?;
            }
            Ok(published.id)
        })
    }

    /// Publishes the commit, and leaves waiting to others. A later sync makes the commit durable, and visible if it
    /// is a full one ([`Pager::wait_durable`](crate::pager::Pager::wait_durable)).
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Corrupt`, `Limit`: the commit is undone, and the database is as before. `InDoubt`,
    /// `Poisoned`: see [`crate::Error`].
    pub fn commit_async(self, roots: Roots, durability: Durability) -> Result<CommitId> {
        in_doubt_after_panic(|written| {
            let pager = self.pager.clone();
            let published = self.publish(roots, durability, written)?;
            if published.backlog {
                pager.sync_published(published.id)?;
            }
            Ok(published.id)
        })
    }

    /// Carries out steps 8 to 16. `written` is set as soon as the slot is written, after which the commit cannot be
    /// undone.
    fn publish(mut self, roots: Roots, durability: Durability, written: &Cell<bool>) -> Result<Published> {
        self.pager.check_fork()?;
        self.check_freed()?;
        self.check_roots(&roots)?;
        self.sync_first()?;
        let FreeSlot { slot, base } = self.choose_slot()?;
        let folded = self.folded_up_to();
        let listed = self.listed_above(folded);
        debug_assert!(
            listed <= folded,
            "the slot lists every change that the space tree does not hold"
        );
        let mut records = self.list_records(base, listed)?;
        self.extend_file(&roots)?;
        if self.closing && self.bytes > 0 {
            self.sync_before(Pager::sync_written)?;
        }
        let meta = self.meta(base, folded, roots, &mut records);
        self.pager.shared.listed().set(listed);
        if self.shrunk_end.is_some() {
            self.pager.shared.shrunk().set(self.id);
        }
        self.state.listed = listed;
        self.write_slot(slot, &meta, written)?;
        let (desc, time) = (Descriptor::of(&meta), meta.time);
        let backlog = self.adopt(meta, records);
        let unsynced = !self.show(
            desc,
            CommitSlot { id: desc.id, slot },
            Origin { base, time },
            durability,
        );
        Ok(Published {
            id: desc.id,
            unsynced,
            backlog,
        })
    }

    /// Checks the roots (step 8). With a root outside the file, the slot would be one that no opener accepts.
    fn check_roots(&self, roots: &Roots) -> Result<()> {
        let file = self.pager.first_page()..self.file_end();
        let lost = roots.all().into_iter().find(|root| !root.is_possible(&file, self.id));
        match lost {
            None => Ok(()),
            // A list of dead pages that has those of a tree can have the file end before them.
            Some(root) if self.tip().roots.all().contains(&root) => {
                Err(Error::corrupt(root.ptr.page, "the root of a tree was listed as dead"))
            }
            Some(_) => Err(Error::Panic("a root is not in the file".into())),
        }
    }

    /// Syncs if that must come first (step 9). What is not listed for recovery must be durable before a slot refers
    /// to it (I-2). The ring must not overwrite the descriptor of the visible commit, which lags behind where full
    /// commits are published one after the other and nobody waits for them. A backlog of lazy commits has its own
    /// bound (step 17). A slot that says that the database was closed with it is taken without a look at what it
    /// lists, so all of that must be durable; records that are spilled for it are synced in step 12.
    fn sync_first(&self) -> Result<()> {
        let visible = self.pager.shared.visible().get();
        let lag = self.id.checked_sub(visible).unwrap_or(0);
        match self.written.is_listed() {
            false => self.sync_before(Pager::sync_written),
            true if self.closing => self.sync_before(|pager| pager.sync_leaving(self.state.tip.id)),
            true if lag >= RING - RING_SPARE => self.sync_before(|pager| pager.sync_to(self.state.tip.id)),
            true => Ok(()),
        }
    }

    /// Syncs before the slot is written.
    fn sync_before(&self, sync: impl FnOnce(&Pager) -> Result<()>) -> Result<()> {
        let synced = sync(&self.pager);
        self.renew_limits();
        synced.map_err(|error| match error {
            // Earlier commits are in doubt. Nothing of this one is.
            Error::InDoubt(_) if self.pager.is_poisoned() => Error::Poisoned,
            // Another process holds the right to sync and does not sync. The next sync can succeed.
            Error::InDoubt(why) => Error::Io(why.after("earlier commits could not be synced")),
            other => other,
        })
    }

    /// Chooses a slot (step 10, I-1).
    fn choose_slot(&self) -> Result<FreeSlot> {
        let shared = &self.pager.shared;
        let free = shared.free_slot(SLOTS);
        let free = free.ok_or_else(|| Error::Panic("no meta slot is free".into()))?;
        debug_assert!(shared.tip().get().id == self.state.tip.id, "the write lock is held");
        debug_assert!(free.base <= self.state.tip.id, "I-2: the base is an earlier commit");
        Ok(free)
    }

    /// Returns the newest commit whose changes the space tree of this commit holds.
    fn folded_up_to(&self) -> CommitId {
        match self.fold {
            Some(_) => self.state.tip.id,
            None => self.state.folded,
        }
    }

    /// Returns the newest commit whose changes need not be listed. Those up to `folded` are in the space tree. Where
    /// other processes commit as well, some of these are listed all the same, so that writers there that know an older
    /// commit can follow the changes and need not load the space tree anew.
    fn listed_above(&self, folded: CommitId) -> CommitId {
        let before = |count: u64| CommitId::new(self.id.get().saturating_sub(count));
        let state = &self.state;
        // Nobody can follow a commit that shrinks, and its slot must not name what lies behind its end.
        if state.foreign <= before(FOREIGN) || self.shrunk_end.is_some() {
            return folded;
        }
        let least = match self.fold {
            Some(_) => state.listed.max(state.records.before_newest(FOLLOWED_BYTES)),
            None => state.listed,
        };
        folded.min(before(FOLLOWED).max(least))
    }

    /// Lists the records of the slot and the extents that hold records (step 11, I-2). Those above `listed` tell their
    /// changes.
    fn list_records(&mut self, base: CommitId, listed: CommitId) -> Result<NextRecords> {
        let records = &mut self.state.records;
        let needed = records.needed(base, listed);
        let mut inline_bytes = records.encode_inline(needed.unneeded_inline, base, listed);
        let own = self.record(&needed.unneeded)?;
        own.room(&mut inline_bytes.bytes)?;
        own.encode(base, listed, &mut inline_bytes.bytes);
        if spill_bytes(&needed.spilled) + inline_bytes.bytes.len() <= RECORDS_MAX {
            return Ok(NextRecords {
                own: Arc::new(own),
                spilled: needed.spilled,
                gone_inline: needed.unneeded_inline,
                inline_bytes,
            });
        }
        self.spill_records(needed, base, listed)
    }

    /// Spills the records if they do not fit (step 11): those of the slot and the commit's own go to an extent. The
    /// extent is taken like any page, which changes what the commit's own record says.
    fn spill_records(&mut self, needed: NeededRecords, base: CommitId, listed: CommitId) -> Result<NextRecords> {
        let NeededRecords {
            mut spilled,
            mut unneeded,
            unneeded_inline,
        } = needed;
        let inline = &self.state.records.inline;
        let gone_inline = inline.len();
        let mut moved: Vec<Arc<CommitRecord>> = inline[unneeded_inline..].to_vec();
        if spill_bytes(&spilled) * 2 > RECORDS_MAX {
            // There are so many extents that they are gathered into one.
            let old = std::mem::take(&mut spilled);
            unneeded.extend(old.iter().map(|s| s.spill));
            moved.splice(0..0, old.iter().flat_map(|s| s.records.iter().cloned()));
        }
        let mut bytes = Vec::new();
        for record in &moved {
            record.room(&mut bytes)?;
            record.encode(base, listed, &mut bytes);
        }
        let (extent, own) = self.take_for_records(&unneeded, &mut bytes, base, listed)?;
        let length = u32::try_from(bytes.len())
            .map_err(|_| Error::Limit("too many pages freed in one transaction; do it in several".into()))?;
        let checksum = crc32c(&bytes);
        let padding = PageNo::new(extent.run.pages).offset(self.pager.page_size) as usize - bytes.len();
        Error::or_room(&mut bytes, padding, RECORDS)?;
        bytes.resize(PageNo::new(extent.run.pages).offset(self.pager.page_size) as usize, 0);
        self.write(extent.run, &[&bytes])?;
        let own = Arc::new(own);
        moved.push(own.clone());
        spilled.push(SpilledRecords {
            spill: Spill {
                extent,
                bytes: length,
                checksum,
            },
            records: moved.into(),
        });
        Ok(NextRecords {
            own,
            spilled,
            gone_inline,
            inline_bytes: Default::default(),
        })
    }

    /// Takes an extent for `bytes` and the commit's own record, which it appends to them.
    fn take_for_records(
        &mut self,
        unneeded: &[Spill],
        bytes: &mut Vec<u8>,
        base: CommitId,
        listed: CommitId,
    ) -> Result<(Extent, CommitRecord)> {
        let size = self.pager.page_size as u64;
        let before = bytes.len();
        let own = self.record(unneeded)?;
        own.room(bytes)?;
        own.encode(base, listed, bytes);
        let mut pages = (bytes.len() as u64 + SPILL_SPARE).div_ceil(size);
        loop {
            let extent = Extent::new(self.take_exact(pages)?, self.id);
            let own = self.record(unneeded)?;
            bytes.truncate(before);
            own.room(bytes)?;
            own.encode(base, listed, bytes);
            if bytes.len() as u64 <= pages * size {
                return Ok((extent, own));
            }
            self.release(extent);
            pages += 1;
        }
    }

    /// Returns this commit's record as things stand, where the extents `unneeded` die because their records are not
    /// needed.
    fn record(&self, unneeded: &[Spill]) -> Result<CommitRecord> {
        let growth_start = self.growth_start();
        let mut freed = Vec::new();
        let taken = self.taken.iter().count();
        Error::or_room(&mut freed, self.freed.len() + unneeded.len() + taken, RECORDS)?;
        freed.extend_from_slice(&self.freed);
        freed.extend(unneeded.iter().map(|spill| Extent {
            own: true,
            ..spill.extent
        }));
        // Pages of the growth that were taken and given back are dead from the start.
        let mut unused = growth_start;
        for taken in self.taken.iter().filter(|taken| taken.end() > growth_start) {
            if taken.first > unused {
                freed.push(Extent::new(Run::new(unused, taken.first - unused), self.id));
            }
            unused = taken.end();
        }
        freed.retain(|freed| freed.run.pages > 0);
        freed.sort_unstable();
        // Neighbours of one kind with the same birth become one entry, unless it would have too many pages for one.
        freed.dedup_by(|next, before| {
            let alike = (before.birth, before.own) == (next.birth, next.own);
            let joins = alike && before.run.end() == next.run.first;
            let joins = joins && before.run.pages + next.run.pages <= FREED_PAGES_MAX;
            if joins {
                before.run.pages += next.run.pages;
            }
            joins
        });
        debug_assert!(
            freed.windows(2).all(|w| w[0].run.end() <= w[1].run.first),
            "what died is disjoint"
        );
        let reused = self.taken.iter().filter(|taken| taken.first < growth_start);
        let mut list = Vec::new();
        Error::or_room(&mut list, taken, RECORDS)?;
        list.extend(reused.map(|run| Run::new(run.first, run.pages.min(growth_start - run.first))));
        Ok(CommitRecord {
            id: self.id,
            runs: self.written.runs(),
            freed,
            taken: list,
        })
    }

    /// Returns the page behind the last one of the file, if the transaction were committed now.
    pub(in crate::pager) fn file_end(&self) -> PageNo {
        let end = self.taken.last().map_or(PageNo::default(), Run::end);
        end.max(self.growth_start())
    }

    /// Returns what the slot says. Until the slot is written, this takes the bytes of the inline records out of
    /// `records`.
    fn meta(&self, base: CommitId, folded: CommitId, roots: Roots, records: &mut NextRecords) -> Meta {
        let pager = &self.pager;
        let died: u64 = records.own.freed.iter().map(|freed| freed.run.pages).sum();
        let reused: u64 = records.own.taken.iter().map(|taken| taken.pages).sum();
        let parked = self.fold.as_ref().map_or(0, Fold::parked_pages);
        let reaped = self.fold.as_ref().map_or(0, Fold::reaped_pages);
        let left_out = self.tip_end() - self.growth_start();
        Meta {
            page_size: pager.page_size as u32,
            uuid: pager.uuid,
            features: pager.features,
            id: self.id,
            base,
            folded,
            time: self.time.unwrap_or_else(now),
            timeline: pager.timeline,
            closed: self.closing,
            pages: self.file_end().get(),
            dead: (self.state.dead + died + reaped).saturating_sub(reused + parked + left_out),
            parked: (self.state.parked + parked).saturating_sub(reaped),
            roots,
            spills: records.spilled.iter().map(|s| s.spill).collect(),
            inline: std::mem::take(&mut records.inline_bytes.bytes),
        }
    }

    /// Writes the slot (step 13). The id is used up first (I-4): if this process dies here, nobody knows what the
    /// slot holds, and another commit with this id could make it whole.
    fn write_slot(&mut self, slot: usize, meta: &Meta, written: &Cell<bool>) -> Result<()> {
        let pager = &self.pager;
        debug_assert!(
            pager.shared.next_id().get() <= meta.id,
            "I-4: no commit had this id before"
        );
        let bytes = self.state.slot_bytes.get_or_insert_with(|| Box::new([0; SLOT_BYTES]));
        meta.write(bytes);
        pager.shared.next_id().set(meta.id.next());
        if let Err(error) = pager.storage.write_at((slot * SLOT_BYTES) as u64, &bytes[..]) {
            pager.poison();
            return Err(Error::InDoubt(Detail::because("writing its meta slot failed", error)));
        }
        // From here on, dropping the writer undoes nothing.
        self.progress = Progress::SlotWritten;
        written.set(true);
        assert!(!seeded::on(Bug::PanicAfterSlot), "seeded");
        Ok(())
    }

    /// Makes the state of the new commit the state of the writer (step 14). Returns whether so much is unsynced that
    /// it is time for a sync, because recovery would have to read all of it.
    fn adopt(&mut self, meta: Meta, mut records: NextRecords) -> bool {
        let (growth_start, desc) = (self.growth_start(), Descriptor::of(&meta));
        let bytes = self.unsynced_bytes(&records);
        let size = self.pager.page_size as u64;
        let living = meta.pages.saturating_sub(meta.dead) * size;
        let most = (living / LAZY_PART).max(LAZY_PAGES * size).min(LAZY_BYTES);
        records.inline_bytes.bytes = meta.inline;
        let state = &mut *self.state;
        if let Some(fold) = self.fold.take() {
            state.space.park(&fold.parked);
            state.space.unpark(&fold.reaped);
            state.space.leave_out(growth_start, PageNo::new(state.tip.pages));
            self.pager.reaped_pages.fetch_add(fold.reaped_pages(), SeqCst);
            state.space.forget_changes();
            state.changes = 0;
        }
        if state.tip.roots.snapshots != desc.roots.snapshots {
            state.snapshots.know(&desc.roots.snapshots, self.recorded.take());
        }
        // Pages of the growth that were given back are dead in the record, and so not free.
        state.space.pool.remove(Run::new(growth_start, self.end - growth_start));
        state.space.apply(&records.own);
        state.changes += records.own.changes();
        state.records.advance(records);
        state.tip = desc;
        state.folded = meta.folded;
        (state.dead, state.parked) = (meta.dead, meta.parked);
        let durable = state.unsynced.partition_point(|commit| commit.id <= meta.base);
        state.unsynced.drain(..durable);
        state.unsynced.push(Unsynced { id: desc.id, bytes });
        let unsynced: u64 = state.unsynced.iter().map(|commit| commit.bytes).sum();
        unsynced > most || state.unsynced.len() > LAZY_COMMITS
    }

    /// Returns how many bytes of this commit wait for a sync: those that its record lists, and its spilled records.
    /// What was synced before the slot was written is not listed.
    fn unsynced_bytes(&self, records: &NextRecords) -> u64 {
        let listed = records.own.written_pages();
        let spills = records.spilled.iter().map(|spilled| spilled.spill.extent);
        let own: u64 = spills
            .filter(|extent| extent.birth == self.id)
            .map(|extent| extent.run.pages)
            .sum();
        (listed + own) * self.pager.page_size as u64
    }

    /// Publishes the commit and makes it visible if I-7 allows it (steps 15 and 16). Returns whether it is visible.
    /// The descriptor is stored before `tip`, which names it. `full_tip` is stored before `tip`, too, or a lazy
    /// commit on top of this one could be shown before this one is durable.
    fn show(mut self, desc: Descriptor, tip: CommitSlot, origin: Origin, durability: Durability) -> bool {
        let shared = &self.pager.shared;
        debug_assert!(shared.tip().get().id < desc.id, "the tip only rises");
        shared.put_descriptor(&desc, origin);
        if durability == Durability::Full {
            shared.full_tip().set(desc.id);
        }
        shared.tip().set(tip);
        self.progress = Progress::Published;
        let shared = &self.pager.shared;
        let full_are_durable = shared.full_tip().get() <= shared.durable().get().id;
        let visible = durability == Durability::Lazy && full_are_durable;
        if visible || seeded::on(Bug::ShowUndurable) {
            shared.make_visible(desc.id);
        }
        visible
    }
}
