//! `kv import-lmdb`: creating tables from the databases of an LMDB file.

use crate::batches::Batches;
use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::input::args::page_size;
use crate::input::bytes::Syntax;
use crate::interrupt;
use crate::output::progress::{Progress, Unit};
use crate::output::text::{counted, table_name, Quoted};
use clap::{Args, ValueEnum};
use keelkv_lmdb::composite::Composite;
use keelkv_lmdb::{Environment, Flags, ReadPages, Rule};
use kv_engine::{Error, PutMode, TableId};
use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

/// Creates tables from the databases of LMDB 0.9 and 1.0, all of them or nothing.
///
/// The main database goes into the main table, and each named one into a table of its name, which must have no entries
/// yet. LMDB is not needed. A file that is created is removed if nothing was committed. Nobody may write to the source
/// meanwhile: stop the programs that do, or import a copy made by mdb_copy. If somebody commits nevertheless, the
/// import fails (exit status 4).
#[derive(Debug, Args)]
pub struct ImportLmdb {
    /// The file of LMDB, or the folder with data.mdb.
    source: PathBuf,
    /// The database, which is created if it is missing.
    file: PathBuf,
    /// Only this database, by its name with escapes; several if repeated. The empty name stands for the main database.
    #[arg(long, short, value_name = "NAME")]
    database: Vec<OsString>,
    /// What becomes of keys with several values (MDB_DUPSORT), since a table keeps one value per key.
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    duplicates: Duplicates,
    /// Which bytes keys have that LMDB does not compare as bytes from the first on (MDB_INTEGERKEY, MDB_REVERSEKEY).
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    keys: Keys,
    /// Imports the commit that is left if one of LMDB's two meta pages is damaged. A newer one may be lost.
    #[arg(long)]
    older: bool,
    /// Commits after each so many entries. What was imported before an error stays.
    #[arg(long, value_name = "ENTRIES", allow_negative_numbers = true)]
    batch: Option<NonZeroU64>,
    /// The page size of a new file: 4096, 8192, 16384, 32768 or 65536 bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 4096, value_parser = page_size)]
    page_size: u32,
}

/// What becomes of keys with several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Duplicates {
    /// Nothing is imported if a key has several.
    #[default]
    Refuse,
    /// The first one stays.
    First,
    /// The last one stays.
    Last,
    /// Each pair of a database with MDB_DUPSORT becomes a key (the key with each byte 00 as 00 ff, then 00 00, then the
    /// value) with an empty value. The order stays.
    Composite,
}

/// Which bytes keys have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Keys {
    /// Integers become big-endian, and reversed keys are turned round, so that the order stays.
    #[default]
    Sorted,
    /// They stay as they are, and their order changes.
    AsIs,
}

impl ImportLmdb {
    /// Imports.
    pub fn run(self, context: &Context) -> Outcome {
        let environment = Environment::open(&self.source).map_err(fail)?;
        let source = shown(environment.path());
        if let Some((page, what)) = environment.lost_meta() {
            let what =
                format!("{source}: meta page {page} cannot be used ({what}), so the newest commit may be missing");
            if !self.older {
                let failure = Failure::new(Exit::Damage, what);
                return Err(
                    failure.advise("restore the file from a copy, or import what the other one has with --older")
                );
            }
            context.say(what);
        }
        let databases = self.chosen(&environment)?;
        // What a damaged file claims may be more than a number holds.
        let total = databases
            .iter()
            .fold(0, |total: u64, database| total.saturating_add(database.entries()));
        let access = WriteAccess {
            create: true,
            page_size: self.page_size,
            lazy: false,
        };
        // A file that is created must not stay if the user ends the work.
        interrupt::watch();
        let database = Database::to_write(&self.file, context, access)?;
        let mut import = Import {
            options: &self,
            environment: &environment,
            batches: Batches::new(&database, self.batch),
            read: ReadPages::default(),
            progress: Progress::new(context, "importing", Unit::Entries, Some(total)),
        };
        let tables = import
            .all(&databases)
            .map_err(|failure| import.batches.ended_by(failure, "imported"))?;
        database.keep();
        drop(import);
        for table in &tables {
            context.say(table.summary(self.duplicates));
        }
        let entries: u64 = tables.iter().map(|table| table.put).sum();
        context.say(format_args!(
            "{}: {} in {} {} imported from LMDB {}, and counted",
            shown(&self.file),
            counted(entries, "entry", "entries"),
            counted(tables.len() as u64, "table", "tables"),
            if entries == 1 { "was" } else { "were" },
            environment.version(),
        ));
        Ok(Exit::Done)
    }

