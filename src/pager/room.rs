//! How the file gets room: ahead of what is written, and on a disk that is full.
//!
//! A disk is noticed to be full while pages are taken, as far as that costs little, or when a write fails. From then
//! on writers use any hole ([`PageWriter::take`](crate::page::PageSink::take)), until the file can be made longer
//! again: each transaction looks for that when it begins.

use super::options::Durability;
use super::page_writer::PageWriter;
use crate::error::{Error, Result};
use crate::ids::{CommitId, Run};
use crate::page::Roots;
use crate::util::shown::plural;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The file grows ahead of small commits: by an eighth, between these bounds, in zeros. A sync of what is written
/// there later has no metadata to write, which on ext4 would be half of the time of a small commit.
const AHEAD_MIN: u64 = 64 << 10;
const AHEAD_MAX: u64 = 1 << 20;
/// A write of more bytes than this gains less from zeros ahead of it than they cost.
const AHEAD_WRITE: u64 = 64 << 10;
/// So many pages behind the end of the file have room on the disk as long as there are snapshots, or free ones inside.
/// Snapshots may keep all that dies, so that no page comes free on a full disk: then what drops them, deletes and
/// compacts needs these.
const KEPT_ROOM: u64 = 64;
/// On a full disk, a transaction that begins with fewer free pages than this gets those that wait for syncs.
const ROOM_WANTED: u64 = 256;
/// So many free pages are looked at for those that have room.
const ROOM_LOOKS: usize = 1024;

/// Returns up to where the file is filled with zeros if small commits have got to `behind`.
fn ahead_of(behind: u64) -> u64 {
    (behind + (behind / 8).clamp(AHEAD_MIN, AHEAD_MAX)).next_multiple_of(AHEAD_MIN)
}

impl PageWriter {
    /// Looks whether a disk that was full has room again, which others may have made.
    pub(super) fn look_for_room(&mut self) {
        let pager = &*self.pager;
        if self.is_disk_full() {
            if let Ok(from) = pager.storage.len() {
                let _ = self.fill(from, (from + AHEAD_MIN).min(pager.memory.reserved()));
            }
        }
        // Somebody may have found room since the last transaction began.
        if !self.is_disk_full() {
            self.state.space.use_all();
        }
    }

    /// Takes a hole. Pages that were never written, or whose room was given back, have none on a full disk, and a write
    /// into them would fail each time. So on a full disk zeros are written first: if that fails, the rest of the hole
    /// is set aside until there is room again, and the answer is `None`: the caller looks for another one.
    pub(super) fn claim_hole(&mut self, hole: Run) -> Result<Option<Run>> {
        if self.is_disk_full() {
            self.pager.check_fork()?;
            let size = self.pager.page_size;
            for at in 0..hole.pages {
                let page = Run::new(hole.first + at, 1);
                let (from, to) = (page.first.offset(size), page.end().offset(size));
                if self.pager.storage.fill(from, to)? < to {
                    let (rest, growth_start) = (Run::new(page.first, hole.pages - at), self.growth_start());
                    self.state.space.set_aside(rest, growth_start);
                    return Ok(None);
                }
            }
        }
        self.claim(hole).map(Some)
    }

    /// Notes that this transaction adds something, so that it must leave the room that is kept for those who do not.
    #[inline(always)]
    pub fn note_addition(&mut self) {
        self.adds = true;
    }

    /// Returns how many pages behind the end of a commit with these roots must have room.
    pub(super) fn kept_room(&self, roots: &Roots) -> u64 {
        match roots.snapshots.height {
            0 => 0,
            _ => KEPT_ROOM,
        }
    }

