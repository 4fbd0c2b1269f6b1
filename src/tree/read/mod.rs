//! The ways to read a tree: lookups, cursors, counts, statistics and the check of its structure.

pub mod check;
pub mod count;
pub mod cursor;
#[cfg(test)]
mod cursor_test;
mod descent;
pub mod get_many;
pub mod limits;
pub mod lookup;
pub mod path;
#[cfg(test)]
pub(super) mod read_test;
pub mod scan;
pub mod stat;
