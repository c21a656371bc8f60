#include "script_private.h"

#include <math.h>
#include <stdlib.h>

/* What a table of JSON was is said by its metatable:
 *   arrays share one (PIN_ARRAY);
 *   objects have a shape: the names in order at 1..n, and a set of them at key_set; the shapes of small objects are
 *   kept and shared by all objects with the same names;
 *   a table with numbers that would be written differently has a metatable of its own: key_shape leads to what it
 *   would have otherwise, key_digits to name or index -> digits. It is never changed: digits count for as long as
 *   they are the number that is there. */

#define JSON_BYTES_MAX ((size_t)64 << 20) /* where no call's limit counts */

/* --- paths */

void path_enter(lua_State *L, struct path *path) {
    if (++path->depth > JSON_DEPTH_MAX) {
        path->depth = 8;
        path_error(L, path, "it is nested deeper than %d levels, or refers to itself", JSON_DEPTH_MAX);
    }
    luaL_checkstack(L, 20, "it is nested too deep");
}

static bool is_plain_name(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return name.n > 0;
}

void path_error(lua_State *L, const struct path *path, const char *format, ...) {
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, path->root);
    for (int i = 0; i < path->depth; i++) {
        const struct path_step *step = &path->steps[i];
        char index[NUMBER_CHARS];
        size_t n = step->name.n < 100 ? step->name.n : 100;
        if (!step->name.p) {
            luaL_addchar(&b, '[');
            luaL_addlstring(&b, index, number_write_int(step->index, index));
            luaL_addchar(&b, ']');
        } else if (is_plain_name(step->name)) {
            luaL_addchar(&b, '.');
            luaL_addlstring(&b, step->name.p, n);
        } else {
            luaL_addstring(&b, "[\"");
            luaL_addlstring(&b, step->name.p, n);
            luaL_addstring(&b, "\"]");
        }
    }
    luaL_addstring(&b, ": ");
    luaL_addstring(&b, text);
    luaL_pushresult(&b);
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_error(L);
    abort();
}

const void *data_check(lua_State *L, int at, const struct path *path) {
    struct script *s = script_of(L);
    if (!lua_getmetatable(L, at))
        return NULL;
    const void *mt = lua_topointer(L, -1);
    if (mt == s->event_mt)
        path_error(L, path, "an event is no data");
    if (mt == s->told_mt)
        path_error(L, path, s->call->told.cmd ? "a command is no data" : TOLD_KEPT);
    lua_pop(L, 1);
    return mt;
}

bool utf8_is_valid(const char *text, size_t n) {
    const uint8_t *p = (const uint8_t *)text, *end = p + n;
    while (p < end) {
        uint64_t eight;
        while (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & 0x8080808080808080)))
            p += 8;
        if (p == end)
            break;
        if (*p < 0x80) {
            p++;
            continue;
        }
        int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
        if (*p < 0xc2 || *p > 0xf4 || end - p <= more)
            return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
            (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (int i = 1; i <= more; i++)
            if ((p[i] & 0xc0) != 0x80)
                return false;
        p += more + 1;
    }
    return true;
}

/* --- shapes */

static uint64_t name_hash(uint64_t hash, struct str name) {
    for (size_t i = 0; i < name.n; i++)
        hash = (hash ^ (uint8_t)name.p[i]) * 0x100000001b3;
    return (hash ^ name.n) * 0x9e3779b97f4a7c15;
}

/* Compares with the n names from `at` on the stack. */
static bool shape_is(lua_State *L, const struct shape_entry *e, int at, uint32_t n) {
    const char *p = e->names;
    if (e->n != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct str name;
        uint32_t length;
        name.p = lua_tolstring(L, at + (int)i, &name.n);
        memcpy(&length, p, sizeof length);
        if (length != name.n || memcmp(p + sizeof length, name.p, name.n) != 0)
            return false;
        p += sizeof length + name.n;
    }
    return true;
}

