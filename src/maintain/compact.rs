//! Giving space back while the database is in use.

use super::job::Job;
use crate::db::{Db, WriteOptions, WriteTxn};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, TableId};
use crate::pager::{Cut, Durability, PageWriter, Pager};
use crate::tree::write::relocation::Stop;
use crate::txn::{know_all_space, parked_end, RelocateFrom, Relocated};
use std::time::{Duration, Instant};

/// Free runs of fewer bytes are not given back to the file system by themselves.
const PUNCHED_MIN: u64 = 1 << 20;
/// What a step leaves behind is looked at again so many times: a commit that shrinks the file leaves free pages of its
/// own, and what others write meanwhile may lie at the end. Where nobody else writes, the third time found nothing more
/// in any test. One more is for those who write, who could go on for ever.
const ROUNDS: usize = 4;
/// How long a step may take that moves pages and commits: so long waits who wants to write. The next one takes up to
/// twice as long as the one before, and is made shorter when it took longer than this; few take 100 us.
const STEP_TIME: Duration = Duration::from_micros(80);
/// The fewest and the most pages of a step. How many it moves in its time is learned as it goes on.
const STEP_MIN: u64 = 8;
const STEP_MAX: u64 = 512;
/// While others write, they have the write lock for themselves at least so long after each step.
const PAUSE: Duration = Duration::from_micros(200);
/// Who was woken for the write lock after a step gets it, if it takes it within this time. On a busy machine that takes
/// milliseconds.
const TURN_MAX: Duration = Duration::from_millis(20);
/// Bytes of free pages that are left before the place where the file is to end, and the fewest pages: moving leaves
/// some to what its commits write besides, and what others write meanwhile goes there.
const SPARE_BYTES: u64 = 192 << 10;
const SPARE_PAGES: u64 = 24;
/// Up to so many bytes are left where others write meanwhile, or this part of the file, as its inverse: it is what lazy
/// commits take until a sync gives back the pages that they have replaced.
const SPARE_BESIDE_OTHERS: u64 = 4 << 20;
const SPARE_PART: u64 = 16;
/// A commit gives back so many parked extents, if there are as many.
const RECLAIMED: u64 = 4096;
/// Moving is worth while if the file becomes shorter by this part, as its inverse.
const WORTH: u64 = 64;

/// How [`Db::compact`] gives space back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactOptions {
    /// Whether pages stay where they are, so that only what is free at the end of the file already is cut off.
    pub stay: bool,
    /// Whether the room of free runs of 1 MiB and more that stay inside the file is given back to the file system. The
    /// file is as long as before then, and takes less of the disk. Writing there again costs a little more than writing
    /// where there is room.
    pub punch: bool,
}

/// What [`Db::compact`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactReport {
    /// The pages of the file before.
    pub pages_before: u64,
    /// The pages of the file afterwards.
    pub pages_after: u64,
    /// The pages that were moved.
    pub moved_pages: u64,
    /// The bytes by which this process has made the file shorter.
    pub cut_bytes: u64,
    /// The bytes of room inside the file that were given back. What had no room before does not count, but for a
    /// database in memory, which does not know.
    pub punched_bytes: u64,
    /// Dead pages that readers still see, or that wait for a sync, as far as is known. They stay where they are.
    pub pending_pages: u64,
    /// Dead pages that named snapshots keep. They stay where they are.
    pub parked_pages: u64,
    /// The commit of a reader that must end before the file can be cut, or before what it sees of the end can come
    /// free, if there is one. It may be the reader of a snapshot.
    pub held: Option<CommitId>,
}

/// Steps that a crash takes back have moved nothing, and nothing is lost with them.
const LAZY: WriteOptions = WriteOptions {
    wait: None,
    durability: Some(Durability::Lazy),
    write_memory: None,
};

/// How many pages a step moves.
struct StepSize(u64);

impl StepSize {
    /// Learns from how long a step took. A sync that fell into it took its time without the lock; the next ones catch
    /// up.
    fn learn(&mut self, took: Duration) {
        if took > STEP_TIME {
            self.0 = (self.0 / 2).max(STEP_MIN);
        } else if took < STEP_TIME / 2 {
            self.0 = (self.0 * 2).min(STEP_MAX);
        }
    }
}

/// As long as this lives, writers can be told to take pages before a frontier.
struct Frontier<'p>(&'p Pager);

impl Drop for Frontier<'_> {
    fn drop(&mut self) {
        self.0.set_frontier(None);
    }
}

