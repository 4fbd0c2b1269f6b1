//! The ways to read a tree: lookups, cursors, counts, statistics and the check of its structure.
//!
//! | file         | subject                                                                                   |
//! |--------------|-------------------------------------------------------------------------------------------|
//! | `descent`    | the way by which one key is searched: from the root to the leaf that it belongs into      |
//! | `lookup`     | one key: what is stored under it, or whether it is there                                  |
//! | `get_many`   | up to 16 lookups in flight, which go down level by level                                  |
//! | `path`       | a position in a tree: the path to an entry, and the steps to its neighbours               |
//! | `limits`     | a range of keys, into which a prefix has been folded                                      |
//! | `cursor`     | a position that keeps within limits and finds its key again after changes                 |
//! | `gap`        | edits where a cursor stands, and the gap that a removed entry leaves                      |
//! | `undo`       | where a cursor stood, and the way back if what it came to cannot be read                  |
//! | `difference` | the difference of two trees: what was added, removed and changed                          |
//! | `changed`    | the ranges of keys that have changed since a commit, by the births of pages               |
//! | `count`      | ranks, the n-th entry and counts of ranges, from the entry counts in pointers             |
//! | `scan`       | small readings with a position: the entries from a key on                                 |
//! | `end`        | the ends of a tree and of ranges of its keys                                              |
//! | `stat`       | pages, items and bytes of a level or of a whole tree                                      |
//! | `check`      | visits every page of a tree once, and reports every fault and every run of pages          |

pub mod changed;
pub mod check;
pub mod count;
pub mod cursor;
#[cfg(test)]
mod cursor_test;
mod descent;
pub mod difference;
pub mod end;
mod gap;
pub mod get_many;
pub mod limits;
pub mod lookup;
pub mod path;
#[cfg(test)]
pub(super) mod read_test;
pub mod scan;
pub mod stat;
mod undo;
