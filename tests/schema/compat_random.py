"""Whether the compatibility checker is sound: pairs of schemas at random, instances at random, and jsonschema as judge.

    compat_random.py PROGRAM                    the same pairs in each run
    compat_random.py PROGRAM SECONDS [SEED]     by hand: as many as there is time for, from a fresh seed

Whatever is valid under the old schema of a pair that PROGRAM calls proven must be valid under the new one. A run
that saw too little of anything fails, for it would have proven nothing.
"""
import copy
import json
import random
import subprocess
import sys
import time

import jsonschema

NAMES = ["a", "b", "c", "x-1", "kind"]
STRINGS = ["", "a", "b", "ab", "abc", "x-1", "\u00e9\u00e9", "\U0001f600"]
NUMBERS = [-2, -1, 0, 1, 1.0, 1.5, 2, 2.5, 3, 4, 5.0, 6, 10]
SCALARS = STRINGS + [2, 3, 2.5, 4.0, None]
PATTERNS = ["^x-", "a", "^a$", "[a-c]", "b$"]
TYPES = ["null", "boolean", "object", "array", "string", "integer", "number"]
DRAFTS = {
    "2020": ("https://json-schema.org/draft/2020-12/schema", jsonschema.Draft202012Validator),
    "07": ("http://json-schema.org/draft-07/schema#", jsonschema.Draft7Validator),
}


SIMPLE = ["type", "type", "type", "types", "enum", "const", "number", "multipleOf", "length", "pattern", "count",
          "uniqueItems", "required", "format"]
DEEP = ["properties", "properties", "properties", "patternProperties", "additionalProperties", "closed", "items", "list",
        "contains", "propertyNames", "dependentRequired", "dependentSchemas", "allOf", "anyOf", "oneOf", "not", "if",
        "kinds", "unevaluatedProperties", "unevaluatedItems", "ref"]
# Few keywords together meet more often: most pairs are made of one of these.
THEMES = [
    (SIMPLE, DEEP),
    (["type", "const", "required"], ["properties", "patternProperties", "patternProperties", "closed",
                                     "additionalProperties", "propertyNames"]),
    (["type", "const", "count"], ["items", "list", "list", "contains", "contains"]),
    (["type", "required"], ["unevaluatedProperties", "unevaluatedProperties", "closed", "properties", "allOf", "anyOf",
                            "if", "dependentSchemas", "ref", "patternProperties"]),
    (["type", "const", "enum", "number", "required"], ["anyOf", "oneOf", "not", "if", "kinds", "properties"]),
    (["number", "number", "multipleOf", "length", "count", "type", "types"], ["allOf", "anyOf", "items"]),
    (["type", "type", "required", "required"], ["if", "if", "not", "dependentSchemas", "dependentSchemas", "anyOf",
                                                "dependentRequired"]),
    (["type", "required"], ["ref", "ref", "properties", "properties", "items", "anyOf"]),
]


SEEDS, PAIRS = [3917142823, 1, 2, 3], 450


