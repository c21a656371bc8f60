"""`esfsctl test` and queries: expect_query and expect_query_error, and what they say when they do not hold."""

import os

import pytest

import lib
from lib_domain import TestedDomain

NOTE = """return {
  commands = { Note = { decide = function(note, cmd) return event("Noted", cmd.data) end } },
  events = { Noted = {
    schema = "Noted.2", upcast = { [1] = function(d) return { author = d.who, text = d.text } end },
    evolve = function(note, e) note.n, note.text = (note.n or 0) + 1, e.data.text end,
  } },
}
"""

BY_AUTHOR = """return {
  key = function(e) return e.data.author end,
  init = function() return { notes = 0, bytes = 0 } end,
  on = { Noted = function(view, e) view.notes, view.bytes = view.notes + 1, view.bytes + #e.data.text end },
  output = function(view) return { notes = view.notes } end,
}
"""

AUTHORS = """local function needed(view)
  if not view then error("there is no such author") end
  return view
end
return {
  params = { type = "object", additionalProperties = false, properties = {
    prefix = { type = "string" }, least = { type = "integer", minimum = 1 },
  } },
  run = function(q, params)
    local found = {}
    for _, author in ipairs(q.keys("by_author", params.prefix)) do
      found[author] = needed(q.view("by_author", author)).notes
    end
    return found
  end,
  post = function(result, params)
    for author, n in pairs(result) do
      if n < (params.least or 1) then result[author] = nil end
    end
    return result
  end,
}
"""

TEXTS = """return {
  params = { type = "object", required = { "id" }, properties = { id = { type = "string" } } },
  ttl = "1h", depends = "ttl",
  run = function(q, params)
    local texts = array{}
    for i, e in ipairs(q.events("note/" .. params.id)) do texts[i] = e.data.author .. ": " .. e.data.text end
    local state = q.state("note/" .. params.id)
    return state and { n = state.n, texts = texts }
  end,
}
"""

MINE = """return {
  cache = "per_caller", allow = { users = { 1000 }, groups = { 27 } },
  run = function(q) return q.caller end,
}
"""

HELPER = 'local function note(id, data) when { aggregate = "note/" .. id, type = "Note", data = data } end\n'


@pytest.fixture
def notes(place):
    return TestedDomain(os.path.join(place, "notes"), HELPER, {
        "aggregates/note.lua": NOTE, "schemas/note/Noted.1.json": "{}", "schemas/note/Noted.2.json": "{}",
        "views/by_author.lua": BY_AUTHOR, "queries/authors.lua": AUTHORS, "queries/texts.lua": TEXTS,
        "queries/mine.lua": MINE})


def test_what_queries_answer(notes):
    done = notes.tests("""
  expect_query("authors", {}, {})
  expect_query("texts", { id = "1" }, null)
  given { ["note/1"] = { event("Noted", { who = "ann", text = "old" }, 1) } }
  expect_query("authors", "all.json", { ann = 1 })
  note(1, { author = "ann", text = "one" })
  expect { event("Noted", { author = "ann", text = "one" }) }
  note(2, { author = "bob", text = "two" })
  expect_query("authors", { }, { ann = 2.0, bob = 1 })
  expect_query("authors", { least = 2 }, { ann = 2 })
  expect_query("authors", "prefix=b.json", { bob = 1 })
  expect_query("authors", "prefix=b,least=2.json", {})
  expect_query("texts", { id = "1" }, { n = 2, texts = { "ann: old", "ann: one" } })
  expect_query("texts", "id=1.json", { n = 2, texts = { "ann: old", "ann: one" } })
  note(1, { author = "ann", text = "three" })
  expect_query("texts", "id=1.json", { n = 3, texts = { "ann: old", "ann: one", "ann: three" } })
""")
    assert (done.rc, done.out) == (0, "1 passed, 0 failed\n"), done


def test_who_asks(notes):
    done = notes.tests("""
  expect_query("mine", {}, { uid = 0, gids = { 0 } })
  expect_query("mine", {}, { uid = 1000, gids = { 1000 } }, { uid = 1000 })
  expect_query("mine", {}, { uid = 5, gids = { 100, 7, 27 } }, { uid = 5, gid = 100, gids = { 27, 7, 100, 7 } })
  expect_query_error("mine", {}, "EACCES", { uid = 5 })
  expect_query_error("mine", "all.json", "EACCES", "uid 5 may not ask mine", { uid = 5 })
  expect_query_error("authors", {}, "EACCES", { uid = 1000 })
  expect_query("authors", {}, {}, { uid = 1000, gid = 0 })
""")
    assert (done.rc, done.out) == (0, "1 passed, 0 failed\n"), done


def test_what_queries_refuse(notes):
    notes.put("queries/bad.lua", 'return { run = function(q)\n  return q.view("by_autor", "x")\nend }')
    notes.put("queries/large.lua", 'return { run = function() return ("x"):rep(17000000) end }')
    notes.put("queries/endless.lua", "return { run = function()\n  while true do end\nend }")
    done = notes.tests("""
  expect_query_error("authors", { least = "x" }, "EINVAL", "/least is not an integer")
  expect_query_error("authors", "least=x.json", "EINVAL", "least must be an integer")
  expect_query_error("authors", { least = 0 }, "EINVAL")
  expect_query_error("authors", { leest = 1 }, "EINVAL", "leest")
  expect_query_error("authors", "least=1,least=2.json", "EINVAL")
  expect_query_error("authors", "least=1", "ENOENT", 'like "all.json"')
  expect_query_error("authors", "prefix=" .. ("x"):rep(300) .. ".json", "ENAMETOOLONG")
  expect_query_error("authors", array{ 1 }, "EBADMSG")
  expect_query_error("texts", {}, "EINVAL", "id")
  expect_query_error("bad", {}, "EIO", 'queries/bad.lua:2: q.view("by_autor"): the domain has no view "by_autor"')
  expect_query_error("large", {}, "EFBIG", "may have 16 MiB")
  expect_query_error("endless", {}, "EIO", "queries/endless.lua:2: the handler ran more than 10000000 instructions")
""")
    assert (done.rc, done.out) == (0, "1 passed, 0 failed\n"), done


