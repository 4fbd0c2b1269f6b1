//! A page as bytes: the layouts, and the two traits through which trees reach pages.
//!
//! Nothing here reads or writes files, and nothing here trusts the bytes: every view checks its bounds itself, because
//! a page in the map may be damaged or hostile, and memory safety must not rest on a checksum tested earlier.
//!
//! | file          | subject                                                                                   |
//! |---------------|-------------------------------------------------------------------------------------------|
//! | `layout`      | where each array, record and field lies                                                   |
//! | `header`      | the 24 bytes that all tree pages begin with                                               |
//! | `search`      | heads of keys as numbers; the key that a search looks for                                 |
//! | `arrays`      | the arrays of a page, checked once; counting heads, the first step in leaves and branches |
//! | `kernel`      | vector compares, as the machine can do them                                               |
//! | `suffix`      | the part of a key that a page stores; the rest of a long key outside the page             |
//! | `record`      | the record of an entry in a slotted leaf, and the value in it                             |
//! | `interpolate` | searching numbers that are spread evenly, as in dense leaves                              |
//! | `leaf`        | slotted and dense leaves: reading                                                         |
//! | `leaf_search` | searching a leaf                                                                          |
//! | `leaf_build`  | building leaves, and the sizes of their entries                                           |
//! | `leaf_edit`   | changing a private leaf in place                                                          |
//! | `key`         | rebuilding keys from a leaf, fast                                                         |
//! | `branch`      | branches: separators and pointers; reading, searching                                     |
//! | `branch_build` | building a branch; changing a private one in place                                        |
//! | `hint/`       | asking memory for parts of pages before they are read                                     |
//! | `chain`       | the description of a long value outside the page                                          |
//! | `source`      | the two traits                                                                            |
//! | `roots`       | pointers and roots, and the only encoding of roots                                        |
//! | `features`    | bits for what later versions add to the format                                            |
//! | `meta`        | the four slots at the head of the file                                                    |

pub mod arrays;
pub mod branch;
pub mod branch_build;
pub mod chain;
pub mod features;
pub mod header;
pub mod hint;
pub mod interpolate;
pub mod kernel;
pub mod key;
pub mod layout;
pub mod leaf;
pub mod leaf_build;
pub mod leaf_edit;
mod leaf_search;
pub mod meta;
#[cfg(test)]
mod meta_test;
pub mod record;
pub mod roots;
pub mod search;
pub mod source;
pub mod suffix;

pub use hint::Prefetch;
pub use meta::{meta_pages, META_BYTES};
pub use roots::{Ptr, Root, Roots};
pub use source::{Lifetime, PageSink, PageSource};

use crate::ids::{CommitId, Run};

/// The smallest page size in bytes, and the default.
pub const PAGE_MIN: usize = 4096;
/// The largest page size in bytes.
pub const PAGE_MAX: usize = 65536;
/// The number of bytes in a piece: a long value is checksummed piece by piece.
pub const PIECE: u64 = 1 << 20;
/// The length of the longest key in bytes.
pub const KEY_MAX: usize = 2 << 20;

/// A run of contiguous pages that holds one value, a part of one, or the rest of a long key. It has no header: the
/// payload begins at the first byte, and zeros follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Extent {
    /// The pages.
    pub run: Run,
    /// The commit that wrote the extent.
    pub birth: CommitId,
    /// Whether the pages hold the space tree, the list of snapshots, or spilled records: what is about the file, and
    /// part of no state of it. No snapshot sees such pages. This is known of pages that die, and false of all others.
    pub own: bool,
}

impl Extent {
    /// Returns the extent of these pages, which the commit `birth` wrote.
    #[inline(always)]
    pub const fn new(run: Run, birth: CommitId) -> Extent {
        let own = false;
        Extent { run, birth, own }
    }
}
