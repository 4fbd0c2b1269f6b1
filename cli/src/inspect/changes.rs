//! What has become of the tables between two states, and how many keys of each differ.

use crate::database::{Database, Table};
use crate::exit::Outcome;
use kv_engine::{ChangeCounts, Difference, Range, Reader, TableId};
use std::collections::BTreeMap;

/// A table of two states, and its name in each of them if it is there. The main table has an empty one.
pub struct TwoNames {
    /// Its number.
    pub id: TableId,
    /// Its name in the earlier state.
    pub before: Option<Vec<u8>>,
    /// Its name in the later state.
    pub after: Option<Vec<u8>>,
}

impl TwoNames {
    /// Returns a table to which nothing is known to have happened.
    pub fn unchanged(table: Table) -> TwoNames {
        let name = table.name.unwrap_or_default();
        TwoNames {
            id: table.id,
            before: Some(name.clone()),
            after: Some(name),
        }
    }

    /// Returns the later name, or the earlier one of a table that is no longer there.
    pub fn name(&self) -> &[u8] {
        self.after.as_ref().or(self.before.as_ref()).map_or(b"", Vec::as_slice)
    }

    /// Returns what has become of the table itself.
    pub fn event(&self) -> Option<&'static str> {
        match (&self.before, &self.after) {
            (None, _) => Some("created"),
            (_, None) => Some("dropped"),
            (before, after) if before != after => Some("renamed"),
            _ => None,
        }
    }

    /// Returns the earlier name of a table that has another one later.
    pub fn former_name(&self) -> Option<&[u8]> {
        let former = self.before.as_deref().zip(self.after.as_deref());
        former
            .filter(|(before, after)| before != after)
            .map(|(before, _)| before)
    }

    /// Returns whether the table has this name in one of the two states.
    pub fn is_called(&self, name: &[u8]) -> bool {
        [&self.before, &self.after].into_iter().flatten().any(|n| n == name)
    }
}

/// Returns the tables of two states in the order of their names, the main one first. One that was dropped comes before
/// one that was made anew under its name.
pub fn tables_of(database: &Database, before: &mut dyn Reader, after: &mut dyn Reader) -> Outcome<Vec<TwoNames>> {
    let mut found: BTreeMap<TableId, TwoNames> = BTreeMap::new();
    let mut add = |table: Table, is_after: bool| {
        let both = found.entry(table.id).or_insert(TwoNames {
            id: table.id,
            before: None,
            after: None,
        });
        let slot = if is_after { &mut both.after } else { &mut both.before };
        *slot = Some(table.name.unwrap_or_default());
    };
    database.tables(before)?.into_iter().for_each(|table| add(table, false));
    database.tables(after)?.into_iter().for_each(|table| add(table, true));
    let mut tables: Vec<TwoNames> = found.into_values().collect();
    tables.sort_by(|a, b| (a.name(), a.after.is_some(), a.id).cmp(&(b.name(), b.after.is_some(), b.id)));
    Ok(tables)
}

/// Counts the changes of the tables that differ. An empty table that came or went is among them.
pub fn counts<'t>(
    database: &Database,
    (before, after): (&mut dyn Reader, &mut dyn Reader),
    tables: &'t [TwoNames],
    range: &Range<'_>,
) -> Outcome<Vec<(&'t TwoNames, ChangeCounts)>> {
    let mut counted = Vec::new();
    for table in tables {
        let same = kv_engine::same(before, after, Some(table.id)).map_err(|e| database.fail(e))?;
        let counts = match same {
            true => ChangeCounts::default(),
            false => Difference::count(before, after, table.id, range).map_err(|e| database.fail(e))?,
        };
        if counts != ChangeCounts::default() || table.event().is_some() {
            counted.push((table, counts));
        }
    }
    Ok(counted)
}