def test_what_differs_is_shown_line_by_line(notes):
    out = notes.says('note(1, { author = "ann", text = "one" })\n'
                     'expect_query("authors", {}, { ann = 2, bob = 1 })')
    assert out == ("tests/t.lua:4: a test\n"
                   "  the result differs (- expected, + got)\n"
                   "    {\n"
                   '  -   "ann": 2,\n'
                   '  -   "bob": 1\n'
                   '  +   "ann": 1\n'
                   "    }\n"
                   "\n"
                   "0 passed, 1 failed\n"), out


def test_a_refusal_that_was_not_expected(notes):
    notes.edit("queries/authors.lua", "if not view then", "if view then")
    out = notes.says('note(1, { author = "ann", text = "one" })\nexpect_query("authors", {}, { ann = 1 })',
                     "tests/t.lua:4: a test\n  the query was refused with EIO: queries/authors.lua:2: there is no "
                     "such author\n", "    queries/authors.lua:2: in ", "    queries/authors.lua:12: in ")
    assert out.count("the query was refused") == 1, out
    notes.says('note(1, { author = "ann", text = "" }) expect_query_error("authors", {}, "EINVAL")',
               "the query was refused with EIO and not with EINVAL: queries/authors.lua:2: there is no such author\n",
               "    queries/authors.lua:12: in ")


def test_expectations_that_do_not_hold_or_make_no_sense(notes):
    example = '"EINVAL", "not an integer")\n'
    said = [
        ('expect_query("authors", { least = "x" }, {})', "the query was refused with EINVAL: /least is not an integer (type)\n"),
        ('expect_query("mine", {}, {}, { uid = 5 })', "the query was refused with EACCES: uid 5 may not ask mine\n"),
        ('expect_query("autors", {}, {})', 'the domain has no query "autors", did you mean authors?\n'),
        ('expect_query_error("autors", {}, "EINVAL")', 'the domain has no query "autors", did you mean authors?\n'),
        ('expect_query("something", {}, {})', 'the domain has no query "something"; it has authors, mine, texts\n'),
        ('expect_query_error("authors", {}, "EINVAL")',
         "the query was answered, not refused with EINVAL\n  + {}\n"),
        ('expect_query_error("authors", { least = 0 }, "EINVAL", "must be nice")',
         "the reason is another one (- expected, + got)\n  - must be nice\n  + "),
        ('expect_query_error("authors", { least = 0 }, "EACCES", "no")', "refused with EINVAL and not with EACCES: "),
        ('expect_query("authors", {})', "expect_query takes the result, too: "),
        ('expect_query("authors")', "expect_query takes a query, its parameters, and what comes of it: "),
        ("expect_query({}, {}, {})", "expect_query takes a query, its parameters, and what comes of it: "),
        ("expect_query_error()", "expect_query_error takes a query, its parameters, and what comes of it: "),
        ('expect_query_error("authors", {})', "expect_query_error takes an errno that queries are refused with"),
        ('expect_query_error("authors", {}, "EWHAT")', example),
        ('expect_query_error("authors", {}, "ESTALE")', example),
        ('expect_query_error("authors", {}, "EINVAL", 7)', "who asks is written { uid = 1000, gid"),
        ('expect_query("authors", {}, {}, { user = 5 })', "who asks is written { uid = 1000, gid = 100, gids = { 27 } }: user\n"),
        ('expect_query("authors", {}, {}, { time = "2026-01-01T00:00:00Z" })', "who asks is written"),
        ('expect_query("authors", {}, {}, { uid = "ann" })', "uid is a number"),
        ('expect_query("authors", {}, {}, { gids = { "staff" } })', "gids is a list of numbers"),
        ('expect_query("authors", {}, {}, { gids = 7 })', "gids is a list of numbers"),
        ('expect_query("authors", {}, test)', "a function cannot be in JSON"),
        ('expect_query("authors", { least = test }, {})', "a function cannot be in JSON"),
        ('given { event("Noted", { text = "" }) } expect_query("authors", {}, {})', "of no aggregate yet"),
        ('when { aggregate = "note/1", type = "Dance" } expect_query("authors", {}, {})', "refused with EINVAL"),
        ('when { aggregate = "note/1", type = "Note", gids = { "staff" } } expect {}', "gids is a list of numbers"),
    ]
    for text, words in said:
        notes.says(text, "tests/t.lua:3: a test\n", words)
    notes.says("", "expect_query belongs into a test", helper='expect_query("authors", {}, {})\n')


def test_a_view_that_fails_is_the_failure(notes):
    """Whatever the query would have made of what was there before."""
    notes.edit("views/by_author.lua", "init = function()", "init = function(a) if a == 'bob' then error('no bobs') end")
    notes.says('note(1, { author = "bob", text = "" }) expect_query("authors", {}, {})',
               "view by_author cannot take in Noted, event 1 of note/1: views/by_author.lua:3: no bobs\n")
