/* figures.c: figures and reports of the library as tuples, in the order of the classes in keelkv/figures.py. */
#include "keelkv.h"

#define FIGURE(type, field) {#field, offsetof(type, field), sizeof(((type *)NULL)->field)}
#define NO_MORE {NULL, 0, 0}

const Figure keelkv_db_stat_figures[] = {
    FIGURE(kv_db_stat, page_size),
    FIGURE(kv_db_stat, pages),
    FIGURE(kv_db_stat, free_pages),
    FIGURE(kv_db_stat, pending_pages),
    FIGURE(kv_db_stat, visible),
    FIGURE(kv_db_stat, durable),
    FIGURE(kv_db_stat, oldest),
    FIGURE(kv_db_stat, readers),
    FIGURE(kv_db_stat, discarded),
    FIGURE(kv_db_stat, opened_commit),
    FIGURE(kv_db_stat, opening_ns),
    FIGURE(kv_db_stat, closed_properly),
    FIGURE(kv_db_stat, lost_slots),
    FIGURE(kv_db_stat, writer),
    FIGURE(kv_db_stat, dead_pages_known),
    FIGURE(kv_db_stat, writer_ms),
    FIGURE(kv_db_stat, parked_pages),
    FIGURE(kv_db_stat, announced_pages),
    FIGURE(kv_db_stat, announced_pages_used),
    NO_MORE,
};

const Figure keelkv_reader_figures[] = {
    FIGURE(kv_reader_info, pid),
    FIGURE(kv_reader_info, commit),
    FIGURE(kv_reader_info, age_ms),
    FIGURE(kv_reader_info, kept_pages),
    NO_MORE,
};

const Figure keelkv_table_stat_figures[] = {
    FIGURE(kv_table_stat, height),
    FIGURE(kv_table_stat, entries),
    FIGURE(kv_table_stat, branch_pages),
    FIGURE(kv_table_stat, leaf_pages),
    FIGURE(kv_table_stat, overflow_pages),
    FIGURE(kv_table_stat, items),
    FIGURE(kv_table_stat, used_bytes),
    NO_MORE,
};

const Figure keelkv_txn_stat_figures[] = {
    FIGURE(kv_txn_stat, kind),
    FIGURE(kv_txn_stat, commit),
    FIGURE(kv_txn_stat, edits),
    FIGURE(kv_txn_stat, edit_bytes),
    FIGURE(kv_txn_stat, private_pages),
    NO_MORE,
};

const Figure keelkv_check_figures[] = {
    FIGURE(kv_check_report, faults),
    FIGURE(kv_check_report, commit),
    FIGURE(kv_check_report, tables),
    FIGURE(kv_check_report, entries),
    FIGURE(kv_check_report, pages),
    FIGURE(kv_check_report, tree_pages),
    FIGURE(kv_check_report, overflow_pages),
    FIGURE(kv_check_report, dead_pages),
    FIGURE(kv_check_report, lost_slots),
    FIGURE(kv_check_report, unaccounted_pages),
    FIGURE(kv_check_report, parked_pages),
    FIGURE(kv_check_report, snapshots),
    NO_MORE,
};

const Figure keelkv_compact_figures[] = {
    FIGURE(kv_compact_report, pages_before),
    FIGURE(kv_compact_report, pages_after),
    FIGURE(kv_compact_report, moved_pages),
    FIGURE(kv_compact_report, cut_bytes),
    FIGURE(kv_compact_report, punched_bytes),
    FIGURE(kv_compact_report, pending_pages),
    FIGURE(kv_compact_report, parked_pages),
    FIGURE(kv_compact_report, held_commit),
    NO_MORE,
};

const Figure keelkv_salvage_figures[] = {
    FIGURE(kv_salvage_report, commit),
    FIGURE(kv_salvage_report, tables),
    FIGURE(kv_salvage_report, entries),
    FIGURE(kv_salvage_report, uncertain),
    FIGURE(kv_salvage_report, lost_entries),
    FIGURE(kv_salvage_report, damaged_pages),
    FIGURE(kv_salvage_report, lost_subtrees),
    FIGURE(kv_salvage_report, ambiguous_pages),
    FIGURE(kv_salvage_report, lost_slots),
    NO_MORE,
};

/* The tables by the structs that they describe, for a test. */
static const struct {
    const char *name;
    const Figure *figures;
} all[] = {
    {"kv_db_stat", keelkv_db_stat_figures},
    {"kv_reader_info", keelkv_reader_figures},
    {"kv_table_stat", keelkv_table_stat_figures},
    {"kv_txn_stat", keelkv_txn_stat_figures},
    {"kv_check_report", keelkv_check_figures},
    {"kv_salvage_report", keelkv_salvage_figures},
};

static Py_ssize_t number_of(const Figure *figures)
{
    Py_ssize_t n = 0;
    while (figures[n].name != NULL)
        n++;
    return n;
}

static PyObject *value_of(const char *object, const Figure *figure)
{
    uint32_t narrow;
    uint64_t wide;

    if (figure->size == sizeof(narrow)) {
        memcpy(&narrow, object + figure->offset, sizeof(narrow));
        return PyLong_FromUnsignedLong(narrow);
    }
    memcpy(&wide, object + figure->offset, sizeof(wide));
    return PyLong_FromUnsignedLongLong(wide);
}

/* The values of a struct; if there is none, the names of its fields. */
static PyObject *tuple_of(const Figure *figures, const char *object)
{
    Py_ssize_t n = number_of(figures);
    PyObject *tuple = PyTuple_New(n);

    for (Py_ssize_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *item = object != NULL ? value_of(object, &figures[i]) : PyUnicode_FromString(figures[i].name);
        if (item == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SetItem(tuple, i, item);
    }
    return tuple;
}

PyObject *keelkv_figures(const void *object, const Figure *figures)
{
    return tuple_of(figures, object);
}

PyObject *keelkv_figure_names(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *names = PyDict_New();

    for (size_t i = 0; names != NULL && i < sizeof(all) / sizeof(all[0]); i++) {
        PyObject *fields = tuple_of(all[i].figures, NULL);
        if (fields == NULL || PyDict_SetItemString(names, all[i].name, fields) < 0)
            Py_CLEAR(names);
        Py_XDECREF(fields);
    }
    return names;
}
