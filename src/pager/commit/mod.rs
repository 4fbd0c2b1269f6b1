//! Publishing a commit, and making commits durable.
//!
//! ```text
//! writing   -> written      pages are on their way; undone by dropping                       [PageSink]
//! written   -> tip          the slot is written; id used up, seat free                       [PageWriter::commit]
//! tip       -> visible      lazily at once; full: when durable                               [show]
//! visible   -> durable      a sync begun after the slot was written succeeded                [sync_data]
//! any       -> poisoned     slot write or sync failed: in doubt until opened again           [poison]
//! ```
//!
//! - I-1: a slot is written only if it is not durable's, syncing's or tip's. The writer reads `syncing` before
//!   `durable`: the commit that moves from one to the other meanwhile is excluded by the first.
//! - I-2: slot n lists every byte written after base(n), which was durable when n was written; a commit too large to be
//!   listed is synced first.
//! - I-4: the id is used up before the slot is written.
//! - I-5: `durable` rises to what was tip when `syncing` was published, after the sync.
//! - I-7: a lazy commit on top of a full one not yet durable waits as if it were full.
//! - I-8: failure before the slot write undoes; failure at it or at a sync poisons.
//!
//! Commits that arrive while a sync runs wait for it ([`sync_turn`]); then one of them syncs for all. The writer's seat
//! is free meanwhile.

use crate::pager::shared::ring::RING;
use crate::pager::shared::{CommitSlot, FreeSlot};
mod image;
mod records;
mod recover;
mod sync_turn;

pub use image::Image;
pub use records::{dead_changes, SpaceChange};
pub(in crate::pager) use records::{CommitRecord, Tail, WrittenRun};
pub(in crate::pager) use recover::{empty_image, recover};
pub(in crate::pager) use sync_turn::Turns;

use crate::error::{Error, Result};
use crate::file::peers::Peers;
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{Meta, Spill, SLOTS, SLOT_BYTES, TAIL_MAX};
use crate::page::{Extent, PageSink, Root};
use crate::pager::page_writer::PageWriter;
use crate::pager::{Descriptor, Durability, Pager, Roots, Wait, META_PAGE};
use crate::util::crc32c;
use crate::util::seeded::{self, Bug};
use records::{spill_bytes, Listing, Next, Spilled};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// Unsynced bytes from which a lazy commit syncs: recovery writes and reads so much in less than 10 ms.
const LAZY_BYTES: u64 = 3 << 20;
/// Unsynced commits from which a lazy commit syncs.
const LAZY_COMMITS: usize = 256;

/// A commit that is in its slot.
struct Published {
    id: CommitId,
    /// It becomes visible by a sync only.
    unsynced: bool,
    /// So much is unsynced that it is time for a sync.
    backlog: bool,
}

impl PageWriter {
    /// Publishes, and waits until the commit is what `durability` says. Everything placed was written before.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Corrupt`: undone, the database is as before. `InDoubt`, `Poisoned`: see [`crate::Error`].
    pub fn commit(self, roots: Roots, durability: Durability) -> Result<CommitId> {
        let pager = self.pager.clone();
        let published = self.publish(roots, durability)?;
        if published.unsynced || published.backlog {
            pager.sync_data(published.id, false)?;
        }
        Ok(published.id)
    }

    /// Publishes, and leaves waiting to others: the commit is durable, and if it is to be full visible, after a later
    /// sync ([`Pager::wait_durable`]).
    ///
    /// # Errors
    /// As [`PageWriter::commit`].
    pub fn commit_async(self, roots: Roots, durability: Durability) -> Result<CommitId> {
        let pager = self.pager.clone();
        let published = self.publish(roots, durability)?;
        if published.backlog {
            pager.sync_data(published.id, false)?;
        }
        Ok(published.id)
    }

