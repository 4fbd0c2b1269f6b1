//! An environment: the file, and what databases it has.

use crate::database::Database;
use crate::entries::{Cursor, Entries, Found};
use crate::error::{Error, Result};
use crate::layout::{ByteOrder, Version};
use crate::pages::{Pages, ReadPages};
use crate::source::{self, Source};
use std::path::{Path, PathBuf};

/// A file of LMDB, as of its newest commit when it was opened. It may be shared by threads.
pub struct Environment {
    pages: Pages,
}

impl Environment {
    /// Opens a file, or `data.mdb` in a folder. Nothing is written, and no lock is taken: nobody may write to the file
    /// while it is read (see [the crate](crate#files-in-use)).
    ///
    /// # Errors
    /// - [`Error::Io`]: the file is not there or cannot be read.
    /// - [`Error::NotLmdb`]: the file is something else, or no regular file.
    /// - [`Error::Unsupported`]: the file is encrypted, or of another version than 0.9 and 1.0.
    /// - [`Error::Damaged`]: neither of the meta pages can be used.
    pub fn open(path: impl AsRef<Path>) -> Result<Environment> {
        let (file, path) = source::open(path.as_ref())?;
        Environment::of(file, path)
    }

    /// Opens what a source has. The path is used in messages only.
    ///
    /// # Errors
    /// Those of [`Environment::open`].
    pub fn of(source: impl Source + Send + Sync + 'static, path: impl Into<PathBuf>) -> Result<Environment> {
        let pages = Pages::open(Box::new(source), path.into())?;
        Ok(Environment { pages })
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.pages.path
    }

    /// Returns which LMDB wrote the file.
    pub fn version(&self) -> Version {
        self.pages.layout.version
    }

    /// Returns the byte order of the machine that wrote the file, which is that of integer keys and values.
    pub fn byte_order(&self) -> ByteOrder {
        self.pages.layout.order
    }

    /// Returns the bits of a word of the machine that wrote the file, or as whose LMDB was built: 32 or 64.
    pub fn word_bits(&self) -> u32 {
        8 * self.pages.layout.word_bytes() as u32
    }

    /// Returns the bytes of a page.
    pub fn page_size(&self) -> u32 {
        self.pages.meta.page_size
    }

    /// Returns the transaction whose commit is read.
    pub fn transaction(&self) -> u64 {
        self.pages.meta.transaction
    }

    /// Returns the number of the meta page that is damaged, and what is wrong with it. If there is one, the commit that
    /// is read may not be the newest.
    pub fn lost_meta(&self) -> Option<(u64, &str)> {
        self.pages.lost.as_ref().map(|(page, what)| (*page, what.as_str()))
    }

    /// Lists the databases: the main one, then the named ones in the order of their names. This reads all leaves of the
    /// main database.
    ///
    /// # Errors
    /// - [`Error::Damaged`]: a page of the main database is damaged.
    /// - [`Error::Changed`]: somebody has committed since the file was opened.
    /// - [`Error::Io`]: the file cannot be read.
    pub fn databases(&self) -> Result<Vec<Database>> {
        let mut out = vec![Database {
            name: None,
            record: self.pages.meta.main.clone(),
            named: 0,
        }];
        match self.named(&mut out) {
            // What looks like damage may come from pages that were reused.
            Err(error @ Error::Damaged { .. }) => return Err(self.pages.check_unchanged().err().unwrap_or(error)),
            other => other?,
        }
        self.pages.check_unchanged()?;
        out[0].named = out.len() as u64 - 1;
        Ok(out)
    }

    /// Finds a database by its name, or the main one. This may read all leaves of the main database.
    ///
    /// # Errors
    /// - [`Error::NoDatabase`]: there is none of this name.
    /// - Those of [`Environment::databases`].
    pub fn database(&self, name: Option<&[u8]>) -> Result<Database> {
        let found = self.databases()?.into_iter().find(|database| database.name() == name);
        found.ok_or_else(|| Error::NoDatabase {
            path: self.pages.path.clone(),
            name: name.unwrap_or_default().to_vec(),
        })
    }

    /// Goes through the entries of a database of this environment, in LMDB's order; the values of a key follow one
    /// another. Those of the main database that are records of named databases are left out.
    ///
    /// An item may be an error. It is the last one then:
    /// - [`Error::Damaged`]: a page is damaged.
    /// - [`Error::Count`]: all entries were returned, and their number is not that of the record.
    /// - [`Error::Changed`]: somebody has committed since the file was opened. What was returned may be wrong.
    /// - [`Error::NoMemory`]: a value needs more memory than there is. Values have at most 4 GiB.
    /// - [`Error::Io`]: the file cannot be read.
    pub fn entries(&self, database: &Database) -> Entries<'_> {
        Entries::new(&self.pages, database, ReadPages::default())
    }

    /// Does the same as [`Environment::entries`] for a list that follows others, whose pages
    /// [`Entries::into_read_pages`] returns. LMDB gives each page to one database, so a page that an earlier list has
    /// read is damage. Without this, each database of a damaged file could be as large as the file.
    pub fn entries_after(&self, read: ReadPages, database: &Database) -> Entries<'_> {
        Entries::new(&self.pages, database, read)
    }

    /// Answers with [`Error::Changed`] if somebody has committed since the file was opened. The end of each list of
    /// entries does the same.
    ///
    /// # Errors
    /// That one, and [`Error::Io`] if the file cannot be read.
    pub fn check_unchanged(&self) -> Result<()> {
        self.pages.check_unchanged()
    }

    /// Appends the named databases.
    fn named(&self, out: &mut Vec<Database>) -> Result<()> {
        let mut cursor = Cursor::new(&self.pages.meta.main, ReadPages::default());
        while let Some(found) = cursor.step(&self.pages, false)? {
            if let Found::Named(name, record) = found {
                out.push(Database {
                    name: Some(name),
                    record,
                    named: 0,
                });
            }
        }
        Ok(())
    }
}