    /// The databases to import.
    fn chosen(&self, environment: &Environment) -> Outcome<Vec<keelkv_lmdb::Database>> {
        if self.database.is_empty() {
            return environment.databases().map_err(fail);
        }
        let mut chosen: Vec<keelkv_lmdb::Database> = Vec::new();
        for name in &self.database {
            let name = Syntax::Text.read(name)?;
            let name = Some(&name[..]).filter(|name| !name.is_empty());
            let database = environment
                .database(name)
                .map_err(|error| no_database(environment, error))?;
            if !chosen.contains(&database) {
                chosen.push(database);
            }
        }
        Ok(chosen)
    }
}

/// What was imported into a table.
struct Imported {
    name: Option<Vec<u8>>,
    /// Entries of the table.
    put: u64,
    /// Values that are left out or were replaced, because their key has another one.
    dropped: u64,
    /// Whether keys have other bytes than in the source.
    has_other_keys: bool,
    /// Whether keys and values were joined.
    is_joined: bool,
}

impl Imported {
    fn summary(&self, duplicates: Duplicates) -> String {
        let entries = counted(self.put, "entry", "entries");
        let mut out = format!("{}: {entries}", table_name(self.name.as_deref()));
        if self.is_joined {
            out.push_str(", each a key joined with a value");
        }
        if self.has_other_keys {
            out.push_str(", keys changed so that they sort as bytes");
        }
        if self.dropped > 0 {
            let which = match duplicates {
                Duplicates::Last => "last",
                _ => "first",
            };
            out.push_str(&format!(
                ", {} values left out that are not the {which} of their key",
                self.dropped
            ));
        }
        out
    }
}

/// An import at work.
struct Import<'i> {
    options: &'i ImportLmdb,
    environment: &'i Environment,
    batches: Batches<'i>,
    /// Pages of databases that were imported, which no other one may have.
    read: ReadPages,
    progress: Progress,
}

impl Import<'_> {
    /// Imports databases.
    fn all(&mut self, databases: &[keelkv_lmdb::Database]) -> Outcome<Vec<Imported>> {
        let tables = databases
            .iter()
            .map(|database| self.one(database))
            .collect::<Outcome<_>>()?;
        // The file of LMDB may have changed where no list of entries ends.
        self.environment.check_unchanged().map_err(fail)?;
        self.batches.commit()?;
        Ok(tables)
    }

    /// Imports one database.
    fn one(&mut self, from: &keelkv_lmdb::Database) -> Outcome<Imported> {
        let name = from.name();
        let table = self.table(name)?;
        let order = self.environment.byte_order();
        let flags = from.flags();
        let is_joined = flags.dup_sort() && self.options.duplicates == Duplicates::Composite;
        let (key_rule, value_rule) = match self.options.keys {
            Keys::Sorted => (flags.key_rule(), flags.value_rule()),
            Keys::AsIs => (Rule::Bytes, Rule::Bytes),
        };
        let composite = Composite::of(key_rule, value_rule, order);
        let mut imported = Imported {
            name: name.map(<[u8]>::to_vec),
            put: 0,
            dropped: 0,
            has_other_keys: false,
            is_joined,
        };
        let mut before: Option<Vec<u8>> = None;
        let mut entries = self.environment.entries_after(std::mem::take(&mut self.read), from);
        for entry in &mut entries {
            let entry = entry.map_err(|error| fail_in(flags, error))?;
            self.progress.more(1)?;
            if is_joined {
                self.put(
                    table,
                    &composite.join(&entry.key, &entry.value),
                    b"",
                    PutMode::NoOverwrite,
                )?;
                imported.put += 1;
                continue;
            }
            let key = key_rule.sortable(&entry.key, order);
            imported.has_other_keys |= *key != *entry.key;
            let is_repeated = before.as_ref() == Some(&entry.key);
            match self.options.duplicates {
                _ if !is_repeated => {
                    self.put(table, &key, &entry.value, PutMode::NoOverwrite)?;
                    imported.put += 1;
                }
                Duplicates::First => imported.dropped += 1,
                Duplicates::Last => {
                    self.put(table, &key, &entry.value, PutMode::Set)?;
                    imported.dropped += 1;
                }
                Duplicates::Refuse | Duplicates::Composite => return Err(self.several(name, &entry.key)),
            }
            before = Some(entry.key);
        }
        self.read = entries.into_read_pages();
        self.verify(table, &imported)?;
        Ok(imported)
    }

    /// Returns the table for a database, and makes it if it is missing.
    fn table(&mut self, name: Option<&[u8]>) -> Outcome<TableId> {
        let database = self.batches.database;
        let txn = self.batches.txn()?;
        let table = match name {
            Some(name) => txn.table_create(name, false).about(&database.path)?,
            None => TableId::MAIN,
        };
        match self.batches.count(table)? {
            0 => Ok(table),
            count => Err(Failure::new(
                Exit::Refused,
                format!(
                    "{}: {} has {} already; import into a new file, or choose others with --database",
                    shown(&database.path),
                    table_name(name),
                    counted(count, "entry", "entries")
                ),
            )),
        }
    }

    fn put(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<()> {
        let put = self.batches.txn()?.put(table, key, value, mode);
        put.map_err(|error| match error {
            // LMDB has no key twice, so the source is not what it seems to be.
            Error::Exists(_) => Failure::new(
                Exit::Damage,
                format!(
                    "{}: the key {} comes twice; rebuild the file with mdb_dump and mdb_load",
                    shown(self.environment.path()),
                    Quoted(key)
                ),
            ),
            error => self.batches.database.fail(error),
        })?;
        self.batches.count_entry()
    }

    /// Compares what the table has with what was put into it.
    fn verify(&mut self, table: TableId, imported: &Imported) -> Outcome<()> {
        let database = self.batches.database;
        let count = self.batches.count(table)?;
        if count == imported.put {
            return Ok(());
        }
        let what = format!(
            "{}: {} has {} after {} were imported; see that nobody else writes into it, and repeat",
            shown(&database.path),
            table_name(imported.name.as_deref()),
            counted(count, "entry", "entries"),
            imported.put
        );
        Err(Failure::new(Exit::Refused, what))
    }

    /// The failure of a key with several values, when they may not be dropped.
    fn several(&self, name: Option<&[u8]>, key: &[u8]) -> Failure {
        let database = match name {
            Some(name) => format!("database {}", Quoted(name)),
            None => "main database".to_string(),
        };
        let what = format!(
            "{}: in the {database} the key {} has several values; choose --duplicates composite, first or last",
            shown(self.environment.path()),
            Quoted(key)
        );
        Failure::new(Exit::Refused, what)
    }
}

