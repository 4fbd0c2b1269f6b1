//! What every exported function does at the border: it checks what the caller gave, and answers a status.
//!
//! | file      | subject                                                                       |
//! |-----------|-------------------------------------------------------------------------------|
//! | `advice`  | what a message tells to do next                                               |
//! | `arg`     | pointers of the caller as slices, paths, outputs and options                  |
//! | `error`   | the last failure on this thread, and the guard around every exported function |
//! | `flags`   | the flags of every call, and what is said about a wrong one                   |
//! | `memory`  | the allocator, and the reserve behind it                                      |
//! | `process` | fork, panics, cancelled threads, callbacks                                    |
//! | `signals` | signals of writes that fail                                                   |
//! | `status`  | the status numbers, and how an engine error becomes one                       |
//! | `text`    | text for C that needs no memory                                               |
//! | `types`   | the structs that cross the border, and what is checked about them             |
//! | `version` | which library this is                                                         |

mod advice;
pub(crate) mod arg;
pub mod error;
pub(crate) mod flags;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod signals;
pub mod status;
pub(crate) mod text;
pub mod types;
pub mod version;
