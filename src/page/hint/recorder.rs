//! A source without pages that records what is prefetched, for tests.

use crate::error::{Error, Result};
use crate::ids::{PageNo, PageRef};
use crate::page::{PageSource, Prefetch, Ptr};
use std::cell::RefCell;

const LINE: usize = 64;

/// Pages, and where in them the prefetched lines begin.
#[derive(Default)]
pub struct Prefetches(RefCell<Vec<(PageRef, usize)>>);

impl Prefetches {
    /// Returns what was prefetched since the last call.
    pub fn take(&self) -> Vec<(PageRef, usize)> {
        self.0.take()
    }
}

impl Prefetch for Prefetches {
    fn page_size(&self) -> usize {
        4096
    }
    fn prefetch(&self, page: PageRef, bytes: usize) {
        self.prefetch_at(page, 0, bytes / LINE);
    }
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        let prefetched = (0..lines).map(|line| (page, from + LINE * line));
        self.0.borrow_mut().extend(prefetched);
    }
}

impl PageSource<'static> for Prefetches {
    fn page(&self, _: &Ptr) -> Result<&'static [u8]> {
        Err(Error::NotFound)
    }

    fn piece(&self, _: PageNo, _: usize, _: u32) -> Result<&'static [u8]> {
        Err(Error::NotFound)
    }

    fn raw(&self, _: PageNo, _: u64) -> Result<&'static [u8]> {
        Err(Error::NotFound)
    }
}
