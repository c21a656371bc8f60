#include "script_private.h"

#include <stdlib.h>

/* The order of pairs() and next(): integers ascending, floats ascending, false, true, then strings by their bytes.
 * And table.sort(), which keeps the order of what is equal. */

enum { RANK_INTEGER, RANK_FLOAT, RANK_BOOLEAN, RANK_STRING };

struct key {
    int rank;
    union {
        int64_t integer; /* and booleans */
        double number;
        struct str text;
    };
};

static struct key key_read(lua_State *L, int at) {
    struct key key = {0};
    switch (lua_type(L, at)) {
    case LUA_TNUMBER:
        key.rank = lua_isinteger(L, at) ? RANK_INTEGER : RANK_FLOAT;
        if (key.rank == RANK_INTEGER)
            key.integer = lua_tointeger(L, at);
        else
            key.number = lua_tonumber(L, at);
        return key;
    case LUA_TBOOLEAN:
        key.rank = RANK_BOOLEAN;
        key.integer = lua_toboolean(L, at);
        return key;
    case LUA_TSTRING:
        key.rank = RANK_STRING;
        key.text.p = lua_tolstring(L, at, &key.text.n);
        return key;
    default:
        luaL_error(L, "a table has a key that is a %s: such keys have no order", luaL_typename(L, at));
        return key;
    }
}

static int key_compare(const struct key *a, const struct key *b) {
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->rank == RANK_FLOAT)
        return a->number < b->number ? -1 : a->number > b->number;
    if (a->rank != RANK_STRING)
        return a->integer < b->integer ? -1 : a->integer > b->integer;
    int order = memcmp(a->text.p, b->text.p, a->text.n < b->text.n ? a->text.n : b->text.n);
    return order ? order : a->text.n < b->text.n ? -1 : a->text.n > b->text.n;
}

static int key_order(const void *a, const void *b) {
    return key_compare(a, b);
}

static void key_push(lua_State *L, const struct key *key) {
    if (key->rank == RANK_INTEGER)
        lua_pushinteger(L, key->integer);
    else if (key->rank == RANK_FLOAT)
        lua_pushnumber(L, key->number);
    else if (key->rank == RANK_BOOLEAN)
        lua_pushboolean(L, (int)key->integer);
    else
        lua_pushlstring(L, key->text.p, key->text.n);
}

/* Keys of the engine's own do not show. */
static bool is_hidden(lua_State *L, int at) {
    return lua_islightuserdata(L, at) && lua_touserdata(L, at) != (void *)&key_null;
}

/* --- pairs */

/* Upvalue 1: how many items. */
static int array_step(lua_State *L) {
    lua_Integer i = luaL_optinteger(L, 2, 0), n = lua_tointeger(L, lua_upvalueindex(1));
    while (i < n) {
        lua_pushinteger(L, ++i);
        if (lua_geti(L, 1, i) != LUA_TNIL)
            return 2;
        lua_pop(L, 2);
    }
    lua_pushnil(L);
    return 1;
}

/* Upvalue 1: the keys as they were; 2: how many have been given. */
static int keys_step(lua_State *L) {
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
    for (;;) {
        if (lua_rawgeti(L, lua_upvalueindex(1), ++i) == LUA_TNIL)
            return 1;
        lua_pushvalue(L, -1);
        if (lua_gettable(L, 1) != LUA_TNIL)
            break;
        lua_pop(L, 2);
    }
    lua_pushinteger(L, i);
    lua_replace(L, lua_upvalueindex(2));
    return 2;
}

/* Whether the keys are 1..n and come so. */
static bool is_sequence(lua_State *L, int at, int64_t *count) {
    int64_t n = 0;
    bool in_order = true;
    for (lua_pushnil(L); lua_next(L, at); n++) {
        lua_pop(L, 1);
        in_order = in_order && lua_isinteger(L, -1) && lua_tointeger(L, -1) == n + 1;
    }
    *count = n;
    return in_order;
}