    fn publish(mut self, roots: Roots, durability: Durability) -> Result<Published> {
        let pager = self.pager.clone();
        let shared = &pager.shared;
        self.check_freed()?;
        self.check_roots(&roots)?;
        let tip = shared.tip().get();
        // The ring must not overwrite what `visible` names; a lazy backlog has its own bound below.
        let behind = self.id.get() - shared.visible().get().get() >= RING - 4;
        if self.sync_first || behind {
            pager.sync_data(tip.id, self.sync_first).map_err(|_| Error::Poisoned)?;
        }
        let free = shared.free_slot(SLOTS);
        let FreeSlot { slot, base } = free.ok_or_else(|| Error::Panic("no meta slot is free".into()))?;
        let seat = CommitSlot { id: self.id, slot };
        let folded = if self.folding { tip.id } else { self.state.folded };
        let mut next = self.make_tail(base, folded)?;
        let pages = self.pages();
        let end = PageNo::new(pages);
        if pager.file_pages.load(SeqCst) < pages && end > pager.first_page() {
            let need = end.offset(pager.page_size);
            // Others may have made it longer than is known here.
            if pager.storage.len()? < need {
                pager.storage.set_len(need)?;
            }
            pager.file_pages.fetch_max(pages, SeqCst);
        }
        let count = |runs: &mut dyn Iterator<Item = u64>| runs.sum::<u64>();
        let died = count(&mut next.record.freed.iter().map(|freed| freed.run.pages));
        let revived = count(&mut next.record.taken.iter().map(|taken| taken.pages));
        let meta = Meta {
            page_size: pager.page_size as u32,
            uuid: pager.uuid,
            features: pager.features,
            id: self.id,
            base,
            folded,
            time: crate::pager::now(),
            pages,
            dead: (self.state.dead + died).saturating_sub(revived),
            roots,
            spills: next.spilled.iter().map(|s| s.spill).collect(),
            inline: std::mem::take(&mut next.listing.bytes),
            ..Meta::default()
        };
        let bytes = self.state.slot.get_or_insert_with(|| Box::new([0; SLOT_BYTES]));
        meta.write(bytes);
        shared.next_id().set(self.id.next());
        if let Err(error) = pager.storage.write_at((seat.slot * SLOT_BYTES) as u64, &bytes[..]) {
            pager.poison();
            return Err(Error::InDoubt(format!("writing its meta slot failed: {error}")));
        }
        let desc = Descriptor {
            id: self.id,
            pages,
            roots,
        };
        next.listing.bytes = meta.inline;
        let backlog = self.adopt(desc, next, folded, meta.dead, base);
        shared.put_descriptor(&desc, base);
        if durability == Durability::Full {
            shared.full_tip().set(desc.id);
        }
        shared.tip().set(seat);
        let now = durability == Durability::Lazy && shared.full_tip().get() <= shared.durable().get().id;
        if now || seeded::on(Bug::ShowUndurable) {
            shared.make_visible(desc.id);
        }
        drop(self);
        Ok(Published {
            id: desc.id,
            unsynced: !now,
            backlog,
        })
    }

    /// Takes the new commit as the state to build on; answers whether much is unsynced.
    fn adopt(&mut self, desc: Descriptor, next: Next, folded: CommitId, dead: u64, durable: CommitId) -> bool {
        let old_end = self.tip_end();
        // What was synced before the slot is not waiting for anything.
        let bytes = if self.sync_first { 0 } else { self.bytes };
        let state = &mut self.state;
        if self.folding {
            state.space.folded();
            state.changes = 0;
        }
        state.space.pool.remove(Run::new(old_end, self.end - old_end));
        state.space.apply(&next.record);
        state.changes += next.record.changes();
        state.tail.turn(next);
        state.tip = desc;
        state.folded = folded;
        state.dead = dead;
        state
            .unsynced
            .drain(..state.unsynced.partition_point(|(id, _)| *id <= durable));
        state.unsynced.push((desc.id, bytes));
        self.done = true;
        let unsynced: u64 = self.state.unsynced.iter().map(|(_, bytes)| bytes).sum();
        unsynced > LAZY_BYTES || self.state.unsynced.len() > LAZY_COMMITS
    }

    /// A root outside the file would make a slot that no opener accepts.
    fn check_roots(&self, roots: &Roots) -> Result<()> {
        let inside = |root: &Root| {
            let file = self.pager.first_page()..PageNo::new(self.pages());
            let there = file.contains(&root.ptr.page.number()) && root.ptr.birth <= self.id;
            if root.height == 0 {
                *root == Root::default()
            } else {
                there
            }
        };
        match roots.all().into_iter().all(inside) {
            true => Ok(()),
            false => Err(Error::Panic("a root is not in the file".into())),
        }
    }

