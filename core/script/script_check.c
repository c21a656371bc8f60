#include "script_private.h"

#include <errno.h>
#include <math.h>

#define CHECK_TEXT_MAX 256 /* bytes; longer text is looked at when it is frozen */

/* A walk that raises nothing, and allocates nothing but for data that was kept. It counts on after a doubt: the order
 * of lua_next() differs from run to run, and whether a state is too large to be judged must not. */
struct check {
    lua_State *L;
    struct script *s;
    int n, most;                                    /* values seen, and how many may be */
    int depth;                                      /* of above[] */
    bool doubtful;                                  /* the real thing must say what is wrong, if anything */
    const void *above[2 * SCRIPT_CHECK_VALUES + 1]; /* the tables that the walk is in, and what they stand for */
};

static bool value_check(struct check *c);

/* Whether the metatable on top, popped, lets its table be an object with members; *target: it stands for another. */
static bool metatable_check(struct check *c, int table, bool *target) {
    lua_State *L = c->L;
    const void *mt = lua_topointer(L, -1);
    if (mt == c->s->array_mt) {
        lua_pop(L, 1);
        return false;
    }
    if (mt == c->s->shield_mt || mt == c->s->event_mt || mt == c->s->told_mt || mt == c->s->data_mt) {
        c->doubtful = true;
        lua_pop(L, 1);
        return true;
    }
    bool object = true;
    if (lua_rawgetp(L, -1, &key_digits) != LUA_TNIL) {
        lua_rawgetp(L, -2, &key_shape);
        object = lua_topointer(L, -1) != c->s->array_mt;
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    *target = lua_rawgetp(L, table, &key_target) == LUA_TTABLE;
    lua_pop(L, 1);
    return object;
}

static void name_check(struct check *c, int at) {
    struct str name;
    name.p = lua_tolstring(c->L, at, &name.n);
    if (name.n <= CHECK_TEXT_MAX && !utf8_is_valid(name.p, name.n))
        c->doubtful = true;
}

/* False when there were too many values. */
static bool members_check(struct check *c, int table, bool object) {
    lua_State *L = c->L;
    lua_Unsigned length = lua_rawlen(L, table), items = 0, names = 0;
    for (lua_pushnil(L); lua_next(L, table);) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            names++;
            name_check(c, -2);
        } else if (lua_isinteger(L, -2) && (lua_Unsigned)lua_tointeger(L, -2) - 1 < length) {
            items++;
        } else {
            c->doubtful = true;
        }
        if (!value_check(c))
            return false;
        lua_pop(L, 1);
    }
    if (items != length || (names && (items || !object)))
        c->doubtful = true;
    return true;
}

static int fill_run(lua_State *L) {
    told_fill(L, 1);
    return 0;
}

/* Gives data of an event that was kept its members; the table is on top. */
static void data_fill(struct check *c, int table) {
    lua_State *L = c->L;
    bool is_data = lua_getmetatable(L, table) && lua_topointer(L, -1) == c->s->data_mt;
    lua_settop(L, table);
    if (!is_data)
        return;
    lua_pushcfunction(L, fill_run);
    lua_pushvalue(L, table);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        c->doubtful = true;
    lua_settop(L, table);
}

static bool table_check(struct check *c) {
    lua_State *L = c->L;
    int table = lua_gettop(L);
    const void *own = lua_topointer(L, table);
    bool object = true, target = false;
    for (int i = 0; i < c->depth; i++)
        if (c->above[i] == own) {
            c->doubtful = true;
            return true;
        }
    if (c->depth > 2 * SCRIPT_CHECK_VALUES || !lua_checkstack(L, 8)) {
        c->doubtful = true;
        return true;
    }
    c->above[c->depth++] = own;
    data_fill(c, table);
    if (lua_getmetatable(L, table))
        object = metatable_check(c, table, &target);
    bool few;
    if (target) {
        lua_rawgetp(L, table, &key_target);
        few = table_check(c);
    } else {
        few = members_check(c, table, object);
    }
    c->depth--;
    if (few)
        lua_settop(L, table);
    return few;
}

/* The value on top. */
static bool value_check(struct check *c) {
    lua_State *L = c->L;
    if (c->n++ == c->most)
        return false;
    switch (lua_type(L, -1)) {
    case LUA_TTABLE:
        return table_check(c);
    case LUA_TSTRING:
        name_check(c, -1);
        return true;
    case LUA_TBOOLEAN:
        return true;
    case LUA_TNUMBER:
        if (!isfinite(lua_tonumber(L, -1)))
            c->doubtful = true;
        return true;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) != (void *)&key_null)
            c->doubtful = true;
        return true;
    case LUA_TUSERDATA: {
        struct decimal d;
        if (!decimal_get(L, -1, &d))
            c->doubtful = true;
        return true;
    }
    default:
        c->doubtful = true;
        return true;
    }
}

enum checked check_top(lua_State *L, int most) {
    struct check c;
    int top = lua_gettop(L);
    c.L = L;
    c.s = script_of(L);
    c.n = c.depth = 0;
    c.most = most;
    c.doubtful = false;
    bool few = value_check(&c);
    lua_settop(L, top);
    return !few ? CHECKED_MANY : c.doubtful ? CHECKED_DOUBTFUL : CHECKED_GOOD;
}

int script_check(struct script *s, script_value v, struct script_fault *fault) {
    lua_State *L = s->L;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return -ENOMEM;
    lua_rawgeti(L, LUA_REGISTRYINDEX, v);
    enum checked checked = v ? check_top(L, SCRIPT_CHECK_VALUES) : CHECKED_DOUBTFUL;
    lua_pop(L, 1);
    return checked == CHECKED_DOUBTFUL ? freeze_check(s, v, "the state", fault) : 0;
}
