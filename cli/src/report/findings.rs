//! What somebody should know about a database, in plain words, and what to do about it.

use super::facts::Facts;
use super::markup::{bytes, counted, duration, number, percent, share};
use crate::exit::shown;
use crate::inspect::picture::kind_of;
use crate::inspect::readers::process_name;
use crate::output::figures::Figure;
use crate::output::text::table_name;
use kv_engine::PageUse;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Nothing needs to be done.
    Good,
    /// It may be worth doing something.
    Notice,
    /// Something should be done.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// What was found and what to do, as plain text.
    pub text: String,
}

/// The least pages that are worth a word: a small file has nothing to win.
const WORTH: u64 = 64;

/// Of how much damage the words are shown.
const MOST_DAMAGE: usize = 3;

/// After how many milliseconds a reader is one that takes long.
const LONG: u64 = 60_000;

/// Returns what was found, never nothing.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |weight, text: String| found.push(Finding { weight, text });
    let damage: Vec<&str> = facts.damage.messages().collect();
    if !damage.is_empty() {
        let shown = damage.iter().take(MOST_DAMAGE).copied().collect::<Vec<_>>().join(". ");
        add(
            Weight::Warning,
            format!(
                "The file is damaged, so this page lacks what cannot be read; kv check tells all of the damage. \
                 {shown}.",
            ),
        );
    }
    if facts.lost_slots > 0 {
        add(
            Weight::Warning,
            format!(
                "{} of a commit cannot be read. {}; run kv check to see whether more is damaged.",
                counted(u64::from(facts.lost_slots), "description", "descriptions"),
                match facts.closed_properly {
                    true => "Others take their place",
                    false => "The newest commit may be lost with it, since the file was not closed properly",
                }
            ),
        );
    }
    readers(facts, &mut add);
    if let Some(writer) = facts.users.writer.filter(|writer| writer.age_ms >= 10_000) {
        add(
            Weight::Warning,
            format!(
                "Process {}{} has had the write transaction for {}. Nobody else can write until it ends.",
                writer.pid,
                called(writer.pid),
                duration(writer.age_ms)
            ),
        );
    }
    snapshots(facts, &mut add);
    space(facts, &mut add);
    if facts.durable < facts.visible {
        add(
            Weight::Notice,
            format!(
                "Commit {} is the newest, but only commit {} is durable. A power cut now would lose what came after it; a \
                 sync or a full commit keeps it.",
                number(facts.visible),
                number(facts.durable)
            ),
        );
    }
    if !facts.closed_properly {
        add(
            Weight::Notice,
            match facts.lost_slots {
                0 => {
                    "The file was not closed: it is in use, or a process that had it open was killed. Nothing that was \
                     committed durably is lost by that."
                }
                _ => "The file was not closed: it is in use, or a process that had it open was killed.",
            }
            .to_string(),
        );
    }
    if !found.iter().any(|finding| finding.weight != Weight::Good) {
        let text = match facts.entries() {
            0 => "The database has no entries.",
            _ => "Nothing needs attention: no reader holds pages back, and a compact copy would not be much smaller.",
        };
        found.push(Finding {
            weight: Weight::Good,
            text: text.to_string(),
        });
    }
    found
}

/// Adds what is found about readers.
fn readers(facts: &Facts, add: &mut impl FnMut(Weight, String)) {
    for reader in &facts.users.readers {
        let others = facts.users.readers.iter().filter(|other| other.id == reader.id).count() as u64 - 1;
        let who = format!("Process {}{}", reader.pid, called(reader.pid));
        let since = format!(
            "has read commit {} for {}",
            number(reader.id.get()),
            duration(reader.age_ms)
        );
        if facts.users.knows_pages && reader.kept_pages >= WORTH {
            // A reader that has just begun will end in a moment.
            let weight = match reader.age_ms >= LONG {
                true => Weight::Warning,
                false => Weight::Notice,
            };
            add(
                weight,
                format!(
                    "{who} {since}, and keeps at least {} ({}) from being reused. They are free as soon as {}.",
                    counted(reader.kept_pages, "page", "pages"),
                    bytes(reader.kept_pages * facts.page_size),
                    match others {
                        0 => "it ends its transaction, or begins a new one".to_string(),
                        _ => format!(
                            "it and the {} of this commit have all ended their transactions",
                            counted(others, "other reader", "other readers")
                        ),
                    }
                ),
            );
        } else if reader.age_ms >= LONG {
            add(
                Weight::Notice,
                format!("{who} {since}. What is replaced meanwhile cannot be reused before it ends."),
            );
        }
    }
}

