//! What a fault means for people who did not write the engine, and what to do about it.

use crate::output::figures::{Figure, Record};
use kv_engine::{Fault, TableId};

/// What a fault means.
pub struct Meaning {
    /// What it means for the data.
    pub means: &'static str,
    /// What to do.
    pub advice: &'static str,
}

const UNREADABLE: Meaning = Meaning {
    means:
        "the bytes on disk are not those that were written; entries of this page, and what it leads to, cannot be read",
    advice: "restore a backup (kv restore), or save what is left (kv salvage); then test the disk and the memory",
};
const LIST: Meaning = Meaning {
    means: "the list of tables is damaged; a table may not be found by its name",
    advice: "save what is there into a new file (kv salvage)",
};
const SPACE: Meaning = Meaning {
    means: "what is known of free pages is wrong; entries can be read, and writing could make it worse",
    advice: "write no more into this file; make a new one with kv backup --compact, and go on with that",
};
const SHAPE: Meaning = Meaning {
    means: "the tree of the table contradicts itself; entries may be missing or cannot be found",
    advice: "restore a backup (kv restore), or save what is left (kv salvage), and report how the file came about",
};

/// Returns what a fault means.
pub fn meaning(fault: &Fault) -> Meaning {
    match fault.table {
        _ if fault.what.contains("checksum") => UNREADABLE,
        Some(TableId::SPACE) => SPACE,
        Some(TableId::CATALOGUE | TableId::NAMES) => LIST,
        _ => SHAPE,
    }
}

/// Returns a fault as a record.
pub fn record(fault: &Fault, table: Option<String>) -> Record {
    let meaning = meaning(fault);
    vec![
        ("finding", Figure::Text(fault.what.clone())),
        (
            "page",
            fault.page.map_or(Figure::None("none"), |page| page.get().into()),
        ),
        ("table", table.map_or(Figure::None("not known"), Figure::Text)),
        ("means", Figure::Text(meaning.means.to_string())),
        ("advice", Figure::Text(meaning.advice.to_string())),
    ]
}
