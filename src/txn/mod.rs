//! Read snapshots and write sets: joins trees to the pager.

pub mod pages;
pub mod write_set;
pub mod flush;
pub mod table;

pub use pages::{Pages, TreeRef};
pub use flush::{TreeState, Writer};
