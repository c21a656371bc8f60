/* What script_*.c share. A C function of Lua finds its script by script_of(); all of them raise Lua errors, and run
 * inside script_run() alone. */
#ifndef ESFS_SCRIPT_PRIVATE_H
#define ESFS_SCRIPT_PRIVATE_H

#include "decimal.h"
#include "lua_api.h"
#include "script.h"
#include "script_number.h"
#include "script_pool.h"

enum pin {
    PIN_ARRAY,   /* the metatable of arrays */
    PIN_SHIELD,  /* of proxies over states */
    PIN_DECIMAL, /* of decimals */
    PIN_EVENT,   /* of what event() makes */
    PIN_MADE,    /* number -> event that event() made; false once it is taken */
    PIN_TOLD,    /* the metatable of events and commands that handlers are told */
    PIN_DATA,    /* of data that nothing has touched */
    PIN_UUID,    /* cmd.uuid */
    PIN_GET,     /* get() */
    PIN_LIBRARY, /* what every file gets a copy of: name -> function or table of functions */
    PIN_MAP,     /* original -> proxy, of the call that runs */
    PIN_LIST,    /* proxy, original, proxy, ... of the call that runs */
    PIN_QUERY,   /* the metatable of q */
    PIN_N
};

enum broken {
    BROKEN_NOT,
    BROKEN_INSTRUCTIONS,
    BROKEN_MEMORY,
    BROKEN_TIME,
    BROKEN_STOPPED, /* script_stop_when() */
    BROKEN_MACHINE, /* malloc() itself has failed */
};

/* A float of the command's data and how it was written. */
struct passed {
    double value;
    struct str text;
    size_t order;
};

/* What the handler that runs was told; script_told.c. */
struct told {
    const void *table; /* the event or the command, NULL: none */
    const struct script_event *event;
    const struct script_command *cmd;
    uint32_t given;   /* a bit for each member */
    const void *data; /* as long as nothing has touched it */
    const struct json_value *tree;
    int depth; /* of the tree */
    int reads;
};

/* A call from outside. They nest: what get() asks for may evolve another state. */
struct call {
    struct call *outer;
    struct script_fault *fault;
    int64_t left;          /* instructions */
    int64_t look_at;       /* what is left of them when the clock is looked at next */
    int64_t began, looked; /* ms of a clock that costs nothing to read */
    int64_t cpu;           /* ns of the thread's time that are not the call's; 0: not read yet */
    size_t ceiling;        /* of script->used */
    size_t entered;        /* script->used at the start */
    bool unlimited;        /* asked for by who calls script_run(): work of the engine, not of a handler */
    bool limited;          /* the ceiling and `left` count */
    bool refused;          /* the allocator has said no, which a collection may have healed */
    bool placed;           /* the fault names a line already */
    bool rejected;         /* reject() was called */
    bool deciding;         /* reject() may be called */
    bool making;           /* event() may be called */
    bool strict;           /* ... but not with nil for its data */
    enum broken broken;
    const uint8_t *seed; /* of cmd.uuid, or NULL */
    script_get *get;
    void *get_arg;
    struct querying *query; /* script_query.c; NULL: q's functions may not be called */
    int made;               /* events, kept in PIN_MADE from made_before + 1 on */
    int made_before;
    int shields;   /* proxies in PIN_LIST */
    int map, list; /* the outer call's, kept while this one runs */
    struct told told;
    struct passed *passed;
    size_t n_passed, cap_passed;
    bool passed_read; /* all floats of the command's data are there, sorted */
};

struct shape_entry {
    uint64_t hash;
    char *names; /* each followed by its length's bytes; see shape_names() */
    size_t n_bytes;
    uint32_t n;
    int ref;
};
#define SHAPE_SLOTS 4096 /* a power of two */
#define SHAPES_MAX 2048
#define SHAPE_GUESSES 256     /* a power of two */
#define VIEW_SLOTS 256        /* a power of two */
#define ARENA_KEPT (64 << 10) /* bytes of script->arena */
#define SHAPE_KEYS_MAX 64
#define SHAPE_BYTES_MAX 4096

