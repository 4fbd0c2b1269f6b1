//! Commands for whole files: check, salvage, backup, restore, stat, tables, map, readers, bench; and the pages that
//! packagers install.

mod common;

use common::{damage, fill, one, pages, two_tables, Folder, KV};
use kv_engine::{Db, Options, PageUse, PutMode, TableId, WriteOptions};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_sound_file_is_checked() {
    let folder = Folder::new("sound");
    two_tables(&folder);
    let text = folder.kv(&["check", "db"]).ends_with(0);
    assert!(text.text().starts_with("damaged            no\n"), "{}", text.text());
    let json = one(&folder.kv(&["check", "db", "--all", "-o", "json"]).ends_with(0));
    assert!(
        json["damaged"] == false && json["entries"] == 5001 && json["tables"] == 2,
        "{json}"
    );
    assert!(
        json["overflow_pages"].as_u64() >= Some(256) && json["unaccounted_pages"] == 0,
        "{json}"
    );
    let raw = folder.kv(&["check", "db", "-o", "raw"]).ends_with(0);
    assert!(raw.text().contains("faults\t0\n"), "{}", raw.text());
}

#[test]
fn a_kind_of_fault_is_explained_once_and_tables_have_names() {
    let folder = Folder::new("kinds");
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let table = txn.table_create(b"fruit", true).expect("a table");
    fill(&mut txn, table, 5000, 50);
    txn.commit().expect("commit");
    let leaves = pages(&db, PageUse::Leaf, Some(table));
    drop(db);
    leaves.iter().take(3).for_each(|page| damage(&folder, *page));
    let found = folder.kv(&["check", "db"]).ends_with(3);
    assert_eq!(found.text().matches("checksum does not match").count(), 3, "{found:?}");
    for once in ["    meaning: ", "    to do:   "] {
        assert_eq!(found.text().matches(once).count(), 1, "{found:?}");
    }
    folder.kv(&["map", "db"]).ends_with(3).says("in table \"fruit\"");
    let saved = folder.kv(&["salvage", "db", "new"]).ends_with(3);
    assert!(saved.text().contains("\"fruit\""), "{saved:?}");
    // Programs get all of it with each.
    let lines = folder.kv(&["check", "db", "-o", "json"]).ends_with(3).json();
    assert_eq!(lines.iter().filter(|line| line["advice"].is_string()).count(), 3);
}

