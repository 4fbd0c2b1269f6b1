//! What people type: keys, values, ranges of keys, and the options that several commands share.
//!
//! | file     | subject                                              |
//! |----------|------------------------------------------------------|
//! | `args`   | options that several commands have                   |
//! | `bytes`  | keys and values as text: escapes, hexadecimal digits |
//! | `values` | values from the command line, from files, from pipes |
//! | `lines`  | lines of a file or a pipe, counted                   |
//! | `names`  | names of tables that are to be created               |

pub mod args;
pub mod bytes;
pub mod lines;
pub mod names;
pub mod values;
