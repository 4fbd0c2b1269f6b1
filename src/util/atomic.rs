//! The integers that processes share. `pager/shared/mod.rs` names them through here, so that `tests/models` can put in others
//! that try every order of accesses.

pub use std::sync::atomic::AtomicU64;
