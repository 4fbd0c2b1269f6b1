//! `apply`, which changes a tree, and the parts that it is made of.
//!
//! | file         | subject                                                                                   |
//! |--------------|-------------------------------------------------------------------------------------------|
//! | `edits`      | what a transaction has put and deleted: an append-only log                                |
//! | `sorted`     | the edits of a log in key order, and sections of them                                     |
//! | `apply`      | `apply(root, sorted edits) -> root`: the recursion over branches, and what pages reply    |
//! | `range`      | the same recursion with two bounds: removing a range of keys                              |
//! | `node`       | a page that is being changed                                                              |
//! | `ownership`  | who owns it: opening, making private, closing, giving back                                |
//! | `groups`     | edits on their way down a branch, one group per child                                     |
//! | `fences`     | the bounds of a page's keys, and the prefix they give                                     |
//! | `at_position`| one edit where a position stands, or where a search finds its key                         |
//! | `spot`       | where such an edit is made, and what became of it                                         |
//! | `in_place`   | such an edit in a private leaf, which needs nothing but its bytes                         |
//! | `next_leaf`  | such a put behind every key, where the last leaf is full                                  |
//! | `leaves`     | a leaf: a few edits in place, and the choice between the ways for more                    |
//! | `merge`      | many edits merged with the entries of leaves                                              |
//! | `leaf_cut`   | a sorted sequence of entries, cut into leaves                                             |
//! | `append`     | puts behind every key: the log cut into leaves as it is                                   |
//! | `branches`   | a branch whose children split, vanished or shrank                                         |
//! | `branch_cut` | a list of children, cut into branches                                                     |
//! | `join`       | underfull pages joined with a neighbour                                                   |
//! | `relocate`   | moving the pages of a tree that lie behind a frontier                                          |
//! | `relocate_long` | moving the long values and long keys that do                                           |
//! | `relocation` | what such a move may still do, and what it has done                                       |
//! | `values`     | long values and the rests of long keys: writing them, giving them back                    |
//! | `arena`      | private pages, before they have page numbers                                              |
//! | `emit`       | placing finished private pages: they are numbered, summed and written                     |

mod append;
pub mod apply;
pub mod arena;
mod at_position;
mod branch_cut;
mod branches;
pub mod edits;
pub mod emit;
mod fences;
#[cfg(test)]
mod fill_test;
mod groups;
pub mod in_place;
mod join;
mod leaf_cut;
mod leaves;
mod merge;
#[cfg(test)]
mod model_test;
mod next_leaf;
mod node;
mod ownership;
pub mod range;
mod relocate;
mod relocate_long;
#[cfg(test)]
mod relocate_test;
pub mod relocation;
mod sorted;
pub mod spot;
#[cfg(test)]
mod test_tree;
pub mod values;