    /// Pages of the file if this were committed now.
    fn pages(&self) -> u64 {
        let end = self.own.last().map_or(PageNo::default(), Run::end);
        end.max(self.tip_end()).get()
    }

    /// This commit's record as things stand.
    fn record(&self, spilled: &[Spill]) -> CommitRecord {
        let old = self.tip_end();
        let mut freed = self.freed.clone();
        freed.extend(spilled.iter().map(|spill| spill.extent));
        // Pages behind the old end that were taken and given back: dead from the start.
        let mut unused = old;
        for taken in self.own.iter().filter(|taken| taken.end() > old) {
            if taken.first > unused {
                freed.push(Extent {
                    run: Run::new(unused, taken.first - unused),
                    birth: self.id,
                });
            }
            unused = taken.end();
        }
        freed.retain(|freed| freed.run.pages > 0);
        freed.sort_unstable();
        freed.dedup_by(|next, before| {
            let joins = before.run.end() == next.run.first && before.birth == next.birth;
            let joins = joins && before.run.pages + next.run.pages <= u64::from(u32::MAX);
            if joins {
                before.run.pages += next.run.pages;
            }
            joins
        });
        let taken = self.own.iter().filter(|taken| taken.first < old);
        CommitRecord {
            id: self.id,
            runs: self.runs(),
            freed,
            taken: taken
                .map(|run| Run::new(run.first, run.pages.min(old - run.first)))
                .collect(),
        }
    }

    /// The tail of this commit's slot. What does not fit is written to an extent, which is taken like any page.
    fn make_tail(&mut self, base: CommitId, folded: CommitId) -> Result<Next> {
        let tail = &mut self.state.tail;
        let (mut spilled, mut dropped, gone) = tail.keep(base, folded);
        let mut listing = tail.list(gone, base, folded);
        let record = self.record(&dropped);
        record.encode(base, folded, &mut listing.bytes);
        if spill_bytes(&spilled) + listing.bytes.len() <= TAIL_MAX {
            let record = Arc::new(record);
            return Ok(Next {
                record,
                spilled,
                gone,
                listing,
            });
        }
        let inline = &self.state.tail.inline;
        let mut moved: Vec<Arc<CommitRecord>> = inline[gone..].to_vec();
        let gone = inline.len();
        if spill_bytes(&spilled) * 2 > TAIL_MAX {
            // So many extents that they are gathered into one.
            let old = std::mem::take(&mut spilled);
            dropped.extend(old.iter().map(|s| s.spill));
            moved.splice(0..0, old.iter().flat_map(|s| s.records.iter().cloned()));
        }
        let size = self.pager.page_size as u64;
        let mut bytes = Vec::new();
        moved.iter().for_each(|r| r.encode(base, folded, &mut bytes));
        let before = bytes.len();
        self.record(&dropped).encode(base, folded, &mut bytes);
        // Taking the extent changes the record by an entry or two.
        let mut pages = (bytes.len() as u64 + 128).div_ceil(size);
        let (extent, record) = loop {
            let extent = Extent {
                run: self.take_exact(pages)?,
                birth: self.id,
            };
            let record = self.record(&dropped);
            bytes.truncate(before);
            record.encode(base, folded, &mut bytes);
            if bytes.len() as u64 <= pages * size {
                break (extent, record);
            }
            self.release(extent);
            pages += 1;
        };
        let length = u32::try_from(bytes.len()).map_err(|_| Error::Limit("too many pages freed in one transaction"))?;
        let checksum = crc32c(&bytes);
        bytes.resize((pages * size) as usize, 0);
        self.write(extent.run, &[&bytes])?;
        let record = Arc::new(record);
        moved.push(record.clone());
        spilled.push(Spilled {
            spill: Spill {
                extent,
                bytes: length,
                checksum,
            },
            records: moved.into(),
        });
        Ok(Next {
            record,
            spilled,
            gone,
            listing: Listing::default(),
        })
    }
}

