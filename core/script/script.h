/* Lua for handlers: a sandbox in which the same input gives the same bytes, on every run and every machine.
 *
 * A script is one Lua 5.4 state. Definition files (aggregates/order.lua) are loaded into it, each with globals of its
 * own that are frozen once it is loaded; their functions are called with JSON values and give JSON values back. There
 * is no io, os, debug, package, load, coroutine, metatable, clock or randomness; tostring() shows no addresses; pairs()
 * and next() go in a fixed order (integers ascending, then strings by their bytes); require() finds the domain's
 * lib/NAME.lua alone, a fresh instance for each definition file.
 *
 * Values. JSON objects and arrays are tables that remember which they were, the order in which members came, and the
 * digits of numbers that Lua would print differently (1.10, 1e3). Integers of 64 bits are integers; every other number
 * is a float. null is the value `null`. array{} makes an array, also an empty one; a table with a key 1 is an array
 * too; anything else is an object. Coming back, members that came in keep their order and members that Lua added
 * follow, sorted; a number that is still what it was has its digits. decimal("1.10") makes a decimal.h number with
 * arithmetic and comparison, which JSON shows as a number. What JSON cannot hold (a function, NaN, a cycle, a hole in
 * an array, a key that is no string) is an error that names the path.
 *
 * Limits. Each call may run script_limits.instructions and grow memory by script_limits.memory; patterns whose matching
 * could take for ever, and strings over the limit, are refused before they begin; after script_limits.seconds a call
 * ends in any case. What breaks a limit is an error like others, and no pcall() goes on after it.
 *
 * Threads: one at a time for one script. lua.h is included by lua_api.h alone, which is for script_*.c alone. */
#ifndef ESFS_SCRIPT_H
#define ESFS_SCRIPT_H

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "json.h"
#include "str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct script;

/* A Lua value that is kept until script_drop(). 0 is nil and needs no dropping. */
typedef int script_value;

struct script_limits {
    uint64_t instructions; /* of one call; 0: SCRIPT_INSTRUCTIONS */
    size_t memory;         /* bytes that one call may add; 0: SCRIPT_MEMORY */
    uint32_t seconds;      /* of the thread's time, which few instructions cannot make long; 0: SCRIPT_SECONDS */
};
#define SCRIPT_INSTRUCTIONS 10000000
#define SCRIPT_MEMORY (64 << 20)
#define SCRIPT_SECONDS 5

/* Gives the text of lib/<name>.lua: false when there is none. The text lives as long as the script. */
typedef bool script_library(void *arg, struct str name, struct str *text);

struct script_options {
    struct script_limits limits;
    script_library *library;
    void *arg;
};

int script_new(struct script **out, const struct script_options *options); /* 0 or -ENOMEM */
void script_free(struct script *s);                                        /* NULL is fine */
size_t script_memory(const struct script *s);                              /* bytes in use */
/* A call ends soon, like one that breaks a limit, once another thread has set the flag. NULL: not any more. The flag is
 * borrowed. Between calls. */
void script_stop_when(struct script *s, const atomic_bool *stop);
/* Collects garbage for a while; between calls. */
void script_collect(struct script *s, bool fully);

/* Why a call failed. */
struct script_fault {
    char file[96];        /* "aggregates/order.lua", or empty when no line is to blame */
    int line;             /* 0: none */
    char text[512];       /* without the place */
    char traceback[1024]; /* lines, innermost first */
};

enum {
    SCRIPT_FAILED = 1,   /* the handler's error, or a limit; *fault says which */
    SCRIPT_REJECTED = 2, /* it called reject(); fault->text is the reason */
};
/* All calls below give 0, one of these, or -ENOMEM. */

/* --- loading and looking at definitions */

/* Runs a file, which must return a table. `name` is what faults call it. Then everything that its functions can reach
 * is frozen, and a function that assigns to a variable outside itself is refused: handlers keep nothing between calls.
 */
int script_load(struct script *s, const char *name, struct str text, script_value *out, struct script_fault *fault);

enum script_kind {
    SCRIPT_NIL,
    SCRIPT_NULL,
    SCRIPT_BOOLEAN,
    SCRIPT_INTEGER,
    SCRIPT_FLOAT,
    SCRIPT_STRING,
    SCRIPT_DECIMAL,
    SCRIPT_ARRAY,
    SCRIPT_OBJECT,
    SCRIPT_FUNCTION,
    SCRIPT_OTHER,
};
enum script_kind script_kind(struct script *s, script_value v);
bool script_boolean(struct script *s, script_value v);
int64_t script_integer(struct script *s, script_value v);
struct str script_string(struct script *s, script_value v); /* valid until script_drop(v) */
/* A member, an item (from 1): to be dropped. 0 when there is none. */
script_value script_member(struct script *s, script_value table, const char *name);
script_value script_item(struct script *s, script_value table, int64_t i);
int64_t script_length(struct script *s, script_value table);
/* Every member of a table, integer keys ascending (as decimal text), then strings by their bytes; key and value live
 * during the call. Stops at the first return that is not 0 and gives that. */