/* Makes the metatable from the names at `at`..; pushes it. */
static void shape_make(lua_State *L, int at, uint32_t n) {
    lua_createtable(L, (int)n, 2);
    lua_createtable(L, 0, (int)n);
    for (uint32_t i = 0; i < n; i++) {
        lua_pushvalue(L, at + (int)i);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, (int)i + 1);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
    }
    lua_rawsetp(L, -2, &key_set);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

static void shape_remember(lua_State *L, struct shape_entry *e, uint64_t hash, int at, uint32_t n, size_t bytes) {
    struct script *s = script_of(L);
    char *names = malloc(bytes + 1), *p = names;
    if (!names)
        return;
    for (uint32_t i = 0; i < n; i++) {
        size_t length;
        const char *name = lua_tolstring(L, at + (int)i, &length);
        uint32_t length32 = (uint32_t)length;
        memcpy(p, &length32, sizeof length32);
        memcpy(p + sizeof length32, name, length);
        p += sizeof length32 + length;
    }
    e->names = names;
    lua_pushvalue(L, -1);
    e->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    e->hash = hash;
    e->n = n;
    s->n_shapes++;
}

struct shape_entry *shape_push(lua_State *L, uint32_t n) {
    struct script *s = script_of(L);
    int at = lua_gettop(L) - (int)n + 1;
    uint64_t hash = 0xcbf29ce484222325;
    size_t bytes = 0;
    struct shape_entry *e = NULL;
    if (n <= SHAPE_KEYS_MAX) {
        for (uint32_t i = 0; i < n; i++) {
            struct str name;
            name.p = lua_tolstring(L, at + (int)i, &name.n);
            hash = name_hash(hash, name);
            bytes += name.n + sizeof(uint32_t);
        }
        hash ^= hash >> 32;
        for (size_t slot = hash & (SHAPE_SLOTS - 1);; slot = (slot + 1) & (SHAPE_SLOTS - 1)) {
            e = &s->shapes[slot];
            if (!e->ref)
                break;
            if (e->hash == hash && shape_is(L, e, at, n)) {
                lua_settop(L, at - 1);
                lua_rawgeti(L, LUA_REGISTRYINDEX, e->ref);
                return e;
            }
        }
    }
    shape_make(L, at, n);
    /* A slot that a failure left behind half made has names and no ref. */
    if (e && s->n_shapes < SHAPES_MAX && bytes <= SHAPE_BYTES_MAX) {
        free(e->names);
        e->names = NULL;
        shape_remember(L, e, hash, at, n, bytes);
    }
    if (n) {
        lua_replace(L, at);
        lua_settop(L, at);
    }
    return e && e->ref ? e : NULL;
}

void shape_finish(lua_State *L) {
    uint32_t n = (uint32_t)lua_rawlen(L, -1);
    int order = lua_gettop(L);
    if (n > SHAPE_KEYS_MAX) {
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        return;
    }
    luaL_checkstack(L, (int)n + 8, NULL);
    for (uint32_t i = 1; i <= n; i++)
        lua_rawgeti(L, order, i);
    shape_push(L, n);
    lua_replace(L, order);
}

void shapes_free(struct script *s) {
    for (size_t i = 0; s->shapes && i < SHAPE_SLOTS; i++)
        free(s->shapes[i].names);
    free(s->shapes);
}

void digits_attach(lua_State *L, int at) {
    at = lua_absindex(L, at);
    lua_createtable(L, 0, 3);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, &key_digits);
    if (lua_getmetatable(L, at))
        lua_rawsetp(L, -2, &key_shape);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, at);
}

