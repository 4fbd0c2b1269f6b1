//! Earlier states: reading them, and what the one is called that was found: by its commit and when that was made, and
//! by what it lacks.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::input::args::{EarlierState, StateArg};
use crate::output::date::{date, moment};
use crate::session::Reading;
use kv_engine::{CommitId, Error, ReadAt, ReadTxn, Reader};
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Opens a database, and returns what is to be read of it: the state that is named, or else what the shell keeps or the
/// newest commit. Standard error tells where the state may not be the very one that was asked for.
pub fn open(path: &Path, at: &StateArg, context: &Context) -> Outcome<(Database, Reading)> {
    let state = at.state()?;
    let database = Database::to_read(path, context)?;
    let reading = match &state {
        Some(state) => Reading::Own(Box::new(begin_and_tell(&database, state, context)?)),
        None => database.reading()?,
    };
    Ok((database, reading))
}

/// Opens a database as [`open`] does, but to read it with a transaction of its own, whatever the shell keeps.
pub fn open_own(path: &Path, at: &StateArg, context: &Context) -> Outcome<(Database, ReadTxn)> {
    let state = at.state()?;
    let database = Database::to_read(path, context)?;
    let txn = match &state {
        Some(state) => begin_and_tell(&database, state, context)?,
        None => database.read()?,
    };
    Ok((database, txn))
}

fn begin_and_tell(database: &Database, state: &EarlierState, context: &Context) -> Outcome<ReadTxn> {
    let found = begin(database, state)?;
    if matches!(state, EarlierState::Snapshot(_)) {
        return Ok(found);
    }
    let name = StateName::of(database, state, &found);
    if name.lacks_any() {
        context.say(format_args!("{}: what is read is {name}", shown(&database.path)));
    }
    Ok(found)
}

/// Begins a read transaction that sees an earlier state.
pub fn begin(database: &Database, state: &EarlierState) -> Outcome<ReadTxn> {
    let at = match state {
        EarlierState::Snapshot(name) => ReadAt::Snapshot(name),
        EarlierState::Commit(id) => ReadAt::Commit(CommitId::new(*id)),
        EarlierState::Time(time) => ReadAt::Time(*time),
    };
    database.db.begin_read_at(at).map_err(|error| match (error, state) {
        // Of a name that can be one, nothing else is invalid.
        (Error::Invalid(_), EarlierState::Snapshot(name)) => database.is_mark(name),
        (error, EarlierState::Snapshot(name)) => database.no_snapshot(name, error),
        (Error::NotFound, _) => no_state(database, state),
        (error, _) => database.fail(error),
    })
}

/// Returns the failure of a look for a state up to a commit or a time that is older than all that is kept.
fn no_state(database: &Database, state: &EarlierState) -> Failure {
    let path = shown(&database.path);
    // There is nothing before what is looked for, so the first of all that are kept comes next.
    let around = database.db.kept_around(CommitId::NONE).ok();
    let oldest = around.and_then(|(_, oldest)| oldest).map_or(String::new(), |id| {
        let oldest = called(database, id).unwrap_or_else(|| format!("commit {id}"));
        format!(" (the oldest that is kept is {oldest})")
    });
    let what = format!("no state is kept that is as old as {}{oldest}", wanted(state));
    Failure::new(
        Exit::NotFound,
        format!("{path}: {what}; kv snapshot {path} list shows what is kept"),
    )
}

/// Begins to read a state. A commit must be kept itself: who goes back to it does not mean one before it.
pub fn begin_exactly(database: &Database, state: &EarlierState) -> Outcome<ReadTxn> {
    let EarlierState::Commit(id) = state else {
        return begin(database, state);
    };
    let id = CommitId::new(*id);
    let (before, after) = database.db.kept_around(id).map_err(|e| database.fail(e))?;
    if before == Some(id) {
        return begin(database, state);
    }
    let (path, newest) = (shown(&database.path), database.db.stat().visible);
    if id > newest {
        return Err(Failure::new(
            Exit::NotFound,
            format!("{path}: commit {id} was never made; the newest is commit {newest} (kv snapshot {path} list)"),
        ));
    }
    let after = after.map(|after| match after == newest {
        true => format!("the newest commit {after}"),
        false => format!("commit {after} after it"),
    });
    let nearest = match (before, after) {
        (Some(before), Some(after)) => format!("commit {before} before it and {after}"),
        (Some(before), None) => format!("commit {before} before it"),
        (None, Some(after)) => after,
        (None, None) => "none".to_string(),
    };
    Err(Failure::new(
        Exit::NotFound,
        format!("{path}: commit {id} is not kept; the nearest of those that are: {nearest} (kv snapshot {path} list)"),
    ))
}

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

    /// Returns whether it may not be the very state that was looked for.
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

/// Returns what was looked for.
fn wanted(state: &EarlierState) -> String {
    match state {
        EarlierState::Snapshot(_) => "the snapshot".to_string(),
        EarlierState::Commit(id) => format!("commit {id}"),
        EarlierState::Time(time) => moment(*time),
    }
}

/// Returns what a state may lack that was looked for up to a commit or a time; `None` if it lacks nothing.
fn lacks(database: &Database, state: &EarlierState, id: CommitId) -> Option<String> {
    let (is_newest, wanted) = (database.db.stat().visible == id, wanted(state));
    match state {
        EarlierState::Snapshot(_) => return None,
        EarlierState::Commit(wanted) if *wanted == id.get() => return None,
        EarlierState::Commit(_) if is_newest => return Some(format!(", since {wanted} was never made")),
        EarlierState::Time(time) if is_newest && is_to_come(*time) => {
            return Some(format!(", since {wanted} is still to come"))
        }
        _ => {}
    }
    // Nothing lies between the state and the next one that is kept if that is of the next commit: it is the first that
    // is too late.
    let (_, next) = database.db.kept_around(id).ok()?;
    let any = next.is_some_and(|next| next.get() > id.get() + 1);
    any.then(|| {
        format!(", the newest one up to {wanted} that is kept: what was committed between the two, if anything, is not in it")
    })
}

/// Returns whether a time, in nanoseconds since 1970, lies in the future.
fn is_to_come(time: u64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.is_ok_and(|now| u128::from(time) > now.as_nanos())
}