#[test]
fn damage_is_found_told_and_survived() {
    let folder = Folder::new("damage");
    let page = two_tables(&folder);
    damage(&folder, page);
    let found = folder.kv(&["check", "db"]).ends_with(3);
    assert!(found.text().contains(&format!("page {page}: ")), "{found:?}");
    for words in [
        "the main table",
        "the page is damaged: its checksum does not match",
        "    meaning: the bytes on disk are not those that were written; entries of this page",
        "    to do:   restore a backup (kv restore), or save what is left (kv salvage); then test the disk",
        "kv salvage",
        "damaged            yes",
    ] {
        assert!(found.text().contains(words), "{words} is not in {found:?}");
    }
    let lines = folder.kv(&["check", "db", "-o", "json", "--all"]).ends_with(3).json();
    assert_eq!(lines[0]["page"], page);
    assert!(lines[0]["fault"].is_string() && lines[0]["advice"].is_string());
    assert_eq!(lines[0]["kind"], "unreadable");
    assert_eq!(lines.last().map(|line| &line["damaged"]), Some(&Value::Bool(true)));
    // What is before the damage is shown; then the message has the page, the table and what to do.
    let scan = folder.kv(&["scan", "db", "-k"]).ends_with(3);
    assert!(scan.text().starts_with("000000\n") && scan.text().lines().count() > 1000);
    scan.says(&format!(
        "the page is damaged: its checksum does not match at page {page} "
    ))
    .says("the main table")
    .says("kv salvage");
    folder.kv(&["dump", "db"]).ends_with(3).says("kv salvage");
    folder.kv(&["map", "db"]).ends_with(3);
    folder.kv(&["tables", "db"]).ends_with(3);
    folder.kv(&["backup", "db", "copy"]).ends_with(3);
    assert!(!folder.file("copy").exists());
    // The rest is saved, and the damaged file stays as it is.
    let before = std::fs::read(folder.file("db")).expect("read");
    let saved = folder
        .kv(&["salvage", "db", "saved", "-o", "json"])
        .ends_with(3)
        .says("compare it");
    let mut lines = saved.json();
    let report = lines.pop().expect("a report");
    let [met, told] = &lines[..] else { panic!("{lines:?}") };
    let text = |fault: &Value| fault["fault"].as_str().expect("a text").to_string();
    let what = text(met);
    assert!(
        met["page"] == page && what.starts_with("the page is damaged: ") && what.contains("are looked for elsewhere"),
        "{what}"
    );
    assert!(told["page"] == page && !what.contains("lost"), "{what}");
    // Nothing else has them.
    let what = text(told);
    let lost = report["lost_entries"].to_string();
    let says = format!("{lost} entries were looked for elsewhere, keys from ");
    assert!(
        what.starts_with(&says) && what.ends_with(&format!(": none was found, {lost} are lost")),
        "{what}"
    );
    assert!(report["complete"] == false && report["damaged_pages"] == 1, "{report}");
    let (kept, lost) = (report["entries"].as_u64(), report["lost_entries"].as_u64());
    assert_eq!(kept.zip(lost).map(|(kept, lost)| kept + lost), Some(5001), "{report}");
    assert!(lost > Some(0));
    folder.kv(&["check", "--all", "saved"]).ends_with(0);
    folder
        .kv(&["salvage", "db", "saved"])
        .ends_with(6)
        .says("saved: the file exists already")
        .says("--overwrite");
    folder.kv(&["salvage", "db", "saved", "--overwrite", "-q"]).ends_with(3);
    folder
        .kv(&["salvage", "db", "db", "--overwrite"])
        .ends_with(2)
        .says("another name");
    assert_eq!(std::fs::read(folder.file("db")).expect("read"), before);
    assert_eq!(folder.names(), ["db", "saved"]);
}

#[test]
fn damage_of_the_list_of_free_pages_leaves_the_entries_readable() {
    let folder = Folder::new("space");
    two_tables(&folder);
    // Each key is replaced in a commit of its own, until more died than the slots list and the space tree has a page.
    let path = folder.file("db");
    let db = Db::open(&path, &Options::default()).expect("open");
    for n in (0..5000u32).step_by(7) {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let key = format!("{n:06}");
        txn.put(TableId::MAIN, key.as_bytes(), &[b'w'; 50], PutMode::Set)
            .expect("put");
        txn.commit().expect("commit");
    }
    let own = pages(&db, PageUse::Own, None);
    drop(db);
    let page = *own.last().expect("a page of the space tree");
    damage(&folder, page);
    let found = folder.kv(&["check", "--all", "db"]).ends_with(3);
    assert!(
        found.text().contains("entries can be read, and writing could"),
        "{found:?}"
    );
    assert!(!found.text().contains("cannot be read"), "{found:?}");
    // The page is read as a page of the tree, and for what it lists; it is one fault.
    assert_eq!(found.text().matches(&format!("page {page}: ")).count(), 1, "{found:?}");
    let lines = folder.kv(&["check", "--all", "-o", "json", "db"]).ends_with(3).json();
    assert!(
        lines.len() == 2 && lines[0]["page"] == page && lines[1]["faults"] == 1,
        "{lines:?}"
    );
    // Which pages are dead is not known, so nobody can say what became of them.
    let unaccounted = lines[1]["unaccounted_pages"].as_u64();
    assert!(unaccounted > Some(0) && lines[1]["dead_pages"] == 0, "{lines:?}");
    assert_eq!(
        folder.kv(&["scan", "db", "-k"]).ends_with(0).text().lines().count(),
        5000
    );
}