    /// Makes sure that the file has the pages of this commit (step 12, I-9), and the room that is kept behind them, or
    /// inside, if that is not what the commit may use. It may be longer, because it grows ahead of what is written.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Limit`.
    pub(super) fn extend_file(&self, roots: &Roots) -> Result<()> {
        let (pager, end) = (&*self.pager, self.file_end());
        let known = pager.file_pages.load(SeqCst);
        let room = self.kept_room(roots);
        // What a commit leaves out may have had its room given back.
        let shrinks = self.shrunk_end.is_some() && room > 0;
        if known >= end.get() + room && !shrinks || end == pager.first_page() {
            return Ok(());
        }
        let (size, most) = (pager.page_size, pager.memory.reserved());
        let (need, wanted) = (end.offset(size), (end + room).offset(size).min(most));
        // Others may have made the file longer than is known here.
        let mut there = pager.storage.len()?;
        if there < need {
            pager.storage.set_len(need).map_err(|error| self.note_room(error))?;
            there = need;
        }
        if shrinks && there > need {
            let behind = there.min(wanted);
            let filled = pager.storage.fill(need, behind)?;
            there = if filled < behind { filled } else { there };
        }
        if there < wanted {
            // Nobody needs what is there: it is behind the end. The next small commits find room as well.
            let ahead = if self.bytes > AHEAD_WRITE {
                wanted
            } else {
                ahead_of(wanted)
            };
            there = pager.storage.fill(there, ahead.min(most))?;
        }
        pager.learn_pages((there.min(most) / size as u64).max(end.get()))?;
        let lacking = wanted.saturating_sub(there).div_ceil(size as u64);
        if lacking > 0 && self.adds && self.free_with_room(lacking)? < lacking {
            let what = "the last room of the file is kept for dropping snapshots and for deleting";
            return Err(self.note_room(Error::NoSpace(what.into())));
        }
        Ok(())
    }

    /// Returns how many free pages inside the file have room on the disk, up to `most`: zeros are written into them, as
    /// into those behind the end. What drops snapshots or deletes can take these as well.
    fn free_with_room(&self, most: u64) -> Result<u64> {
        let (mut pages, size) = (0, self.pager.page_size);
        let free = self.state.space.pool.iter();
        let free = free.flat_map(|run| (0..run.pages).map(move |at| Run::new(run.first + at, 1)));
        // There may be very many without room.
        for page in free.filter(|page| page.end() <= self.file_end()).take(ROOM_LOOKS) {
            if pages == most {
                break;
            }
            let (from, to) = (page.first.offset(size), page.end().offset(size));
            self.pager.check_fork()?;
            pages += u64::from(self.pager.storage.fill(from, to)? >= to);
        }
        Ok(pages)
    }

    /// Returns whether the file could not be made longer when that was last tried.
    pub fn is_disk_full(&self) -> bool {
        self.pager.is_full.load(Relaxed)
    }

    /// Returns whether the commit on which this transaction builds is durable.
    pub fn is_tip_durable(&self) -> bool {
        self.pager.shared.durable().get().id >= self.state.tip.id
    }

    /// Returns whether the disk is full, few pages are free, and so many more would be after syncs that it is worth
    /// them.
    pub fn lacks_room(&self) -> bool {
        let space = &self.state.space;
        let free = space.pool.total();
        self.pager.is_full.load(Relaxed) && free < ROOM_WANTED && space.waiting_pages() > free / 4
    }

