#include "script_private.h"

#include <errno.h>
#include <stdlib.h>

/* What script_define() was given. */
struct native_entry {
    struct native_entry *next;
    script_native *native;
    void *arg;
    char *name;
};

struct loading {
    const char *name;
    struct str text;
    script_value value;
};

/* --- loading */

/* Runs the text as the file `name`, with `modules` (at an index) for its require(); pushes what it returns. */
static void file_run(lua_State *L, const char *name, struct str text, int modules) {
    char chunk[128];
    snprintf(chunk, sizeof chunk, "@%s", name);
    if (luaL_loadbufferx(L, text.p ? text.p : "", text.n, chunk, "t") != LUA_OK)
        lua_error(L);
    sandbox_globals_push(L);
    natives_add(L);
    lua_pushvalue(L, modules);
    lua_pushcclosure(L, file_require, 1);
    lua_setfield(L, -2, "require");
    if (!lua_setupvalue(L, -2, 1))
        lua_pop(L, 1);
    lua_call(L, 0, 1);
}

int file_require(lua_State *L) {
    struct script *s = script_of(L);
    struct str name;
    name.p = luaL_checklstring(L, 1, &name.n);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_gettable(L, lua_upvalueindex(1));
    if (lua_isboolean(L, -1))
        return luaL_error(L, "lib/%s.lua requires itself", name.p);
    if (!lua_isnil(L, -1))
        return 1;
    struct str text;
    char file[96];
    if (!s->loading)
        return luaL_error(L, "require(\"%s\") belongs at the top of a file, not into a handler", name.p);
    if (strlen(name.p) != name.n || name.n > sizeof file - sizeof "lib/.lua" || !s->library ||
        !s->library(s->library_arg, name, &text))
        return luaL_error(L, "there is no lib/%s.lua", name.p);
    snprintf(file, sizeof file, "lib/%s.lua", name.p);
    lua_pushvalue(L, 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, lua_upvalueindex(1));
    file_run(L, file, text, lua_upvalueindex(1));
    if (lua_isnil(L, -1) || lua_isboolean(L, -1))
        return luaL_error(L, "lib/%s.lua returns nothing that can be used", name.p);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(1));
    return 1;
}

static int load_run(lua_State *L) {
    struct loading *loading = lua_touserdata(L, 1);
    lua_newtable(L);
    file_run(L, loading->name, loading->text, lua_gettop(L));
    if (!lua_istable(L, -1))
        return luaL_error(L, "the file must return a table, not %s", luaL_typename(L, -1));
    lua_pushvalue(L, -1);
    sandbox_freeze(L);
    loading->value = script_keep(L);
    return 0;
}

int script_load(struct script *s, const char *name, struct str text, script_value *out, struct script_fault *fault) {
    struct loading loading = {.name = name, .text = text}, *outer = s->loading;
    s->loading = &loading;
    int rc = script_run(s, load_run, &loading, NULL, fault);
    s->loading = outer;
    *out = rc ? 0 : loading.value;
    if (rc == SCRIPT_FAILED && fault && !*fault->file)
        snprintf(fault->file, sizeof fault->file, "%s", name);
    return rc;
}

void script_place(struct script *s, script_value function, char out[128]) {
    lua_Debug ar;
    out[0] = 0;
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, function);
    if (!lua_isfunction(s->L, -1)) {
        lua_pop(s->L, 1);
        return;
    }
    lua_getinfo(s->L, ">S", &ar);
    if (ar.linedefined > 0)
        snprintf(out, 128, "%.100s:%d", ar.source + (*ar.source == '@'), ar.linedefined);
}

/* --- looking at values */

static void value_push(struct script *s, script_value v) {
    lua_State *L = s->L;
    lua_checkstack(L, 8);
    if (v)
        lua_rawgeti(L, LUA_REGISTRYINDEX, v);
    else
        lua_pushnil(L);
}

static enum script_kind table_kind(lua_State *L) {
    target_push(L, -1);
    struct layout layout = layout_push(L, lua_gettop(L));
    lua_pop(L, 3);
    return layout.array ? SCRIPT_ARRAY : SCRIPT_OBJECT;
}