#[test]
fn a_damaged_long_value_is_found() {
    let folder = Folder::new("long");
    two_tables(&folder);
    // The only pages that are full of sevens are those of the value.
    let bytes = std::fs::read(folder.file("db")).expect("read");
    let page = bytes
        .chunks(4096)
        .position(|page| page.iter().all(|byte| *byte == 7))
        .expect("a page");
    damage(&folder, page as u64 + 10);
    let found = folder.kv(&["check", "db"]).ends_with(3);
    assert!(
        found.text().contains("long value") && found.text().contains("named"),
        "{found:?}"
    );
    folder
        .kv(&["get", "db", "-t", "named", "long"])
        .ends_with(3)
        .says("\"named\"");
    folder
        .kv(&["get", "db", "-t", "named", "-o", "raw", "long"])
        .ends_with(3);
    folder.kv(&["get", "db", "000001"]).ends_with(0);
}

#[test]
fn a_whole_file_is_salvaged_without_loss() {
    let folder = Folder::new("whole");
    two_tables(&folder);
    let report = one(&folder.kv(&["salvage", "db", "saved", "-o", "json"]).ends_with(0));
    assert!(report["complete"] == true && report["entries"] == 5001, "{report}");
}

#[test]
fn backups_are_made_of_files_in_use_and_restored() {
    let folder = Folder::new("backup");
    two_tables(&folder);
    let want = folder.kv(&["dump", "db"]).ends_with(0).out;
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let txn = db.begin_write(WriteOptions::default()).expect("begin");
    folder.kv(&["backup", "db", "copy"]).ends_with(0).says("was copied");
    folder.kv(&["-q", "backup", "db", "dense", "--compact"]).is("");
    drop((txn, db));
    folder.kv(&["backup", "db", "copy"]).ends_with(6).says("exists already");
    folder.kv(&["backup", "db", "copy", "--overwrite"]).ends_with(0);
    folder.kv(&["backup", "db", "db", "--overwrite"]).ends_with(2);
    let stream = folder.kv(&["backup", "db", "-"]).ends_with(0).out;
    folder
        .kv_with(&["restore", "-", "streamed"], &stream)
        .ends_with(0)
        .says("was restored");
    folder.kv(&["restore", "copy", "restored"]).ends_with(0);
    for copy in ["copy", "dense", "streamed", "restored"] {
        folder.kv(&["check", "--all", copy]).ends_with(0);
        // The size of the map is that of the file.
        let dump = |text: &[u8]| {
            String::from_utf8_lossy(text)
                .lines()
                .filter(|l| !l.starts_with("mapsize"))
                .count()
        };
        let text = folder.kv(&["dump", copy]).ends_with(0).out;
        assert_eq!(dump(&text), dump(&want), "{copy}");
        let json = |name: &str| folder.kv(&["dump", name, "-f", "json"]).ends_with(0).out;
        assert!(json(copy) == json("db"), "{copy}");
    }
    folder
        .kv(&["restore", "copy", "restored"])
        .ends_with(6)
        .says("exists already");
    folder
        .kv_with(&["restore", "-", "restored"], &stream)
        .ends_with(6)
        .says("--overwrite");
    folder
        .kv_with(&["restore", "-", "restored", "--overwrite"], &stream)
        .ends_with(0);
    // A backup that is damaged, or cut off, gives nothing.
    let mut damaged = stream.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    folder.kv_with(&["restore", "-", "new"], &damaged).ends_with(3);
    let cut = folder.kv_with(&["restore", "-", "new"], &stream[..stream.len() / 2]);
    assert!(matches!(cut.code, 3 | 6), "{cut:?}");
    folder.kv_with(&["restore", "-", "new"], b"").ends_with(6);
    let names = folder.names();
    assert_eq!(names, ["copy", "db", "dense", "restored", "streamed"]);
}

