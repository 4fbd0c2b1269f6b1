//! Handles: the tokens a program holds, and what stands behind them.

pub(crate) mod chunks;
pub(crate) mod in_use;
pub(crate) mod objects;
pub(crate) mod slots;
pub mod stale_readers;
