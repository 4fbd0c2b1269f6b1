//! RocksDB, through its C interface, from the library of the system.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use crate::engine::dynamic::functions;
use crate::rows::Work;
use std::ffi::{c_char, c_int, c_uchar, c_void, CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Object = *mut c_void;
type Text = *const c_char;
type Failure = *mut *mut c_char;

functions! {
    &["librocksdb.so.7.8", "librocksdb.so.8", "librocksdb.so.9", "librocksdb.so"];
    fn rocksdb_options_create() -> Object;
    fn rocksdb_options_set_create_if_missing(Object, c_uchar);
    fn rocksdb_options_set_level_compaction_dynamic_level_bytes(Object, c_uchar);
    fn rocksdb_options_set_max_background_jobs(Object, c_int);
    fn rocksdb_options_set_bytes_per_sync(Object, u64);
    fn rocksdb_options_set_block_based_table_factory(Object, Object);
    fn rocksdb_block_based_options_create() -> Object;
    fn rocksdb_block_based_options_set_block_size(Object, usize);
    fn rocksdb_block_based_options_set_format_version(Object, c_int);
    fn rocksdb_block_based_options_set_cache_index_and_filter_blocks(Object, c_uchar);
    fn rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(Object, c_uchar);
    fn rocksdb_block_based_options_set_block_cache(Object, Object);
    fn rocksdb_block_based_options_set_filter_policy(Object, Object);
    fn rocksdb_cache_create_lru(usize) -> Object;
    fn rocksdb_filterpolicy_create_bloom_full(f64) -> Object;
    fn rocksdb_open(Object, Text, Failure) -> Object;
    fn rocksdb_close(Object);
    fn rocksdb_free(*mut c_void);
    fn rocksdb_property_int(Object, Text, *mut u64) -> c_int;
    fn rocksdb_writeoptions_create() -> Object;
    fn rocksdb_writeoptions_set_sync(Object, c_uchar);
    fn rocksdb_readoptions_create() -> Object;
    fn rocksdb_readoptions_set_snapshot(Object, *const c_void);
    fn rocksdb_readoptions_destroy(Object);
    fn rocksdb_create_snapshot(Object) -> *const c_void;
    fn rocksdb_release_snapshot(Object, *const c_void);
    fn rocksdb_get_pinned(Object, Object, Text, usize, Failure) -> Object;
    fn rocksdb_pinnableslice_value(Object, *mut usize) -> Text;
    fn rocksdb_pinnableslice_destroy(Object);
    fn rocksdb_multi_get(Object, Object, usize, *const Text, *const usize, *mut *mut c_char, *mut usize, Failure);
    fn rocksdb_create_iterator(Object, Object) -> Object;
    fn rocksdb_iter_destroy(Object);
    fn rocksdb_iter_valid(Object) -> c_uchar;
    fn rocksdb_iter_seek_to_first(Object);
    fn rocksdb_iter_seek_to_last(Object);
    fn rocksdb_iter_seek(Object, Text, usize);
    fn rocksdb_iter_next(Object);
    fn rocksdb_iter_prev(Object);
    fn rocksdb_iter_key(Object, *mut usize) -> Text;
    fn rocksdb_iter_value(Object, *mut usize) -> Text;
    fn rocksdb_iter_get_error(Object, Failure);
    fn rocksdb_writebatch_create() -> Object;
    fn rocksdb_writebatch_destroy(Object);
    fn rocksdb_writebatch_put(Object, Text, usize, Text, usize);
    fn rocksdb_writebatch_delete(Object, Text, usize);
    fn rocksdb_writebatch_delete_range(Object, Text, usize, Text, usize);
    fn rocksdb_write(Object, Object, Object, Failure);
    fn rocksdb_envoptions_create() -> Object;
    fn rocksdb_sstfilewriter_create(Object, Object) -> Object;
    fn rocksdb_sstfilewriter_open(Object, Text, Failure);
    fn rocksdb_sstfilewriter_put(Object, Text, usize, Text, usize, Failure);
    fn rocksdb_sstfilewriter_finish(Object, Failure);
    fn rocksdb_sstfilewriter_file_size(Object, *mut u64);
    fn rocksdb_sstfilewriter_destroy(Object);
    fn rocksdb_ingestexternalfileoptions_create() -> Object;
    fn rocksdb_ingestexternalfileoptions_set_move_files(Object, c_uchar);
    fn rocksdb_ingest_external_file(Object, *const Text, usize, Object, Failure);
}

/// An open database.
pub struct Rocks {
    db: Object,
    options: Object,
    /// Write options: lazy, durable.
    sync: [Object; 2],
    dir: PathBuf,
    /// Transactions that read before they write take turns: a plain batch does not see what others write meanwhile.
    turn: Mutex<()>,
}

// SAFETY: rocksdb/c.h: a database and options may be used by any thread.
unsafe impl Sync for Rocks {}

/// A thread's access: nothing of its own.
pub struct RocksSession<'a>(&'a Rocks);

