//! The sections of the page, in their order: findings first, since they are why people look.

use super::charts::{bar, histogram, page_map, shares};
use super::facts::{Facts, Table};
use super::findings::{called, findings, Weight};
use super::markup::{bytes, counted, duration, number, percent, safe, share, table_cell};
use super::style::STYLE;
use crate::exit::shown;
use crate::inspect::picture::kind_of;
use crate::inspect::uses::Uses;
use crate::output::date::date;
use crate::output::figures::Figure;
use kv_engine::PageUse;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many tables are shown at once; the others are unfolded.
const FIRST: usize = 20;

/// Returns the whole page.
pub fn page(facts: &Facts) -> String {
    let path = facts.path.as_path();
    let name = path.file_name().map_or_else(
        || shown(path).to_string(),
        |name| shown(std::path::Path::new(name)).to_string(),
    );
    let name = safe(name).to_string();
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{name}: report</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    head(&mut out, facts, &name);
    section(&mut out, "Findings", &found(facts));
    section(&mut out, "What the pages are used for", &uses(facts));
    section(&mut out, "Tables", &tables(facts));
    section(&mut out, "How full the pages are", &levels(facts));
    section(&mut out, "Lengths", &lengths(facts));
    section(&mut out, "Readers and writer", &readers(facts));
    section(&mut out, "All figures", &figures(facts));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

// Writing to a string does not fail, so what it returns is left aside everywhere here.

fn section(out: &mut String, title: &str, body: &str) {
    let _ = write!(out, "<section>\n<h2>{title}</h2>\n{body}</section>\n");
}

fn head(out: &mut String, facts: &Facts, name: &str) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let path = facts.stat.iter().find_map(|(name, figure)| match figure {
        Figure::Bytes(bytes, _) if *name == "path" => Some(safe(crate::output::text::escaped(bytes)).to_string()),
        _ => None,
    });
    let _ = write!(
        out,
        "<header>\n<h1>{name}</h1>\n<p class=\"dim\">{}</p>\n<p class=\"dim\">commit {}{} · {}</p>\n</header>\n",
        path.unwrap_or_default(),
        number(facts.visible),
        match facts.durable == facts.visible {
            true => ", durable".to_string(),
            false => format!(", durable up to {}", number(facts.durable)),
        },
        date(now)
    );
    let pages = facts.uses.pages;
    let dead = facts.uses.counts.pages[kind_of(PageUse::Dead)];
    out.push_str("<div class=\"tiles\">\n");
    for (label, value, more) in [
        (
            "Size",
            bytes(facts.file_bytes),
            format!("{} bytes", number(facts.file_bytes)),
        ),
        ("Entries", number(facts.entries()), "in all tables".to_string()),
        (
            "Tables",
            number(facts.contents.tables.len() as u64),
            "with the main one".to_string(),
        ),
        ("Pages", number(pages), format!("of {}", bytes(facts.page_size))),
        (
            "Dead pages",
            match facts.uses.dead_known {
                true => safe(share(dead, pages, 0)).to_string(),
                false => "not known".to_string(),
            },
            bytes(dead * facts.page_size),
        ),
        (
            "Snapshots",
            number(facts.snapshots.count),
            format!("keep {}", bytes(facts.snapshots.kept_pages * facts.page_size)),
        ),
        (
            "Readers",
            number(facts.users.readers.len() as u64),
            match facts.users.writer {
                Some(_) => "and a writer".to_string(),
                None => "and no writer".to_string(),
            },
        ),
    ] {
        let _ = writeln!(
            out,
            "<div class=\"tile\"><span class=\"label\">{label}</span><span class=\"value\">{value}</span>\
             <span class=\"dim\">{more}</span></div>"
        );
    }
    out.push_str("</div>\n");
}