#[test]
fn figures_of_files_and_tables() {
    let folder = Folder::new("figures");
    two_tables(&folder);
    let text = folder.kv(&["stat", "db"]).ends_with(0);
    assert!(text.text().contains("page size           4096\n"), "{}", text.text());
    let stat = one(&folder.kv(&["stat", "db", "-o", "json"]).ends_with(0));
    let path = folder.file("db");
    assert_eq!(stat["path"].as_str(), path.to_str());
    assert!(
        stat["entries"] == 5001 && stat["tables"] == 2 && stat["readers"] == 0,
        "{stat}"
    );
    assert!(
        stat["writer"].is_null() && stat["closed_properly"] == true && stat["free_pages"].is_u64(),
        "{stat}"
    );
    // It announces nothing itself, and only a shell has commands before it.
    assert!(stat.get("announced_pages").is_none(), "{stat}");
    assert!(
        text.text()
            .contains("free pages          0 (as far as is known; kv map counts all dead pages)\n"),
        "{}",
        text.text()
    );
    assert_eq!(
        stat["file_bytes"].as_u64(),
        std::fs::metadata(&path).map(|facts| facts.len()).ok()
    );
    let named = one(&folder.kv(&["stat", "db", "-t", "named", "-o", "json"]).ends_with(0));
    assert!(
        named["entries"] == 1 && named["overflow_pages"].as_u64() >= Some(256),
        "{named}"
    );
    let main = one(&folder.kv(&["stat", "db", "--main", "-o", "json"]).ends_with(0));
    assert!(
        main["table"].is_null() && main["entries"] == 5000 && main["height"].as_u64() >= Some(2),
        "{main}"
    );
    let raw = folder.kv(&["stat", "db", "--main", "-o", "raw"]).ends_with(0);
    assert!(raw.text().contains("entries\t5000\n"));

    let db = Db::open(&path, &Options::default()).expect("open");
    let read = db.begin_read().expect("begin");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.delete_range(TableId::MAIN, &kv_engine::Range::default())
        .expect("delete");
    txn.commit().expect("commit");
    let stat = one(&folder.kv(&["stat", "db", "-o", "json"]).ends_with(0));
    assert!(stat["readers"] == 1 && stat["free_pages"].is_null(), "{stat}");
    // Whatever name leads to the file, this process has it open.
    std::os::unix::fs::symlink("db", folder.file("link")).expect("a link");
    let link = one(&folder.kv(&["stat", "link", "-o", "json"]).ends_with(0));
    assert!(
        link["free_pages"].is_null() && link["pending_pages"].is_null(),
        "{link}"
    );
    std::fs::remove_file(folder.file("link")).expect("a link");
    // A shell counts the readers of others, whatever it has open itself.
    let inside = |lines: &str| {
        let shell = folder.kv_with(&["shell", "db"], lines.as_bytes()).ends_with(0);
        let readers = shell.text().lines().find_map(|line| line.strip_prefix("readers"));
        readers.map(|number| number.trim().to_string())
    };
    for lines in [
        "stat\n",
        "begin\nstat\nabort\n",
        "snapshot on\nstat\n",
        "snapshot on\nbegin\nstat\nabort\n",
    ] {
        assert_eq!(inside(lines).as_deref(), Some("1"), "{lines:?}");
    }
    // How many pages the reader alone sees is known to those who write.
    let rows = folder.kv(&["readers", "db", "-o", "json"]).ends_with(0).json();
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0]["process"] == std::process::id() && rows[0]["does"] == "reads",
        "{rows:?}"
    );
    assert!(rows[0]["kept_pages"].is_null(), "{rows:?}");
    assert!(rows[0]["name"].as_str().is_some_and(|name| !name.is_empty()));
    let table = folder.kv(&["readers", "db"]).ends_with(0);
    assert!(table.text().starts_with("process  name"), "{}", table.text());
    assert!(table.text().contains("not known\n"), "{}", table.text());
    drop(read);
}