class Maker:
    """Schemas of one draft, and instances."""

    def __init__(self, rnd, draft):
        self.rnd, self.draft = rnd, draft
        self.simple, self.deep = rnd.choice(THEMES)
        self.definitions = "$defs" if draft == "2020" else "definitions"

    def value(self, depth=2):
        r = self.rnd
        kind = r.random()
        if depth > 0 and kind < 0.25:
            return {n: self.value(depth - 1) for n in r.sample(NAMES, r.randint(0, 3))}
        if depth > 0 and kind < 0.45:
            return [self.value(depth - 1) for _ in range(r.randint(0, 3))]
        if kind < 0.7:
            return r.choice(NUMBERS)
        if kind < 0.9:
            return r.choice(STRINGS)
        return r.choice([None, True, False])

    def schemas(self, depth, least=2):
        return [self.schema(depth - 1) for _ in range(self.rnd.randint(least, 3))]

    def keyword(self, depth):
        """One keyword at random, with others that belong to it."""
        r = self.rnd
        what = r.choice(self.simple + (self.deep * 2 if depth > 0 else []))
        new = self.draft == "2020"
        if what == "type":
            return {"type": r.choice(TYPES)}
        if what == "types":
            return {"type": r.sample(TYPES, 2)}
        if what == "enum":
            return {"enum": r.sample(SCALARS, r.randint(1, 4)) + r.choice([[], [{"a": "a"}], [[2]], [{}]])}
        if what == "const":
            return {"const": r.choice(SCALARS + [{"a": "a"}, [2]])}
        if what == "number":
            return {r.choice(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]): r.choice(NUMBERS)}
        if what == "multipleOf":
            return {"multipleOf": r.choice([1, 2, 3, 4, 0.5, 6])}
        if what == "length":
            return {r.choice(["minLength", "maxLength"]): r.randint(0, 3)}
        if what == "pattern":
            return {"pattern": r.choice(PATTERNS)}
        if what == "format":
            return {"format": r.choice(["date", "uuid"])}
        if what == "count":
            return {r.choice(["minItems", "maxItems", "minProperties", "maxProperties"]): r.randint(0, 3)}
        if what == "uniqueItems":
            return {"uniqueItems": r.random() < 0.8}
        if what == "required":
            return {"required": r.sample(NAMES, r.randint(1, 2))}
        if what == "properties":
            return {"properties": {n: self.schema(depth - 1) for n in r.sample(NAMES, r.randint(1, 3))}}
        if what == "patternProperties":
            rest = r.choice([{}, {"additionalProperties": self.schema(depth - 1)}])
            return {"patternProperties": {p: self.schema(depth - 1) for p in r.sample(PATTERNS, r.randint(1, 2))}, **rest}
        if what == "closed":
            return {"properties": {n: self.schema(depth - 1) for n in r.sample(NAMES, r.randint(1, 3))},
                    "additionalProperties": False}
        if what == "list":
            rest = r.choice([{}, {"items" if new else "additionalItems": self.schema(depth - 1)}])
            return {"prefixItems" if new else "items": self.schemas(depth, 1), **rest}
        if what == "contains":
            counts = r.choice([{}, {"minContains": r.randint(0, 2)}, {"maxContains": r.randint(1, 3)}])
            return {"contains": self.schema(depth - 1), **counts}
        if what == "dependentRequired":
            return {what if new else "dependencies": {r.choice(NAMES): r.sample(NAMES, r.randint(1, 2))}}
        if what == "dependentSchemas":
            return {what if new else "dependencies": {r.choice(NAMES): self.schema(depth - 1)}}
        if what in ("allOf", "anyOf", "oneOf"):
            return {what: self.schemas(depth)}
        if what == "kinds":
            return {r.choice(["oneOf", "anyOf"]): [self.kind(k, depth) for k in r.sample(STRINGS, r.randint(2, 3))]}
        if what == "if":
            return {"if": self.schema(depth - 1),
                    **r.choice([{}, {"then": self.schema(depth - 1)}]), **r.choice([{}, {"else": self.schema(depth - 1)}])}
        if what == "ref":
            return {"$ref": r.choice(["#", f"#/{self.definitions}/d", f"#/{self.definitions}/e"])}
        return {what: self.schema(depth - 1)}

    def kind(self, name, depth):
        return {"type": "object", "required": ["kind"] + self.rnd.sample(NAMES[:3], self.rnd.randint(0, 1)),
                "properties": {"kind": {"const": name}, self.rnd.choice(NAMES[:3]): self.schema(depth - 1)}}

    def schema(self, depth):
        r = self.rnd
        if r.random() < 0.08:
            return r.choice([True, True, False, {}])
        out = {}
        for _ in range(r.choice([1, 1, 1, 2, 2, 3, 4])):
            out.update(self.keyword(depth))
        return out

    def document(self):
        root = self.schema(self.rnd.choice([1, 2, 2, 3]))
        if isinstance(root, bool):
            root = {"allOf": [root]}
        root["$schema"] = DRAFTS[self.draft][0]
        root[self.definitions] = {"d": self.schema(self.rnd.choice([1, 1, 2])), "e": self.schema(1)}
        return root

    # --- instances that have a chance

    def instance(self, schema, root, depth=5):
        r = self.rnd
        if depth <= 0 or not isinstance(schema, dict) or r.random() < 0.06:
            return self.value(1)
        deeper = lambda s: self.instance(s, root, depth - 1)
        ref = schema.get("$ref")
        if isinstance(ref, str) and r.random() < 0.8:
            return deeper(root if ref == "#" else root.get(self.definitions, {}).get(ref[-1], True))
        if "const" in schema:
            return copy.deepcopy(schema["const"])
        if schema.get("enum"):
            return copy.deepcopy(r.choice(schema["enum"]))
        branches = [b for k in ("allOf", "anyOf", "oneOf") for b in schema.get(k, [])]
        branches += [schema[k] for k in ("then", "else", "if") if k in schema]
        if branches and r.random() < 0.6:
            merged = r.choice(branches)
            if isinstance(merged, dict):
                rest = {k: v for k, v in schema.items() if k not in ("allOf", "anyOf", "oneOf", "if", "then", "else")}
                merged = {**rest, **merged,
                          "properties": {**rest.get("properties", {}), **merged.get("properties", {})},
                          "required": sorted({*rest.get("required", []), *merged.get("required", [])})}
                if not merged["properties"]:
                    del merged["properties"]
                if not merged["required"]:
                    del merged["required"]
                return deeper(merged)
        types = schema.get("type") or self.guess(schema)
        kind = types if isinstance(types, str) else r.choice(types)
        if kind == "object":
            return self.object(schema, deeper)
        if kind == "array":
            return self.array(schema, deeper)
        if kind == "string":
            return r.choice(STRINGS)
        if kind in ("integer", "number"):
            near = [schema[k] for k in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if k in schema]
            return r.choice(NUMBERS + near + near)
        return None if kind == "null" else r.choice([True, False])

    def guess(self, schema):
        if any(k in schema for k in ("properties", "required", "patternProperties", "additionalProperties",
                                     "unevaluatedProperties", "dependentRequired", "dependentSchemas", "dependencies",
                                     "propertyNames", "minProperties", "maxProperties")) and self.rnd.random() < 0.9:
            return "object"
        if any(k in schema for k in ("items", "prefixItems", "contains", "uniqueItems", "minItems", "maxItems")):
            return "array"
        return TYPES

    def object(self, schema, deeper):
        r, own = self.rnd, schema.get("properties", {})
        names = set(n for n in schema.get("required", []) if r.random() < 0.97)
        names |= set(n for n in own if r.random() < 0.6)
        rest = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
        if r.random() < (0.1 if rest is False else 0.6):
            names |= set(r.sample(NAMES + STRINGS, r.randint(1, 2)))
        patterns = list(schema.get("patternProperties", {}).values())
        out = {}
        for n in sorted(names):
            out[n] = deeper(own[n]) if n in own else deeper(r.choice(patterns + [rest]))
        return out

    def array(self, schema, deeper):
        r = self.rnd
        prefix, rest = schema.get("prefixItems", []), schema.get("items", True)
        if isinstance(rest, list):
            prefix, rest = rest, schema.get("additionalItems", True)
        n = r.randint(schema.get("minItems", 0), max(schema.get("minItems", 0), min(schema.get("maxItems", 4), 4)))
        some = [rest] + ([schema["contains"]] if "contains" in schema else [])
        return [deeper(prefix[i] if i < len(prefix) else r.choice(some)) for i in range(n)]

    # --- a new version of a schema

    def spots(self, schema, out):
        """Every subschema, as what holds it and its key there."""
        for key, word in schema.items() if isinstance(schema, dict) else ():
            if key in ("properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"):
                for name, inner in word.items():
                    if not isinstance(inner, list):
                        out.append((word, name))
                        self.spots(inner, out)
            elif key in ("allOf", "anyOf", "oneOf", "prefixItems") or (key == "items" and isinstance(word, list)):
                for i, inner in enumerate(word):
                    out.append((word, i))
                    self.spots(inner, out)
            elif key not in ("const", "enum") and isinstance(word, (dict, bool)) and key != "uniqueItems":
                out.append((schema, key))
                self.spots(word, out)
        return out

    def change(self, document):
        r = self.rnd
        holder = {"root": document}
        spots = [(holder, "root")] * 3 + self.spots(document, [])
        at, key = r.choice(spots)
        schema = at[key]
        if isinstance(schema, bool):
            at[key] = r.choice([True, self.schema(1)])
            return holder["root"]
        words = [w for w in schema if w not in ("$schema", "$defs", "definitions")]
        what = r.choice(["drop", "drop", "add", "replace", "number", "number", "wrap", "wrap", "optional", "property",
                         "value", "order", "widen", "widen", "move", "merge", "strict", "strict", "unname", "unname",
                         "contains", "place"])
        if what == "drop" and words:
            del schema[r.choice(words)]
        elif what == "add":
            schema.update(self.keyword(1))
        elif what == "replace" and key != "root":
            at[key] = self.schema(1)
        elif what == "number":
            numbers = [w for w in words if isinstance(schema[w], (int, float)) and not isinstance(schema[w], bool)
                       and w not in ("const", "multipleOf")]
            for w in numbers[:1]:
                low = w.startswith("m") and w[1:3] == "in" or w == "exclusiveMinimum"
                schema[w] = max(schema[w] + r.choice([-1, -1, 1]) * (1 if low else -1),
                                -5 if "imum" in w else 0)
        elif what == "wrap" and key != "root":
            how = r.choice(["anyOf", "anyOf", "oneOf", "allOf"])
            at[key] = {how: r.sample([schema] + [self.schema(1) for _ in range(r.randint(0, 2))], k=1) + [schema]} \
                if r.random() < 0.2 else {how: [schema] + [self.schema(1) for _ in range(r.randint(0, 1))]}
        elif what == "optional" and "required" in schema:
            if len(schema["required"]) > 1:
                schema["required"].pop()
            else:
                del schema["required"]
        elif what == "property" and "properties" in schema:
            schema["properties"][r.choice(NAMES)] = self.schema(1)
        elif what == "value" and "enum" in schema:
            schema["enum"].append(r.choice(["zz", {"zz": 2}]))
        elif what == "order":
            for w in ("anyOf", "oneOf", "allOf"):
                if w in schema:
                    r.shuffle(schema[w])
        elif what == "widen":
            if schema.get("type") == "integer":
                schema["type"] = "number"
            elif isinstance(schema.get("type"), str):
                schema["type"] = sorted({schema["type"], r.choice(TYPES)})
            elif schema.get("additionalProperties") is False:
                schema["additionalProperties"] = self.schema(1)
            for w in ("anyOf", "oneOf"):
                if w in schema and r.random() < 0.5:
                    schema[w].append(r.choice([self.schema(1), self.kind(r.choice(STRINGS), 1)]))
        elif what == "move" and key != "root" and "root" in holder and not isinstance(holder["root"], bool):
            holder["root"].setdefault(self.definitions, {})["f"] = schema
            at[key] = {"$ref": f"#/{self.definitions}/f"}
        elif what == "strict":
            for plain, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
                for a, b in ((plain, strict), (strict, plain)):
                    if a in schema and b not in schema:
                        schema[b] = schema.pop(a)
                        break
        elif what == "unname":
            maps = [schema[w] for w in ("properties", "patternProperties") if schema.get(w)]
            if maps:
                names = r.choice(maps)
                inner = names.pop(r.choice(list(names)))
                if r.random() < 0.7:
                    schema.setdefault("patternProperties", {})[r.choice(PATTERNS)] = r.choice([inner, self.schema(1)])
        elif what == "contains":
            for w in ("minContains", "maxContains"):
                if w in schema:
                    schema[w] = r.randint(0, 3)
        elif what == "place":
            places = schema.get("prefixItems", schema.get("items"))
            if isinstance(places, list):
                places.append(self.schema(1)) if r.random() < 0.5 or len(places) < 2 else places.pop()
        elif what == "merge" and "allOf" in schema:
            first = schema["allOf"][0]
            if isinstance(first, dict):
                schema.update(first)
        return holder["root"]

    def pair(self):
        old = self.document()
        if self.rnd.random() < 0.2:
            return old, self.document()
        new = copy.deepcopy(old)
        for _ in range(self.rnd.choice([1, 1, 2, 3])):
            new = self.change(new)
        if isinstance(new, dict):
            new["$schema"] = old["$schema"]
        return old, new


