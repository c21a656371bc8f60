#include "script_private.h"

#include <math.h>
#include <stdlib.h>

/* --- text without addresses */

void sandbox_tostring(lua_State *L, int at) {
    switch (lua_type(L, at)) {
    case LUA_TNUMBER:
        if (!lua_isinteger(L, at) && isnan(lua_tonumber(L, at)))
            lua_pushliteral(L, "nan"); /* with or without a sign, as the machine likes */
        else
            luaL_tolstring(L, at, NULL);
        return;
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TSTRING:
        luaL_tolstring(L, at, NULL);
        return;
    case LUA_TLIGHTUSERDATA:
        lua_pushstring(L, lua_touserdata(L, at) == (void *)&key_null ? "null" : "userdata");
        return;
    case LUA_TUSERDATA:
        if (luaL_getmetafield(L, at, "__tostring") != LUA_TNIL) {
            lua_pop(L, 1);
            luaL_tolstring(L, at, NULL);
            return;
        }
        lua_pushliteral(L, "userdata");
        return;
    default:
        lua_pushstring(L, luaL_typename(L, at));
    }
}

static int tostring(lua_State *L) {
    luaL_checkany(L, 1);
    sandbox_tostring(L, 1);
    return 1;
}

/* Text takes the place of every argument that %s shows; %p is refused. */
static int format(lua_State *L) {
    size_t n;
    const char *p = luaL_checklstring(L, 1, &n), *end = p + n;
    int argument = 1;
    script_charge(L, n / 16);
    while (p < end) {
        if (*p++ != '%')
            continue;
        if (p < end && *p == '%') {
            p++;
            continue;
        }
        while (p < end && (strchr("-+ #0.", *p) || (*p >= '0' && *p <= '9')))
            p++;
        argument++;
        if (p < end && *p == 'p')
            return luaL_error(L, "%%p is not there: addresses differ from run to run");
        if (p < end && *p == 's' && argument <= lua_gettop(L)) {
            sandbox_tostring(L, argument);
            lua_replace(L, argument);
        }
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* --- errors that nothing stops */

static int protected_end(lua_State *L, int status) {
    if (status != LUA_OK && status != LUA_YIELD) {
        script_unstoppable(L, status);
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    return lua_gettop(L);
}

static int protected_call(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    return protected_end(L, status);
}

/* The message handler of xpcall(): upvalue 1 is the file's. */
static int handle_error(lua_State *L) {
    struct call *call = script_of(L)->call;
    if (call->broken || call->rejected || call->refused)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int protected_call_with(lua_State *L) {
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle_error, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
    int status = lua_pcall(L, n - 2, LUA_MULTRET, 2);
    if (status != LUA_OK)
        return protected_end(L, status);
    return lua_gettop(L) - 2;
}

/* --- tables */

static int raw_get(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    if (target_push(L, 1) == SEEN_SHIELD) {
        lua_pop(L, 1);
        lua_gettable(L, 1);
        return 1;
    }
    lua_insert(L, 2);
    lua_rawget(L, 2);
    return 1;
}

static int raw_length(lua_State *L) {
    if (lua_istable(L, 1))
        target_push(L, 1);
    else
        luaL_checktype(L, 1, LUA_TSTRING);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, lua_istable(L, 1) ? -1 : 1));
    return 1;
}

/* Work that C does in one instruction: the length of the first argument. */
static int charged(lua_State *L) {
    uint64_t n = 0;
    if (lua_type(L, 1) == LUA_TSTRING)
        n = lua_rawlen(L, 1) / 16;
    else if (lua_istable(L, 1))
        n = (target_push(L, 1), lua_rawlen(L, -1)), lua_pop(L, 1);
    script_charge(L, n);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int move(lua_State *L) {
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    if (to >= from)
        script_charge(L, (uint64_t)to - (uint64_t)from);
    return charged(L);
}

/* byte and unpack: as much as they may push. */
static int charged_range(lua_State *L) {
    lua_Integer from = luaL_optinteger(L, 2, 1), to = lua_tointeger(L, 3);
    if (to < 0 && lua_type(L, 1) == LUA_TSTRING)
        to += (lua_Integer)lua_rawlen(L, 1) + 1;
    if (to > 0 && from > 0 && to > from)
        script_charge(L, (uint64_t)(to - from) / 4);
    if (lua_istable(L, 1))
        return charged(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int repeat(lua_State *L) {
    size_t n, separator;
    luaL_checklstring(L, 1, &n);
    lua_Integer times = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &separator);
    if (n + separator == 0 || times <= 0) { /* Lua's own would count to the end */
        lua_pushliteral(L, "");
        return 1;
    }
    /* What is larger than a call may be fails for that. */
    if ((uint64_t)times <= script_of(L)->limits.memory / (n + separator))
        script_charge(L, (uint64_t)times / 64);
    return charged(L);
}

/* --- globals */

static void function_set(lua_State *L, const char *name, lua_CFunction f) {
    lua_pushcfunction(L, f);
    lua_setfield(L, -2, name);
}

static void wrapped_set(lua_State *L, const char *name, lua_CFunction f) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, -2, name);
}

static void removed_set(lua_State *L, const char *name) {
    lua_pushnil(L);
    lua_setfield(L, -2, name);
}

static int array_new(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1)) {
        target_push(L, 1);
        if (!layout_push(L, lua_gettop(L)).array)
            return luaL_error(L, "array{} makes an array of a new table, not of an object");
        lua_settop(L, 1);
        return 1;
    }
    pin_push(L, PIN_ARRAY);
    lua_setmetatable(L, 1);
    return 1;
}