struct script {
    lua_State *L;
    struct script_limits limits;
    const atomic_bool *stop; /* or NULL */
    script_library *library;
    void *library_arg;
    size_t used;
    struct pool pool;
    struct call *call;
    int pins[PIN_N];
    const void *array_mt, *shield_mt, *event_mt, *decimal_mt, *told_mt, *data_mt;
    struct shape_entry *shapes; /* SHAPE_SLOTS, open addressing */
    size_t n_shapes;
    struct shape_entry *guesses[SHAPE_GUESSES]; /* by the look of their names */
    /* Whether the view with this script_value, modulo the slots, was large when it was seen last: a guess that nothing
     * but speed depends on. */
    bool large_views[VIEW_SLOTS];
    struct buf scratch;
    struct json_parser *parser; /* of data that was kept; NULL until needed */
    struct arena arena;
    struct native_entry *natives;
    struct loading *loading;
};

static inline struct script *script_of(lua_State *L) {
    return *(struct script **)lua_getextraspace(L);
}

static inline void pin_push(lua_State *L, enum pin pin) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->pins[pin]);
}

/* Keys of light userdata that no handler can name. */
extern const char key_target; /* proxy[...]: what it stands for */
extern const char key_set;    /* shape[...]: a set of its names */
extern const char key_shape;  /* metatable with digits[...]: the metatable without */
extern const char key_digits; /* ...: name or index -> digits */
extern const char key_reject; /* the error that reject() raises */
extern const char key_null;   /* null */
extern const char key_drop;   /* drop */
extern const char key_remove; /* remove */
extern const char key_text;   /* data that nothing has touched[...]: its JSON */
extern const char key_serial; /* event[...]: its number in the call */

/* --- script.c */

/* Runs f(L) with `arg` as its only argument, a light userdata, inside the limits of a call. 0, SCRIPT_FAILED,
 * SCRIPT_REJECTED or -ENOMEM. `call` may have been filled with what the call needs. */
int script_run(struct script *s, lua_CFunction f, void *arg, struct call *call, struct script_fault *fault);
/* Takes n instructions from the call; raises when they are used up. */
void script_charge(lua_State *L, uint64_t n);
/* The thread's time in ns; and what passed since then is not the handler's. */
int64_t script_time(void);
void script_time_forgive(lua_State *L, int64_t since);
/* Raises again what no pcall() may stop: a broken limit, a rejection. The error object is on top. */
void script_unstoppable(lua_State *L, int status);
_Noreturn void memory_gone(lua_State *L); /* raises: malloc() has failed */
script_value script_keep(lua_State *L);   /* pops */
void fault_text_set(struct script_fault *fault, struct str text);

/* --- script_file.c */

void natives_free(struct script *s);
int file_require(lua_State *L); /* require(); upvalue 1: what the definition file has loaded */
void natives_add(lua_State *L); /* to the globals on top */

/* --- script_sandbox.c */

void sandbox_open(lua_State *L); /* at the start of a script: PIN_LIBRARY and the metatable of strings */
/* Pushes globals for a file, made of PIN_LIBRARY. */
void sandbox_globals_push(lua_State *L);
/* Pops a value and freezes every table that can be reached from it, through functions as well. */
void sandbox_freeze(lua_State *L);
/* The text of any value without addresses; pushes it. */
void sandbox_tostring(lua_State *L, int at);
/* Freezes one table and not what is in it. */
void sandbox_freeze_table(lua_State *L, int at);
int sandbox_sort(lua_State *L);  /* table.sort: stable, without the clock that Lua's own asks */
int sandbox_pairs(lua_State *L); /* in the order of keys */
int sandbox_next(lua_State *L);
void sandbox_patterns(lua_State *L); /* adds find, match, gmatch, gsub to the table on top */

/* --- script_purity.c */

/* Raises when the Lua function at `at` assigns to a variable that outlives its calls. */
void purity_check(lua_State *L, int at);

/* --- script_path.c */