enum script_kind script_kind(struct script *s, script_value v) {
    lua_State *L = s->L;
    enum script_kind kind = SCRIPT_OTHER;
    struct decimal d;
    value_push(s, v);
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        kind = SCRIPT_NIL;
        break;
    case LUA_TBOOLEAN:
        kind = SCRIPT_BOOLEAN;
        break;
    case LUA_TNUMBER:
        kind = lua_isinteger(L, -1) ? SCRIPT_INTEGER : SCRIPT_FLOAT;
        break;
    case LUA_TSTRING:
        kind = SCRIPT_STRING;
        break;
    case LUA_TFUNCTION:
        kind = SCRIPT_FUNCTION;
        break;
    case LUA_TLIGHTUSERDATA:
        kind = lua_touserdata(L, -1) == (void *)&key_null ? SCRIPT_NULL : SCRIPT_OTHER;
        break;
    case LUA_TUSERDATA:
        kind = decimal_get(L, -1, &d) ? SCRIPT_DECIMAL : SCRIPT_OTHER;
        break;
    case LUA_TTABLE:
        kind = table_kind(L);
        break;
    default:
        break;
    }
    lua_pop(L, 1);
    return kind;
}

bool script_boolean(struct script *s, script_value v) {
    value_push(s, v);
    bool yes = lua_toboolean(s->L, -1);
    lua_pop(s->L, 1);
    return yes;
}

int64_t script_integer(struct script *s, script_value v) {
    value_push(s, v);
    int64_t n = lua_isinteger(s->L, -1) ? lua_tointeger(s->L, -1) : 0;
    lua_pop(s->L, 1);
    return n;
}

struct str script_string(struct script *s, script_value v) {
    struct str text = {"", 0};
    value_push(s, v);
    if (lua_type(s->L, -1) == LUA_TSTRING)
        text.p = lua_tolstring(s->L, -1, &text.n);
    lua_pop(s->L, 1);
    return text;
}

struct member_wanted {
    script_value table;
    const char *name; /* or an index */
    int64_t index;
    script_value found;
};

static int member_run(lua_State *L) {
    struct member_wanted *wanted = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, wanted->table);
    if (!lua_istable(L, -1))
        return 0;
    target_push(L, -1);
    if (wanted->name)
        lua_pushstring(L, wanted->name);
    else
        lua_pushinteger(L, wanted->index);
    lua_rawget(L, -2);
    wanted->found = script_keep(L);
    return 0;
}

script_value script_member(struct script *s, script_value table, const char *name) {
    struct member_wanted wanted = {.table = table, .name = name};
    return table && script_run(s, member_run, &wanted, NULL, NULL) == 0 ? wanted.found : 0;
}

script_value script_item(struct script *s, script_value table, int64_t i) {
    struct member_wanted wanted = {.table = table, .index = i};
    return table && script_run(s, member_run, &wanted, NULL, NULL) == 0 ? wanted.found : 0;
}

int64_t script_length(struct script *s, script_value table) {
    lua_State *L = s->L;
    int64_t n = 0;
    value_push(s, table);
    if (lua_istable(L, -1)) {
        target_push(L, -1);
        n = (int64_t)lua_rawlen(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

struct visiting {
    script_value table, keys;
    int64_t n;
};

static int keys_run(lua_State *L) {
    struct visiting *visiting = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, visiting->table);
    if (!lua_istable(L, -1))
        return 0;
    lua_newtable(L);
    lua_pushcfunction(L, sandbox_pairs);
    lua_pushvalue(L, 2);
    lua_call(L, 1, 3);
    for (lua_settop(L, 5), lua_pushnil(L);;) {
        /* 4: the iterator, 6: the key before */
        lua_pushvalue(L, 4);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, 6);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2))
            break;
        lua_pop(L, 1);
        lua_replace(L, 6);
        lua_pushvalue(L, 6);
        lua_rawseti(L, 3, ++visiting->n);
    }
    lua_pushvalue(L, 3);
    visiting->keys = script_keep(L);
    return 0;
}

struct visit_one {
    struct visiting *visiting;
    int64_t i;
    struct str key;
    bool is_integer;
    char digits[NUMBER_CHARS];
    script_value value;
};