static int has(lua_State *L) {
    bool is_null = lua_islightuserdata(L, 1) && lua_touserdata(L, 1) == (void *)&key_null;
    lua_pushboolean(L, !lua_isnoneornil(L, 1) && !is_null);
    return 1;
}

static void base_open(lua_State *L) {
    static const char *const kept[] = {"assert", "error", "ipairs", "select", "tonumber", "type", "rawequal"};
    static const luaL_Reg own[] = {{"pairs", sandbox_pairs},
                                   {"next", sandbox_next},
                                   {"pcall", protected_call},
                                   {"xpcall", protected_call_with},
                                   {"tostring", tostring},
                                   {"rawget", raw_get},
                                   {"rawlen", raw_length},
                                   {"array", array_new},
                                   {"has", has},
                                   {"decimal", decimal_make},
                                   {"event", handler_event},
                                   {"reject", handler_reject},
                                   {NULL, NULL}};
    lua_pushglobaltable(L);
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 0);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_getfield(L, -1, kept[i]);
        lua_setfield(L, -3, kept[i]);
    }
    lua_pop(L, 1);
    luaL_setfuncs(L, own, 0);
    wrapped_set(L, "tonumber", charged);
    lua_pushlightuserdata(L, (void *)&key_null);
    lua_setfield(L, -2, "null");
    lua_pushlightuserdata(L, (void *)&key_drop);
    lua_setfield(L, -2, "drop");
    lua_pushlightuserdata(L, (void *)&key_remove);
    lua_setfield(L, -2, "remove");
}

static void string_open(lua_State *L) {
    static const char *const long_ones[] = {"upper", "lower", "reverse", "pack", "unpack"};
    lua_pushcfunction(L, luaopen_string);
    lua_call(L, 0, 1);
    removed_set(L, "dump");
    wrapped_set(L, "format", format);
    wrapped_set(L, "rep", repeat);
    wrapped_set(L, "byte", charged_range);
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
        wrapped_set(L, long_ones[i], charged);
    sandbox_patterns(L);
}

static void table_open(lua_State *L) {
    static const char *const long_ones[] = {"insert", "remove", "concat"};
    lua_pushcfunction(L, luaopen_table);
    lua_call(L, 0, 1);
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
        wrapped_set(L, long_ones[i], charged);
    wrapped_set(L, "move", move);
    wrapped_set(L, "unpack", charged_range);
    function_set(L, "sort", sandbox_sort);
}

static void utf8_open(lua_State *L) {
    static const char *const long_ones[] = {"len", "offset", "codepoint", "codes"};
    lua_pushcfunction(L, luaopen_utf8);
    lua_call(L, 0, 1);
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
        wrapped_set(L, long_ones[i], charged);
}

static void copy_push(lua_State *L, int at) {
    at = lua_absindex(L, at);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, at);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

