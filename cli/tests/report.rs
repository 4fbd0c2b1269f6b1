//! The page that `kv report` writes: it is well-formed, escapes whatever names are, and has the figures of the other
//! commands. If Chromium is there, it is drawn, too.

mod common;

use common::Folder;
use kv_engine::{Db, Options, PutMode, TableId, WriteOptions};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Parses a page as XML, which forgives nothing.
fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(page, options).unwrap_or_else(|e| panic!("{e}\n{page}"))
}

/// All text below a node.
fn text(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter_map(|node| node.is_text().then(|| node.text()).flatten())
        .collect()
}

fn with<'a, 'i>(page: &'a Document<'i>, attribute: &'a str) -> impl Iterator<Item = (String, Node<'a, 'i>)> {
    let has = move |node: Node<'a, 'i>| Some((node.attribute(attribute)?.to_string(), node));
    page.descendants().filter_map(has)
}

fn one(folder: &Folder, args: &[&str]) -> Value {
    folder.kv(args).ends_with(0).json().remove(0)
}

/// Fails if the page would load something, or has markup that was not meant.
fn is_harmless(page: &Document<'_>) {
    const KNOWN: &str =
        "html head meta title style body main header section h1 h2 p div span ul li b i svg path g rect text \
                         table thead tbody tr th td details summary figure figcaption dl dt dd";
    for node in page.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(KNOWN.split_whitespace().any(|known| known == name), "<{name}>");
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(!name.starts_with("on") && !matches!(name, "src" | "href"), "{name}");
        }
    }
}

