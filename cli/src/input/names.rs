//! Names of tables that are to be created.

use crate::exit::{Failure, Outcome};

/// Returns what is wrong with a name that a table is to get; a name that is too long is left to the engine.
pub fn check(name: &[u8]) -> Result<(), &'static str> {
    match name {
        [] => Err("the name of a table is not empty; the main table has none"),
        [0, ..] => Err("the name of a table does not begin with a byte 0; such names are those of later versions"),
        _ => Ok(()),
    }
}

/// Fails if a table that is to be created cannot have the name that was typed.
pub fn check_typed(name: Option<&[u8]>) -> Outcome<()> {
    name.map_or(Ok(()), check)
        .map_err(|what| Failure::usage(format!("--table: {what}")))
}