#[test]
fn dead_pages_are_known_after_the_only_process_was_killed() {
    let folder = Folder::new("killed");
    two_tables(&folder);
    // A shell that waits for lines has the file open as long as it keeps a snapshot.
    let mut child = folder.command(&["shell", "db"]);
    let mut child = child
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the command");
    let mut lines = child.stdin.take().expect("a pipe");
    lines.write_all(b"snapshot on\n").expect("a line");
    let begun = Instant::now();
    while !folder.file("db-shm").exists() || one(&folder.kv(&["stat", "db", "-o", "json"]))["readers"] == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the shell does not open the file"
        );
    }
    let shared = one(&folder.kv(&["stat", "db", "-o", "json"]).ends_with(0));
    assert!(shared["free_pages"].is_null() && shared["readers"] == 1, "{shared}");
    child.kill().expect("a kill");
    child.wait().expect("an end");
    assert!(
        folder.file("db-shm").exists(),
        "a process that is killed cleans nothing up"
    );
    let alone = one(&folder.kv(&["stat", "db", "-o", "json"]).ends_with(0));
    assert!(
        alone["free_pages"].is_u64() && alone["pending_pages"].is_u64(),
        "{alone}"
    );
}

#[test]
fn the_map_shows_and_counts_every_page() {
    let folder = Folder::new("map");
    two_tables(&folder);
    let map = one(&folder.kv(&["map", "db", "-o", "json"]).ends_with(0));
    let number = |name: &str| map[name].as_u64().unwrap_or_else(|| panic!("{name} in {map}"));
    let kinds = [
        "leaf_pages",
        "branch_pages",
        "overflow_pages",
        "own_pages",
        "head_pages",
        "dead_pages",
    ];
    assert_eq!(kinds.iter().map(|kind| number(kind)).sum::<u64>(), number("pages"));
    let stat = one(&folder.kv(&["stat", "db", "-o", "json"]).ends_with(0));
    assert_eq!(stat["pages"], map["pages"]);
    assert!(number("overflow_pages") >= 256 && number("leaf_pages") > 50, "{map}");
    let ascii = folder.kv(&["map", "db", "--ascii", "--width", "50"]).ends_with(0);
    let rows: Vec<&str> = ascii.text().lines().take_while(|line| !line.is_empty()).collect();
    assert!(rows[0].starts_with("HHHH") && rows[0].len() == 50, "{rows:?}");
    assert!(rows.concat().contains('#') && rows.concat().contains('='), "{rows:?}");
    assert!(ascii.text().contains("leaves in order: "));
    let unicode = folder.kv(&["map", "db"]).ends_with(0);
    assert!(unicode.text().starts_with('■') && unicode.text().contains('█'));
    assert!(!unicode.text().contains('\x1b'), "colours are for terminals");
    let mut plain = folder.command(&["map", "db"]);
    let plain = plain.env("LC_ALL", "C").output().expect("an answer");
    assert!(plain.stdout.is_ascii());
}

#[test]
fn a_bench_measures_and_leaves_nothing_behind() {
    let folder = Folder::new("bench");
    two_tables(&folder);
    let before = std::fs::read(folder.file("db")).expect("read");
    std::fs::create_dir(folder.file("other")).expect("a folder");
    for args in [
        &["db"][..],
        &["db", "--folder", "other"],
        &["--entries", "100", "--key-bytes", "8", "--value-bytes", "0"],
    ] {
        let args = [&["bench", "--seconds", "0.02", "-o", "json"], args].concat();
        let rows = folder.kv(&args).ends_with(0).json();
        let names: Vec<_> = rows.iter().map(|row| row["what"].as_str().expect("a name")).collect();
        assert_eq!(names, ["put", "get", "scan", "commit_durable", "commit_lazy"]);
        assert!(rows
            .iter()
            .all(|row| row["count"].as_u64() > Some(0) && row["per_second"].as_f64() > Some(0.0)));
        assert_eq!(folder.names(), ["db", "other"]);
    }
    assert_eq!(std::fs::read_dir(folder.file("other")).expect("a folder").count(), 0);
    assert_eq!(std::fs::read(folder.file("db")).expect("read"), before);
    folder.kv(&["bench", "--folder", "none"]).ends_with(5).says("none");
    for (seconds, words) in [
        ("0", "kv: 1 entry, each row done once\n"),
        ("0.01", "kv: 1 entry, 0.01 s for each row\n"),
    ] {
        folder
            .kv(&["bench", "--entries", "1", "--seconds", seconds])
            .ends_with(0)
            .says(words);
    }
}

