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
//! | `draft_pages` | where a draft gets its pages from                                         |
//! | `saved`      | what a draft keeps to go back to a savepoint                              |
//! | `savepoints` | states to which a draft can go back                                       |
//! | `snapshots`  | the list of snapshots, changed like a table                               |
//! | `snapshot_changes` | what a draft knows of snapshots                                      |
//! | `relocate`   | moving pages from the end of the file to free ones before it              |
//! | `relocated_roots` | what it makes of the catalogue and the space tree                     |
//! | `history`    | snapshots that commits record by themselves, and thinning                 |
//! | `parked_search` | what is parked, found by who sees it and when it was written            |
//! | `reap`       | what dropped snapshots have left in the space tree                        |
//! | `commit`     | the order of a commit                                                     |
//! | `space_tree` | the entries of the tree of dead extents                                   |
//! | `pinned`     | bytes that were returned to the caller and must stay                      |
//! | `taken`      | the entry that was taken last from an end of a table                      |
//! | `spare`      | memory that one transaction leaves to the next                            |

mod at_once;
mod commit;
mod draft;
mod draft_pages;
#[cfg(test)]
mod draft_test;
mod flush;
mod history;
mod pages;
mod parked_search;
mod pinned;
mod put;
mod reap;
mod relocate;
mod relocated_roots;
mod saved;
mod savepoints;
mod snapshot_changes;
mod snapshots;
mod space_tree;
mod spare;
mod table;
mod taken;
mod unfinished;
mod write_set;

pub use commit::CommitMode;
pub use draft::{Draft, WriteStat};
pub use draft_pages::know_all_space;
pub use flush::Edit;
pub use pages::{Pages, SnapshotSource, TreeRef};
#[cfg(feature = "internals")]
pub use parked_search::search_count;
pub use parked_search::ParkedSearch;
pub use pinned::PinnedBytes;
pub use put::{Entry, PutMode};
pub use relocate::{RelocateFrom, Relocated};
pub use space_tree::{parked_end, DeadExtents};
pub use table::{DraftTable, TableIndex};
pub use taken::TakenEntry;
pub use unfinished::{UnfinishedValue, UnfinishedValues};
