//! The B+tree: one function that changes it, and the ways to read it. Pages come through [`crate::page::PageSource`] and
//! [`crate::page::PageSink`]; this room knows neither the pager nor files.
//!
//! | file       | subject                                                                            |
//! |------------|------------------------------------------------------------------------------------|
//! | `edits`    | an append-only log of edits, and its sorting                                        |
//! | `arena`    | private pages of a write transaction, before they have a place in the file           |
//! | `apply`    | `apply(root, sorted edits) -> root`: the only mutator; the recursion over branches    |
//! | `groups`   | edits on their way down a branch: one group per child, and its bounds                |
//! | `leaves`   | what apply does to a leaf: in place, in parts, join                                   |
//! | `merge`    | many edits and the entries of leaves side by side, merged                             |
//! | `cut`      | a sorted sequence of entries, cut into leaves                                         |
//! | `branches` | what apply does to a branch when children split, vanish or shrink                     |
//! | `emit`     | numbering, summing and writing finished private pages                                 |
//! | `values`   | writing, reading and releasing long values and long keys                              |
//! | `search`   | point lookups, single and interleaved                                                 |
//! | `quick`    | the common lookup, short                                                              |
//! | `position` | a path through the tree: first, last, next, prev, seek                                |
//! | `limits`   | a range of keys as two owned bounds                                                  |
//! | `walk`     | a position with limits that survives changes: what a cursor is                        |
//! | `scan`     | entries from a key on, the last key                                                  |
//! | `count`    | rank, n-th, counts of ranges                                                          |
//! | `stat`     | pages, slots and bytes per level                                                     |
//! | `check`    | a walk that proves the structure and lists its pages                                  |

pub mod read;
#[cfg(test)]
mod testing;
pub mod write;
