"""`esfsctl test` and views: expect_view and expect_no_view, what they say when they do not hold, and what a view that
fails on an event does to the test."""

import os

import pytest

import lib
from lib_domain import Domain, TestedDomain

NOTE = """return {
  commands = { Note = { decide = function(note, cmd) return event("Noted", cmd.data) end } },
  events = { Noted = { evolve = function(note, e) note.at, note.text = e.data.at, e.data.text end } },
}
"""

BY_AUTHOR = """local function words(text)
  return select(2, text:gsub("%a+", ""))
end
return {
  key = function(e) return e.data.author end,
  init = function(author) return { author = author, words = 0 } end,
  on = {
    Noted = function(view, e)
      if e.data.erased then return remove end
      view.words = view.words + words(e.data.text)
      view.last = e.data.keep
    end,
  },
  output = function(view)
    if view.words > 99 then error("too many words") end
    return { author = view.author, words = view.words }
  end,
}
"""

BY_PLACE = """return { kind = "index", path = function(note) return note.at end }
"""

HELPER = 'local function note(id, data) when { aggregate = "note/" .. id, type = "Note", data = data } end\n'


@pytest.fixture
def notes(place):
    return TestedDomain(os.path.join(place, "notes"), HELPER, {
        "aggregates/note.lua": NOTE, "views/by_author.lua": BY_AUTHOR, "views/by_place.lua": BY_PLACE})


def test_what_views_show(notes):
    done = notes.tests("""
  expect_no_view("by_author", "ann")
  expect_view("by_place", "", {})
  given { ["note/1"] = { event("Noted", { author = "ann", text = "one two", at = array{ "wall", "left" } }) } }
  expect_view("by_author", "ann", { words = 2.0, author = "ann" })
  note(2, { author = array{ "ann", "a/b", 7 }, text = "three", at = array{ "wall", "left" } })
  expect_view("by_author", "ann", { author = "ann", words = 3 })
  expect_view("by_author", "a/b", { author = "a/b", words = 1 })
  expect_view("by_author", 7, { author = "7", words = 1 })
  expect_view("by_place", "wall/left", { "2", "1" })
  expect_view("by_place", "wall", { "left/" })
  note(2, { author = "ann", erased = true, at = array{ "wall" } })
  expect_no_view("by_author", "ann")
  expect_view("by_place", "wall", { "2", "left/" })
  note(1, { text = "nobody's" })
  expect_view("by_author", "a/b", { author = "a/b", words = 1 })
  expect_no_view("by_place", "wall/left")
  expect_view("by_place", "", { "wall/" })
""")
    assert (done.rc, done.out) == (0, "1 passed, 0 failed\n"), done


def test_what_differs_is_shown_line_by_line(notes):
    out = notes.says('note(1, { author = "ann", text = "one" })\n'
                     'expect_view("by_author", "ann", { author = "ann", words = 2 })')
    assert out == ("tests/t.lua:4: a test\n"
                   "  the view differs (- expected, + got)\n"
                   "    {\n"
                   '      "author": "ann",\n'
                   '  -   "words": 2\n'
                   '  +   "words": 1\n'
                   "    }\n"
                   "\n"
                   "0 passed, 1 failed\n")
    notes.says('note(1, { at = "x", text = "" }) expect_view("by_place", "x", { "2" })', '  -   "2"\n  +   "1"\n')


