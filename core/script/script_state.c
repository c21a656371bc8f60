#include "script_private.h"
#include "varint.h"

#include <errno.h>
#include <math.h>

/* FORMAT.md, "States". */

#define STATE_VERSION 1
#define STATE_BYTES_MAX ((size_t)64 << 20)

enum tag {
    TAG_NULL,
    TAG_FALSE,
    TAG_TRUE,
    TAG_INTEGER,
    TAG_FLOAT,
    TAG_DECIMAL,
    TAG_STRING,
    TAG_ARRAY,
    TAG_OBJECT,
    TAG_SAME,
    TAG_ABSENT,
};

enum {
    FLAG_MARKED = 1, /* an array that knows it is one; an object that has an order */
    FLAG_DIGITS = 2,
    FLAG_FROZEN = 4, /* a table of a file, which nothing may write to */
};

static uint64_t zigzag(int64_t v) {
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static int64_t zigzag_back(uint64_t v) {
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* --- freeze */

struct freezing {
    lua_State *L;
    struct buf *out;
    int seen; /* table -> its number; negative: it is being written */
    int64_t n_tables;
    struct path path;
};

static void freeze_value(struct freezing *f, int at);

static void put_number(struct freezing *f, uint64_t v) {
    char bytes[VARINT_MAX];
    buf_put(f->out, bytes, varint_put(bytes, v));
}

static void put_text(struct freezing *f, struct str text) {
    put_number(f, text.n);
    buf_put_str(f->out, text);
}

static void put_name(struct freezing *f, struct str name) {
    if (!utf8_is_valid(name.p, name.n))
        path_error(f->L, &f->path, "a name is not valid UTF-8");
    put_text(f, name);
}

/* The digits in order: of an array by index, of an object by name. */
static void freeze_digits(struct freezing *f, int digits, bool array) {
    lua_State *L = f->L;
    int top = lua_gettop(L);
    lua_pushcfunction(L, sandbox_pairs);
    lua_pushvalue(L, digits);
    lua_call(L, 1, 3);
    int iterator = top + 1;
    uint64_t n = 0;
    for (lua_pushnil(L); lua_next(L, digits); n++)
        lua_pop(L, 1);
    put_number(f, n);
    for (lua_settop(L, iterator), lua_pushnil(L);;) {
        lua_pushvalue(L, iterator);
        lua_pushvalue(L, digits);
        lua_pushvalue(L, iterator + 1);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2))
            break;
        struct str text;
        if (array) {
            put_number(f, (uint64_t)lua_tointeger(L, -2));
        } else {
            text.p = lua_tolstring(L, -2, &text.n);
            put_text(f, text);
        }
        text.p = lua_tolstring(L, -1, &text.n);
        put_text(f, text);
        lua_pop(L, 1);
        lua_replace(L, iterator + 1);
    }
    lua_settop(L, top);
}

