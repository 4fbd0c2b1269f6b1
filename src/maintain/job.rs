//! This module says how long jobs (check, backup, salvage) report their progress, how they are cancelled, and how they
//! read.

use crate::error::{Error, Result, DAMAGED_PAGE, DAMAGED_VALUE};
use crate::ids::{PageNo, Run};
use crate::page::{PageSource, Prefetch, Ptr};
use crate::util::crc32c;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Progress is reported no more often than this.
const EVERY: Duration = Duration::from_millis(100);

/// A callback that is given how many pages are done and how many there are, at most every 100 ms and once at the end,
/// and returns whether to go on: false cancels the job. It is not known beforehand how many pages a job will meet, so
/// the second number is the most that there can be.
pub type OnProgress<'f> = &'f mut dyn FnMut(u64, u64) -> bool;

/// One execution of a long job.
pub struct Job<'f> {
    tell: RefCell<Option<OnProgress<'f>>>,
    done: Cell<u64>,
    total: Cell<u64>,
    next: Cell<Instant>,
    stopped: Cell<bool>,
    /// Whether memory was short at a step. The job has ended then.
    lacks_memory: Cell<bool>,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("done", &self.done).finish_non_exhaustive()
    }
}

impl<'f> Job<'f> {
    /// Creates a job that reports its progress.
    pub fn new(tell: OnProgress<'f>) -> Job<'f> {
        Job {
            tell: RefCell::new(Some(tell)),
            ..Job::silent()
        }
    }

    /// Creates a job that reports to nobody.
    pub fn silent() -> Job<'f> {
        Job {
            tell: RefCell::new(None),
            done: Cell::new(0),
            total: Cell::new(0),
            next: Cell::new(Instant::now() + EVERY),
            stopped: Cell::new(false),
            lacks_memory: Cell::new(false),
        }
    }

    /// Adds `pages` to the number of pages that are to be done.
    pub(crate) fn expect(&self, pages: u64) {
        self.total.set(self.total.get().saturating_add(pages));
    }

    /// Notes that `pages` more are done, and reports the progress if it is time. With 0 it only looks whether it is
    /// time.
    ///
    /// # Errors
    /// `Cancelled`: the callback cancelled the job. `NoMemory`: memory is short.
    pub(crate) fn advance(&self, pages: u64) -> Result<()> {
        self.done.set(self.done.get().saturating_add(pages));
        if self.is_stopped() {
            return Err(self.end());
        }
        if Error::if_memory_is_short("").is_err() {
            self.lack_memory();
            return Err(self.end());
        }
        // A job without a callback needs no clock.
        match self.tell.try_borrow() {
            Ok(tell) if tell.is_some() => {}
            _ => return Ok(()),
        }
        let now = Instant::now();
        if now < self.next.get() {
            return Ok(());
        }
        let answer = self.tell(self.done.get().min(self.total.get()));
        self.next.set(Instant::now() + EVERY);
        answer
    }

    /// Reports that everything is done.
    ///
    /// # Errors
    /// `Cancelled`: the callback cancelled the job.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.is_stopped() {
            return Err(self.end());
        }
        self.tell(self.total.get())
    }

    /// Returns whether the job has ended early: the callback cancelled it, or memory is short.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get() || self.lacks_memory.get()
    }

    /// Ends the job, because there is no memory for what it does.
    pub(crate) fn lack_memory(&self) {
        self.lacks_memory.set(true);
    }

    /// Returns the error of a job that has ended early.
    pub(crate) fn end(&self) -> Error {
        match self.lacks_memory.get() {
            true => Error::NoMemory("a long job"),
            false => Error::Cancelled,
        }
    }

    fn tell(&self, done: u64) -> Result<()> {
        if let Some(tell) = &mut *self.tell.borrow_mut() {
            self.stopped.set(!tell(done, self.total.get()));
        }
        if self.stopped.get() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }
}

/// The page source of a long job. Every checksum is computed anew, whatever was verified earlier and however the
/// database was opened. Between two pages the job may report its progress or end with `Cancelled`.
#[derive(Clone, Copy)]
pub(crate) struct JobPages<'j, 'f, S> {
    pub source: S,
    pub job: &'j Job<'f>,
}

impl<'s, S: PageSource<'s>> Prefetch for JobPages<'_, '_, S> {
    fn page_size(&self) -> usize {
        self.source.page_size()
    }
}

impl<'s, S: PageSource<'s>> PageSource<'s> for JobPages<'_, '_, S> {
    fn page(&self, ptr: &Ptr) -> Result<&'s [u8]> {
        self.job.advance(0)?;
        let bytes = self.source.raw(ptr.page.number(), self.page_size() as u64)?;
        if crc32c(bytes) != ptr.checksum {
            return Err(Error::unreadable(ptr.page, DAMAGED_PAGE));
        }
        Ok(bytes)
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'s [u8]> {
        self.job.advance(0)?;
        self.will_read(&mut std::iter::once(Run::new(
            page,
            len.div_ceil(self.page_size()) as u64,
        )));
        let bytes = self.source.raw(page, len as u64)?;
        if crc32c(bytes) != checksum {
            return Err(Error::unreadable(page, DAMAGED_VALUE));
        }
        Ok(bytes)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'s [u8]> {
        self.source.raw(page, len)
    }

    fn will_read(&self, runs: &mut dyn Iterator<Item = Run>) {
        self.source.will_copy(runs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_time_and_at_the_end_and_cancels() {
        let mut told = Vec::new();
        let mut tell = |done, total| {
            told.push((done, total));
            told.len() < 2
        };
        let job = Job::new(&mut tell);
        job.expect(10);
        assert!(job.advance(1).is_ok(), "too early to tell");
        std::thread::sleep(EVERY);
        assert!(job.advance(1).is_ok() && job.advance(1).is_ok());
        assert!(matches!(job.finish(), Err(Error::Cancelled)));
        assert!(matches!(job.advance(0), Err(Error::Cancelled)) && job.is_stopped());
        assert_eq!(told, [(2, 10), (10, 10)]);
        assert!(Job::silent().finish().is_ok());
    }
}
