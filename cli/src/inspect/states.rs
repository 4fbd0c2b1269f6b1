//! What an earlier state is called that is read: by its commit and when that was made, and by what it lacks.

use crate::database::Database;
use crate::input::args::EarlierState;
use crate::output::date::date;
use kv_engine::{CommitId, ReadTxn, Reader};
use std::fmt::{self, Display, Formatter};

/// What a state is called.
pub struct StateName {
    /// Its commit, and when that was made if it is known.
    pub commit: String,
    /// Why it may not be the very state that was looked for; empty if it is.
    lacks: String,
}

impl StateName {
    /// Returns what the state is called that was found for `state`.
    pub fn of(database: &Database, state: &EarlierState, found: &ReadTxn) -> StateName {
        let id = found.id();
        StateName {
            // Where the list of snapshots is damaged, the number alone is known.
            commit: called(database, id).unwrap_or_else(|| format!("commit {id}")),
            lacks: lacks(database, state, id).unwrap_or_default(),
        }
    }

    /// Returns whether commits may lie between the state and what was looked for.
    pub fn lacks_any(&self) -> bool {
        !self.lacks.is_empty()
    }
}

impl Display for StateName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.commit, self.lacks)
    }
}

/// Returns what a commit is called, if that can be read.
fn called(database: &Database, id: CommitId) -> Option<String> {
    let newest = database.db.begin_read().ok()?;
    let mut list = &newest;
    for name in database.snapshots(&mut list).ok()? {
        let info = Reader::snapshot(&mut list, &name).ok()?;
        if info.commit == id {
            return Some(format!("commit {id} of {}", date(info.time / 1_000_000_000)));
        }
    }
    let is_newest = newest.id() == id;
    is_newest.then(|| format!("commit {id} (the newest one)"))
}

/// Returns what a state may lack that was looked for up to a commit or a time; `None` if it lacks nothing.
fn lacks(database: &Database, state: &EarlierState, id: CommitId) -> Option<String> {
    let up_to = match state {
        EarlierState::Snapshot(_) => return None,
        EarlierState::Commit(wanted) if *wanted == id.get() => return None,
        EarlierState::Commit(wanted) => format!("commit {wanted}"),
        EarlierState::Time(_) => "that time".to_string(),
    };
    // Nothing lies between the state and the next one that is kept if that is of the next commit: it is the first that
    // is too late.
    let (_, next) = database.db.kept_around(id).ok()?;
    let any = next.is_some_and(|next| next.get() > id.get() + 1);
    any.then(|| {
        format!(
            ", the newest one up to {up_to} that is kept: what was committed between the two, if anything, is not in it"
        )
    })
}