fn found(facts: &Facts) -> String {
    let mut out = String::from("<ul class=\"findings\">\n");
    for finding in findings(facts) {
        let (class, word) = match finding.weight {
            Weight::Good => ("good", "Good"),
            Weight::Notice => ("notice", "Notice"),
            Weight::Warning => ("warning", "Warning"),
        };
        let text = safe(&finding.text);
        let _ = writeln!(out, "<li class=\"{class}\"><b>{word}</b><span>{text}</span></li>");
    }
    out.push_str("</ul>\n");
    out
}

fn uses(facts: &Facts) -> String {
    let Uses {
        counts,
        runs,
        commit,
        pages,
        dead_known,
    } = &facts.uses;
    let (map, per_cell) = page_map(runs, *pages);
    let in_order = match counts.in_order() {
        Figure::Real(percent, _) => format!("{percent:.1} % of the leaves lie right behind the leaf before them."),
        _ => "There are too few leaves to be in an order.".to_string(),
    };
    let dead = match dead_known {
        true => format!(
            "Dead pages are free, or become free when nobody sees them any more; they lie in {}, the largest of {}.",
            counted(counts.dead_runs, "run", "runs"),
            counted(counts.largest_dead_run, "page", "pages"),
        ),
        false => "Which pages are dead is not known because of damage.".to_string(),
    };
    let unknown = match facts.uses.has_unknown() {
        true => " Pages to which only damaged ones lead are not known.",
        false => "",
    };
    format!(
        "{}{map}<p class=\"dim\">Each square is {} of {}, in the order of the file, and shows what most of them are used \
         for in commit {}. {dead} {in_order}{unknown}</p>\n",
        shares(&counts.pages, facts.page_size),
        counted(per_cell, "page", "pages"),
        bytes(facts.page_size),
        number(*commit),
    )
}

fn tables(facts: &Facts) -> String {
    let mut sorted: Vec<&Table> = facts.contents.tables.iter().collect();
    // The largest first; those of the same size by their names.
    sorted.sort_by_key(|table| std::cmp::Reverse(table.pages()));
    let whole: u64 = sorted.iter().map(|table| table.pages()).sum();
    let rows = |tables: &[&Table]| {
        let mut out = String::from(
            "<div class=\"scroll\"><table>\n<thead><tr><th>Table</th><th class=\"n\">Entries</th><th class=\"n wide\">Levels</th>\
             <th class=\"n wide\">Pages</th><th class=\"n\">Size</th><th>Share</th></tr></thead>\n<tbody>\n",
        );
        for table in tables {
            let pages = table.pages();
            let _ = writeln!(
                out,
                "<tr data-entries=\"{}\"><td class=\"name\">{}</td><td class=\"n\">{}</td><td class=\"n wide\">{}</td>\
                 <td class=\"n wide\">{}</td><td class=\"n\">{}</td><td class=\"share\">{}<span>{}</span></td></tr>",
                table.stat.entries,
                match table.is_whole {
                    true => table_cell(table.name.as_deref()),
                    false => format!("{} <b>damaged</b>", table_cell(table.name.as_deref())),
                },
                number(table.stat.entries),
                table.stat.height,
                number(pages),
                bytes(pages * facts.page_size),
                bar(percent(pages, whole), "leaf"),
                safe(share(pages, whole, 1))
            );
        }
        out.push_str("</tbody>\n</table></div>\n");
        out
    };
    let mut out = rows(&sorted[..sorted.len().min(FIRST)]);
    if sorted.len() > FIRST {
        let rest = &sorted[FIRST..];
        let pages: u64 = rest.iter().map(|table| table.pages()).sum();
        let _ = write!(
            out,
            "<details>\n<summary>{} with {} ({})</summary>\n{}</details>\n",
            counted(rest.len() as u64, "more table", "more tables"),
            counted(pages, "page", "pages"),
            bytes(pages * facts.page_size),
            rows(rest)
        );
    }
    out
}