struct layout layout_push(lua_State *L, int at) {
    struct layout layout = {0};
    int top = lua_gettop(L);
    if (!lua_getmetatable(L, at)) {
        lua_pushnil(L);
        lua_pushnil(L);
    } else {
        if (lua_rawgetp(L, -1, &key_digits) != LUA_TNIL) {
            layout.digits = top + 2;
            lua_rawgetp(L, -2, &key_shape);
            lua_replace(L, -3);
        }
        if (!lua_isnil(L, -2)) {
            layout.marked = lua_topointer(L, -2) == script_of(L)->array_mt;
            layout.shape = layout.marked ? 0 : top + 1;
        }
    }
    layout.array = layout.marked;
    if (!layout.array) {
        layout.array = lua_rawgeti(L, at, 1) != LUA_TNIL;
        lua_pop(L, 1);
    }
    return layout;
}

/* --- from JSON */

static void passed_add(lua_State *L, double v, struct str text) {
    struct call *call = script_of(L)->call;
    if (call->n_passed == call->cap_passed) {
        size_t cap = call->cap_passed ? call->cap_passed * 2 : 16;
        struct passed *moved = realloc(call->passed, cap * sizeof *moved);
        if (!moved) {
            call->broken = BROKEN_MACHINE;
            luaL_error(L, "not enough memory");
        }
        call->passed = moved;
        call->cap_passed = cap;
    }
    call->passed[call->n_passed] = (struct passed){v, text, call->n_passed};
    call->n_passed++;
}

static int passed_order(const void *a, const void *b) {
    const struct passed *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void passed_read(lua_State *L, const struct json_value *v) {
    int64_t i;
    double number;
    if (v->kind == JSON_KIND_NUMBER && !number_read_int(v->text, &i) && number_parse(v->text, &number))
        passed_add(L, number, v->text);
    for (uint32_t k = 0; v->kind == JSON_KIND_OBJECT && k < v->n; k++)
        passed_read(L, &v->fields[k].value);
    for (uint32_t k = 0; v->kind == JSON_KIND_ARRAY && k < v->n; k++)
        passed_read(L, &v->items[k]);
}

/* The digits with which the command's data has this number. */
static struct str passed_find(lua_State *L, double v) {
    struct call *call = script_of(L)->call;
    if (!call->told.cmd || !call->told.cmd->data)
        return (struct str){0};
    if (!call->passed_read) {
        passed_read(L, call->told.cmd->data);
        if (call->n_passed > 1)
            qsort(call->passed, call->n_passed, sizeof *call->passed, passed_order);
        call->passed_read = true;
    }
    size_t low = 0, high = call->n_passed;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (call->passed[middle].value < v)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < call->n_passed && call->passed[low].value == v && signbit(call->passed[low].value) == signbit(v))
        return call->passed[low].text;
    return (struct str){0};
}

static bool digits_differ(double v, struct str text) {
    char own[NUMBER_CHARS];
    size_t n = number_write(v, own);
    return n != text.n || memcmp(own, text.p, n) != 0;
}

/* Pushes the number; true when its digits must be kept. */
static bool number_push(lua_State *L, struct str text) {
    int64_t i;
    double v;
    if (number_read_int(text, &i)) {
        lua_pushinteger(L, i);
        return false;
    }
    if (!number_parse(text, &v))
        luaL_error(L, "the number %s is beyond what a float can hold", lua_pushlstring(L, text.p, text.n % 60));
    lua_pushnumber(L, v);
    return digits_differ(v, text);
}

static bool scalar_push(lua_State *L, const struct json_value *v) {
    switch (v->kind) {
    case JSON_KIND_STRING:
        lua_pushlstring(L, v->text.p, v->text.n);
        return false;
    case JSON_KIND_NUMBER:
        return number_push(L, v->text);
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
        lua_pushboolean(L, v->kind == JSON_KIND_TRUE);
        return false;
    case JSON_KIND_NULL:
        lua_pushlightuserdata(L, (void *)&key_null);
        return false;
    default:
        json_push(L, v);
        return false;
    }
}

