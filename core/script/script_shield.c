#include "script_private.h"

/* A proxy is an empty table but for key_target, which leads to what it shows. Frozen tables are proxies too, and so is
 * every table of a state while a decider looks at it. */

#define SHIELDS_KEPT 64 /* proxies of one call for which the tables of the next are kept */

enum seen_through target_push(lua_State *L, int at) {
    enum seen_through seen = SEEN_PLAIN;
    const void *shield = script_of(L)->shield_mt;
    lua_pushvalue(L, at);
    for (;;) {
        bool has = lua_getmetatable(L, -1);
        const void *mt = has ? lua_topointer(L, -1) : NULL;
        bool is_shield = has && mt == shield;
        if (has)
            lua_pop(L, 1);
        if (has && (mt == script_of(L)->told_mt || mt == script_of(L)->data_mt)) {
            told_fill(L, -1);
            return seen;
        }
        if (!has || lua_rawgetp(L, -1, &key_target) == LUA_TNIL) {
            if (has)
                lua_pop(L, 1);
            if (is_shield)
                luaL_error(L, "a state that was seen in an earlier call is used");
            return seen;
        }
        lua_replace(L, -2);
        seen = is_shield || seen == SEEN_SHIELD ? SEEN_SHIELD : SEEN_FROZEN;
    }
}

void shield_push(lua_State *L, int at) {
    struct call *call = script_of(L)->call;
    at = lua_absindex(L, at);
    luaL_checkstack(L, 8, NULL);
    pin_push(L, PIN_MAP);
    lua_pushvalue(L, at);
    if (lua_rawget(L, -2) != LUA_TNIL) {
        lua_replace(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, at);
    lua_rawsetp(L, -2, &key_target);
    pin_push(L, PIN_SHIELD);
    lua_setmetatable(L, -2);
    /* Listed first: a proxy that is found in the map and not in the list would outlive the call. */
    pin_push(L, PIN_LIST);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 2 * call->shields + 1);
    lua_pushvalue(L, at);
    lua_rawseti(L, -2, 2 * call->shields + 2);
    call->shields++;
    lua_pop(L, 1);
    lua_pushvalue(L, at);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_replace(L, -2);
}

void shield_value_push(lua_State *L, int at) {
    if (lua_istable(L, at))
        shield_push(L, at);
    else
        lua_pushvalue(L, at);
}

static int shield_index(lua_State *L) {
    target_push(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    if (lua_istable(L, -1))
        shield_push(L, -1);
    return 1;
}

static int shield_length(lua_State *L) {
    target_push(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
}

/* The proxy becomes a copy of one level; what is in it stays behind proxies. */
static uint64_t level_copy(lua_State *L, int at) {
    int target = lua_gettop(L) + 1;
    uint64_t n = 0;
    target_push(L, at);
    lua_pushnil(L);
    lua_rawsetp(L, at, &key_target);
    if (!lua_getmetatable(L, target))
        lua_pushnil(L);
    lua_setmetatable(L, at);
    for (lua_pushnil(L); lua_next(L, target); n++) {
        lua_pushvalue(L, -2);
        shield_value_push(L, -2);
        lua_rawset(L, at);
        lua_pop(L, 1);
    }
    lua_settop(L, target - 1);
    return n;
}

static int shield_write(lua_State *L) {
    lua_settop(L, 3);
    uint64_t n = level_copy(L, 1);
    lua_rawset(L, 1);
    script_charge(L, n);
    return 0;
}

void shield_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"__index", shield_index}, {"__newindex", shield_write}, {"__len", shield_length}, {NULL, NULL}};
    pin_push(L, PIN_SHIELD);
    luaL_setfuncs(L, functions, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    script_of(L)->shield_mt = lua_topointer(L, -1);
    lua_pop(L, 1);
}

/* --- copies */

/* How many values a table may have that is copied: a shield costs as much as some of them, at each look through it. */
#define COPY_VALUES 32

struct copying {
    lua_State *L;
    int n; /* values so far */
    const void *seen[COPY_VALUES];
    int n_seen;
};

/* Whether the table at `at` holds what it shows, which one of a file does at one remove: *from is where. */
static bool source_find(struct copying *c, int at, int *from) {
    lua_State *L = c->L;
    struct script *s = script_of(L);
    *from = at;
    if (!lua_getmetatable(L, at))
        return true;
    const void *mt = lua_topointer(L, -1);
    lua_pop(L, 1);
    if (mt == s->shield_mt || mt == s->event_mt || mt == s->told_mt)
        return false;
    if (lua_rawgetp(L, at, &key_target) == LUA_TTABLE)
        *from = lua_gettop(L);
    else
        lua_pop(L, 1);
    return true;
}

static bool copy_push(struct copying *c, int at);