static int visit_run(lua_State *L) {
    struct visit_one *one = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, one->visiting->table);
    target_push(L, -1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, one->visiting->keys);
    lua_rawgeti(L, -1, one->i);
    one->is_integer = lua_isinteger(L, -1);
    if (one->is_integer)
        one->key = (struct str){one->digits, number_write_int(lua_tointeger(L, -1), one->digits)};
    else if (lua_type(L, -1) == LUA_TSTRING)
        one->key.p = lua_tolstring(L, -1, &one->key.n);
    else
        one->key = str_of(luaL_typename(L, -1));
    lua_rawget(L, -3);
    one->value = script_keep(L);
    return 0;
}

int script_each(struct script *s, script_value table, script_visit *visit, void *arg) {
    struct visiting visiting = {.table = table};
    if (!table)
        return 0;
    int rc = script_run(s, keys_run, &visiting, NULL, NULL);
    for (int64_t i = 1; !rc && i <= visiting.n; i++) {
        struct visit_one one = {.visiting = &visiting, .i = i};
        rc = script_run(s, visit_run, &one, NULL, NULL);
        if (!rc && one.value)
            rc = visit(arg, one.key, one.is_integer, one.value);
        script_drop(s, one.value);
    }
    script_drop(s, visiting.keys);
    return rc;
}

/* --- functions of C, and calls from outside */

static int native_run(lua_State *L) {
    struct native_entry *native = lua_touserdata(L, lua_upvalueindex(1));
    struct script *s = script_of(L);
    struct script_fault fault = {0};
    script_value result = 0;
    int n = lua_gettop(L);
    lua_createtable(L, n, 0);
    pin_push(L, PIN_ARRAY);
    lua_setmetatable(L, -2);
    lua_insert(L, 1);
    for (; n > 0; n--)
        lua_rawseti(L, 1, n);
    script_value arguments = script_keep(L);
    int64_t since = script_time();
    int rc = native->native(native->arg, s, arguments, &result, &fault);
    script_time_forgive(L, since);
    script_drop(s, arguments);
    if (rc)
        return luaL_error(L, "%s", rc > 0 ? fault.text : strerror(-rc));
    lua_rawgeti(L, LUA_REGISTRYINDEX, result);
    if (!result) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    script_drop(s, result);
    return 1;
}

int script_define(struct script *s, const char *name, script_native *native, void *arg) {
    struct native_entry *entry = calloc(1, sizeof *entry);
    char *copy = strdup(name);
    if (!entry || !copy) {
        free(entry);
        free(copy);
        return -ENOMEM;
    }
    *entry = (struct native_entry){s->natives, native, arg, copy};
    s->natives = entry;
    return 0;
}

void natives_add(lua_State *L) {
    for (struct native_entry *entry = script_of(L)->natives; entry; entry = entry->next) {
        lua_pushlightuserdata(L, entry);
        lua_pushcclosure(L, native_run, 1);
        lua_setfield(L, -2, entry->name);
    }
}

void natives_free(struct script *s) {
    while (s->natives) {
        struct native_entry *next = s->natives->next;
        free(s->natives->name);
        free(s->natives);
        s->natives = next;
    }
}

struct calling {
    script_value function, arguments, result;
};

static int calling_run(lua_State *L) {
    struct calling *calling = lua_touserdata(L, 1);
    int n = 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, calling->function);
    if (calling->arguments) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, calling->arguments);
        target_push(L, -1);
        lua_replace(L, -2);
        n = (int)lua_rawlen(L, -1);
        luaL_checkstack(L, n, "too many arguments");
        int list = lua_gettop(L);
        for (int i = 1; i <= n; i++)
            lua_rawgeti(L, list, i);
        lua_remove(L, list);
    }
    lua_call(L, n, 1);
    calling->result = script_keep(L);
    return 0;
}

int script_call(struct script *s, script_value function, script_value arguments, script_value *result,
                struct script_fault *fault) {
    struct calling calling = {.function = function, .arguments = arguments};
    int rc = script_run(s, calling_run, &calling, NULL, fault);
    *result = rc ? 0 : calling.result;
    return rc;
}
