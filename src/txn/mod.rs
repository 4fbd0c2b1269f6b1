//! Read snapshots and write sets: joins trees to the pager.

pub mod pages;
pub mod write_set;
pub mod writer;

pub use pages::{Pages, TreeRef};
pub use writer::{TreeState, Writer};
