//! What a fault means for people who did not write the engine, and what to do about it.

use crate::exit::{Failure, Outcome};
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::Form;
use kv_engine::{table_called, Fault, FaultKind, ReadTxn, Reader, TableId};

/// What a fault means.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    /// What it means for the data.
    means: &'static str,
    /// What to do.
    advice: &'static str,
}

const UNREADABLE: Meaning = Meaning {
    means:
        "the bytes on disk are not those that were written; entries of this page, and what it leads to, cannot be read",
    advice: "restore a backup (kv restore), or save what is left (kv salvage); then test the disk and the memory",
};
const LIST: Meaning = Meaning {
    means: "the list of tables is damaged; a table may not be found by its name",
    advice: "restore a backup (kv restore), or save what is there into a new file (kv salvage)",
};
const SPACE: Meaning = Meaning {
    means: "what is known of free pages is wrong; entries can be read, and writing could make it worse",
    advice: "write no more into this file; make a new one with kv backup --compact, and go on with that",
};
const SNAPSHOTS: Meaning = Meaning {
    means: "the list of snapshots is damaged, or contradicts the file; a snapshot may not be found or read, and the \
            newest commit is not concerned",
    advice: "write no more into this file; make a new one with kv backup, which has no snapshots, and go on with that",
};
const SHAPE: Meaning = Meaning {
    means: "the tree of the table contradicts itself; entries may be missing or cannot be found",
    advice: "restore a backup (kv restore), or save what is left (kv salvage), and report how the file came about",
};

/// Which work finds the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// A check, which only tells of them.
    Check,
    /// A salvage, which saves what it can meanwhile.
    Salvage,
}

const SALVAGED_ADVICE: &str =
    "see below what was saved, and restore a backup (kv restore) if there is one that has more; then test the disk and \
     the memory";
const SALVAGED: Meaning = Meaning {
    means: "the bytes on disk are not those that were written; what this page leads to is looked for in the whole file",
    advice: SALVAGED_ADVICE,
};
const SALVAGED_LIST: Meaning = Meaning {
    means: "the list of tables is damaged; tables are looked for in the whole file",
    advice: SALVAGED_ADVICE,
};
const SALVAGED_SHAPE: Meaning = Meaning {
    means: "what leads to these entries is lost, or contradicts other parts of the file",
    advice: SALVAGED_ADVICE,
};

/// Returns what a fault means to whoever has what is left saved already.
fn meaning_salvaged(fault: &Fault) -> Meaning {
    match (fault.table, fault.kind) {
        (Some(TableId::CATALOGUE | TableId::NAMES), _) => SALVAGED_LIST,
        (_, FaultKind::Unreadable) => SALVAGED,
        (_, FaultKind::Contradiction) => SALVAGED_SHAPE,
    }
}

/// Returns what a fault means. Which table it is in says more than what kind of fault it is: entries do not depend on
/// the tree of dead pages, whatever is wrong with that.
fn meaning(fault: &Fault) -> Meaning {
    match (fault.table, fault.kind) {
        (Some(TableId::SPACE), _) => SPACE,
        (Some(TableId::SNAPSHOTS), _) => SNAPSHOTS,
        (Some(TableId::CATALOGUE | TableId::NAMES), _) => LIST,
        (_, FaultKind::Unreadable) => UNREADABLE,
        (_, FaultKind::Contradiction) => SHAPE,
    }
}

/// Shows faults as they are found.
pub struct Faults<'o> {
    out: &'o mut Out,
    form: Form,
    job: Job,
    /// The meanings that people have read already.
    told: Vec<Meaning>,
    /// Why a fault could not be shown.
    failure: Option<Failure>,
}