/* Keeps digits: key and digits are put into the table at `digits`, which is made when it is nil. */
static void digits_put(lua_State *L, int digits, struct str text) {
    if (lua_isnil(L, digits)) {
        lua_newtable(L);
        lua_replace(L, digits);
    }
    lua_pushlstring(L, text.p, text.n);
    lua_rawset(L, digits);
}

static void array_push(lua_State *L, const struct json_value *v) {
    lua_createtable(L, v->n > INT32_MAX ? INT32_MAX : (int)v->n, 0);
    int table = lua_gettop(L);
    lua_pushnil(L);
    for (uint32_t i = 0; i < v->n; i++) {
        bool kept = scalar_push(L, &v->items[i]);
        lua_rawseti(L, table, (lua_Integer)i + 1);
        if (kept) {
            lua_pushinteger(L, (lua_Integer)i + 1);
            digits_put(L, table + 1, v->items[i].text);
        }
    }
    pin_push(L, PIN_ARRAY);
    lua_setmetatable(L, table);
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        digits_attach(L, table);
}

/* Many names do not fit on the stack: their shape is made as they come. */
static void object_large_push(lua_State *L, const struct json_value *v, int table) {
    lua_createtable(L, (int)v->n, 2);
    lua_createtable(L, 0, (int)v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        lua_pushlstring(L, v->fields[i].name.p, v->fields[i].name.n);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, (lua_Integer)i + 1);
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, -4);
        bool kept = scalar_push(L, &v->fields[i].value);
        if (kept)
            lua_pushvalue(L, -2);
        else
            lua_pushnil(L);
        lua_insert(L, -3);
        lua_rawset(L, table);
        if (kept)
            digits_put(L, table + 1, v->fields[i].value.text);
        else
            lua_pop(L, 1);
    }
    lua_rawsetp(L, -2, &key_set);
    shape_finish(L);
}

/* Where the shape of an object may be kept; its names are to be compared. */
static struct shape_entry **guess_of(struct script *s, const struct json_value *v) {
    uint64_t look = v->n;
    for (uint32_t i = 0; i < v->n; i++) {
        struct str name = v->fields[i].name;
        look = (look ^ name.n ^ (name.n ? (uint64_t)(uint8_t)name.p[0] << 8 : 0)) * 0x9e3779b97f4a7c15;
    }
    return &s->guesses[look >> 32 & (SHAPE_GUESSES - 1)];
}

static bool guess_is(const struct shape_entry *e, const struct json_value *v) {
    if (!e || e->n != v->n)
        return false;
    const char *p = e->names;
    for (uint32_t i = 0; i < v->n; i++) {
        struct str name = v->fields[i].name;
        uint32_t length;
        memcpy(&length, p, sizeof length);
        if (length != name.n || memcmp(p + sizeof length, name.p, name.n) != 0)
            return false;
        p += sizeof length + name.n;
    }
    return true;
}

/* With names that are known: they are strings of Lua already. */
static void object_shaped_push(lua_State *L, const struct json_value *v, int table, const struct shape_entry *e) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->ref);
    int shape = lua_gettop(L);
    for (uint32_t i = 0; i < v->n; i++) {
        lua_rawgeti(L, shape, (lua_Integer)i + 1);
        bool kept = scalar_push(L, &v->fields[i].value);
        lua_rawset(L, table);
        if (kept) {
            lua_rawgeti(L, shape, (lua_Integer)i + 1);
            digits_put(L, table + 1, v->fields[i].value.text);
        }
    }
}

static void object_small_push(lua_State *L, const struct json_value *v, int table) {
    struct shape_entry **guess = guess_of(script_of(L), v);
    if (guess_is(*guess, v)) {
        object_shaped_push(L, v, table, *guess);
        return;
    }
    luaL_checkstack(L, (int)v->n + 8, "it is nested too deep");
    for (uint32_t i = 0; i < v->n; i++) {
        lua_pushlstring(L, v->fields[i].name.p, v->fields[i].name.n);
        lua_pushvalue(L, -1);
        bool kept = scalar_push(L, &v->fields[i].value);
        lua_rawset(L, table);
        if (kept) {
            lua_pushvalue(L, -1);
            digits_put(L, table + 1, v->fields[i].value.text);
        }
    }
    *guess = shape_push(L, v->n);
}

