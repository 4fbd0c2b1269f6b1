"""Leaves in a description of an interface, as abidw writes it, what programs can see: the exported functions and the
types that their parameters and results lead to.

    trim-abi.py FILE

The description of a library in Rust has its private types as well, which abidw cannot tell from the others, because the
compiler does not say where types are declared. Without them, and without the modules in which types lie, the file is
small and changes only with the interface.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

# Attributes that name another type.
REFERENCES = ("type-id", "def-of-decl-id", "naming-typedef-id")
# Parts of a type that are no layout.
NO_LAYOUT = ("member-function", "member-type", "member-template")


def layout(element):
    """The element and what lies in it, as far as it is layout."""
    yield element
    for child in element:
        if child.tag not in NO_LAYOUT:
            yield from layout(child)


def main(path):
    tree = ElementTree.parse(path)
    corpus = tree.getroot()
    types = {}
    for element in corpus.iter():
        if "id" in element.attrib and element.tag not in ("parameter", "enumerator"):
            types.setdefault(element.get("id"), element)
    functions = [element for element in corpus.iter("function-decl") if "elf-symbol-id" in element.attrib]
    wanted = list(functions)
    kept = set()
    while wanted:
        element = wanted.pop()
        if id(element) in kept:
            continue
        kept.add(id(element))
        for part in layout(element):
            wanted += [types[part.get(name)] for name in REFERENCES if part.get(name) in types]

    def trim(element):
        """Whether the element is kept, or has something that is; takes out of it what is not."""
        for child in list(element):
            if id(element) in kept:
                # Within a type: a type that lies in it is kept for its own sake.
                if child.tag in NO_LAYOUT and not trim(child):
                    element.remove(child)
            elif not trim(child):
                element.remove(child)
        return id(element) in kept or len(element) > 0

    def without_modules(element):
        """The parts of an element, with those of its namespaces in their place."""
        for child in element:
            if child.tag == "namespace-decl":
                yield from without_modules(child)
            else:
                yield child

    for part in list(corpus):
        if part.tag == "elf-needed" or (part.tag == "abi-instr" and not trim(part)):
            corpus.remove(part)
    # One unit for all of them, as the paths of units have sums in them that change with the compiler.
    units = corpus.findall("abi-instr")
    whole = ElementTree.SubElement(corpus, "abi-instr", {**units[0].attrib, "path": "kv"})
    for unit in units:
        whole.extend(without_modules(unit))
        corpus.remove(unit)
    for element in corpus.iter():
        element.tail = element.text = None
        if "name" in element.attrib:
            element.set("name", re.sub(r"\b(\w+::)+", "", element.get("name")))
    ElementTree.indent(tree)
    tree.write(path, encoding="utf-8")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