/// A snapshot.
pub struct RocksRead<'a> {
    store: &'a Rocks,
    snapshot: *const c_void,
    options: Object,
}

/// A batch that will be written at once.
pub struct RocksWrite<'a> {
    store: &'a Rocks,
    batch: Object,
    turn: Option<MutexGuard<'a, ()>>,
}

/// Calls a function whose last argument is a place for a message.
fn ok<T>(call: impl FnOnce(Failure) -> T) -> T {
    let mut failure: *mut c_char = null_mut();
    let done = call(&mut failure);
    if !failure.is_null() {
        // SAFETY: a C string that the library answered.
        panic!("RocksDB: {}", unsafe { CStr::from_ptr(failure) }.to_string_lossy());
    }
    done
}

fn text(bytes: &[u8]) -> Text {
    bytes.as_ptr().cast()
}

/// Bytes the library returned.
///
/// # Safety
/// As long as the library said, and valid as long as `'a`.
unsafe fn bytes<'a>(data: Text, len: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

impl Rocks {
    fn number(&self, name: &CStr) -> u64 {
        let mut number = 0;
        // SAFETY: a database, a C string, a number to be filled.
        unsafe { (lib().rocksdb_property_int)(self.db, name.as_ptr(), &mut number) };
        number
    }

    fn snapshot(&self) -> RocksRead<'_> {
        let lib = lib();
        // SAFETY: a database, options that are destroyed with the snapshot.
        unsafe {
            let snapshot = (lib.rocksdb_create_snapshot)(self.db);
            let options = (lib.rocksdb_readoptions_create)();
            (lib.rocksdb_readoptions_set_snapshot)(options, snapshot);
            RocksRead {
                store: self,
                snapshot,
                options,
            }
        }
    }

    fn get<T>(&self, options: Object, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let lib = lib();
        // SAFETY: a database, options, a key; what is answered is valid until it is destroyed.
        unsafe {
            let found = ok(|failure| (lib.rocksdb_get_pinned)(self.db, options, text(key), key.len(), failure));
            if found.is_null() {
                return see(None);
            }
            let mut len = 0;
            let data = (lib.rocksdb_pinnableslice_value)(found, &mut len);
            let done = see(Some(bytes(data, len)));
            (lib.rocksdb_pinnableslice_destroy)(found);
            done
        }
    }
}

impl Store for Rocks {
    const NAME: &'static str = "rocksdb";
    const SETTINGS: &'static str =
        "the basic tuning of its wiki (dynamic level bytes, 6 background jobs, bytes_per_sync \
        1 MiB, 16 KiB blocks, Bloom filters of 10 bits, index and filters in the block cache, format 5), a block cache \
        with room for all data; a transaction is a batch, and one that reads takes turns with others; durable: sync; \
        lazy: no sync; sorted loads by table files that are ingested";
    /// A batch does not see what it puts and deletes itself.
    const LACKS: &'static [Work] = &[Work::Pop, Work::Queue];
    type Session<'a> = RocksSession<'a>;

    fn available() -> Result<(), String> {
        library().map(|_| ())
    }

    fn version() -> String {
        "RocksDB of the system (librocksdb 7.8 on Debian 12)".to_owned()
    }

    fn open(dir: &Path, settings: &Settings) -> Rocks {
        let lib = lib();
        let path = CString::new(dir.join("rocksdb").as_os_str().as_encoded_bytes()).expect("a path");
        // SAFETY: objects made by the library, used as its header says.
        unsafe {
            let table = (lib.rocksdb_block_based_options_create)();
            (lib.rocksdb_block_based_options_set_block_size)(table, 16 << 10);
            (lib.rocksdb_block_based_options_set_format_version)(table, 5);
            (lib.rocksdb_block_based_options_set_cache_index_and_filter_blocks)(table, 1);
            (lib.rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache)(table, 1);
            let cache = (lib.rocksdb_cache_create_lru)(settings.cache as usize);
            (lib.rocksdb_block_based_options_set_block_cache)(table, cache);
            let filter = (lib.rocksdb_filterpolicy_create_bloom_full)(10.0);
            (lib.rocksdb_block_based_options_set_filter_policy)(table, filter);
            let options = (lib.rocksdb_options_create)();
            (lib.rocksdb_options_set_create_if_missing)(options, 1);
            (lib.rocksdb_options_set_level_compaction_dynamic_level_bytes)(options, 1);
            (lib.rocksdb_options_set_max_background_jobs)(options, 6);
            (lib.rocksdb_options_set_bytes_per_sync)(options, 1 << 20);
            (lib.rocksdb_options_set_block_based_table_factory)(options, table);
            let sync = [0, 1].map(|sync| {
                let options = (lib.rocksdb_writeoptions_create)();
                (lib.rocksdb_writeoptions_set_sync)(options, sync);
                options
            });
            Rocks {
                db: ok(|failure| (lib.rocksdb_open)(options, path.as_ptr(), failure)),
                options,
                sync,
                dir: dir.to_owned(),
                turn: Mutex::new(()),
            }
        }
    }