static bool members_copy(struct copying *c, int from, int to) {
    lua_State *L = c->L;
    for (lua_pushnil(L); lua_next(L, from);) {
        if (lua_istable(L, -1)) {
            if (!copy_push(c, lua_gettop(L)))
                return false;
            lua_replace(L, -2);
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
    return true;
}

/* False, with anything on the stack, when it is too large, or not a tree. */
static bool copy_push(struct copying *c, int at) {
    lua_State *L = c->L;
    int top = lua_gettop(L), from, hashed = 0;
    luaL_checkstack(L, 10, NULL);
    const void *own = lua_topointer(L, at);
    for (int i = 0; i < c->n_seen; i++)
        if (c->seen[i] == own)
            return false;
    if (c->n_seen == COPY_VALUES || !source_find(c, at, &from))
        return false;
    c->seen[c->n_seen++] = own;
    for (lua_pushnil(L); lua_next(L, from); hashed++, lua_pop(L, 1))
        if (c->n++ == COPY_VALUES)
            return false;
    int items = (int)lua_rawlen(L, from);
    lua_createtable(L, items, hashed > items ? hashed - items : 0);
    int to = lua_gettop(L);
    if (!members_copy(c, from, to))
        return false;
    if (lua_getmetatable(L, from))
        lua_setmetatable(L, to);
    lua_copy(L, to, top + 1);
    lua_settop(L, top + 1);
    return true;
}

void copy_or_shield_push(lua_State *L, int at) {
    struct copying c;
    int top = lua_gettop(L);
    c.L = L;
    c.n = c.n_seen = 0;
    if (lua_istable(L, at) && !copy_push(&c, at)) {
        lua_settop(L, top);
        shield_push(L, at);
    } else if (!lua_istable(L, at)) {
        lua_pushvalue(L, at);
    }
}

/* Pops the value on top; a table is put among those to be looked at, unless it was. */
static void walk_add(lua_State *L, int seen, int64_t *n) {
    bool added = false;
    if (lua_istable(L, -1)) {
        lua_pushvalue(L, -1);
        added = lua_rawget(L, seen) == LUA_TNIL;
        lua_pop(L, 1);
    }
    if (!added) {
        lua_pop(L, 1);
        return;
    }
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    lua_rawseti(L, seen + 1, ++*n);
}

/* Whether what is in the table at `at` is to be looked at: that of a file or an event holds no proxies. */
static bool is_walked(lua_State *L, int at) {
    const struct script *s = script_of(L);
    bool frozen = lua_rawgetp(L, at, &key_target) != LUA_TNIL;
    lua_pop(L, 1);
    if (!lua_getmetatable(L, at))
        return !frozen;
    const void *mt = lua_topointer(L, -1);
    lua_pop(L, 1);
    if (mt == s->shield_mt)
        script_charge(L, level_copy(L, at));
    else if (frozen || mt == s->told_mt || mt == s->data_mt)
        return false;
    return true;
}

void shields_copy(lua_State *L, int at) {
    int seen = lua_gettop(L) + 1;
    int64_t n = 0;
    luaL_checkstack(L, 12, NULL);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, at);
    for (walk_add(L, seen, &n); n > 0;) {
        uint64_t members = 0;
        lua_rawgeti(L, seen + 1, n--);
        int table = lua_gettop(L);
        if (is_walked(L, table)) {
            for (lua_pushnil(L); lua_next(L, table); members++)
                walk_add(L, seen, &n);
        }
        script_charge(L, members);
        lua_pop(L, 1);
    }
    lua_settop(L, seen - 1);
}

/* --- a call's proxies */

/* A call inside another has proxies of its own: what it writes to must not show in the other's. */
static void tables_fresh(lua_State *L) {
    struct script *s = script_of(L);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->pins[PIN_MAP]);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->pins[PIN_LIST]);
}

void shields_enter(struct script *s, struct call *call) {
    lua_State *L = s->L;
    if (!call->outer || !call->outer->shields)
        return;
    pin_push(L, PIN_MAP);
    call->map = luaL_ref(L, LUA_REGISTRYINDEX);
    pin_push(L, PIN_LIST);
    call->list = luaL_ref(L, LUA_REGISTRYINDEX);
    tables_fresh(L);
}

static void shields_end(struct script *s, struct call *call, bool emptied) {
    lua_State *L = s->L;
    pin_push(L, PIN_MAP);
    pin_push(L, PIN_LIST);
    for (int i = 0; i < call->shields; i++) {
        lua_rawgeti(L, -1, 2 * i + 1);
        if (lua_rawgetp(L, -1, &key_target) != LUA_TNIL) {
            lua_pushnil(L);
            lua_rawsetp(L, -3, &key_target);
        }
        lua_pop(L, 2);
        if (!emptied)
            continue;
        lua_rawgeti(L, -1, 2 * i + 2);
        lua_pushnil(L);
        lua_rawset(L, -4);
        for (int k = 1; k <= 2; k++) {
            lua_pushboolean(L, 0);
            lua_rawseti(L, -2, 2 * i + k);
        }
    }
    lua_pop(L, 2);
    call->shields = 0;
}

void shields_leave(struct script *s, struct call *call) {
    lua_State *L = s->L;
    bool few = call->shields <= SHIELDS_KEPT;
    if (call->shields)
        shields_end(s, call, few && !call->map);
    if (call->map && !call->list) {
        luaL_unref(L, LUA_REGISTRYINDEX, call->map);
    } else if (call->map) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->map);
        lua_rawseti(L, LUA_REGISTRYINDEX, s->pins[PIN_MAP]);
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->list);
        lua_rawseti(L, LUA_REGISTRYINDEX, s->pins[PIN_LIST]);
        luaL_unref(L, LUA_REGISTRYINDEX, call->map);
        luaL_unref(L, LUA_REGISTRYINDEX, call->list);
    } else if (!few) {
        tables_fresh(L);
    }
}