/// Returns what an error means in a database with these flags.
fn fail_in(flags: Flags, error: keelkv_lmdb::Error) -> Failure {
    use keelkv_lmdb::Error as Source;
    let may_be_miscounted =
        matches!(&error, Source::Count { recorded, found, .. } if flags.dup_sort() && found < recorded);
    match may_be_miscounted {
        // It replaces an empty value by the next one of its key, and counts both.
        true => fail(error).advise(
            "LMDB before 0.9.36 miscounts keys of MDB_DUPSORT that had an empty value, and then a file that is rebuilt \
             with mdb_dump and mdb_load has the right number",
        ),
        false => fail(error),
    }
}

/// Returns what an error in finding a database means, and names those that there are.
fn no_database(environment: &Environment, error: keelkv_lmdb::Error) -> Failure {
    let keelkv_lmdb::Error::NoDatabase { name, .. } = &error else {
        return fail(error);
    };
    let named = environment.databases().unwrap_or_default();
    let names: Vec<String> = named
        .iter()
        .filter_map(|database| database.name())
        .map(|name| Quoted(name).to_string())
        .collect();
    let there_are = match names.is_empty() {
        true => "there is only the main database".to_string(),
        false => format!("there are the main database, {}", names.join(", ")),
    };
    let path = shown(environment.path());
    let what = format!("{path}: there is no database {}; {there_are}", Quoted(name));
    Failure::new(Exit::NotFound, what)
}

/// Returns what an error of the source means.
fn fail(error: keelkv_lmdb::Error) -> Failure {
    use keelkv_lmdb::Error as Source;
    let exit = match &error {
        Source::Io { path, source } => return Failure::file(path, "read", source),
        Source::NotLmdb { .. } | Source::Unsupported { .. } => Exit::Refused,
        Source::Damaged { .. } | Source::Count { .. } => Exit::Damage,
        Source::Changed { .. } => Exit::Busy,
        Source::NoDatabase { .. } => Exit::NotFound,
        _ => Exit::System,
    };
    let what = match &error {
        Source::NoDatabase { name, .. } => format!("there is no database {}", Quoted(name)),
        other => other.what().to_string(),
    };
    let path = shown(error.path());
    Failure::new(exit, format!("{path}: {what}")).advise(error.advice())
}
