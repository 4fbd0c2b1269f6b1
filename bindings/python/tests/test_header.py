"""The package beside `kv.h`: structs, constants, functions, and the names of C in messages."""

import ctypes as C
import unittest

import header
import keelkv
from keelkv import _constants, _jobs, _library, _names, figures
from common import Case

#: The names of the structs in this package.
STRUCTS = {
    "kv_slice": "Slice", "kv_range": "Range", "kv_batch": "Batch", "kv_error": "ErrorDetail", "kv_options": "Options",
    "kv_txn_options": "TxnOptions", "kv_table_options": "TableOptions", "kv_job_options": "JobOptions",
    "kv_fault": "Fault", "kv_check_report": "CheckReport", "kv_salvage_report": "SalvageReport",
    "kv_db_stat": "DatabaseStat", "kv_identity": "Identity", "kv_reader_info": "ReaderInfo",
    "kv_table_stat": "TableStat", "kv_txn_stat": "TxnStat", "kv_value_stat": "ValueStat",
    "kv_change": "Change", "kv_diff_counts": "DiffCounts",
    "kv_compact_options": "CompactOptions", "kv_compact_report": "CompactReport",
    "kv_snapshot_options": "SnapshotOptions", "kv_snapshot_stat": "SnapshotStat", "kv_retention": "Retention",
}
TYPES = {
    "uint32_t": C.c_uint32, "int32_t": C.c_int32, "kv_status": C.c_int32, "uint64_t": C.c_uint64, "int64_t": C.c_int64,
    "kv_table": C.c_uint64, "size_t": C.c_size_t, "kv_slice": _library.Slice, "uint8_t[16]": C.c_uint8 * 16,
}
FIGURES = {
    "kv_db_stat": figures.DatabaseStat, "kv_reader_info": figures.Reader, "kv_table_stat": figures.TableStat,
    "kv_compact_report": figures.CompactReport,
    "kv_check_report": figures.CheckReport, "kv_salvage_report": figures.SalvageReport,
    "kv_retention": figures.Retention,
}
#: What is only said to programs that fill structs or hold handles themselves, as this package does for its users.
NOT_SAID = {
    "KV_BATCH_INIT", "KV_BATCH_KEYS", "KV_BATCH_VALUES", "KV_COMPACT_OPTIONS_INIT", "KV_DURABILITY_FULL",
    "KV_DURABILITY_LAZY", "KV_JOB_CHECK_SPACE", "KV_JOB_COMPACT", "KV_NONE", "KV_OPEN_MEMORY", "KV_OPTIONS_INIT",
    "KV_OP_DELETE", "KV_OP_PUT", "KV_RANGE_AFTER", "KV_RANGE_BEFORE", "KV_RANGE_FROM", "KV_RANGE_INIT",
    "KV_RANGE_PREFIX", "KV_RANGE_REVERSE", "KV_RANGE_THROUGH", "KV_SNAPSHOT_KEEP", "KV_TXN_NOWAIT",
    "KV_TXN_OPTIONS_INIT", "KV_VERIFY_ALWAYS", "KV_VERIFY_NEVER", "KV_VERIFY_ONCE", "kv_fd_write", "kv_op",
}