/// Adds what is found about snapshots. New entries find no room in what they keep, so it is told apart from dead pages.
fn snapshots(facts: &Facts, add: &mut impl FnMut(Weight, String)) {
    let (snapshots, pages) = (&facts.snapshots, facts.uses.pages);
    let path = shown(&facts.path);
    let size = |pages: u64| {
        format!(
            "{} ({})",
            counted(pages, "page", "pages"),
            bytes(pages * facts.page_size)
        )
    };
    let left = facts.uses.counts.pages[kind_of(PageUse::Parked)];
    if snapshots.count > 0 {
        let kept = snapshots.kept_pages;
        let weight = match kept >= WORTH && kept * 4 >= pages {
            true => Weight::Notice,
            false => Weight::Good,
        };
        add(
            weight,
            format!(
                "{} {} of what was replaced or deleted since, {} of the file. New entries do not fill these before \
                 snapshots are dropped: kv snapshot {path} list shows them. A copy by kv backup has no snapshots.",
                counted(snapshots.count, "snapshot keeps", "snapshots keep"),
                size(kept),
                share(kept, pages, 0)
            ),
        );
    } else if left >= WORTH {
        add(
            Weight::Notice,
            format!(
                "{} were kept by snapshots that have been dropped. Later commits make them free bit by bit, and kv \
                 snapshot {path} reclaim does at once.",
                size(left)
            ),
        );
    }
}

/// Adds what is found about space and order.
fn space(facts: &Facts, add: &mut impl FnMut(Weight, String)) {
    let (counts, pages) = (&facts.uses.counts, facts.uses.pages);
    let gone = counts.pages[kind_of(PageUse::Dead)] + counts.pages[kind_of(PageUse::Parked)];
    let (dead, copied) = (
        gone.saturating_sub(facts.snapshots.kept_pages),
        pages.saturating_sub(gone),
    );
    let path = shown(&facts.path);
    let lacks = match facts.snapshots.count {
        0 => "",
        _ => ", which has no snapshots",
    };
    if dead >= WORTH && dead * 4 >= pages {
        add(
            Weight::Notice,
            format!(
                "{} of the file are dead pages ({}), which new entries will fill. If there will be none, kv compact \
                 {path} makes the file smaller while it is in use, and kv backup --compact {path} COPY makes a copy of \
                 about {}{lacks}.",
                share(dead, pages, 0),
                bytes(dead * facts.page_size),
                bytes(copied * facts.page_size)
            ),
        );
    }
    if let Some(leaves) = facts.contents.levels.first().filter(|leaves| leaves.pages >= WORTH) {
        let fill = percent(leaves.used_bytes, leaves.pages * facts.page_size);
        if fill < 60.0 {
            add(
                Weight::Notice,
                format!(
                    "Leaves are {fill:.0} % full on average. They fill up as entries are added; kv backup --compact {path} \
                     COPY makes a dense copy{lacks}."
                ),
            );
        }
    }
    if let Figure::Real(in_order, _) = counts.in_order() {
        if in_order < 50.0 && counts.pages[kind_of(PageUse::Leaf)] >= 16 * WORTH {
            add(
                Weight::Notice,
                format!(
                    "{in_order:.0} % of the leaves lie right behind the leaf before them, so a scan of a file that is not in \
                     memory jumps. kv backup --compact {path} COPY makes a copy that has them in order{lacks}."
                ),
            );
        }
    }
    let most = facts.contents.tables.iter().max_by_key(|table| table.pages());
    if let Some(table) = most.filter(|table| facts.contents.tables.len() > 2 && table.pages() >= WORTH) {
        let whole = facts.contents.tables.iter().map(|table| table.pages()).sum();
        if percent(table.pages(), whole) >= 80.0 {
            let others = number(facts.contents.tables.len() as u64 - 1);
            add(
                Weight::Good,
                format!(
                    "Of all pages of tables, {} are in {}; {others} other tables share the rest.",
                    share(table.pages(), whole, 0),
                    table_name(table.name.as_deref())
                ),
            );
        }
    }
}

/// Returns the name of a process in parentheses, if it is known.
pub fn called(pid: u32) -> String {
    match process_name(pid) {
        Figure::Text(name) => format!(" ({name})"),
        _ => String::new(),
    }
}
