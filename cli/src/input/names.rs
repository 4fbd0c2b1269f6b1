//! Names of tables that are to be created, and of snapshots.

use crate::exit::{Failure, Outcome};
use kv_engine::NAME_MAX;

/// Returns what is wrong with a name that the input gives to a table. The engine would refuse it as well, but it does
/// not know the line.
pub fn check(name: &[u8]) -> Result<(), String> {
    match name.len() {
        ..=NAME_MAX => Ok(check_begin(name)?),
        long => Err(format!(
            "the name of a table has {long} bytes; it can have {NAME_MAX} at most"
        )),
    }
}

/// Fails if a table that is to be created cannot have the name that was typed. One that is too long is left to the
/// engine.
pub fn check_typed(name: Option<&[u8]>) -> Outcome<()> {
    name.map_or(Ok(()), check_begin)
        .map_err(|what| Failure::usage(format!("--table: {what}")))
}

fn check_begin(name: &[u8]) -> Result<(), &'static str> {
    match name {
        [] => Err("the name of a table is not empty; the main table has none"),
        [0, ..] => Err("the name of a table does not begin with a byte 0; such names are those of later versions"),
        _ => Ok(()),
    }
}

/// Fails if no snapshot can have the name that was typed.
pub fn check_snapshot(name: &[u8]) -> Outcome<()> {
    let what = match name {
        [] => "it must not be empty".to_string(),
        [0, ..] => "it must not begin with a byte 0".to_string(),
        long if long.len() > NAME_MAX => format!("it has {} bytes, and can have {NAME_MAX} at most", long.len()),
        _ => return Ok(()),
    };
    Err(Failure::usage(format!(
        "the name of a snapshot: {what}; give another one"
    )))
}