void sandbox_open(lua_State *L) {
    pin_push(L, PIN_LIBRARY);
    base_open(L);
    string_open(L);
    /* What ("x"):upper() finds is a table that no file can reach. */
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    copy_push(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    lua_setfield(L, -2, "string");
    table_open(L);
    lua_setfield(L, -2, "table");
    utf8_open(L);
    lua_setfield(L, -2, "utf8");
    lua_pushcfunction(L, luaopen_math);
    lua_call(L, 0, 1);
    removed_set(L, "random");
    removed_set(L, "randomseed");
    lua_setfield(L, -2, "math");
    lua_pop(L, 1);
    /* What Lua opened for itself is not needed: nothing leads to it. */
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

void sandbox_globals_push(lua_State *L) {
    pin_push(L, PIN_LIBRARY);
    int library = lua_gettop(L);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, library);) {
        if (lua_istable(L, -1)) {
            copy_push(L, -1);
            lua_replace(L, -2);
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, library + 1);
    }
    lua_remove(L, library);
}

/* --- frozen tables */

static int frozen_write(lua_State *L) {
    lua_settop(L, 2);
    sandbox_tostring(L, 2);
    const char *name = lua_tostring(L, -1);
    if (lua_toboolean(L, lua_upvalueindex(1)))
        return luaL_error(L, "the global '%s' cannot be set: handlers keep nothing between calls (is a local missing?)",
                          name);
    return luaL_error(L, "the field '%s' cannot be set: the table belongs to the file, and handlers keep nothing",
                      name);
}

static int frozen_length(lua_State *L) {
    target_push(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
}

/* Moves what is in the table behind a metatable. Leaves the table that has it now on top. */
static void freeze_in_place(lua_State *L, int at, bool globals) {
    at = lua_absindex(L, at);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, at);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    for (lua_pushnil(L); lua_next(L, at);) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, at);
    }
    if (lua_getmetatable(L, at))
        lua_setmetatable(L, -2);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, globals);
    lua_pushcclosure(L, frozen_write, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, frozen_length);
    lua_setfield(L, -2, "__len");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, at);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, at, &key_target);
}

void sandbox_freeze_table(lua_State *L, int at) {
    freeze_in_place(L, at, false);
    lua_pop(L, 1);
}

struct walk {
    int seen, work; /* stack indices */
    int64_t n;
};

/* Puts the value on top among those to be looked at; pops it. */
static void walk_add(lua_State *L, struct walk *walk, bool globals) {
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION) {
        lua_pushvalue(L, -1);
        if (lua_rawget(L, walk->seen) == LUA_TNIL) {
            lua_pushvalue(L, -2);
            lua_pushboolean(L, globals);
            lua_rawset(L, walk->seen);
            lua_pushvalue(L, -2);
            lua_rawseti(L, walk->work, ++walk->n);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void walk_function(lua_State *L, struct walk *walk) {
    const char *name;
    if (!lua_iscfunction(L, -1))
        purity_check(L, lua_gettop(L));
    for (int i = 1; (name = lua_getupvalue(L, -1, i)); i++)
        walk_add(L, walk, strcmp(name, "_ENV") == 0);
}

static void walk_table(lua_State *L, struct walk *walk) {
    lua_pushvalue(L, -1);
    bool globals = lua_rawget(L, walk->seen) && lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (lua_rawgetp(L, -1, &key_target) != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    freeze_in_place(L, -1, globals);
    for (lua_pushnil(L); lua_next(L, -2);) {
        walk_add(L, walk, false);
        lua_pushvalue(L, -1);
        walk_add(L, walk, false);
    }
    lua_pop(L, 1);
}

void sandbox_freeze(lua_State *L) {
    struct walk walk = {.seen = lua_gettop(L) + 1, .work = lua_gettop(L) + 2};
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, walk.seen - 1);
    walk_add(L, &walk, false);
    while (walk.n > 0) {
        lua_rawgeti(L, walk.work, walk.n);
        lua_pushnil(L);
        lua_rawseti(L, walk.work, walk.n--);
        script_charge(L, 1);
        if (lua_isfunction(L, -1))
            walk_function(L, &walk);
        else
            walk_table(L, &walk);
        lua_pop(L, 1);
    }
    lua_settop(L, walk.seen - 2);
}