static void freeze_array(struct freezing *f, int at, int64_t n) {
    lua_State *L = f->L;
    int64_t seen = 0;
    for (lua_pushnil(L); lua_next(L, at); seen++) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > n) {
            f->path.depth--;
            path_error(L, &f->path, "it is an array and has holes, or keys that are no index");
        }
    }
    if (seen != n) {
        f->path.depth--;
        path_error(L, &f->path, "it is an array with holes");
    }
    put_number(f, (uint64_t)n);
    for (int64_t i = 1; i <= n; i++) {
        f->path.steps[f->path.depth - 1] = (struct path_step){.index = i};
        lua_rawgeti(L, at, i);
        freeze_value(f, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* The name is on top; pops it. */
static void freeze_member(struct freezing *f, int at) {
    lua_State *L = f->L;
    struct str name;
    name.p = lua_tolstring(L, -1, &name.n);
    f->path.steps[f->path.depth - 1] = (struct path_step){.name = name};
    put_name(f, name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, at) == LUA_TNIL)
        buf_put_char(f->out, TAG_ABSENT);
    else
        freeze_value(f, lua_gettop(L));
    lua_pop(L, 2);
}

static void freeze_object(struct freezing *f, int at, const struct layout *layout) {
    lua_State *L = f->L;
    struct name_list added;
    if (!names_added(L, at, layout, &added)) {
        f->path.depth--;
        path_error(L, &f->path, "it is an object and has a key that is a %s", luaL_typename(L, -1));
    }
    if (layout->shape) {
        int64_t n = (int64_t)lua_rawlen(L, layout->shape);
        put_number(f, (uint64_t)n);
        for (int64_t i = 1; i <= n; i++) {
            lua_rawgeti(L, layout->shape, i);
            freeze_member(f, at);
        }
    }
    put_number(f, added.n);
    for (size_t i = 0; i < added.n; i++) {
        lua_pushlstring(L, added.items[i].p, added.items[i].n);
        freeze_member(f, at);
    }
}

/* True when the table was written before, or is put in the list of those that were. */
static bool freeze_same(struct freezing *f, int at) {
    lua_State *L = f->L;
    lua_pushvalue(L, at);
    bool known = lua_rawget(L, f->seen) != LUA_TNIL;
    int64_t number = known ? lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    if (known) {
        if (number < 0)
            path_error(L, &f->path, "it refers to itself");
        buf_put_char(f->out, TAG_SAME);
        put_number(f, (uint64_t)number);
        return true;
    }
    lua_pushvalue(L, at);
    lua_pushinteger(L, -++f->n_tables);
    lua_rawset(L, f->seen);
    return false;
}

static void freeze_table(struct freezing *f, int at) {
    lua_State *L = f->L;
    path_enter(L, &f->path);
    f->path.depth--;
    int top = lua_gettop(L);
    data_check(L, at, &f->path);
    enum seen_through seen = target_push(L, at);
    /* Which frozen table it is makes no difference: nothing can write to one. */
    if (seen != SEEN_FROZEN && freeze_same(f, at)) {
        lua_settop(L, top);
        return;
    }
    int64_t number = f->n_tables;
    int table = top + 1;
    struct layout layout = layout_push(L, table);
    f->path.depth++;
    buf_put_char(f->out, layout.array ? TAG_ARRAY : TAG_OBJECT);
    buf_put_char(f->out, (char)((layout.marked || layout.shape ? FLAG_MARKED : 0) | (layout.digits ? FLAG_DIGITS : 0) |
                                (seen == SEEN_FROZEN ? FLAG_FROZEN : 0)));
    if (layout.array)
        freeze_array(f, table, (int64_t)lua_rawlen(L, table));
    else
        freeze_object(f, table, &layout);
    if (layout.digits)
        freeze_digits(f, layout.digits, layout.array);
    f->path.depth--;
    lua_settop(L, top);
    if (f->out->n > STATE_BYTES_MAX)
        path_error(L, &f->path, "it is more than 64 MiB: tables of the file are written as often as they are there");
    if (seen == SEEN_FROZEN)
        return;
    lua_pushvalue(L, at);
    lua_pushinteger(L, number);
    lua_rawset(L, f->seen);
}

static void freeze_float(struct freezing *f, double v) {
    char bytes[8];
    if (!isfinite(v))
        path_error(f->L, &f->path, "the number is %s, which JSON cannot hold", isnan(v) ? "not a number" : "infinite");
    memcpy(bytes, &v, sizeof v);
    buf_put_char(f->out, TAG_FLOAT);
    buf_put(f->out, bytes, sizeof bytes);
}

static bool freeze_userdata(struct freezing *f, int at) {
    struct decimal d;
    char text[DECIMAL_CHARS];
    if (!decimal_get(f->L, at, &d))
        return false;
    buf_put_char(f->out, TAG_DECIMAL);
    put_text(f, (struct str){text, decimal_write(&d, text)});
    return true;
}

static void freeze_string(struct freezing *f, int at) {
    struct str text;
    text.p = lua_tolstring(f->L, at, &text.n);
    if (!utf8_is_valid(text.p, text.n))
        path_error(f->L, &f->path, "the string is not valid UTF-8");
    buf_put_char(f->out, TAG_STRING);
    put_text(f, text);
}

static void freeze_value(struct freezing *f, int at) {
    lua_State *L = f->L;
    int type = lua_type(L, at);
    if (type == LUA_TTABLE) {
        freeze_table(f, at);
    } else if (type == LUA_TSTRING) {
        freeze_string(f, at);
    } else if (lua_isinteger(L, at)) {
        buf_put_char(f->out, TAG_INTEGER);
        put_number(f, zigzag(lua_tointeger(L, at)));
    } else if (type == LUA_TNUMBER) {
        freeze_float(f, lua_tonumber(L, at));
    } else if (type == LUA_TBOOLEAN) {
        buf_put_char(f->out, lua_toboolean(L, at) ? TAG_TRUE : TAG_FALSE);
    } else if (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, at) == (void *)&key_null) {
        buf_put_char(f->out, TAG_NULL);
    } else if (type != LUA_TUSERDATA || !freeze_userdata(f, at)) {
        path_error(L, &f->path, "a %s cannot be in a state", luaL_typename(L, at));
    }
}

struct freezing_call {
    script_value value;
    const char *name;
    struct buf *out;
};