static void object_fill(lua_State *L, const struct json_value *v, int table) {
    lua_pushnil(L);
    if (v->n <= SHAPE_KEYS_MAX)
        object_small_push(L, v, table);
    else
        object_large_push(L, v, table);
    lua_setmetatable(L, table);
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        digits_attach(L, table);
}

static void object_push(lua_State *L, const struct json_value *v) {
    lua_createtable(L, 0, v->n > INT32_MAX ? INT32_MAX : (int)v->n);
    object_fill(L, v, lua_gettop(L));
}

void json_push(lua_State *L, const struct json_value *v) {
    luaL_checkstack(L, 12, "it is nested too deep");
    script_charge(L, v->n);
    if (v->kind == JSON_KIND_OBJECT)
        object_push(L, v);
    else if (v->kind == JSON_KIND_ARRAY)
        array_push(L, v);
    else
        scalar_push(L, v);
}

void json_fill(lua_State *L, const struct json_value *object, int at) {
    luaL_checkstack(L, 12, "it is nested too deep");
    at = lua_absindex(L, at);
    lua_pushvalue(L, at);
    object_fill(L, object, lua_gettop(L));
    lua_pop(L, 1);
}

/* --- to JSON */

struct writing {
    lua_State *L;
    struct buf *out;
    size_t limit;
    bool shielded; /* tables are seen through a shield: those that were written to have a copy */
    struct path path;
};

static void value_write(struct writing *w, int at, int digits);

static void check_room(struct writing *w) {
    if (w->out->oom) {
        script_of(w->L)->call->broken = BROKEN_MACHINE;
        luaL_error(w->L, "not enough memory");
    }
    if (w->out->n > w->limit)
        path_error(w->L, &w->path,
                   "it is too much JSON, more than %zu MiB: a table that is there many times is written many times",
                   w->limit >> 20);
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Whether JSON shows the text as it is: ASCII without escapes. Eight bytes at a time; a carry between them can only
 * make a plain text look as if it were none. */
static bool is_plain_text(struct str text) {
    size_t i = 0;
    for (; i + 8 <= text.n; i += 8) {
        uint64_t eight;
        memcpy(&eight, text.p + i, sizeof eight);
        uint64_t quote = eight ^ EACH_BYTE * '"', slash = eight ^ EACH_BYTE * '\\';
        if ((eight | (eight - EACH_BYTE * 0x20) | (quote - EACH_BYTE) | (slash - EACH_BYTE)) & EACH_BYTE * 0x80)
            return false;
    }
    for (; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            return false;
    }
    return true;
}

static void plain_put(struct buf *out, struct str text) {
    char *room = buf_reserve(out, text.n + 2);
    if (!room)
        return;
    room[0] = '"';
    if (text.n)
        memcpy(room + 1, text.p, text.n);
    room[text.n + 1] = '"';
    out->n += text.n + 2;
}

static void string_write(struct writing *w, struct str text) {
    if (is_plain_text(text)) {
        plain_put(w->out, text);
        return;
    }
    if (!utf8_is_valid(text.p, text.n))
        path_error(w->L, &w->path, "the string is not valid UTF-8");
    buf_put_json_string(w->out, text);
}

static int name_order(const void *a, const void *b) {
    const struct str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static void names_sort(struct name_list *names) {
    if (names->n > NAMES_FEW) {
        qsort(names->items, names->n, sizeof *names->items, name_order);
        return;
    }
    for (size_t i = 1; i < names->n; i++) {
        struct str name = names->items[i];
        size_t at = i;
        for (; at > 0 && name_order(&name, &names->items[at - 1]) < 0; at--)
            names->items[at] = names->items[at - 1];
        names->items[at] = name;
    }
}

bool names_added(lua_State *L, int at, const struct layout *layout, struct name_list *out) {
    size_t cap = NAMES_FEW;
    int held = 0, set = 0;
    out->n = 0;
    out->items = out->few;
    if (layout->shape) {
        lua_rawgetp(L, layout->shape, &key_set);
        set = lua_gettop(L);
    } else {
        lua_pushnil(L);
    }
    lua_pushnil(L);
    held = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, at);) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            return false;
        if (set) {
            lua_pushvalue(L, -1);
            bool known = lua_rawget(L, set) != LUA_TNIL;
            lua_pop(L, 1);
            if (known)
                continue;
        }
        if (out->n == cap) {
            cap *= 2;
            struct str *moved = lua_newuserdatauv(L, cap * sizeof *moved, 0);
            memcpy(moved, out->items, out->n * sizeof *moved);
            out->items = moved;
            lua_replace(L, held);
        }
        struct str *name = &out->items[out->n++];
        name->p = lua_tolstring(L, -1, &name->n);
    }
    names_sort(out);
    lua_replace(L, held - 1); /* what holds the names comes to the place of the set */
    if (lua_gettop(L) > held - 1)
        lua_settop(L, held - 1);
    return true;
}

