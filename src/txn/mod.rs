//! Transactions: what a snapshot shows, what a write transaction collects over it, and how that becomes a commit. Here
//! trees meet the pager.
//!
//! | file         | subject                                                                   |
//! |--------------|---------------------------------------------------------------------------|
//! | `pages`      | pages as a transaction sees them                                            |
//! | `draft`      | what a write transaction has collected, and what it reads back of it         |
//! | `table`      | trees and tables as a draft has them                                        |
//! | `write_set`  | the edits of one table                                                      |
//! | `put`        | puts and deletes: modes, and where values are kept                          |
//! | `unfinished` | values that are being written in parts                                      |
//! | `flush`      | applying write sets to trees, in private pages                              |
//! | `commit`     | the order of a commit                                                       |
//! | `space_tree` | the tree of dead extents: its entries                                       |
//! | `pinned`     | bytes that were returned to the caller and must stay                        |
//! | `spare`      | memory that one transaction leaves to the next                              |

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
mod unfinished;
mod write_set;

pub use commit::CommitMode;
pub use draft::{Draft, TableIndex, WriteStat};
pub use flush::Edit;
pub use pages::{Pages, SnapshotSource, TreeRef};
pub use pinned::PinnedBytes;
pub use put::{Entry, PutMode};
pub use space_tree::dead_extents;
pub use table::DraftTable;
pub use unfinished::{UnfinishedValue, UnfinishedValues};