impl Pager {
    /// Makes every visible commit durable.
    ///
    /// # Errors
    /// `Poisoned`, `InDoubt`.
    pub fn sync(&self) -> Result<()> {
        self.check_fork()?;
        if self.is_poisoned() {
            return Err(Error::Poisoned);
        }
        self.sync_data(self.shared.tip().get().id, false)
    }

    /// Makes commit `id` durable, if it is not yet, together with whatever was published meanwhile; `Wait::Try`: only
    /// answers whether it is. Other waits end with the sync, whenever that is.
    ///
    /// # Errors
    /// `Busy` (not durable, and not to be waited for), `Invalid` (no such commit), `InDoubt`, `Poisoned`, `Forked`.
    pub fn wait_durable(&self, id: CommitId, wait: Wait) -> Result<()> {
        self.check_fork()?;
        if self.shared.durable().get().id >= id {
            return Ok(());
        }
        if id > self.shared.tip().get().id {
            return Err(Error::Invalid("no commit has this number yet"));
        }
        match wait {
            Wait::Try if self.is_poisoned() => Err(Error::Poisoned),
            Wait::Try => Err(Error::Busy("the commit is not durable yet")),
            _ => self.sync_data(id, false),
        }
    }

    /// Makes commit `id` durable, with whatever was published meanwhile; `anyway`: syncs even if it is, for data that
    /// belongs to no commit yet.
    fn sync_data(&self, id: CommitId, mut anyway: bool) -> Result<()> {
        let shared = &self.shared;
        while anyway || shared.durable().get().id < id {
            // What belongs to no commit is in no other's sync.
            let Some(mut here) = self.turns.take(if anyway { CommitId::MAX } else { id }) else {
                continue;
            };
            let _everywhere = SyncRight::take(&*self.peers)?;
            let durable = shared.durable().get().id;
            if durable >= id && !anyway {
                here.covered = durable;
                break;
            }
            if self.is_poisoned() {
                return Err(Error::InDoubt("another sync failed".into()));
            }
            let claim = shared.claim_tip();
            let left = shared.begin_sync();
            let synced = match seeded::on(Bug::SkipSync) {
                true => Ok(()),
                false => self.storage.sync().and_then(|()| self.prove(left, claim.tip)),
            };
            if let Err(error) = synced.or_else(|e| seeded::on(Bug::ForgetFailedSync).then_some(()).ok_or(e)) {
                self.poison();
                return Err(Error::InDoubt(format!("its sync failed: {error}")));
            }
            shared.end_sync();
            shared.made_durable(claim);
            here.covered = claim.tip.id;
            anyway = false;
        }
        Ok(())
    }

    /// A sync found unfinished (`left`): its leader is gone, and what it learned with it. An error it saw is not told
    /// again to those who opened the file later, so the commit is read back from the disk.
    fn prove(&self, left: bool, tip: CommitSlot) -> Result<()> {
        if !left || seeded::on(Bug::BelieveAfterDeath) {
            return Ok(());
        }
        match recover::is_on_disk(&*self.storage, tip.slot, tip.id)? {
            true => Ok(()),
            false => Err(Error::corrupt(
                META_PAGE,
                "an earlier sync did not write what it should have",
            )),
        }
    }

    /// After a failed sync or slot write nothing unsynced can be trusted, and the cache may show what the disk lacks.
    pub(in crate::pager) fn poison(&self) {
        self.shared.poison();
        self.see_poison();
        self.wake_waiters();
    }

    /// Forgets, once, which pages were verified: those of what was not durable may come back from the disk as they were.
    pub(in crate::pager) fn see_poison(&self) {
        if !self.poison_seen.swap(true, SeqCst) {
            self.tags.clear();
        }
    }
}

/// The right to sync, in all processes.
struct SyncRight<'a>(&'a dyn Peers);

impl SyncRight<'_> {
    fn take(peers: &dyn Peers) -> Result<SyncRight<'_>> {
        peers.lock_sync().map(|()| SyncRight(peers))
    }
}

impl Drop for SyncRight<'_> {
    fn drop(&mut self) {
        self.0.unlock_sync();
    }
}