static void float_write(struct writing *w, double v, int digits, struct str text) {
    char own[NUMBER_CHARS];
    double same;
    if (!isfinite(v))
        path_error(w->L, &w->path, "the number is %s, which JSON cannot hold", isnan(v) ? "not a number" : "infinite");
    if (digits && text.p && number_parse(text, &same) && same == v && signbit(same) == signbit(v)) {
        buf_put_str(w->out, text);
        return;
    }
    struct str passed = passed_find(w->L, v);
    if (passed.p)
        buf_put_str(w->out, passed);
    else
        buf_put(w->out, own, number_write(v, own));
}

/* The number at `at`, whose digits may be in the table `digits` under its last name or index. */
static void number_put(struct writing *w, int at, int digits) {
    lua_State *L = w->L;
    char own[NUMBER_CHARS];
    struct str text = {0};
    if (lua_isinteger(L, at)) {
        buf_put(w->out, own, number_write_int(lua_tointeger(L, at), own));
        return;
    }
    if (!digits) {
        float_write(w, lua_tonumber(L, at), 0, text);
        return;
    }
    const struct path_step *step = &w->path.steps[w->path.depth - 1];
    if (step->name.p)
        lua_pushlstring(L, step->name.p, step->name.n);
    else
        lua_pushinteger(L, step->index);
    if (lua_rawget(L, digits) == LUA_TSTRING)
        text.p = lua_tolstring(L, -1, &text.n);
    float_write(w, lua_tonumber(L, at), digits, text);
    lua_pop(L, 1);
}

/* Raises for a key of an array that is not 1..n. */
static void array_check(struct writing *w, int at, int64_t n) {
    lua_State *L = w->L;
    int64_t seen = 0;
    for (lua_pushnil(L); lua_next(L, at); seen++) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            path_error(L, &w->path, "it is an array and has the member \"%s\"", lua_tostring(L, -1));
        if (!lua_isinteger(L, -1))
            path_error(L, &w->path, "it is an array and has a key that is a %s", luaL_typename(L, -1));
        if (lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > n)
            path_error(L, &w->path, "it is an array with holes: there is an item %lld and not all before it",
                       (long long)lua_tointeger(L, -1));
    }
    if (seen != n)
        path_error(L, &w->path, "it is an array with holes");
}

static void array_write(struct writing *w, int at, const struct layout *layout) {
    lua_State *L = w->L;
    int64_t n = (int64_t)lua_rawlen(L, at);
    struct path_step *step = &w->path.steps[w->path.depth - 1];
    buf_put_char(w->out, '[');
    for (int64_t i = 1; i <= n; i++) {
        if (i > 1)
            buf_put_char(w->out, ',');
        lua_rawgeti(L, at, i);
        *step = (struct path_step){.index = i};
        value_write(w, lua_gettop(L), layout->digits);
        lua_pop(L, 1);
    }
    buf_put_char(w->out, ']');
}