    fn session(&self) -> RocksSession<'_> {
        RocksSession(self)
    }

    fn finish_background_work(&self) {
        // Compactions follow flushes after a moment; two quiet looks in a row are enough.
        let mut quiet = 0;
        for _ in 0..6000 {
            let busy = [
                c"rocksdb.num-running-flushes",
                c"rocksdb.num-running-compactions",
                c"rocksdb.compaction-pending",
                c"rocksdb.mem-table-flush-pending",
            ]
            .iter()
            .any(|name| self.number(name) > 0);
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 2 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Rocks {
    fn drop(&mut self) {
        // SAFETY: an open database; its snapshots borrow it and are gone.
        unsafe { (lib().rocksdb_close)(self.db) };
    }
}

impl Session for RocksSession<'_> {
    type Read<'a>
        = RocksRead<'a>
    where
        Self: 'a;
    type Write<'a>
        = RocksWrite<'a>
    where
        Self: 'a;

    fn read<T>(&mut self, work: impl FnOnce(&mut RocksRead<'_>) -> T) -> T {
        work(&mut self.0.snapshot())
    }

    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut RocksWrite<'_>) -> T) -> T {
        let lib = lib();
        // SAFETY: a batch of ours, a database, options.
        unsafe {
            let mut write = RocksWrite {
                store: self.0,
                batch: (lib.rocksdb_writebatch_create)(),
                turn: None,
            };
            let done = work(&mut write);
            let options = self.0.sync[usize::from(durable)];
            ok(|failure| (lib.rocksdb_write)(self.0.db, options, write.batch, failure));
            (lib.rocksdb_writebatch_destroy)(write.batch);
            drop(write.turn);
            done
        }
    }

    fn load_sorted<'k>(&mut self, entries: impl Iterator<Item = (&'k [u8], &'k [u8])>) {
        let (lib, mut files, mut count) = (lib(), Vec::new(), 0_u64);
        // SAFETY: objects made by the library, used as its header says.
        unsafe {
            let writer = (lib.rocksdb_sstfilewriter_create)((lib.rocksdb_envoptions_create)(), self.0.options);
            for (key, value) in entries {
                // Files of about 64 MiB, as the engine would make them.
                if count % 1024 == 0 {
                    let mut size = u64::MAX;
                    if !files.is_empty() {
                        (lib.rocksdb_sstfilewriter_file_size)(writer, &mut size);
                    }
                    if size >= 64 << 20 {
                        if !files.is_empty() {
                            ok(|failure| (lib.rocksdb_sstfilewriter_finish)(writer, failure));
                        }
                        let path = self.0.dir.join(format!("sorted-{}.sst", files.len()));
                        files.push(CString::new(path.as_os_str().as_encoded_bytes()).expect("a path"));
                        let path = files.last().expect("just pushed").as_ptr();
                        ok(|failure| (lib.rocksdb_sstfilewriter_open)(writer, path, failure));
                    }
                }
                count += 1;
                ok(|failure| {
                    (lib.rocksdb_sstfilewriter_put)(writer, text(key), key.len(), text(value), value.len(), failure);
                });
            }
            ok(|failure| (lib.rocksdb_sstfilewriter_finish)(writer, failure));
            (lib.rocksdb_sstfilewriter_destroy)(writer);
            let options = (lib.rocksdb_ingestexternalfileoptions_create)();
            (lib.rocksdb_ingestexternalfileoptions_set_move_files)(options, 1);
            let names: Vec<Text> = files.iter().map(|file| file.as_ptr()).collect();
            ok(|failure| {
                (lib.rocksdb_ingest_external_file)(self.0.db, names.as_ptr(), names.len(), options, failure);
            });
        }
    }
}

impl Drop for RocksRead<'_> {
    fn drop(&mut self) {
        // SAFETY: both were made for this.
        unsafe {
            (lib().rocksdb_readoptions_destroy)(self.options);
            (lib().rocksdb_release_snapshot)(self.store.db, self.snapshot);
        }
    }
}