typedef int script_visit(void *arg, struct str key, bool key_is_integer, script_value value);
int script_each(struct script *s, script_value table, script_visit *visit, void *arg);
void script_drop(struct script *s, script_value v);
/* Where a function was defined, for messages: "aggregates/order.lua:12". */
void script_place(struct script *s, script_value function, char out[128]);

/* --- values in and out */

/* A value of Lua made from a tree, to be dropped. */
int script_of_json(struct script *s, const struct json_value *tree, script_value *out);
/* Minified JSON, appended. SCRIPT_FAILED names the path. */
int script_to_json(struct script *s, script_value v, struct buf *out, struct script_fault *fault);

/* States are kept in a form of their own that loses nothing (kinds of numbers, decimals, digits, order of members,
 * arrays): what is read back behaves exactly as what was written. FORMAT.md, "States". */
int script_freeze(struct script *s, script_value v, struct buf *out, struct script_fault *fault);
int script_thaw(struct script *s, struct str frozen, script_value *out); /* also -EUCLEAN: not what was frozen */

/* Whether a small value can be frozen, cheaply: what has more than SCRIPT_CHECK_VALUES values in it is taken to be
 * good. SCRIPT_FAILED as script_freeze() would. */
#define SCRIPT_CHECK_VALUES 200
int script_check(struct script *s, script_value v, struct script_fault *fault);

/* --- handlers of aggregates */

/* What a handler is told of an event: an object with the members type, data, aggregate ("order/1001"), subject
 * ("1001"), source, id, time (RFC 3339 text), version, position (as in events: 16 digits), uid, commandid,
 * correlationid, causationid, traceparent (those that are set) and meta (an object). Members are made when they are
 * asked for, and live on when they are kept; the event itself cannot be kept, in a state or anywhere: what looks into
 * it after the call fails, and so do script_freeze(), script_check() and script_to_json(). Nor can a command be data.
 */
struct script_event {
    struct str aggregate, subject, source, id, time, type, position;
    uint64_t version;
    uint32_t uid;
    struct str commandid, correlationid, causationid, traceparent; /* empty: not there */
    const struct json_value *meta;                                 /* an object, or NULL for {} */
    const struct json_value *data;                                 /* an object */
};

/* What decide is told of a command: members as named; gids an array; uuid(n) a function, the n-th (from 1, at most
 * 1000) id derived from `seed`, as a UUID of version 8. */
struct script_command {
    struct str aggregate, type, id, time, correlationid;
    uint64_t version; /* of the aggregate before the command */
    uint32_t uid;
    const uint32_t *gids;
    size_t n_gids;
    const struct json_value *meta; /* an object, or NULL for {} */
    const struct json_value *data;
    uint8_t seed[16];
};

/* Events that a handler made: type and data (minified JSON, followed by JSON_PADDING readable bytes), in the order in
 * which it returned them; in the arena that was given. */
struct script_made {
    struct str type, data;
};
struct script_list {
    struct script_made *items;
    size_t n;
};

/* get(name) of a decider: gives the state of another aggregate ("customer/7") to be read. The value stays the
 * caller's. An error is raised in the handler with the words of `err`. */
typedef int script_get(void *arg, struct str aggregate, script_value *state, struct err *err);

/* initial(id); without a handler (0) an empty object. `state` is to be dropped. */
int script_initial(struct script *s, script_value handler, struct str id, script_value *state,
                   struct script_fault *fault);
/* decide(state, cmd, get). The handler sees the state (and what get gives) as if it had a copy: it may write to it,
 * and the state does not change, at a cost that does not grow with the state's size. It returns any number of
 * event(type, data), as several values or a list; an event made and not returned is an error. */
int script_decide(struct script *s, script_value handler, script_value state, const struct script_command *cmd,
                  script_get *get, void *arg, struct arena *arena, struct script_list *out, struct script_fault *fault);
/* evolve(state, event): changes the state, or returns another one that takes its place (*state is then replaced). After
 * a failure the state is half changed and of no use. */
int script_evolve(struct script *s, script_value handler, script_value *state, const struct script_event *e,
                  struct script_fault *fault);
/* A unique rule: f(state), the state protected as in decide. A string, number, boolean or decimal is appended to `out`
 * as JSON with *present set, numbers in one form: 7, 7.0 and decimal 7.00 are 7; nil and null are none. */
int script_unique(struct script *s, script_value handler, script_value state, struct buf *out, bool *present,
                  struct script_fault *fault);
