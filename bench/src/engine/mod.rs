//! The engines, a file each. Those beyond libkv and LMDB are features of the package; those that come with the system
//! are loaded when they are used, so that a machine without them only misses their rows.

pub mod libkv;
pub mod lmdb;

#[cfg(feature = "dynamic")]
mod dynamic;
#[cfg(feature = "bdb")]
pub mod bdb;
#[cfg(feature = "fjall")]
pub mod fjall;
#[cfg(feature = "mdbx")]
pub mod mdbx;
#[cfg(feature = "redb")]
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
#[cfg(feature = "sqlite")]
pub mod sqlite;
