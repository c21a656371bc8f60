#include "script_private.h"

#include <stdlib.h>

/* What a table of JSON was is said by its metatable:
 *   arrays share one (PIN_ARRAY);
 *   objects have a shape: the names in order at 1..n, and a set of them at key_set; the shapes of small objects are
 *   kept and shared by all objects with the same names;
 *   a table with numbers that would be written differently has a metatable of its own: key_shape leads to what it
 *   would have otherwise, key_digits to name or index -> digits. It is never changed: digits count for as long as
 *   they are the number that is there. */

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

/* --- digits and layouts */

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

/* --- names that Lua has added */

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
