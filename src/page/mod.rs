//! A page as bytes: the layouts, and the two traits through which trees reach pages.
//!
//! Nothing here reads or writes files, and nothing here trusts the bytes: every view checks its bounds itself, because
//! a page in the map may be damaged or hostile, and memory safety must not rest on a checksum tested earlier.
//!
//! | file       | subject                                                             |
//! |------------|---------------------------------------------------------------------|
//! | `layout`   | where each array, record and field lies                              |
//! | `header`   | the 24 bytes that all tree pages begin with                          |
//! | `search`   | counting heads: the first step in leaves and branches                |
//! | `arrays`   | the arrays of a page, checked once                                   |
//! | `kernel`   | vector compares, as the machine can                                  |
//! | `suffix`   | the part of a key that a page stores; long keys                      |
//! | `leaf`     | slotted and dense leaves: reading; `leaf_build`, `leaf_edit`: writing |
//! | `key`      | rebuilding keys from a leaf, fast                                    |
//! | `branch`   | separators and pointers                                              |
//! | `hint`     | asking memory for parts of pages before they are read                |
//! | `chain`    | the description of a long value or long key outside the page         |
//! | `source`   | the two traits                                                       |
//! | `roots`    | pointers and roots, and the only encoding of roots                   |
//! | `features` | bits for what later versions add to the format                       |
//! | `meta`     | the four slots at the head of the file                               |

pub mod arrays;
pub mod branch;
pub mod chain;
pub mod features;
pub mod header;
pub mod hint;
pub mod kernel;
pub mod key;
pub mod layout;
pub mod leaf;
pub mod leaf_build;
pub mod leaf_edit;
pub mod meta;
pub mod roots;
pub mod search;
pub mod source;
pub mod suffix;

pub use hint::Prefetch;
pub use roots::{Ptr, Root, Roots};
pub use source::{Lifetime, PageSink, PageSource};

use crate::ids::{CommitId, Run};

/// Smallest page size in bytes, and the default.
pub const PAGE_MIN: usize = 4096;
/// Largest page size in bytes.
pub const PAGE_MAX: usize = 65536;
/// Bytes of the four meta slots at the head of the file.
pub const META_BYTES: u64 = 4 * 4096;
/// A long value is checksummed in pieces of this many bytes.
pub const PIECE: u64 = 1 << 20;
/// Longest key in bytes.
pub const KEY_MAX: usize = 2 << 20;
/// Pages that the meta slots occupy at this page size.
pub fn meta_pages(page_size: usize) -> u64 {
    META_BYTES.div_ceil(page_size as u64)
}

/// A run of contiguous pages holding one value, a part of one, or the rest of a long key. No header: payload from the
/// first byte, zeros behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Extent {
    /// Its pages.
    pub run: Run,
    /// Commit that wrote it.
    pub birth: CommitId,
}
