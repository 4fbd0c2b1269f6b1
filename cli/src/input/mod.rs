//! What people type: keys, values, ranges of keys, and the options that several commands share.
//!
//! | file     | subject                                              |
//! |----------|------------------------------------------------------|
//! | `args`   | options that several commands have                   |
//! | `bytes`  | keys and values as text: escapes, hexadecimal digits |
//! | `digits` | hexadecimal digits of files and pipes                |
//! | `parts`  | reading in parts of one length                       |
//! | `retention` | which snapshots of a row stay                     |
//! | `values` | values from the command line, from files, from pipes |
//! | `lines`  | lines of a file or a pipe, counted                   |
//! | `names`  | names of tables that are to be created, of snapshots |
//! | `times`  | times of the clock                                   |

pub mod args;
pub mod bytes;
pub mod digits;
pub mod lines;
pub mod names;
pub mod parts;
pub mod retention;
pub mod times;
pub mod values;
