//! What every exported function does at the border: check what the caller gave, and answer a status.

pub(crate) mod arg;
pub mod error;
pub(crate) mod process;
pub mod status;
pub mod types;
pub mod version;
