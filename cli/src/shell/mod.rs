//! The shell: lines that are typed or come from a script, each the command line of a command without the file.
//!
//! | file       | subject                                                     |
//! |------------|-------------------------------------------------------------|
//! | `words`    | the words of a line                                         |
//! | `verbs`    | which commands there are, and what becomes of a line        |
//! | `complete` | completion of commands, options, tables and keys            |
//! | `history`  | where lines are kept                                        |

pub mod complete;
pub mod history;
pub mod verbs;
mod words;
