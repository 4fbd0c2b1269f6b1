#!/usr/bin/env python3
"""Compares the statuses that kv.h documents with those that the C tests saw.

    status-table.py HEADER PAIRS UNPROVOKED TABLE

PAIRS has a line "function STATUS" for each answer that a test saw (tests/c/check.h writes them). Fails for an answer
that the header does not document, for a documented one that no test saw and that UNPROVOKED does not explain, for an
explanation that is not needed, and for a function that no test called. Writes the table of all pairs to TABLE.
"""
import re
import sys

# What "as kv_put() with ..." leaves out. The other side of a condition is not documented at the function itself.
CONDITIONS = {
    ("kv_put", "with KV_NO_OVERWRITE"): {"KV_NOTFOUND", "KV_ORDER"},
    ("kv_txn_begin", "with KV_READ"): {
        "KV_BUSY", "KV_CANCELLED", "KV_DEADLOCK", "KV_READ_ONLY", "KV_NO_LOCKS", "KV_NO_SPACE",
        # Those who say so begin on the newest commit.
        "KV_NOTFOUND", "KV_TOO_BIG",
    },
    ("kv_txn_begin", "with KV_WRITE"): set(),
}


def returns(header):
    """Maps each function that answers a status to the text of its @return, and lists all functions."""
    texts, functions = {}, []
    declaration = r"/\*\*((?:(?!\*/).)*)\*/\nKV_API ([^;(]*?)\b(kv_[a-z_0-9]+)\("
    for comment, kind, name in re.findall(declaration, header, re.S):
        functions.append(name)
        if re.search(r"\bkv_status\b", kind):
            comment = re.sub(r"\n \* ?", "\n", comment)
            found = re.search(r"^@return (.*?)(?=^@|\Z)", comment, re.S | re.M)
            texts[name] = " ".join(found.group(1).split()) if found else ""
    return texts, functions


def documented(texts, statuses, name, seen=()):
    """Returns the statuses that the text of a function names, with those of the functions to which it refers."""
    if name in seen:
        return set()
    # What stands in parentheses explains; the parentheses of a function are none.
    text = re.sub(r"(kv_[a-z_0-9]+)\(\)", r"\1", texts[name])
    while re.search(r"\([^()]*\)", text):
        text = re.sub(r"\([^()]*\)", "", text)
    found, never = set(), set()
    for clause in text.split(";"):
        clause = clause.strip(" .")
        if re.match(r"(?:otherwise )?as kv_|what kv_", clause, re.I):
            for other, condition in re.findall(r"(kv_[a-z_0-9]+)((?: with KV_[A-Z_]+)?)", clause):
                missing = CONDITIONS[other, condition.strip()] if condition else set()
                found |= documented(texts, statuses, other, (*seen, name)) - missing
        elif clause.startswith("never "):
            never |= set(re.findall(r"KV_[A-Z_]+", clause))
        else:
            found |= {word for word in re.findall(r"KV_[A-Z_]+", clause) if word in statuses}
    return found - never


def nestable(header):
    """Returns the functions that a nested transaction keeps from working, by the first convention of the header."""
    found = re.findall(r"\nKV_API [^;(]*?\bkv_status (kv_[a-z_0-9]+)\(([^;]*)\);", header)
    # These take a read transaction and no other.
    others = {"kv_txn_refresh", "kv_check", "kv_backup", "kv_backup_stream"}
    return {name for name, parameters in found if re.search(r"\bkv_(txn|cursor|diff) \*\w", parameters)} - others


def explained(lines, known):
    """Reads lines "STATUS ... | function ... | reason"; "NAME*" stands for all names that begin so."""
    answer, bad = {}, []
    for number, line in enumerate(lines, 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        try:
            statuses, functions, reason = (part.strip() for part in line.split("|"))
        except ValueError:
            bad.append(f"line {number}: not STATUSES | FUNCTIONS | REASON")
            continue
        for pattern in functions.split():
            pattern_of = re.compile(re.escape(pattern).replace(r"\*", ".*"))
            for status in statuses.split():
                hits = {pair for pair in known if pair[1] == status and pattern_of.fullmatch(pair[0])}
                if not hits:
                    bad.append(f"line {number}: nothing documents {status} for {pattern}, or a test saw it")
                answer.update((pair, reason) for pair in hits)
    return answer, bad


def main(header_path, pairs_path, unprovoked_path, table_path):
    with open(header_path) as file:
        header = file.read()
    statuses = re.findall(r"^#define (KV_[A-Z_]+) (?:0|\(-\d+\))$", header, re.M)
    statuses = statuses[statuses.index("KV_OK"):statuses.index("KV_PANIC")]
    texts, functions = returns(header)
    with open(pairs_path) as file:
        seen = {tuple(line.split()) for line in file}
    called = {name for name, _ in seen}
    wanted = {(name, status) for name in texts for status in documented(texts, statuses, name)}
    wanted |= {(name, "KV_CHILD_OPEN") for name in nestable(header)}
    with open(unprovoked_path) as file:
        reasons, problems = explained(file, wanted - seen)

    problems += [f"{name}: kv.h does not say what it answers" for name in texts if not texts[name]]
    problems += [f"{name}: no test calls it" for name in functions if name not in called]
    problems += [f"{name}: not a function of kv.h, but a test calls it" for name in called if name not in functions]
    answers = {pair for pair in seen if pair[1].startswith("KV_")}
    problems += [f"{name}: answered {status}, which kv.h does not document" for name, status in answers - wanted]
    problems += [f"{name}: no test saw {status}" for name, status in wanted - seen if (name, status) not in reasons]

    with open(table_path, "w") as table:
        for name in texts:
            for status in (status for status in statuses if (name, status) in wanted):
                how = "tested" if (name, status) in seen else reasons.get((name, status), "NOT TESTED")
                print(f"{name:24} {status:18} {how}", file=table)
    tested = len(wanted & seen)
    print(f"{len(texts)} functions, {len(wanted)} statuses: {tested} tested, {len(reasons)} not provoked, "
          f"{len(problems)} problems")
    for problem in sorted(problems):
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