fn levels(facts: &Facts) -> String {
    if facts.contents.levels.is_empty() {
        return "<p class=\"dim\">No table has a page.</p>\n".to_string();
    }
    let mut out = String::from(
        "<div class=\"scroll\"><table>\n<thead><tr><th>Level</th><th class=\"n\">Pages</th>\
         <th class=\"n wide\">Entries or children</th><th>Fill</th></tr></thead>\n<tbody>\n",
    );
    for (at, level) in facts.contents.levels.iter().enumerate().rev() {
        let fill = percent(level.used_bytes, level.pages * facts.page_size);
        let (name, class) = match at {
            0 => ("1, leaves".to_string(), "leaf"),
            _ => (format!("{}, branches", at + 1), "branch"),
        };
        let _ = writeln!(
            out,
            "<tr><td>{name}</td><td class=\"n\">{}</td><td class=\"n wide\">{}</td><td class=\"share\">{}<span>{fill:.1} \
             %</span></td></tr>",
            number(level.pages),
            number(level.items),
            bar(fill, class)
        );
    }
    out.push_str(
        "</tbody>\n</table></div>\n<p class=\"dim\">The figures are sums over all tables. The list of tables, whose \
         pages are above as well, is left out. The root of a small table is its only leaf, and is as full as its \
         entries make it.</p>\n",
    );
    out
}

fn lengths(facts: &Facts) -> String {
    let mut out = String::from("<div class=\"pair\">\n");
    for (what, lengths) in [("keys", &facts.contents.keys), ("values", &facts.contents.values)] {
        let told = match lengths.mean() {
            Some(mean) => format!(
                "{} altogether, {mean:.1} bytes on average, the longest {}.",
                bytes(lengths.sum),
                bytes(lengths.longest)
            ),
            None => String::new(),
        };
        let _ = write!(
            out,
            "<figure data-lengths=\"{what}\">\n<figcaption><b>Bytes of {what}</b></figcaption>\n{}<p class=\"dim\">{told}</p>\n\
             </figure>\n",
            histogram(lengths, what)
        );
    }
    out.push_str("</div>\n<p class=\"dim\">Each column stands for lengths from its number up to the next one.</p>\n");
    out
}

fn readers(facts: &Facts) -> String {
    let readers = &facts.users.readers;
    if readers.is_empty() && facts.users.writer.is_none() {
        return "<p class=\"dim\">No other process reads or writes.</p>\n".to_string();
    }
    let mut out = String::from(
        "<div class=\"scroll\"><table>\n<thead><tr><th>Process</th><th>Does</th><th class=\"n\">For</th>\
         <th class=\"n\">Commit</th><th class=\"n\">Pages kept</th></tr></thead>\n<tbody>\n",
    );
    let mut row = |pid: u32, does: &str, age: u64, commit: String, kept: String| {
        let _ = writeln!(
            out,
            "<tr><td>{pid}{}</td><td>{does}</td><td class=\"n\">{}</td><td class=\"n\">{commit}</td>\
             <td class=\"n\">{kept}</td></tr>",
            safe(crate::output::text::escaped(called(pid).as_bytes())),
            duration(age)
        );
    };
    for reader in readers {
        // Of a large file only a part of what is kept is known.
        let kept = match facts.users.knows_pages && reader.kept_pages > 0 {
            true => format!("at least {}", number(reader.kept_pages)),
            false => "not known".to_string(),
        };
        row(reader.pid, "reads", reader.age_ms, number(reader.id.get()), kept);
    }
    if let Some(writer) = &facts.users.writer {
        row(writer.pid, "writes", writer.age_ms, String::new(), String::new());
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

fn figures(facts: &Facts) -> String {
    let mut out = String::from("<dl>\n");
    for (name, figure) in &facts.stat {
        let (shown, note) = match figure {
            Figure::Number(figure) => (number(*figure), ""),
            Figure::Noted(figure, note) => (number(*figure), *note),
            other => (other.for_people(), ""),
        };
        let note = match note {
            "" => String::new(),
            note => format!("<dd class=\"dim\">{}</dd>", safe(note)),
        };
        let _ = writeln!(
            out,
            "<div><dt>{}</dt><dd data-figure=\"{name}\">{}</dd>{note}</div>",
            name.replace('_', " "),
            safe(shown)
        );
    }
    out.push_str("</dl>\n");
    out
}
