//! For tests: a source without pages that remembers what was asked of memory.

use crate::error::{Error, Result};
use crate::ids::{PageNo, PageRef};
use crate::page::{PageSource, Prefetch, Ptr};
use std::cell::RefCell;

const LINE: usize = 64;

/// Pages, and bytes of them where lines begin that were asked for.
#[derive(Default)]
pub struct Asked(RefCell<Vec<(PageRef, usize)>>);

impl Asked {
    /// What was asked for since the last time.
    pub fn take(&self) -> Vec<(PageRef, usize)> {
        self.0.take()
    }
}

impl Prefetch for Asked {
    fn page_size(&self) -> usize {
        4096
    }
    fn prefetch(&self, page: PageRef, bytes: usize) {
        self.prefetch_at(page, 0, bytes / LINE);
    }
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        let asked = (0..lines).map(|line| (page, from + LINE * line));
        self.0.borrow_mut().extend(asked);
    }
}

impl PageSource<'static> for Asked {
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