/* The member whose name is on top; pops it. Nothing when it is nil. */
static void member_write(struct writing *w, int at, const struct layout *layout, bool *first) {
    lua_State *L = w->L;
    struct str name;
    name.p = lua_tolstring(L, -1, &name.n);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, at) != LUA_TNIL) {
        w->path.steps[w->path.depth - 1] = (struct path_step){.name = name};
        if (!*first)
            buf_put_char(w->out, ',');
        *first = false;
        string_write(w, name);
        buf_put_char(w->out, ':');
        value_write(w, lua_gettop(L), layout->digits);
    }
    lua_pop(L, 2);
}

static _Noreturn void key_error(struct writing *w) {
    lua_State *L = w->L;
    w->path.depth--;
    if (lua_isinteger(L, -1))
        path_error(L, &w->path, "it is an object and has the key %lld, which is no string",
                   (long long)lua_tointeger(L, -1));
    path_error(L, &w->path, "it is an object and has a key that is a %s", luaL_typename(L, -1));
}

static void object_write(struct writing *w, int at, const struct layout *layout) {
    lua_State *L = w->L;
    struct name_list added;
    bool first = true;
    if (!names_added(L, at, layout, &added))
        key_error(w);
    buf_put_char(w->out, '{');
    int64_t n = layout->shape ? (int64_t)lua_rawlen(L, layout->shape) : 0;
    for (int64_t i = 1; i <= n; i++) {
        lua_rawgeti(L, layout->shape, i);
        member_write(w, at, layout, &first);
    }
    for (size_t i = 0; i < added.n; i++) {
        lua_pushlstring(L, added.items[i].p, added.items[i].n);
        member_write(w, at, layout, &first);
    }
    buf_put_char(w->out, '}');
}

/* Pushes what the call that runs has in the place of a table of a state; its index. */
static int shield_find(lua_State *L, int at, bool *shielded) {
    pin_push(L, PIN_MAP);
    lua_pushvalue(L, at);
    if (lua_rawget(L, -2) == LUA_TNIL)
        return at;
    *shielded = false;
    return lua_gettop(L);
}

/* As it would be written, had it been a table in between. */
static void tree_write(const struct json_value *v, struct buf *out) {
    switch (v->kind) {
    case JSON_KIND_OBJECT:
        buf_put_char(out, '{');
        for (uint32_t i = 0; i < v->n; i++) {
            if (i)
                buf_put_char(out, ',');
            if (is_plain_text(v->fields[i].name))
                plain_put(out, v->fields[i].name);
            else
                buf_put_json_string(out, v->fields[i].name);
            buf_put_char(out, ':');
            tree_write(&v->fields[i].value, out);
        }
        buf_put_char(out, '}');
        return;
    case JSON_KIND_ARRAY:
        buf_put_char(out, '[');
        for (uint32_t i = 0; i < v->n; i++) {
            if (i)
                buf_put_char(out, ',');
            tree_write(&v->items[i], out);
        }
        buf_put_char(out, ']');
        return;
    case JSON_KIND_STRING:
        if (v->raw.n == v->text.n + 2) /* every escape is longer than what it stands for */
            buf_put_str(out, v->raw);
        else
            buf_put_json_string(out, v->text);
        return;
    default:
        buf_put_str(out, v->raw);
    }
}

/* The data of a command or an event, when nothing has touched it. */
static bool untouched_write(struct writing *w, int at) {
    int depth;
    const struct json_value *tree = told_data(w->L, at, &depth);
    if (!tree || w->path.depth + depth > JSON_DEPTH_MAX)
        return false;
    tree_write(tree, w->out);
    check_room(w);
    return true;
}