impl<'o> Faults<'o> {
    /// Begins to show faults in a form.
    pub fn new(out: &'o mut Out, form: Form, job: Job) -> Faults<'o> {
        Faults {
            out,
            form,
            job,
            told: Vec::new(),
            failure: None,
        }
    }

    /// Shows a fault at once, in a table of which messages have a name. Returns that the job goes on: what it finds is
    /// wanted even if nobody reads it.
    pub fn show(&mut self, fault: &Fault, table: Option<String>) -> bool {
        if self.failure.is_none() {
            let shown = self.write(fault, table).and_then(|()| self.out.finish());
            self.failure = shown.err();
        }
        true
    }

    /// Returns why a fault could not be shown. Those after it were not shown either.
    pub fn end(self) -> Outcome<()> {
        self.failure.map_or(Ok(()), Err)
    }

    /// Writes a fault: lines that people can read, or a record for programs.
    fn write(&mut self, fault: &Fault, table: Option<String>) -> Outcome<()> {
        let meaning = match self.job {
            Job::Check => meaning(fault),
            Job::Salvage => meaning_salvaged(fault),
        };
        if self.form != Form::Table {
            return figures::table(self.out, self.form, &[], &[record(fault, table, &meaning)]);
        }
        let page = fault.page.map(|page| format!("page {page}: ")).unwrap_or_default();
        let table = table.map(|table| format!(" ({table})")).unwrap_or_default();
        self.out.line(format_args!("{page}{}{table}", fault.what))?;
        // A disk that fails has many faults of one kind.
        if self.told.contains(&meaning) {
            return Ok(());
        }
        self.out.line(format_args!("    meaning: {}", meaning.means))?;
        self.out.line(format_args!("    to do:   {}", meaning.advice))?;
        self.told.push(meaning);
        Ok(())
    }
}

/// Returns what messages call the table of a fault.
pub fn table_of(mut txn: &ReadTxn, fault: &Fault) -> Option<String> {
    let table = fault.table?;
    // The catalogue may be damaged as well, and then the number is all that can be said.
    let name = txn.table_name(table).unwrap_or_default();
    let called = table_called(table, &name).to_string();
    Some(called)
}

/// Returns what programs call a kind of fault.
fn kind_of(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Unreadable => "unreadable",
        FaultKind::Contradiction => "contradiction",
    }
}

/// Returns a fault as a record.
fn record(fault: &Fault, table: Option<String>, meaning: &Meaning) -> Record {
    vec![
        ("fault", Figure::Text(fault.what.clone())),
        (
            "page",
            fault.page.map_or(Figure::None("none"), |page| page.get().into()),
        ),
        ("table", table.map_or(Figure::None("not known"), Figure::Text)),
        ("kind", Figure::Text(kind_of(fault.kind).to_string())),
        ("means", Figure::Text(meaning.means.to_string())),
        ("advice", Figure::Text(meaning.advice.to_string())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_the_meaning_of_its_table_and_kind() {
        let [unreadable, contradiction] = [FaultKind::Unreadable, FaultKind::Contradiction];
        for (table, kind, want) in [
            (Some(TableId::MAIN), unreadable, UNREADABLE),
            (Some(TableId::new(300)), unreadable, UNREADABLE),
            (None, unreadable, UNREADABLE),
            (Some(TableId::MAIN), contradiction, SHAPE),
            (Some(TableId::new(300)), contradiction, SHAPE),
            (None, contradiction, SHAPE),
            (Some(TableId::SPACE), unreadable, SPACE),
            (Some(TableId::SPACE), contradiction, SPACE),
            (Some(TableId::SNAPSHOTS), unreadable, SNAPSHOTS),
            (Some(TableId::SNAPSHOTS), contradiction, SNAPSHOTS),
            (Some(TableId::CATALOGUE), unreadable, LIST),
            (Some(TableId::CATALOGUE), contradiction, LIST),
            (Some(TableId::NAMES), unreadable, LIST),
            (Some(TableId::NAMES), contradiction, LIST),
        ] {
            // Whatever the text says.
            let what = "its checksum does not match".to_string();
            let page = None;
            assert_eq!(
                meaning(&Fault {
                    page,
                    table,
                    kind,
                    what
                }),
                want,
                "{table:?} {kind:?}"
            );
        }
    }
}