@unittest.skipUnless(header.TEXT, "kv.h is not here")
class Header(unittest.TestCase):
    def test_constants(self):
        theirs = header.constants()
        self.assertGreater(len(theirs), 70)
        mine = {name: value for name, value in vars(_constants).items() if type(value) is int}
        own = {"SCAN_ITEMS", "SCAN_KEYS", "SCAN_VALUES", "UNLIMITED"}
        mine.update({f"DURABILITY_{name.upper()}": value for name, value in _constants.DURABILITY.items()})
        mine.update({f"VERIFY_{name.upper()}": value for name, value in _constants.VERIFY.items()})
        mine.update({f"FAULT_{name.upper()}": value for name, value in _constants.FAULT.items()})
        mine.update({name: getattr(_jobs, name) for name in (
            "OK", "NOTFOUND", "BUSY", "TOO_SMALL", "BAD_HANDLE", "CHILD_OPEN", "FORKED", "CORRUPT", "NONE")})
        self.assertGreater(len(mine), 40)
        for name in mine.keys() - own:
            self.assertEqual(mine[name], theirs.get(name), name)
        # Every choice of an option can be chosen.
        choices = {name for name in theirs if name.startswith(("DURABILITY_", "VERIFY_", "FAULT_")) and theirs[name] != 0}
        self.assertEqual(choices - mine.keys(), set())
        self.assertEqual(_constants.UNLIMITED, theirs["NONE"])

    def test_structs(self):
        theirs = header.structs()
        classes = {kind for kind in vars(_library).values() if isinstance(kind, type) and kind.__base__ is C.Structure}
        self.assertEqual(classes, {getattr(_library, name) for name in STRUCTS.values()})
        for name, called in STRUCTS.items():
            mine = getattr(_library, called)._fields_
            self.assertEqual([field.rstrip("_") for field, _ in mine], [field for field, _ in theirs[name]], name)
            for (field, kind), (_, wanted) in zip(mine, theirs[name]):
                if wanted == "*":
                    self.assertIn(kind, (C.c_void_p, C.c_char_p), f"{name}.{field}")
                else:
                    self.assertIs(kind, TYPES[wanted], f"{name}.{field}")

    def test_functions_have_as_many_parameters(self):
        theirs = header.functions()
        self.assertGreater(len(theirs), 80)
        for name, arguments in {**_library._SHORT, **_library._LONG}.items():
            self.assertEqual(len(arguments), theirs.get(name), name)
        for name in _library._NOTHING:
            self.assertEqual(theirs.get(name), 1, name)

    def test_figures_are_complete(self):
        structs = header.structs()
        for name, kind in FIGURES.items():
            fields = {field for field, _ in structs[name]} - {"struct_size", "reserved"}
            self.assertEqual(set(kind._fields), fields, name)
        stat = [field for field, _ in structs["kv_txn_stat"]][1:]
        self.assertEqual(len(figures.TransactionStat._fields), len(stat))
        try:
            from keelkv import _keelkv
        except ImportError:
            self.skipTest("the extension is not here")
        # What a call fills by itself, the extension has in no list.
        apart = {"kv_compact_report", "kv_retention"}
        names = {name: kind._fields for name, kind in FIGURES.items() if name not in apart}
        self.assertEqual(_keelkv.figure_names(), {**names, "kv_txn_stat": tuple(stat)})


class Names(Case):
    @unittest.skipUnless((header.ROOT / "capi").exists(), "the sources of the library are not here")
    def test_each_name_of_c_has_one_of_python(self):
        names = header.names_in_messages()
        self.assertGreater(len(names), 50)
        self.assertEqual(names - _names.NAMES.keys(), NOT_SAID)
        self.assertEqual(_names.NAMES.keys() - names, set())

    def test_what_they_are_called_exists(self):
        for name in _names.NAMES.values():
            if name.startswith("keelkv."):
                self.assertTrue(hasattr(keelkv, name[len("keelkv."):].rstrip("()")), name)

    def test_messages(self):
        self.open().close()
        with self.assertRaisesRegex(keelkv.ExistsError, "open it without new=True, or choose another name$"):
            self.open(new=True)
        with self.assertRaisesRegex(keelkv.NoFileError, "open it without create=False or read_only=True"):
            self.open(self.directory / "none.kv", create=False)
        with self.open() as db:
            db[b"a"] = b"1"
            with db.read() as s:
                with self.assertRaisesRegex(keelkv.ReadOnlyError, r"begin one with write\(\)"):
                    s[b"a"] = b"2"
                with db.write() as t:
                    t.table("later", create=True)
                with self.assertRaisesRegex(keelkv.NoTableError, r"\(refresh\(\)\)"):
                    s.table("later")
            with self.assertRaisesRegex(keelkv.InvalidError, "keelkv.BLIND cannot .* keelkv.NO_OVERWRITE"):
                db.put(b"a", b"1", keelkv.BLIND)
            with self.assertRaisesRegex(keelkv.ExistsError, "put without keelkv.NO_OVERWRITE"):
                db.put(b"a", b"1", keelkv.NO_OVERWRITE)
            db.backup(self.directory / "copy.kv")
            with self.assertRaisesRegex(keelkv.ExistsError, "give overwrite=True to replace it"):
                db.backup(self.directory / "copy.kv")

    def test_what_is_the_programs_stays(self):
        for text in ("/tmp/kv_open KV_MAIN/a.kv: it is busy", 'there is no table "kv_open"', "a.kv: see /kv_open/x.kv"):
            self.assertEqual(_names.in_python(text), text)
        self.assertEqual(_names.in_python("/kv_open.kv: use kv_open(), or kv_salvage."),
                         "/kv_open.kv: use keelkv.open(), or keelkv.salvage().")


if __name__ == "__main__":
    unittest.main()
