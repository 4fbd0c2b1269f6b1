//! What every exported function does at the border: it checks what the caller gave, and answers a status.
//!
//! | file      | subject                                                                       |
//! |-----------|-------------------------------------------------------------------------------|
//! | `arg`     | pointers of the caller as slices, paths, outputs and options                  |
//! | `error`   | the last failure on this thread, and the guard around every exported function |
//! | `flags`   | the flags of every call, and what is said about a wrong one                   |
//! | `process` | fork and panics, which concern the whole process                              |
//! | `status`  | the status numbers, and how an engine error becomes one                       |
//! | `types`   | the structs that cross the border, and what is checked about them             |
//! | `version` | which library this is                                                         |

pub(crate) mod arg;
pub mod error;
pub(crate) mod flags;
pub(crate) mod process;
pub mod status;
pub mod types;
pub mod version;