impl Db {
    /// Makes the file smaller while others use it: moves what lives at its end to free pages before it, leaves out the
    /// free pages at its end, and cuts them off. It makes commits that change nothing; other write transactions have
    /// their turns between them. What readers and snapshots see stays where it is.
    ///
    /// # Errors
    /// `Cancelled`: the job was cancelled; those of [`Db::begin_write`] and of commits. What was given back before
    /// stays so.
    pub fn compact(&self, options: &CompactOptions, job: &Job<'_>) -> Result<CompactReport> {
        let before = self.stat();
        let cut_before = self.pager().cut_bytes();
        let mut report = CompactReport {
            pages_before: before.pages,
            ..CompactReport::default()
        };
        self.reclaim_what_is_there(job)?;
        // A disk without room for what is moved is no reason not to give back what is free.
        let mut no_room = None;
        {
            let _frontier = Frontier(self.pager());
            let (page_size, passed_on) = (self.pager().page_size() as u64, self.pager().times_passed_on());
            for _ in 0..ROUNDS {
                self.leave_out_end(job)?;
                let spare = match self.pager().times_passed_on() > passed_on {
                    true => (self.stat().pages * page_size / SPARE_PART).clamp(SPARE_BYTES, SPARE_BESIDE_OTHERS),
                    false => SPARE_BYTES,
                };
                if options.stay {
                    break;
                }
                match self.move_end(spare, &mut report, job) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error @ Error::NoSpace(_)) => {
                        no_room = Some(error);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            // The last round may have moved something, too.
            self.leave_out_end(job)?;
        }
        report.held = self.cut_now(job)?;
        if options.punch {
            report.punched_bytes = self.punch(job)?;
        }
        // Writers cut what they find, too.
        report.cut_bytes = self.pager().cut_bytes() - cut_before;
        if let Some(error) = no_room.filter(|_| report.cut_bytes == 0 && report.punched_bytes == 0) {
            return Err(error);
        }
        let after = self.stat();
        report.pages_after = after.pages;
        (report.pending_pages, report.parked_pages) = (after.pending_pages, after.parked_pages);
        if report.held.is_none() && after.readers > 0 && !options.stay {
            report.held = self.reader_at_end()?;
        }
        job.finish()?;
        Ok(report)
    }

    /// Makes commits that leave out the free pages at the end of the file, as long as there are any.
    fn leave_out_end(&self, job: &Job<'_>) -> Result<()> {
        for _ in 0..ROUNDS {
            job.advance(0)?;
            self.free_waiting_pages()?;
            let mut txn = self.begin_write(WriteOptions {
                durability: Some(Durability::Full),
                ..WriteOptions::default()
            })?;
            if !txn.leave_out_end()? {
                break;
            }
            txn.commit()?;
        }
        Ok(())
    }

    /// Gives back what dropped snapshots have left, as far as it was parked before: others may go on dropping some.
    fn reclaim_what_is_there(&self, job: &Job<'_>) -> Result<()> {
        let mut commits = ROUNDS as u64 + self.stat().pages / RECLAIMED;
        self.reclaim_while(|| {
            job.advance(0)?;
            commits = commits.saturating_sub(1);
            Ok(commits > 0)
        })?;
        Ok(())
    }

    /// Returns the page behind the last one that is parked for snapshots. All of that is read, so it is done without
    /// the write lock; what others park meanwhile only makes some moves vain.
    fn parked_end(&self) -> Result<PageNo> {
        let reader = self.begin_read()?;
        let newest = reader.snapshot();
        parked_end(&newest.view(), &newest.desc().roots.space).map_err(|e| e.in_table(TableId::SPACE))
    }

    /// Moves what lives at the end of the file to free pages before it, if that makes the file shorter by a part worth
    /// while. So many bytes of free pages stay before it. Returns whether anything was moved.
    fn move_end(&self, spare: u64, report: &mut CompactReport, job: &Job<'_>) -> Result<bool> {
        let spare = (spare / self.pager().page_size() as u64).max(SPARE_PAGES);
        let least = self.parked_end()?;
        let mut txn = self.begin_write(LAZY)?;
        let (frontier, pages) = (txn.possible_end(least, spare)?, txn.file_pages());
        if pages - frontier.get() < (pages / WORTH).max(1) {
            return Ok(false);
        }
        job.expect(pages - frontier.get());
        let (mut at, mut any, mut moved_since_sync) = (RelocateFrom::default(), false, 0);
        let mut step = StepSize(STEP_MIN);
        loop {
            let begun = Instant::now();
            let passed_on = self.pager().times_passed_on();
            let done = self.make_step(txn, (frontier, step.0), &mut at)?;
            let took = begun.elapsed();
            any |= done.moved > 0;
            report.moved_pages += done.moved;
            job.advance(done.moved)?;
            moved_since_sync += done.moved;
            match done.stop {
                None => return Ok(any),
                Some(Stop::Limit) => {}
                Some(Stop::NoRoom) if moved_since_sync == 0 => return Ok(any),
                // What the steps have replaced again and again waits for syncs, and is room for the next ones then.
                Some(Stop::NoRoom) => {
                    self.free_waiting_pages()?;
                    moved_since_sync = 0;
                }
            }
            step.learn(took);
            self.give_turn(passed_on, took);
            txn = self.begin_write(LAZY)?;
        }
    }

    /// Moves some pages, and commits that if there were any.
    fn make_step(
        &self,
        mut txn: WriteTxn,
        (frontier, pages): (PageNo, u64),
        at: &mut RelocateFrom,
    ) -> Result<Relocated> {
        // What others write meanwhile would have to be moved as well.
        self.pager().set_frontier(Some(frontier));
        let done = txn.relocate(frontier, at, pages)?;
        if done.moved > 0 {
            txn.commit()?;
        }
        Ok(done)
    }

    /// Lets others write if any of them was woken since the write lock was passed on so often: they get the lock only
    /// if it is not taken at once again. Most of those who write come back soon, so they have as long as the step took.
    fn give_turn(&self, passed_on: u64, took: Duration) {
        if self.pager().times_passed_on() > passed_on {
            self.pager().await_turn(TURN_MAX);
            std::thread::sleep(took.max(PAUSE));
        }
    }

    /// Takes the write lock, after everything is durable that was committed before. A sync with the lock would let all
    /// who write wait for it, so it comes before; where others commit again and again meanwhile, it comes with the lock
    /// in the end.
    fn lock_when_durable(&self) -> Result<PageWriter> {
        for _ in 0..ROUNDS {
            self.sync()?;
            let pages = self.lock_write(self.wait_limit())?;
            if pages.is_tip_durable() {
                return Ok(pages);
            }
        }
        let pages = self.lock_write(self.wait_limit())?;
        pages.pager().sync()?;
        Ok(pages)
    }

    /// Returns the newest commit whose readers see dead pages so near to the end of the file that it could be shorter
    /// by a part worth while.
    fn reader_at_end(&self) -> Result<Option<CommitId>> {
        let mut pages = self.lock_write(self.wait_limit())?;
        know_all_space(&mut pages)?;
        let end = pages.file_pages();
        Ok(pages.reader_behind(PageNo::new(end - end / WORTH)))
    }

    /// Makes dead pages free that wait for syncs, if there are any.
    fn free_waiting_pages(&self) -> Result<()> {
        let pages = self.lock_write(self.wait_limit())?;
        if pages.has_waiting_pages() {
            drop(pages);
            self.lock_when_durable()?.make_dead_pages_free()?;
        }
        Ok(())
    }

    /// Cuts the file where its newest commit ends. Returns the commit of a reader that is in the way.
    fn cut_now(&self, job: &Job<'_>) -> Result<Option<CommitId>> {
        for _ in 0..ROUNDS {
            job.advance(0)?;
            self.lock_when_durable()?.make_dead_pages_free()?;
            let cut = loop {
                let passed_on = self.pager().times_passed_on();
                let pages = self.lock_write(self.wait_limit())?;
                let begun = Instant::now();
                match pages.cut()? {
                    Cut::Partly => {}
                    cut => break cut,
                }
                drop(pages);
                self.give_turn(passed_on, begun.elapsed());
                job.advance(0)?;
            };
            match cut {
                Cut::Blocked(commit) => return Ok(Some(commit)),
                // Another commit has made the file shorter since.
                Cut::NotDurable => {}
                Cut::Done | Cut::Partly => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Gives the room of free runs inside the file back, and returns how many bytes that were.
    fn punch(&self, job: &Job<'_>) -> Result<u64> {
        let least = PUNCHED_MIN / self.pager().page_size() as u64;
        let (mut bytes, mut from) = (0, PageNo::default());
        loop {
            job.advance(0)?;
            let passed_on = self.pager().times_passed_on();
            let mut pages = self.lock_write(self.wait_limit())?;
            let begun = Instant::now();
            know_all_space(&mut pages)?;
            let (more, next) = pages.punch(least, from)?;
            bytes += more;
            drop(pages);
            match next {
                Some(next) => from = next,
                None => return Ok(bytes),
            }
            self.give_turn(passed_on, begun.elapsed());
        }
    }
}