/// A database with tables of all kinds, and with dead pages.
fn database(folder: &Folder) {
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for name in HOSTILE {
        let table = txn.table_create(name, true).expect("a table");
        txn.put(table, b"<b>key</b>", b"<i>value</i>", PutMode::Set)
            .expect("put");
    }
    let users = txn.table_create(b"users", true).expect("a table");
    for n in 0..8000u32 {
        let value = vec![b'v'; (n % 300) as usize];
        txn.put(users, format!("user:{n:06}").as_bytes(), &value, PutMode::Append)
            .expect("put");
    }
    for n in 0..20u32 {
        txn.put(TableId::MAIN, &n.to_be_bytes(), &[7; 100_000], PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let range = kv_engine::Range {
        from: std::ops::Bound::Included(b"user:002000"),
        to: std::ops::Bound::Excluded(b"user:005000"),
        ..kv_engine::Range::default()
    };
    txn.delete_range(users, &range).expect("delete");
    txn.commit().expect("commit");
}

const HOSTILE: [&[u8]; 5] = [
    b"<script>alert(1)</script>",
    b"\"><img src=x onerror=alert(1)>'",
    b"&lt;]]>&#x0;",
    b"\x01\0\xff\xfe\x1b[31m",
    "\u{202e}\u{ffff}\u{fffe}é雪".as_bytes(),
];

#[test]
fn the_page_is_well_formed_and_has_the_figures_of_the_other_commands() {
    let folder = Folder::new("report");
    database(&folder);
    folder
        .kv(&["report", "db", "-o", "out.html"])
        .ends_with(0)
        .says("out.html: the report was written");
    assert_eq!(folder.names(), ["db", "out.html"]);
    let page = std::fs::read_to_string(folder.file("out.html")).expect("UTF-8");
    let page = parse(&page);
    is_harmless(&page);

    let stat = one(&folder, &["stat", "db", "-o", "json"]);
    let mut compared = 0;
    for (name, node) in with(&page, "data-figure").filter(|(name, _)| name != "opening_ms") {
        let expected = match &stat[&name] {
            Value::Null => continue,
            Value::Bool(is) => if *is { "yes" } else { "no" }.to_string(),
            Value::String(string) => string.clone(),
            // People read numbers in groups of three digits.
            other => {
                assert_eq!(text(node).replace(',', ""), other.to_string(), "{name}");
                compared += 1;
                continue;
            }
        };
        assert_eq!(text(node), expected, "{name}");
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");

    let map = one(&folder, &["map", "db", "-o", "json"]);
    let kinds: Vec<(String, String)> = with(&page, "data-pages")
        .map(|(kind, node)| (kind, text(node)))
        .collect();
    assert_eq!(kinds.len(), 7);
    for (kind, count) in kinds {
        let count: u64 = count.replace(',', "").parse().expect("a number");
        assert_eq!(map[format!("{kind}_pages")], count, "{kind}");
    }

    let mut entries: Vec<u64> = with(&page, "data-entries")
        .map(|(n, _)| n.parse().expect("a number"))
        .collect();
    let tables = folder.kv(&["tables", "db", "-o", "json"]).ends_with(0).json();
    let mut expected: Vec<u64> = tables.iter().filter_map(|table| table["entries"].as_u64()).collect();
    entries.sort_unstable();
    expected.sort_unstable();
    assert_eq!(entries, expected);

    // Each entry has a key and a value of some length.
    for what in ["keys", "values"] {
        let (_, figure) = with(&page, "data-lengths")
            .find(|(name, _)| name == what)
            .expect("a histogram");
        let columns = figure
            .descendants()
            .filter_map(|node| Some((node.attribute("data-from")?, node.attribute("data-count")?)));
        let columns: Vec<(u64, u64)> = columns
            .map(|(from, count)| (from.parse().expect("a number"), count.parse().expect("a number")))
            .collect();
        assert_eq!(
            columns.iter().map(|(_, count)| count).sum::<u64>(),
            stat["entries"].as_u64().expect("a number")
        );
        if what == "values" {
            assert_eq!(columns.last(), Some(&(65_536, 20)), "{columns:?}");
        }
    }
}

#[test]
fn names_are_text_whatever_they_are() {
    let folder = Folder::new("report-names");
    database(&folder);
    std::fs::rename(folder.file("db"), folder.file("<b>&'\"\n")).expect("rename");
    let answer = folder.kv(&["report", "<b>&'\"\n"]).ends_with(0);
    let page = parse(answer.text());
    is_harmless(&page);
    let whole = text(page.root());
    for shown in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>'",
        "&lt;]]>&#x0;",
        "\\x01\\x00\\xff\\xfe\\x1b[31m",
        "\\xe2\\x80\\xae\\xef\\xbf\\xbf\\xef\\xbf\\xbeé雪",
        "<b>&'\"",
    ] {
        assert!(whole.contains(shown), "{shown}");
    }
    // What people store is nobody else's business.
    assert!(!whole.contains("<b>key</b>") && !whole.contains("<i>value</i>"));
}

#[test]
fn an_empty_database_and_one_of_a_thousand_tables_have_pages() {
    let folder = Folder::new("report-sizes");
    drop(Db::open(&folder.file("empty"), &Options::default()).expect("open"));
    let empty = folder.kv(&["report", "empty"]).ends_with(0);
    let page = parse(empty.text());
    is_harmless(&page);
    assert!(text(page.root()).contains("The database has no entries."));

    let db = Db::open(&folder.file("many"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in 0..1000u32 {
        let table = txn
            .table_create(format!("table {n:04}").as_bytes(), true)
            .expect("a table");
        txn.put(table, b"key", b"value", PutMode::Set).expect("put");
    }
    txn.commit().expect("commit");
    drop(db);
    let many = folder.kv(&["report", "many"]).ends_with(0);
    let page = parse(many.text());
    is_harmless(&page);
    // A bar is a share of the whole, also that of the largest table.
    assert!(many.text().contains("width:0.10%") && !many.text().contains("width:100.00%"));
    assert_eq!(with(&page, "data-entries").count(), 1001);
    let unfolded = page
        .descendants()
        .find(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", "details")));
    let unfolded = unfolded.expect("a list that is folded");
    assert_eq!(
        unfolded
            .descendants()
            .filter(|node| node.attribute("data-entries").is_some())
            .count(),
        981
    );
}

#[test]
fn a_reader_that_keeps_pages_and_dead_pages_are_found() {
    let folder = Folder::new("report-reader");
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let fill = |byte: u8| {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for n in 0..20_000u32 {
            txn.put(TableId::MAIN, &n.to_be_bytes(), &[byte; 100], PutMode::Set)
                .expect("put");
        }
        txn.commit().expect("commit");
    };
    fill(1);
    let reader = db.begin_read().expect("a reader");
    fill(2);
    let answer = folder.kv(&["report", "db"]).ends_with(0);
    let whole = text(parse(answer.text()).root());
    let who = format!("Process {} (", std::process::id());
    assert!(whole.contains(&who) && whole.contains(" from being reused"), "{whole}");
    assert!(whole.contains("as soon as it ends its transaction"), "{whole}");
    // It has just begun, which is no reason to worry.
    assert!(!answer.text().contains("<li class=\"warning\">"), "{whole}");
    drop(reader);
    let readers = [db.begin_read().expect("a reader"), db.begin_read().expect("a reader")];
    fill(4);
    let answer = folder.kv(&["report", "db"]).ends_with(0);
    let whole = text(parse(answer.text()).root());
    let others = "as soon as it and the 1 other reader of this commit have all ended";
    assert_eq!(whole.matches(others).count(), 2, "{whole}");
    drop(readers);
    fill(3);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.delete_range(TableId::MAIN, &kv_engine::Range::default())
        .expect("delete");
    txn.commit().expect("commit");
    drop(db);
    let answer = folder.kv(&["report", "db"]).ends_with(0);
    let whole = text(parse(answer.text()).root());
    assert!(!whole.contains("yet"), "{whole}");
    assert!(
        whole.contains("of the file are dead pages")
            && whole.contains("kv compact db makes the file smaller")
            && whole.contains("kv backup --compact db COPY")
            && !whole.contains(&who),
        "{whole}"
    );
}

#[test]
fn snapshots_and_what_they_keep_are_told() {
    let folder = Folder::new("report-snapshots");
    let db = common::numbered(&folder, 4000, 100);
    folder.kv(&["snapshot", "db", "create", "all"]).ends_with(0);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in 0..4000 {
        let key = format!("{n:06}");
        txn.put(TableId::MAIN, key.as_bytes(), &[b'w'; 100], PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    let kept = db.snapshot_cost(b"all", b"all").expect("cost");
    drop(db);
    assert!(kept > 64, "{kept}");
    let told = |folder: &Folder| {
        let answer = folder.kv(&["report", "db"]).ends_with(0);
        let page = parse(answer.text());
        is_harmless(&page);
        text(page.root())
    };
    let whole = told(&folder);
    for words in [
        format!("1 snapshot keeps {kept} pages (").as_str(),
        "New entries do not fill these",
        "kv snapshot db list",
        "A copy by kv backup has no snapshots.",
    ] {
        assert!(whole.contains(words), "{words}: {whole}");
    }
    // New entries find no room in these, whether they are parked or still among the dead ones.
    assert!(!whole.contains("which new entries will fill"), "{whole}");
    folder.kv(&["snapshot", "db", "drop", "all"]).ends_with(0);
    folder.kv(&["snapshot", "db", "reclaim"]).ends_with(0);
    let whole = told(&folder);
    for words in ["snapshot keeps", "snapshots keep", "no snapshots", "by snapshots"] {
        assert!(!whole.contains(words), "{words}: {whole}");
    }
}

#[test]
fn nothing_but_a_page_is_replaced() {
    let folder = Folder::new("report-out");
    database(&folder);
    let before = std::fs::read(folder.file("db")).expect("read");
    folder
        .kv(&["report", "db", "-o", "db"])
        .ends_with(6)
        .says("is no page of HTML");
    assert_eq!(std::fs::read(folder.file("db")).expect("read"), before);
    for _ in 0..2 {
        folder.kv(&["report", "db", "-q", "-o", "page"]).ends_with(0);
    }
    folder
        .kv(&["report", "db", "-o", "missing/page"])
        .ends_with(5)
        .says("missing/page");
    folder.kv(&["report", "missing"]).ends_with(5);
    assert_eq!(folder.names(), ["db", "page"]);
}

#[test]
fn a_browser_draws_it() {
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            let version = Command::new(name)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            version.is_ok_and(|status| status.success())
        });
    let Some(browser) = browser else {
        return println!("SKIPPED: a_browser_draws_it: there is no Chromium");
    };
    let folder = Folder::new("report-browser");
    database(&folder);
    folder.kv(&["report", "db", "-q", "-o", "page.html"]).ends_with(0);
    for width in [1200, 400] {
        let picture = folder.file(&format!("{width}.png"));
        draw(browser, &folder.file("page.html"), &picture, (width, folder.path()));
        let bytes = std::fs::read(&picture).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG"));
        let drawn_width = u32::from_be_bytes(bytes[16..20].try_into().expect("four bytes"));
        assert_eq!(drawn_width, width);
        // A page of one colour would be a few kilobytes.
        assert!(bytes.len() > 30_000, "{} bytes", bytes.len());
    }
}

/// Draws a page in a window of this width.
fn draw(browser: &str, page: &Path, picture: &Path, (width, folder): (u32, &Path)) {
    let answer = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .arg(format!("--window-size={width},2400"))
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser");
    assert!(answer.status.success(), "{answer:?}");
}

#[test]
fn a_damaged_database_has_a_page_of_what_is_left() {
    let folder = Folder::new("report-damage");
    let db = common::numbered(&folder, 5000, 50);
    let mut txn = db.begin_write(kv_engine::WriteOptions::default()).expect("begin");
    let table = txn.table_create(b"whole", true).expect("a table");
    common::fill(&mut txn, table, 2000, 50);
    txn.commit().expect("commit");
    let leaves = common::pages(&db, kv_engine::PageUse::Leaf, Some(kv_engine::TableId::MAIN));
    drop(db);
    common::damage(&folder, leaves[leaves.len() / 2]);
    let answer = folder.kv(&["report", "db", "-o", "page.html"]).ends_with(3);
    answer
        .says("the report was written")
        .says("in the main table")
        .says("kv salvage");
    let page = std::fs::read_to_string(folder.file("page.html")).expect("a page");
    let parsed = parse(&page);
    is_harmless(&parsed);
    let entries: Vec<String> = with(&parsed, "data-entries").map(|(entries, _)| entries).collect();
    assert!(
        entries.contains(&"5000".to_string()) && entries.contains(&"2000".to_string()),
        "{entries:?}"
    );
    for words in [
        "The file is damaged",
        "<b>damaged</b>",
        "Pages to which only damaged ones lead are not known",
        "not known",
    ] {
        assert!(page.contains(words), "{words} is not in the page");
    }
    assert!(!page.contains("Nothing needs attention"));
}