static void table_write(struct writing *w, int at) {
    lua_State *L = w->L;
    path_enter(L, &w->path);
    w->path.depth--;
    if (data_check(L, at, &w->path) == script_of(L)->data_mt && untouched_write(w, at))
        return;
    int top = lua_gettop(L);
    bool outer = w->shielded;
    if (outer)
        at = shield_find(L, at, &w->shielded);
    w->shielded = target_push(L, at) == SEEN_SHIELD || w->shielded;
    int table = lua_gettop(L);
    struct layout layout = layout_push(L, table);
    w->path.depth++;
    w->path.steps[w->path.depth - 1] = (struct path_step){.index = 0};
    if (layout.array) {
        w->path.depth--;
        array_check(w, table, (int64_t)lua_rawlen(L, table));
        w->path.depth++;
        array_write(w, table, &layout);
    } else {
        object_write(w, table, &layout);
    }
    w->path.depth--;
    w->shielded = outer;
    lua_settop(L, top);
    check_room(w);
}

static void value_write(struct writing *w, int at, int digits) {
    lua_State *L = w->L;
    struct str text;
    struct decimal d;
    char number[DECIMAL_CHARS];
    switch (lua_type(L, at)) {
    case LUA_TBOOLEAN:
        buf_put_text(w->out, lua_toboolean(L, at) ? "true" : "false");
        return;
    case LUA_TNUMBER:
        number_put(w, at, digits);
        return;
    case LUA_TSTRING:
        text.p = lua_tolstring(L, at, &text.n);
        string_write(w, text);
        return;
    case LUA_TTABLE:
        table_write(w, at);
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, at) == (void *)&key_null) {
            buf_put_text(w->out, "null");
            return;
        }
        break;
    case LUA_TUSERDATA:
        if (decimal_get(L, at, &d)) {
            buf_put(w->out, number, decimal_write(&d, number));
            return;
        }
        break;
    default:
        break;
    }
    path_error(L, &w->path, "a %s cannot be in JSON", luaL_typename(L, at));
}

void json_write(lua_State *L, int at, struct buf *out, const char *name, bool object) {
    struct writing w;
    w.L = L;
    w.out = out;
    w.limit = out->n + (script_of(L)->call->unlimited ? JSON_BYTES_MAX : script_of(L)->limits.memory);
    w.shielded = false;
    w.path.root = name;
    w.path.depth = 0;
    at = lua_absindex(L, at);
    size_t before = out->n;
    value_write(&w, at, 0);
    check_room(&w);
    if (object && out->p[before] != '{')
        luaL_error(L, "%s: it must be an object", name);
    script_charge(L, (out->n - before) / 16);
}

/* --- the functions of script.h */

struct reading {
    const struct json_value *tree;
    script_value value;
};

static int of_json_run(lua_State *L) {
    struct reading *reading = lua_touserdata(L, 1);
    json_push(L, reading->tree);
    reading->value = script_keep(L);
    return 0;
}

int script_of_json(struct script *s, const struct json_value *tree, script_value *out) {
    struct reading reading = {.tree = tree};
    struct call call = {.unlimited = true};
    int rc = script_run(s, of_json_run, &reading, &call, NULL);
    *out = rc ? 0 : reading.value;
    return rc;
}

struct showing {
    script_value value;
    struct buf *out;
};

static int to_json_run(lua_State *L) {
    struct showing *showing = lua_touserdata(L, 1);
    lua_pushnil(L);
    if (showing->value) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, showing->value);
        lua_replace(L, 2);
    }
    json_write(L, 2, showing->out, "the value", false);
    return 0;
}

int script_to_json(struct script *s, script_value v, struct buf *out, struct script_fault *fault) {
    struct showing showing = {v, out};
    struct call call = {.unlimited = true};
    size_t before = out->n;
    int rc = script_run(s, to_json_run, &showing, &call, fault);
    if (rc)
        out->n = before;
    return rc;
}