def test_expectations_that_do_not_hold_or_make_no_sense(notes):
    given = 'given { ["note/1"] = { event("Noted", { author = "ann", text = "one", at = "x" }) } } '
    said = [
        (given + 'expect_view("by_author", "anne", {})', 'view by_author has no key "anne"; it has ann\n'),
        (given + 'expect_view("by_place", "y", {})', 'view by_place has no directory "y"; it has x\n'),
        (given + 'expect_no_view("by_author", "ann")',
         'view by_author has a key "ann"\n  + {"author":"ann","words":1}\n'),
        (given + 'expect_no_view("by_place", "x")', 'view by_place has a directory "x"\n  + ["1"]\n'),
        ('expect_view("by_author", "ann", {})', 'view by_author has no key "ann"; it is empty'),
        ('expect_view("by_autor", "ann", {})', 'the domain has no view "by_autor", did you mean by_author?'),
        ('expect_no_view("by_autor", "ann")', "did you mean by_author?"),
        ('expect_view("something", "ann", {})', 'no view "something"; it has by_author, by_place'),
        ('expect_view("by_author", "ann")', "expect_no_view says that there is no such key"),
        ('expect_view("by_author")', "expect_view takes a view and a key"),
        ("expect_no_view()", "expect_no_view takes a view and a key"),
        ('expect_view("by_author", { "ann" }, {})', "the key of a view is a text"),
        (given + 'expect_view("by_author", "ann", test)', "a function cannot be in JSON"),
        (given + 'expect_view("by_place", "x", "1")', "is a list"),
        (given + 'expect_view("by_place", "x", { a = "1" })', "is a list"),
        (given + 'expect_view("by_place", "x", { 1 })', "are names"),
        ('given { event("Noted", { text = "" }) } expect_view("by_place", "x", {})', "of no aggregate yet"),
        ('when { aggregate = "note/1", type = "Dance" } expect_view("by_place", "x", {})', "refused with EINVAL"),
    ]
    for text, words in said:
        notes.says(text, "tests/t.lua:3: a test\n", words)
    notes.says("", "expect_view belongs into a test", helper='expect_view("by_author", "ann", {})\n')


def test_a_view_that_fails_on_an_event_fails_the_test(notes):
    """Whether or not the test speaks of the view."""
    good = '{ author = "ann", text = "one" }'
    notes.says(f"note(1, {good}) expect {{ event('Noted', {good}) }}\nnote(1, {{ author = 'ann' }}) expect {{}}",
               "tests/t.lua:1: a test\n  view by_author cannot take in Noted, event 2 of note/1: "
               "views/by_author.lua:2: attempt to index a nil value (local 'text')\n    views/by_author.lua:2: in ",
               "called at tests/t.lua:4")
    notes.says(f"given {{ ['note/1'] = {{ event('Noted', {good}),\n event('Noted', {{ author = 'ann' }}) }} }}\n"
               "expect_no_view('by_author', 'bob')",
               "tests/t.lua:3: a test\n  view by_author cannot take in Noted, event 2 of note/1: "
               "views/by_author.lua:2: ")
    notes.says("note(1, { author = { first = 'ann' }, text = '' }) expect {}",
               "event 1 of note/1: views/by_author.lua: the table that key returned is no list\n")
    notes.says("note(1, { author = 'ann', text = ('a '):rep(100) }) expect {}",
               "view by_author cannot show the file of key ann after Noted, event 1 of note/1: "
               "views/by_author.lua:15: too many words\n")
    notes.says("note(1, { at = { x = 1 } }) expect {}",
               "view by_place cannot take in Noted, event 1 of note/1: views/by_place.lua: the table that path ")
    notes.edit("views/by_author.lua", "view.last = e.data.keep", "view.last = e.data.keep and function() end")
    notes.says("note(1, { author = '.ann', text = '', keep = true }) expect {}",
               "view by_author cannot take in Noted, event 1 of note/1: ", "a function cannot be in ")


def test_a_view_that_failed_shows_nothing_afterwards(notes):
    out = notes.says("pcall(note, 1, { author = 'ann' })\nnote(1, { author = 'ann', text = 'one' })\n"
                     "expect_view('by_author', 'ann', { author = 'ann', words = 1 })",
                     "tests/t.lua:1: a test\n  view by_author cannot take in Noted, event 1 of note/1: ")
    assert out.count("cannot take in") == 1, out


def test_a_test_begins_with_empty_views(notes):
    one = "note(1, { author = 'ann', text = 'one' }) expect_view('by_author', 'ann', { author = 'ann', words = 1 })"
    bad = "pcall(note, 1, { author = 'ann' })"
    bodies = [one, bad, one, "expect_view('by_place', '', {})"]
    notes.put("tests/t.lua", HELPER + "".join(f'test("{n}", function() {b} end)\n' for n, b in enumerate(bodies)))
    done = lib.run([lib.esfsctl(), "test", notes.path])
    assert done.out.endswith("3 passed, 1 failed\n") and "tests/t.lua:3: 1\n" in done.out, done


def test_a_domain_without_views(place):
    domain = Domain(os.path.join(place, "none"), files={
        "aggregates/note.lua": NOTE, "tests/t.lua": 'test("a test", function() expect_no_view("v", "k") end)\n'})
    done = lib.run([lib.esfsctl(), "test", domain.path])
    assert 'the domain has no view "v"\n' in done.out and done.rc == 1, done
