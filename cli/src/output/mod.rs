//! What people and programs read.
//!
//! | file       | subject                                                        |
//! |------------|----------------------------------------------------------------|
//! | `text`     | bytes as text: escapes, hexadecimal digits                     |
//! | `date`     | times of the clock                                             |
//! | `json`     | JSON objects, one a line                                       |
//! | `stream`   | standard output                                                |
//! | `pager`    | long output on a terminal                                      |
//! | `entries`  | keys and values in each form                                   |
//! | `tables`   | lines about tables that have changed                           |
//! | `figures`  | figures in each form: one record, or a table of them           |
//! | `progress` | how far long work is, on standard error                        |

pub mod date;
pub mod entries;
pub mod figures;
pub mod json;
mod pager;
pub mod progress;
pub mod stream;
pub mod tables;
pub mod text;

use clap::{Args, ValueEnum};

/// The form of what is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    /// For people: text with escapes; figures in columns.
    #[default]
    Table,
    /// For programs: JSON lines, one object each.
    Json,
    /// Bytes as they are; figures separated by tabs.
    Raw,
}

/// The form of the output.
#[derive(Debug, Args)]
pub struct FormArg {
    /// The form of the output.
    #[arg(long = "output", short = 'o', value_enum, value_name = "FORM", default_value_t)]
    pub form: Form,
}