static void sorted_keys_push(lua_State *L, int at, int64_t count) {
    struct key *keys = lua_newuserdatauv(L, (size_t)count * sizeof *keys, 0);
    int64_t n = 0;
    for (lua_pushnil(L); lua_next(L, at);) {
        lua_pop(L, 1);
        if (!is_hidden(L, -1))
            keys[n++] = key_read(L, -1);
    }
    qsort(keys, (size_t)n, sizeof *keys, key_order);
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        key_push(L, &keys[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_replace(L, -2);
}

int sandbox_pairs(lua_State *L) {
    int64_t n;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    target_push(L, 1);
    if (is_sequence(L, 2, &n)) {
        lua_pushinteger(L, n);
        lua_pushcclosure(L, array_step, 1);
    } else {
        script_charge(L, (uint64_t)n);
        sorted_keys_push(L, 2, n);
        lua_pushinteger(L, 0);
        lua_pushcclosure(L, keys_step, 2);
    }
    script_charge(L, (uint64_t)n);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

int sandbox_next(lua_State *L) {
    struct key least = {0}, after = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    target_push(L, 1);
    bool found = false, begun = !lua_isnil(L, 2);
    uint64_t n = 0;
    if (begun)
        after = key_read(L, 2);
    for (lua_pushnil(L); lua_next(L, 3); n++) {
        lua_pop(L, 1);
        if (is_hidden(L, -1))
            continue;
        struct key key = key_read(L, -1);
        if ((begun && key_compare(&key, &after) <= 0) || (found && key_compare(&key, &least) >= 0))
            continue;
        least = key;
        found = true;
    }
    script_charge(L, n);
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    key_push(L, &least);
    lua_pushvalue(L, -1);
    lua_gettable(L, 1);
    return 2;
}

/* --- sort */

struct sorting {
    lua_State *L;
    uint32_t *from, *to;
    bool compared; /* by the function at 2 */
};

/* The values are in the table at 3. */
static bool comes_before(struct sorting *s, uint32_t a, uint32_t b) {
    lua_State *L = s->L;
    bool before;
    if (s->compared)
        lua_pushvalue(L, 2);
    lua_rawgeti(L, 3, a);
    lua_rawgeti(L, 3, b);
    if (s->compared) {
        lua_call(L, 2, 1);
        before = lua_toboolean(L, -1);
        lua_pop(L, 1);
    } else {
        before = lua_compare(L, -2, -1, LUA_OPLT);
        lua_pop(L, 2);
    }
    return before;
}

static void merge(struct sorting *s, size_t low, size_t middle, size_t high) {
    size_t a = low, b = middle;
    script_charge(s->L, high - low);
    for (size_t i = low; i < high; i++) {
        bool second = a == middle || (b < high && comes_before(s, s->from[b], s->from[a]));
        s->to[i] = second ? s->from[b++] : s->from[a++];
    }
}

int sandbox_sort(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_Integer n = luaL_len(L, 1);
    if (n < 2)
        return 0;
    if (n > INT32_MAX / 4)
        return luaL_error(L, "the table is too large to be sorted");
    struct sorting s = {.L = L, .compared = !lua_isnil(L, 2)};
    script_charge(L, (uint64_t)n);
    lua_createtable(L, (int)n, 0);
    s.from = lua_newuserdatauv(L, 2 * (size_t)n * sizeof *s.from, 0);
    s.to = s.from + n;
    for (lua_Integer i = 1; i <= n; i++) {
        s.from[i - 1] = (uint32_t)i;
        lua_geti(L, 1, i);
        lua_rawseti(L, 3, i);
    }
    for (size_t width = 1; width < (size_t)n; width *= 2) {
        for (size_t low = 0; low < (size_t)n; low += 2 * width) {
            size_t middle = low + width < (size_t)n ? low + width : (size_t)n;
            size_t high = low + 2 * width < (size_t)n ? low + 2 * width : (size_t)n;
            merge(&s, low, middle, high);
        }
        uint32_t *swap = s.from;
        s.from = s.to;
        s.to = swap;
    }
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 3, s.from[i - 1]);
        lua_seti(L, 1, i);
    }
    return 0;
}
