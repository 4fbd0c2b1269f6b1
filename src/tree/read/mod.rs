//! The ways to read a tree: lookups, cursors, counts, statistics and the check of its structure.

pub mod check;
pub mod count;
pub mod cursor;
#[cfg(test)]
mod cursor_test;
pub mod limits;
pub mod lookup;
pub mod path;
pub mod quick;
#[cfg(test)]
pub(super) mod read_test;
pub mod scan;
pub mod stat;