class Judge:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, old, new):
        self.process.stdin.write(json.dumps({"old": old, "new": new}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args[0]} ended at {json.dumps({'old': old, 'new': new})}")
        return answer.strip()

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise SystemExit(f"{self.process.args[0]} failed")


def circles(schema, root, seen=()):
    """Whether a schema leads to itself at the same instance: no judge can say what that means."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return isinstance(schema, dict)
    seen += (id(schema),)
    inner = [s for k in ("allOf", "anyOf", "oneOf") for s in schema.get(k, [])]
    inner += [schema[k] for k in ("not", "if", "then", "else") if k in schema]
    inner += [s for k in ("dependentSchemas", "dependencies") for s in schema.get(k, {}).values()]
    ref = schema.get("$ref")
    if isinstance(ref, str):
        inner.append(root if ref == "#" else root.get(ref.split("/")[1], {}).get(ref[-1], True))
    return any(circles(s, root, seen) for s in inner)


def valid(validator, instance):
    """None: some releases of the judge stumble over additionalItems beside boolean items."""
    try:
        return validator.is_valid(instance)
    except TypeError:
        return None


def usable(cls, schema):
    if not isinstance(schema, dict):
        return True
    targets = [schema, *schema.get("$defs", {}).values(), *schema.get("definitions", {}).values()]
    if any(circles(s, schema) for s in targets):
        return False
    try:
        cls.check_schema(schema)
        return True
    except jsonschema.SchemaError:
        return False


def check_pair(maker, cls, old, new, counts):
    before, after = cls(old), cls(new)
    for i in range(40):
        instance = maker.instance(old if i % 3 else new, old if i % 3 else new)
        if valid(before, instance):
            counts["instances"] += 1
            if valid(after, instance) is False:
                print("NOT SOUND:", json.dumps({"old": old, "new": new}))
                print("instance:", json.dumps(instance))
                return False
    return True


def run(judge, seed, pairs, end, counts):
    """False when a proof is wrong. Ends after that many pairs, or at that time."""
    print("seed", seed, flush=True)
    rnd, last = random.Random(seed), counts["pairs"] + pairs
    while counts["pairs"] < last and time.monotonic() < end:
        draft = rnd.choice(list(DRAFTS))
        maker, cls = Maker(rnd, draft), DRAFTS[draft][1]
        old, new = maker.pair()
        if old == new or not usable(cls, old) or not usable(cls, new):
            continue
        counts["pairs"] += 1
        if judge.ask(old, new) == "proven":
            counts["proven"] += 1
            if not check_pair(maker, cls, old, new, counts):
                return False
        else:
            counts["unproven"] += 1
    return True


def main():
    judge = Judge(sys.argv[1])
    counts = {"pairs": 0, "proven": 0, "instances": 0, "unproven": 0}
    if len(sys.argv) > 2:
        seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
        sound = run(judge, seed, sys.maxsize, time.monotonic() + float(sys.argv[2]), counts)
    else:
        sound = all(run(judge, seed, PAIRS, float("inf"), counts) for seed in SEEDS)
        print("for fresh pairs: compat_random.py PROGRAM SECONDS [SEED]")
    print(counts)
    if not sound:
        return 1
    judge.close()
    return 0 if counts["proven"] >= 50 and counts["instances"] >= 500 else "too little was seen"


if __name__ == "__main__":
    sys.exit(main())