impl RocksRead<'_> {
    /// Entries from a place on while `see` says so; it gets no value of those it does not want.
    fn walk(&self, place: impl FnOnce(Object), way: Way, mut see: impl FnMut(&[u8], &[u8]) -> bool) {
        let lib = lib();
        let next = if way.backward {
            lib.rocksdb_iter_prev
        } else {
            lib.rocksdb_iter_next
        };
        // SAFETY: an iterator of ours; keys and values are valid until it moves.
        unsafe {
            let iterator = (lib.rocksdb_create_iterator)(self.store.db, self.options);
            place(iterator);
            while (lib.rocksdb_iter_valid)(iterator) != 0 {
                let (mut klen, mut vlen, mut value) = (0, 0, null());
                let key = (lib.rocksdb_iter_key)(iterator, &mut klen);
                if !way.keys_only {
                    value = (lib.rocksdb_iter_value)(iterator, &mut vlen);
                }
                if !see(bytes(key, klen), bytes(value, vlen)) {
                    break;
                }
                next(iterator);
            }
            ok(|failure| (lib.rocksdb_iter_get_error)(iterator, failure));
            (lib.rocksdb_iter_destroy)(iterator);
        }
    }
}

impl Read for RocksRead<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        self.store.get(self.options, key, see)
    }

    fn get_many(&mut self, keys: &[&[u8]], see: &mut impl FnMut(Option<&[u8]>)) {
        let lib = lib();
        let (mut values, mut lens, mut failures) = ([null_mut(); 16], [0; 16], [null_mut(); 16]);
        for keys in keys.chunks(16) {
            let texts: Vec<Text> = keys.iter().map(|key| text(key)).collect();
            let sizes: Vec<usize> = keys.iter().map(|key| key.len()).collect();
            // SAFETY: as many keys, and as much room, as said; what is answered is ours to free.
            unsafe {
                (lib.rocksdb_multi_get)(
                    self.store.db,
                    self.options,
                    keys.len(),
                    texts.as_ptr(),
                    sizes.as_ptr(),
                    values.as_mut_ptr(),
                    lens.as_mut_ptr(),
                    failures.as_mut_ptr(),
                );
                for i in 0..keys.len() {
                    assert!(failures[i].is_null(), "RocksDB: rocksdb_multi_get");
                    see((!values[i].is_null()).then(|| bytes(values[i], lens[i])));
                    (lib.rocksdb_free)(values[i].cast());
                }
            }
        }
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let place = if way.backward {
            lib().rocksdb_iter_seek_to_last
        } else {
            lib().rocksdb_iter_seek_to_first
        };
        // SAFETY: the iterator that was just made.
        let place = |iterator| unsafe { place(iterator) };
        self.walk(place, way, |key, value| {
            see(key, value);
            true
        });
    }

    fn seek(&mut self, from: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        let mut left = n;
        // SAFETY: the iterator that was just made, a key.
        let place = |iterator| unsafe { (lib().rocksdb_iter_seek)(iterator, text(from), from.len()) };
        self.walk(place, Way::FORWARD, |key, value| {
            see(key, value);
            left -= 1;
            left > 0
        });
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        // SAFETY: the iterator that was just made, a key.
        let place = |iterator| unsafe { (lib().rocksdb_iter_seek)(iterator, text(from), from.len()) };
        let way = Way {
            backward: false,
            keys_only: true,
        };
        self.walk(place, way, |key, _| {
            entries += u64::from(key < to);
            key < to
        });
        entries
    }
}

impl Write for RocksWrite<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let store = self.store;
        self.turn
            .get_or_insert_with(|| store.turn.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: options of ours, destroyed below.
        unsafe {
            let options = (lib().rocksdb_readoptions_create)();
            let done = store.get(options, key, see);
            (lib().rocksdb_readoptions_destroy)(options);
            done
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        // SAFETY: a batch, a key, a value.
        unsafe { (lib().rocksdb_writebatch_put)(self.batch, text(key), key.len(), text(value), value.len()) };
    }

    fn delete(&mut self, key: &[u8]) {
        // SAFETY: a batch, a key.
        unsafe { (lib().rocksdb_writebatch_delete)(self.batch, text(key), key.len()) };
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        // SAFETY: a batch, two keys.
        unsafe { (lib().rocksdb_writebatch_delete_range)(self.batch, text(from), from.len(), text(to), to.len()) };
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let (from, to) = range.map_or((&[][..], None), |(from, to)| (from, Some(to)));
        let read = self.store.snapshot();
        // SAFETY: the iterator that was just made, a key.
        let place = |iterator| unsafe { (lib().rocksdb_iter_seek)(iterator, text(from), from.len()) };
        read.walk(place, Way::FORWARD, |key, value| {
            let within = to.is_none_or(|to| key < to);
            if within && !keep(key, value) {
                self.delete(key);
            }
            within
        });
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let (read, mut left) = (self.store.snapshot(), n);
        // SAFETY: the iterator that was just made, a key.
        let place = |iterator| unsafe { (lib().rocksdb_iter_seek)(iterator, text(from), from.len()) };
        read.walk(place, Way::FORWARD, |key, value| {
            self.put(key, other(key, value));
            left -= 1;
            left > 0
        });
    }
}
