//! The atomic integers that processes share. `pager/shared/mod.rs` imports them from here, so that `tests/models` can
//! substitute others that try every order of accesses.

pub use std::sync::atomic::AtomicU64;
