//! What commands and the report find out about a database. Nothing here is a command.
//!
//! | file      | subject                                                       |
//! |-----------|---------------------------------------------------------------|
//! | `file`    | the figures of a file                                         |
//! | `uses`    | what its pages are used for, counted                          |
//! | `picture` | drawing that                                                  |
//! | `readers` | who reads it                                                  |
//! | `holders` | who has it open                                               |
//! | `slots`   | what it means that places which describe commits are lost     |
//! | `faults`  | what a fault means, and what to do about it                   |
//! | `states`  | earlier states: reading them, what they are called and lack   |
//! | `changes` | what has become of the tables between two states              |

pub mod changes;
pub mod faults;
pub mod file;
pub mod holders;
pub mod picture;
pub mod readers;
pub mod slots;
pub mod states;
pub mod uses;
