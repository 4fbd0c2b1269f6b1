//! Handles: the tokens that a program holds, and the objects behind them.
//!
//! | file            | subject                                                                            |
//! |-----------------|------------------------------------------------------------------------------------|
//! | `token`         | the words of a handle: its token, and the state of its slot                        |
//! | `chunks`        | where slots lie, for objects of any type                                           |
//! | `owned`         | handles that one thread takes without a compare-and-swap                           |
//! | `backoff`       | waiting for another thread that will be done soon                                  |
//! | `slots`         | how a call gets at the object of a slot: shared, alone, or to close it             |
//! | `keys`          | keys that a cursor has answered                                                    |
//! | `stale_readers` | telling the caller of readers that hold back space                                 |
//! | `objects`       | what stands behind a handle: databases, transactions, cursors, writers, buffers    |
//! | `children`      | cursors and writers of a transaction                                               |
//! | `nested`        | transactions nested in others                                                      |
//! | `end`           | ending transactions                                                                |
//! | `about`         | what messages say of handles: the file in question, and why one is refused         |
//! | `in_use`        | from the caller's handle to the object, for the time of one call                   |
//!
//! A file uses those above it in this table, and none below.

pub(crate) mod about;
pub(crate) mod backoff;
pub(crate) mod children;
pub(crate) mod chunks;
pub(crate) mod end;
pub(crate) mod in_use;
pub(crate) mod keys;
pub(crate) mod nested;
pub(crate) mod objects;
pub(crate) mod owned;
pub(crate) mod slots;
pub mod stale_readers;
pub(crate) mod token;