struct path_step {
    struct str name; /* p is NULL: an index */
    int64_t index;
};
struct path {
    const char *root;
    int depth;
    struct path_step steps[JSON_DEPTH_MAX + 1];
};
/* Raises "data.items[3]: text". */
_Noreturn void path_error(lua_State *L, const struct path *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void path_enter(lua_State *L, struct path *path);
/* Raises for a table that is an event, or a command. Gives its metatable, or NULL. */
const void *data_check(lua_State *L, int at, const struct path *path);
bool utf8_is_valid(const char *p, size_t n);

/* --- script_shape.c */

void shapes_free(struct script *s);
/* Pushes the metatable of an object with these names (n strings on top, popped), in this order. Gives the place where
 * it is kept, or NULL. */
struct shape_entry *shape_push(lua_State *L, uint32_t n);
/* Makes the metatable of an object from a table on top, with the names at 1..n and their set at key_set. */
void shape_finish(lua_State *L);
/* Puts the digits (a table on top, popped) into a metatable of its own for the table at `at`. */
void digits_attach(lua_State *L, int at);

struct layout {
    bool array;  /* marked as one, or with a key 1 */
    bool marked; /* as array */
    int shape;   /* stack index of the names in order, 0: none */
    int digits;  /* of the table of digits, 0: none */
};
/* Pushes two values (shape, digits). */
struct layout layout_push(lua_State *L, int at);

#define NAMES_FEW 16
struct name_list {
    struct str *items; /* `few`, or a block of Lua's */
    size_t n;
    struct str few[NAMES_FEW];
};
/* The names of the object at `at` that are not in its shape, sorted; pushes what holds them. False: there is a key that
 * is no string, which is then on top. */
bool names_added(lua_State *L, int at, const struct layout *layout, struct name_list *out);

/* --- script_json_read.c */

void json_push(lua_State *L, const struct json_value *v);
/* Fills the empty table at `at` with an object, as json_push() would; its metatable is replaced. */
void json_fill(lua_State *L, const struct json_value *object, int at);

/* --- script_json_write.c */

/* Appends the JSON of the value at `at`, called `name` in errors. `object`: nothing else will do. */
void json_write(lua_State *L, int at, struct buf *out, const char *name, bool object);

/* --- script_check.c */

enum checked {
    CHECKED_GOOD,
    CHECKED_DOUBTFUL, /* freeze_check() must say what is wrong, if anything */
    CHECKED_MANY,     /* more than `most` values */
};
/* Looks at the value on top as script_check() does; raises nothing. */
enum checked check_top(lua_State *L, int most);

/* --- script_state.c */

/* script_freeze() for what it says of a value that faults call `name`. */
int freeze_check(struct script *s, script_value v, const char *name, struct script_fault *fault);

/* --- script_told.c */

#define TOLD_KEPT "an event cannot be kept: keep its members"

void told_open(lua_State *L);
/* Push what a handler is told, which lives during the call. */
void event_push(lua_State *L, const struct script_event *e);
void command_push(lua_State *L, const struct script_command *cmd);
/* Gives the table at `at`, which has told_mt or data_mt, all its members. */
void told_fill(lua_State *L, int at);
/* Data of this call that nothing has touched, and its depth; NULL when the table at `at` is not that. */
const struct json_value *told_data(lua_State *L, int at, int *depth);
/* Reads a text that has JSON_PADDING readable bytes behind it; the tree lives in script->arena. 0, JSON_MALFORMED or
 * -ENOMEM. */
int json_parse(struct script *s, struct str padded, const struct json_value **tree);

/* --- script_shield.c */

enum seen_through { SEEN_PLAIN, SEEN_FROZEN, SEEN_SHIELD };

void shield_open(lua_State *L);
/* Pushes the proxy of the table at `at`. */
void shield_push(lua_State *L, int at);
/* Pushes the value at `at` as a handler may see it: tables behind a shield. */
void shield_value_push(lua_State *L, int at);
/* Pushes the table that holds what the one at `at` shows. Raises for the proxy of a call that is over. */
enum seen_through target_push(lua_State *L, int at);
/* Pushes the value at `at` for a handler that may keep parts of it: a small table as a copy, a large one behind a
 * shield. What was kept is made good by shields_copy(). */
void copy_or_shield_push(lua_State *L, int at);
/* Puts copies in the place of all that is behind a shield in the value at `at`. */
void shields_copy(lua_State *L, int at);
void shields_enter(struct script *s, struct call *call);
void shields_leave(struct script *s, struct call *call);

/* --- script_decimal.c */

void decimal_open(lua_State *L); /* the metatable; leaves nothing */
void decimal_push(lua_State *L, const struct decimal *d);
bool decimal_get(lua_State *L, int at, struct decimal *out);
int decimal_make(lua_State *L); /* decimal(x) */

/* --- script_handler.c */

void handler_open(lua_State *L);
int handler_event(lua_State *L);
int handler_reject(lua_State *L);
void made_forget(struct script *s, struct call *call);
/* One form for one number: of 7, 7.0, -0.0 and decimals like 7.00 the shortest. The value at `at` is replaced. */
void number_plain(lua_State *L, int at);
/* get(), called `name` in errors: pushes the state of the aggregate that argument 1 names, behind a shield. */
int handler_state(lua_State *L, script_get *get, void *arg, const char *name);

/* --- script_view.c */

/* Puts the text of a key in the place of the string, number, boolean or decimal at `at`; false for anything else. */
bool value_key(lua_State *L, int at);

/* --- script_query.c */

void query_open(lua_State *L); /* the metatable of q */

#endif
