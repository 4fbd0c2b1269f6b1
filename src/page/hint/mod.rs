//! Hints to the machine: parts of a page that will be read soon are prefetched before the page itself was read.
//!
//! Nothing here changes what a lookup answers. A wrong hint costs a little memory bandwidth and nothing else.
//!
//! | file       | subject                                                           |
//! |------------|-------------------------------------------------------------------|
//! | `leaf`     | where in a leaf a lookup will look                                  |
//! | `branch`   | the same for the branch above the leaves, and for the way to a leaf |
//! | `recorder` | for tests: a source without pages that records what is prefetched   |

pub mod branch;
pub mod leaf;
#[cfg(test)]
mod recorder;

use crate::ids::PageRef;

/// A source of pages that can tell memory which parts of a page will be read soon. Methods that it does not override do
/// nothing.
pub trait Prefetch {
    /// Returns the number of bytes of a page.
    fn page_size(&self) -> usize;

    /// Hints that the first `bytes` bytes of `page` will be read soon.
    #[inline(always)]
    fn prefetch(&self, page: PageRef, bytes: usize) {
        let _ = (page, bytes);
    }

    /// Hints that the `lines` cache lines from byte `from` of `page` on will be read soon.
    #[inline(always)]
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        let _ = (page, from, lines);
    }
}