#[test]
fn man_pages_and_completions_are_made() {
    let folder = Folder::new("pages");
    folder.kv(&["man", "."]).is("");
    let names = folder.names();
    for page in ["kv.1", "kv-get.1", "kv-dump.1", "kv-salvage.1"] {
        assert!(names.iter().any(|name| name == page), "{page} is not in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("man")));
    for name in &names {
        let page = std::fs::read_to_string(folder.file(name)).expect("a page");
        for heading in ["EXIT STATUS", "KEYS AND VALUES", "FILES", "SEE ALSO"] {
            assert!(
                page.contains(&format!(".SH \"{heading}\"")) || page.contains(&format!(".SH {heading}")),
                "{name}"
            );
        }
        assert!(page.contains(".TH") && !page.contains('`'), "{name}: {page}");
    }
    // Dashes are written with a backslash there.
    let page = |name: &str| {
        let page = std::fs::read_to_string(folder.file(name)).expect("a page");
        page.replace("\\-", "-")
            .replace("\\fB", "")
            .replace("\\fI", "")
            .replace("\\fR", "")
    };
    assert!(page("kv-scan.1").contains("reverse"));
    assert!(page("kv-import-lmdb.1").contains("kv import-lmdb ["));
    assert!(page("kv-put.1").contains("[--wait SECONDS]") && page("kv-put.1").contains("KEY VALUE ..."));
    assert!(page("kv.1").contains("kv-import-lmdb(1)"));
    let pages: Vec<_> = names.iter().map(|name| folder.file(name)).collect();
    match Command::new("mandoc")
        .args(["-T", "lint", "-W", "warning"])
        .args(&pages)
        .output()
    {
        Ok(said) => {
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.is_empty(), "{said}");
        }
        Err(error) => println!("SKIPPED: man_pages_and_completions_are_made: no mandoc ({error})"),
    }
    for (shell, words) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef kv"),
        ("fish", "complete -c kv"),
    ] {
        let text = folder.kv(&["completions", shell]).ends_with(0);
        assert!(
            text.text().contains(words) && text.text().contains("salvage"),
            "{shell}"
        );
    }
    folder.kv(&["man", "none"]).ends_with(5);
}

#[test]
fn bash_completes_commands_options_files_and_tables() {
    let folder = Folder::new("bash");
    for table in ["one", "one more", "two"] {
        folder.kv(&["put", "-c", "db", "-t", table, "k", "v"]).is("");
    }
    // The last word is the one that is completed. Where nothing is found, bash completes files.
    let script = r#"
        source <("$KV" completions bash) || exit
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _kv_words "$KV" "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    for (words, expected) in [
        (&["ge"][..], "get\n"),
        (&["get", ""], "\n"),
        (&["load", "db", ""], "\n"),
        (&["get", "--ta"], "--table\n"),
        (&["get", "db", "-o", "j"], "json\n"),
        (&["get", "db", "-t", ""], "one\none\\ more\ntwo\n"),
        (&["get", "db", "--table", "t"], "two\n"),
        (&["get", "missing", "-t", ""], "\n"),
        (&["completions", "b"], "bash\n"),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "bash", KV]).args(words);
        let output = bash.env("KV", KV).current_dir(folder.path()).output();
        let Ok(output) = output else {
            println!("SKIPPED: bash_completes_commands_options_files_and_tables: no bash");
            return;
        };
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "{words:?}: {output:?}"
        );
    }
}