static int freeze_run(lua_State *L) {
    struct freezing_call *call = lua_touserdata(L, 1);
    struct freezing f;
    f.L = L;
    f.out = call->out;
    f.n_tables = 0;
    f.path.root = call->name;
    f.path.depth = 0;
    lua_pushnil(L);
    if (call->value) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->value);
        lua_replace(L, 2);
    }
    lua_newtable(L);
    f.seen = 3;
    buf_put_char(f.out, STATE_VERSION);
    freeze_value(&f, 2);
    if (f.out->oom) {
        script_of(L)->call->broken = BROKEN_MACHINE;
        return luaL_error(L, "not enough memory");
    }
    return 0;
}

static int freeze_as(struct script *s, script_value v, const char *name, struct buf *out, struct script_fault *fault) {
    struct freezing_call freezing = {v, name, out};
    struct call call = {.unlimited = true};
    size_t before = out->n;
    int rc = script_run(s, freeze_run, &freezing, &call, fault);
    if (rc)
        out->n = before;
    return rc;
}

int script_freeze(struct script *s, script_value v, struct buf *out, struct script_fault *fault) {
    return freeze_as(s, v, "the state", out, fault);
}

int freeze_check(struct script *s, script_value v, const char *name, struct script_fault *fault) {
    struct buf unread = {0};
    int rc = freeze_as(s, v, name, &unread, fault);
    buf_free(&unread);
    return rc;
}

/* --- thaw */

struct thawing {
    lua_State *L;
    const char *p, *end;
    int tables; /* number -> table, false while it is read */
    int64_t n_tables;
    int depth;
    bool unclean;
};

static _Noreturn void unclean(struct thawing *t) {
    t->unclean = true;
    luaL_error(t->L, "this is no state");
    __builtin_unreachable();
}

static void thaw_value(struct thawing *t, bool may_be_absent);

static uint8_t get_byte(struct thawing *t) {
    if (t->p == t->end)
        unclean(t);
    return (uint8_t)*t->p++;
}

static uint64_t get_number(struct thawing *t) {
    uint64_t v;
    const char *p = varint_get(t->p, t->end, &v);
    if (!p)
        unclean(t);
    t->p = p;
    return v;
}

/* How many things follow that take a byte or more. */
static uint64_t get_count(struct thawing *t) {
    uint64_t n = get_number(t);
    if (n > (uint64_t)(t->end - t->p) || n > INT32_MAX)
        unclean(t);
    return n;
}

static struct str get_text(struct thawing *t) {
    uint64_t n = get_count(t);
    struct str text = {t->p, n};
    if (!utf8_is_valid(text.p, text.n))
        unclean(t);
    t->p += n;
    return text;
}

static void thaw_array(struct thawing *t, int table, bool marked) {
    lua_State *L = t->L;
    uint64_t n = get_count(t);
    if (!n && !marked)
        unclean(t);
    for (uint64_t i = 1; i <= n; i++) {
        thaw_value(t, false);
        lua_rawseti(L, table, (lua_Integer)i);
    }
    if (marked) {
        pin_push(L, PIN_ARRAY);
        lua_setmetatable(L, table);
    }
}

/* Reads the members that the shape names; pushes it. */
static void thaw_shape(struct thawing *t, int table) {
    lua_State *L = t->L;
    uint64_t n = get_count(t);
    lua_createtable(L, (int)n, 2);
    lua_createtable(L, 0, (int)n);
    int order = lua_gettop(L) - 1;
    for (uint64_t i = 1; i <= n; i++) {
        struct str name = get_text(t);
        lua_pushlstring(L, name.p, name.n);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, order + 1) != LUA_TNIL)
            unclean(t);
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, order, (lua_Integer)i);
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, order + 1);
        thaw_value(t, true);
        lua_rawset(L, table);
    }
    lua_rawsetp(L, order, &key_set);
    shape_finish(L);
}

static bool comes_after(struct str a, struct str b) {
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order > 0 : a.n > b.n;
}

static void thaw_object(struct thawing *t, int table, bool shaped) {
    lua_State *L = t->L;
    struct str before = {0};
    int set = 0;
    if (shaped) {
        thaw_shape(t, table);
        lua_rawgetp(L, -1, &key_set);
        set = lua_gettop(L);
    }
    uint64_t n = get_count(t);
    for (uint64_t i = 0; i < n; i++) {
        struct str name = get_text(t);
        if (i && !comes_after(name, before))
            unclean(t);
        before = name;
        lua_pushlstring(L, name.p, name.n);
        if (set) {
            lua_pushvalue(L, -1);
            if (lua_rawget(L, set) != LUA_TNIL)
                unclean(t);
            lua_pop(L, 1);
        }
        thaw_value(t, false);
        lua_rawset(L, table);
    }
    if (shaped) {
        lua_pop(L, 1);
        lua_setmetatable(L, table);
    }
}

