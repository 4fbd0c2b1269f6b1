//! Transactions: what a snapshot shows, what a write transaction collects over it, and how that becomes a commit. Trees
//! and the pager meet in this room.
//!
//! | file         | subject                                                                   |
//! |--------------|---------------------------------------------------------------------------|
//! | `pages`      | the pages that a transaction sees                                         |
//! | `draft`      | what a write transaction has collected, and how it is read back           |
//! | `table`      | the trees and tables of a draft                                           |
//! | `write_set`  | the edits of one table                                                    |
//! | `put`        | puts and deletes: their modes, and where values are kept                  |
//! | `at_once`    | edits that are made where somebody has just looked                        |
//! | `unfinished` | values that are being written in parts                                    |
//! | `flush`      | how write sets are applied to trees, in private pages                     |
//! | `commit`     | the order of a commit                                                     |
//! | `space_tree` | the entries of the tree of dead extents                                   |
//! | `pinned`     | bytes that were returned to the caller and must stay                      |
//! | `taken`      | the entry that was taken last from an end of a table                      |
//! | `spare`      | memory that one transaction leaves to the next                            |

mod at_once;
mod commit;
mod draft;
#[cfg(test)]
mod draft_test;
mod flush;
mod pages;
mod pinned;
mod put;
mod space_tree;
mod spare;
mod table;
mod taken;
mod unfinished;
mod write_set;

pub use commit::CommitMode;
pub use draft::{Draft, TableIndex, WriteStat};
pub use flush::Edit;
pub use pages::{Pages, SnapshotSource, TreeRef};
pub use pinned::PinnedBytes;
pub use put::{Entry, PutMode};
pub use space_tree::DeadExtents;
pub use table::DraftTable;
pub use taken::TakenEntry;
pub use unfinished::{UnfinishedValue, UnfinishedValues};
