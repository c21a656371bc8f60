"""Writes the metaschemas as a C file: embed.py OUT.c SCHEMA.json... Called by the build."""
import json
import sys


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main(out_path, *paths):
    entries = []
    for path in paths:
        with open(path, encoding="ascii") as f:
            schema = json.load(f)
        text = json.dumps(schema, separators=(",", ":"))
        lines = "\n".join(c_string(text[i:i + 100]) for i in range(0, len(text), 100))
        uri = schema["$id"].rstrip("#")
        entries.append(f"    {{{{{c_string(uri)}, {len(uri)}}},\n     {{{lines} PADDING, {len(text)}}}}},")
    with open(out_path, "w", encoding="ascii") as f:
        f.write('#include "schema_private.h"\n\n')
        f.write("#define PADDING" + ' "        "' * 8 + "\n\n")
        f.write("const struct meta metas[] = {\n" + "\n".join(entries) + "\n};\n")
        f.write("const size_t n_metas = sizeof metas / sizeof *metas;\n")


main(*sys.argv[1:])
