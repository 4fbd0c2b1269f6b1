//! `kv map`: a picture of what the pages are used for, and figures of how fragmented the file is.

use crate::context::Context;
use crate::damage::Damage;
use crate::database::Database;
use crate::exit::Outcome;
use crate::inspect::picture::{kind_of, Picture, Style, KINDS, UNKNOWN};
use crate::inspect::uses::Uses;
use crate::output::figures::{self, Figure, Record};
use crate::output::progress;
use crate::output::stream::Out;
use crate::output::text::counted;
use crate::output::{Form, FormArg};
use clap::Args;
use kv_engine::PageUse;
use std::path::PathBuf;

/// Draws what the pages of the file are used for, in the order of the file, and counts them.
///
/// A cell stands for one page or more, and shows what most of them are used for. Dead pages are free, or become free
/// when nobody sees them any more; parked ones are put aside for snapshots, which alone have them. Overflow pages have
/// long values and keys, and own pages what the file knows of its free pages and its snapshots. Leaves in order are
/// those that lie right behind the leaf with the keys before theirs, so that a scan reads on. Every page of every tree
/// is read; long values are not. Of a damaged file everything is shown but what only damaged pages lead to, and the
/// exit status is 3.
#[derive(Debug, Args)]
pub struct Map {
    /// The database.
    file: PathBuf,
    /// Draws with letters instead of blocks.
    #[arg(long)]
    ascii: bool,
    /// How many cells a row has: 64, or fewer on a terminal that is narrower.
    #[arg(long, value_name = "CELLS", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
    #[command(flatten)]
    form: FormArg,
}

impl Map {
    /// Draws.
    pub fn run(self, context: &Context) -> Outcome {
        let database = Database::to_read(&self.file, context)?;
        let mut damage = Damage::default();
        let uses = Uses::read(&database, context, "reading", &mut damage)?;
        let page_size = u64::from(database.db.stat().page_size);
        let mut out = Out::open()?;
        if self.form.form != Form::Table {
            figures::record(&mut out, self.form.form, &record(&uses, page_size))?;
            out.finish()?;
            return Ok(damage.tell(&self.file));
        }
        let style = Style {
            unicode: !self.ascii && locale_is_unicode(),
            colour: out.is_terminal()
                && !progress::is_dumb()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let mut picture = Picture::new(uses.pages, usize::from(self.width.unwrap_or_else(|| width(&out))));
        uses.runs.iter().for_each(|run| picture.add(*run));
        for row in picture.rows(style) {
            out.line(row)?;
        }
        out.line(format_args!(
            "\neach cell: {} of {page_size} bytes, of {} in commit {}\n",
            counted(picture.pages_per_cell, "page", "pages"),
            uses.pages,
            uses.commit
        ))?;
        legend(&mut out, &uses, style, page_size)?;
        let counts = &uses.counts;
        let dead = match uses.dead_known {
            true => format!(
                "dead pages lie in {}, the largest of {}",
                counted(counts.dead_runs, "run", "runs"),
                counted(counts.largest_dead_run, "page", "pages")
            ),
            false => "dead pages are not known because of damage".to_string(),
        };
        out.line(format_args!(
            "\n{dead}; leaves in order: {}",
            match counts.in_order() {
                Figure::Real(percent, _) => format!("{percent:.1} %"),
                _ => "there are too few".to_string(),
            }
        ))?;
        if uses.has_unknown() {
            out.line("pages to which only damaged ones lead are not known")?;
        }
        out.finish()?;
        Ok(damage.tell(&self.file))
    }
}

fn record(uses: &Uses, page_size: u64) -> Record {
    let counts = &uses.counts;
    let pages = |usage| Figure::Number(counts.pages[kind_of(usage)]);
    let of_dead = |count: u64| match uses.dead_known {
        true => Figure::Number(count),
        false => Figure::None("not known"),
    };
    vec![
        ("commit", uses.commit.into()),
        ("page_size", page_size.into()),
        ("pages", counts.pages.iter().sum::<u64>().into()),
        ("leaf_pages", pages(PageUse::Leaf)),
        ("branch_pages", pages(PageUse::Branch)),
        ("overflow_pages", pages(PageUse::Overflow)),
        ("own_pages", pages(PageUse::Own)),
        ("head_pages", pages(PageUse::Meta)),
        ("parked_pages", of_dead(counts.pages[kind_of(PageUse::Parked)])),
        ("dead_pages", of_dead(counts.pages[kind_of(PageUse::Dead)])),
        ("dead_runs", of_dead(counts.dead_runs)),
        ("largest_dead_run", of_dead(counts.largest_dead_run)),
        ("leaves_in_order_percent", counts.in_order()),
        ("unknown_pages", counts.pages[UNKNOWN].into()),
    ]
}

fn legend(out: &mut Out, uses: &Uses, style: Style, page_size: u64) -> Outcome<()> {
    for (at, (_, name, block, letter, colour)) in KINDS.into_iter().enumerate() {
        let cell = if style.unicode { block } else { letter };
        let cell = match style.colour {
            true => format!("\x1b[{colour}m{cell}\x1b[0m"),
            false => cell.to_string(),
        };
        let count = uses.counts.pages[at];
        if at == UNKNOWN && count == 0 {
            continue;
        }
        let percent = count as f64 * 100.0 / uses.pages.max(1) as f64;
        out.line(format_args!(
            "{cell}  {name:<12} {count:>12} pages  {percent:>5.1} %  {:>16} bytes",
            count * page_size
        ))?;
    }
    Ok(())
}

/// Returns how many cells fit on the terminal, and at most as many as a picture has elsewhere.
fn width(out: &Out) -> u16 {
    const USUAL: u16 = 64;
    match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((columns, _)) if out.is_terminal() => columns.0.clamp(1, USUAL),
        _ => USUAL,
    }
}

/// Returns whether the terminal is told to show Unicode.
fn locale_is_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.is_empty()).then_some(value)
    });
    set.is_some_and(|value| value.to_lowercase().replace('-', "").contains("utf8"))
}