    /// Makes what waits for syncs reusable, if it does not wait for a reader as well: makes the newest commit durable,
    /// and another one with the same content, which has that one for its base (I-3). That one needs pages only if its
    /// records do not fit into the slot.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn make_dead_pages_free(self) -> Result<CommitId> {
        self.pager.sync()?;
        let roots = self.tip().roots;
        self.commit(roots, Durability::Full)
    }

    /// Returns whether pages that are to be taken behind the end of the file have room on the disk, as far as that is
    /// looked at: if they are few, or if there was none before. They are filled for that with zeros, and so is a part
    /// of what lies ahead of them, in one go, so that no gap without room is left in between. Nobody needs what is
    /// there: it is behind the end, or free.
    pub(super) fn make_room(&self, run: Run) -> bool {
        let (pager, page, end) = (&*self.pager, self.pager.page_size, run.end());
        // What a child of the process that opened the database would write here could lie in the parent's pages.
        if end.get() <= pager.file_pages.load(SeqCst) || pager.check_fork().is_err() {
            return true;
        }
        if !pager.is_full.load(Relaxed) {
            if self.bytes + run.pages * page as u64 > AHEAD_WRITE {
                return true;
            }
            // Another process may have made the file longer already.
            let there = pager.storage.len().unwrap_or(0);
            if there >= end.offset(page) {
                self.learn(there);
                return true;
            }
        }
        let behind = self.end.max(end).offset(page);
        let ahead = ahead_of(behind);
        // The write itself reports any error.
        self.fill(run.first.offset(page), ahead.min(pager.memory.reserved()))
            .map_or(true, |filled| filled >= end.offset(page))
    }

    /// Fills a part of the file that nobody needs, as far as there is room, and returns how far that is.
    fn fill(&self, from: u64, to: u64) -> Result<u64> {
        self.pager.check_fork()?;
        let filled = self.pager.storage.fill(from, to)?;
        self.pager.is_full.store(filled < to, Relaxed);
        // If nothing was filled, the file may end before `from`: pages that were taken and are not written lie between.
        if filled > from {
            self.learn(filled);
        }
        Ok(filled)
    }

    /// Notes that the file has so many bytes. Where there is no room for the tags, the write itself reports it.
    fn learn(&self, bytes: u64) {
        let pages = bytes.min(self.pager.memory.reserved()) / self.pager.page_size as u64;
        let _ = self.pager.learn_pages(pages);
    }

    /// Returns how many pages named snapshots keep, as far as is known.
    pub fn kept_for_snapshots(&self) -> u64 {
        self.state.parked + self.state.space.named_pages()
    }

    /// Notes that the disk is full, if the error says so. It then says, too, what snapshots keep: dropping them makes
    /// room without a larger disk.
    pub(super) fn note_room(&self, error: Error) -> Error {
        let Error::NoSpace(detail) = error else {
            return error;
        };
        self.pager.is_full.store(true, Relaxed);
        match self.kept_for_snapshots() {
            0 => Error::NoSpace(detail),
            pages => Error::NoSpace(detail.beside(&format!(
                "named snapshots keep {pages} {} of the file, and dropping some makes room",
                plural(pages, "page", "pages")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::memory::Memory;
    use crate::file::{Identity, Mapped, Storage};
    use crate::page::{Lifetime, PageSink, Root};
    use crate::pager::shrink::testing::{writer, END};
    use crate::pager::{Pager, PagerOptions, Shrink, Wait};
    use crate::util::lock::Mutex;
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;

    /// Memory that has no room for zeros ahead of what is written, and where those should have been.
    struct Full(Memory, Mutex<Vec<(u64, u64)>>);

    impl Storage for Full {
        fn len(&self) -> Result<u64> {
            self.0.len()
        }
        fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
            self.0.read_at(at, into)
        }
        fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
            self.0.writev_at(at, parts)
        }
        fn sync(&self) -> Result<()> {
            self.0.sync()
        }
        fn set_len(&self, len: u64) -> Result<()> {
            self.0.set_len(len)
        }
        fn fill(&self, from: u64, to: u64) -> Result<u64> {
            self.1.lock().push((from, to));
            Ok(from)
        }
        fn memory(&self) -> Mapped {
            self.0.memory()
        }
        fn identity(&self) -> Option<Identity> {
            None
        }
        fn read_only(&self) -> bool {
            false
        }
    }

    /// Returns a new database on a disk that is full.
    fn full() -> (Arc<Full>, Arc<Pager>) {
        let storage = Arc::new(Full(Memory::new().expect("memory"), Mutex::new(Vec::new())));
        let options = PagerOptions {
            page_size: 4096,
            ..PagerOptions::default()
        };
        let (pager, _) = Pager::open(storage.clone(), &options).expect("open");
        (storage, pager)
    }

    #[test]
    fn what_a_commit_leaves_out_of_the_file_gets_room_for_the_next_ones() {
        let (storage, pager) = full();
        let mut writer = writer(&pager, &[(900, 100)]);
        // The file is longer than is needed, but the free run at its end may be a hole.
        let pages = END + KEPT_ROOM;
        storage.set_len(pages * 4096).expect("a long file");
        pager.learn_pages(pages).expect("its pages");
        let roots = Roots {
            snapshots: Root {
                height: 1,
                ..Root::default()
            },
            ..Roots::default()
        };
        writer.set_shrink(Shrink::Always);
        writer.shrink();
        writer.extend_file(&roots).expect("a commit that adds nothing");
        assert!(storage.1.lock().contains(&(900 * 4096, (900 + KEPT_ROOM) * 4096)));
        writer.note_addition();
        let refused = writer.extend_file(&roots);
        assert!(matches!(refused, Err(Error::NoSpace(_))), "{refused:?}");
    }

    #[test]
    fn a_file_is_not_taken_for_longer_than_it_is_where_nothing_can_be_filled() {
        let (storage, pager) = full();
        let mut pages = pager.lock_write(Wait::Try, &AtomicBool::new(false)).expect("the lock");
        // These are too many to be filled, and nothing is written into them yet.
        pages.take_exact(100).expect("pages behind the end");
        pages.take(1, Lifetime::UntilEdited).expect("a page behind them");
        let there = storage.len().expect("length") / 4096;
        assert!(pager.file_pages.load(SeqCst) <= there, "{there}");
    }
}