/* An upcast: f(data, event). It returns data (an object; the type stays), event(type, data), a list of events, or
 * `drop` (n is then 0), which an empty array{} is, too. */
int script_upcast(struct script *s, script_value handler, const struct script_event *e, struct arena *arena,
                  struct script_list *out, struct script_fault *fault);

/* A handler of kafka.lua: f(data, event), which returns what an upcast does: the messages that the event becomes. */
int script_publish(struct script *s, script_value handler, const struct script_event *e, struct arena *arena,
                   struct script_list *out, struct script_fault *fault);

/* --- handlers of views: what they are told of an event is as above */

/* Whether a function takes its n-th argument: it has that many parameters, or any number. */
bool script_takes(struct script *s, script_value function, int n);

/* key(event, state): under which keys a view files the event: a string, or a number, a boolean or a decimal (their JSON
 * text, numbers in one form as of a unique rule), or an array of such; nil, null and an empty array: none. Each once,
 * in the order in which they came; the bytes are in the arena. A key has at most SCRIPT_KEY_BYTES of UTF-8; the empty
 * one is one, too. The state (0: nil) is protected as in decide. */
#define SCRIPT_KEY_BYTES 4096
int script_key(struct script *s, script_value handler, const struct script_event *e, script_value state,
               struct arena *arena, struct str **keys, size_t *n, struct script_fault *fault);
/* on(view, event, state): changes the view, or returns another one that takes its place (*view is then replaced), or
 * `remove`: *removed is then set. The state is protected; what the view keeps of it is a copy. After a failure the view
 * is half changed and of no use. What it leaves is looked at as by script_check(), but with more than
 * SCRIPT_VIEW_VALUES values in it it is taken to be good: who freezes it must be ready for a fault. */
#define SCRIPT_VIEW_VALUES 32
int script_project(struct script *s, script_value handler, script_value *view, const struct script_event *e,
                   script_value state, bool *removed, struct script_fault *fault);
/* output(view, key), the view protected: the JSON of what it returns, appended; nil is a fault. Without a handler (0)
 * that of the view itself. */
int script_output(struct script *s, script_value handler, script_value view, struct str key, struct buf *out,
                  struct script_fault *fault);
/* path(state), the state protected: the names of directories (strings, numbers, booleans, decimals, as keys are; one
 * alone may be without the array), at most SCRIPT_PATH_MAX, each of 1 to SCRIPT_KEY_BYTES bytes; *present is false for
 * nil and null, and true with *n 0 for an empty array. In the arena. */
#define SCRIPT_PATH_MAX 15
int script_path(struct script *s, script_value handler, script_value state, struct arena *arena, struct str **names,
                size_t *n, bool *present, struct script_fault *fault);

/* --- handlers of queries */

/* What `q` asks for; called during script_query(). Texts are JSON of one value, appended; nothing appended is nil.
 * A negative errno or SCRIPT_FAILED raises the words of `err` in the handler, which may catch them. None of them may be
 * NULL; the time they take is not the handler's. */
struct script_source {
    int (*view)(void *arg, struct str view, struct str key, struct buf *out, struct err *err);
    int (*keys)(void *arg, struct str view, struct str prefix, struct buf *out,
                struct err *err); /* an array of strings */
    int (*events)(void *arg, struct str aggregate, uint64_t from, uint64_t to, struct buf *out,
                  struct err *err);  /* an array of events as in stream.ndjson; to: UINT64_MAX for the last */
    script_get *state;               /* protected; the value stays the caller's, and as it is until the query ends */
    const struct json_value *caller; /* q.caller, an object; NULL: there is none, and looking at it is a fault */
    void *arg;
};
/* run(q, params), and then post(result, params) unless it is 0: the JSON of what comes out, appended. q.view(view,
 * key), q.keys(view[, prefix]), q.state(aggregate), q.events(aggregate[, from[, to]]), q.caller. A key is given as keys
 * are made: a number is its text. A result that is nil is null. Both handlers are one call: the instructions of what
 * q's functions parse count, and its memory. */
int script_query(struct script *s, script_value run, script_value post, const struct script_source *q,
                 const struct json_value *params, struct buf *out, struct script_fault *fault);

/* --- for tools */

/* A function of C that definition files can call: arguments as an array value, its result to be dropped by the script.
 * SCRIPT_FAILED raises fault->text. Before the first script_load(). */
typedef int script_native(void *arg, struct script *s, script_value arguments, script_value *result,
                          struct script_fault *fault);
int script_define(struct script *s, const char *name, script_native *native, void *arg);
/* Calls a function with the items of an array (0: none); the result (its first value) is to be dropped. */
int script_call(struct script *s, script_value function, script_value arguments, script_value *result,
                struct script_fault *fault);

#endif