static void thaw_digits(struct thawing *t, int table, bool array) {
    lua_State *L = t->L;
    uint64_t n = get_count(t);
    double v;
    lua_createtable(L, 0, (int)n);
    for (uint64_t i = 0; i < n; i++) {
        if (array) {
            lua_pushinteger(L, (lua_Integer)get_number(t));
        } else {
            struct str name = get_text(t);
            lua_pushlstring(L, name.p, name.n);
        }
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TNIL)
            unclean(t);
        lua_pop(L, 1);
        struct str text = get_text(t);
        struct decimal d;
        if (!number_parse(text, &v) || decimal_read(&d, text) == DECIMAL_INVALID)
            unclean(t);
        lua_pushlstring(L, text.p, text.n);
        lua_rawset(L, -3);
    }
    digits_attach(L, table);
}

static void thaw_table(struct thawing *t, bool array) {
    lua_State *L = t->L;
    uint8_t flags = get_byte(t);
    if (flags > 7 || ++t->depth > JSON_DEPTH_MAX)
        unclean(t);
    luaL_checkstack(L, 20, NULL);
    int64_t number = flags & FLAG_FROZEN ? 0 : ++t->n_tables;
    if (number) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, t->tables, number);
    }
    lua_newtable(L);
    int table = lua_gettop(L);
    if (array)
        thaw_array(t, table, flags & FLAG_MARKED);
    else
        thaw_object(t, table, flags & FLAG_MARKED);
    if (flags & FLAG_DIGITS)
        thaw_digits(t, table, array);
    if (flags & FLAG_FROZEN)
        sandbox_freeze_table(L, table);
    if (number) {
        lua_pushvalue(L, table);
        lua_rawseti(L, t->tables, number);
    }
    t->depth--;
}

static void thaw_float(struct thawing *t) {
    double v;
    if (t->end - t->p < (ptrdiff_t)sizeof v)
        unclean(t);
    memcpy(&v, t->p, sizeof v);
    t->p += sizeof v;
    if (!isfinite(v))
        unclean(t);
    lua_pushnumber(t->L, v);
}

static void thaw_decimal(struct thawing *t) {
    struct decimal d;
    if (decimal_read(&d, get_text(t)))
        unclean(t);
    decimal_push(t->L, &d);
}

static void thaw_same(struct thawing *t) {
    uint64_t number = get_number(t);
    if (number < 1 || number > (uint64_t)t->n_tables)
        unclean(t);
    if (lua_rawgeti(t->L, t->tables, (lua_Integer)number) != LUA_TTABLE)
        unclean(t);
}

static void thaw_value(struct thawing *t, bool may_be_absent) {
    lua_State *L = t->L;
    uint8_t tag = get_byte(t);
    struct str text;
    switch (tag) {
    case TAG_NULL:
        lua_pushlightuserdata(L, (void *)&key_null);
        return;
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(L, tag == TAG_TRUE);
        return;
    case TAG_INTEGER:
        lua_pushinteger(L, zigzag_back(get_number(t)));
        return;
    case TAG_FLOAT:
        thaw_float(t);
        return;
    case TAG_DECIMAL:
        thaw_decimal(t);
        return;
    case TAG_STRING:
        text = get_text(t);
        lua_pushlstring(L, text.p, text.n);
        return;
    case TAG_ARRAY:
    case TAG_OBJECT:
        thaw_table(t, tag == TAG_ARRAY);
        return;
    case TAG_SAME:
        thaw_same(t);
        return;
    default:
        if (tag != TAG_ABSENT || !may_be_absent)
            unclean(t);
        lua_pushnil(L);
    }
}

struct thawing_call {
    struct thawing t;
    script_value value;
};

static int thaw_run(lua_State *L) {
    struct thawing_call *call = lua_touserdata(L, 1);
    struct thawing *t = &call->t;
    t->L = L;
    lua_newtable(L);
    t->tables = 2;
    if (get_byte(t) != STATE_VERSION)
        unclean(t);
    thaw_value(t, false);
    if (t->p != t->end)
        unclean(t);
    call->value = script_keep(L);
    return 0;
}

int script_thaw(struct script *s, struct str frozen, script_value *out) {
    struct thawing_call thawing = {.t = {.p = frozen.p, .end = frozen.p + frozen.n}};
    struct call call = {.unlimited = true};
    int rc = script_run(s, thaw_run, &thawing, &call, NULL);
    *out = rc ? 0 : thawing.value;
    return thawing.t.unclean && rc == SCRIPT_FAILED ? -EUCLEAN : rc;
}
