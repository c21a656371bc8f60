#include "digest.h"
#include "script_private.h"

#include <errno.h>

#define UUID_MAX 1000

/* --- what handlers call */

int handler_reject(lua_State *L) {
    struct call *call = script_of(L)->call;
    struct str reason;
    if (!call->deciding)
        return luaL_error(L, "reject() belongs into decide");
    lua_settop(L, 1);
    sandbox_tostring(L, 1);
    reason.p = lua_tolstring(L, -1, &reason.n);
    fault_text_set(call->fault, reason);
    call->rejected = true;
    lua_pushlightuserdata(L, (void *)&key_reject);
    return lua_error(L);
}

int handler_event(lua_State *L) {
    struct call *call = script_of(L)->call;
    bool given = lua_gettop(L) >= 2;
    lua_settop(L, 2);
    if (!call->making)
        return luaL_error(L, "event() belongs into decide, an upcast or kafka.lua");
    if (lua_type(L, 1) != LUA_TSTRING)
        return luaL_error(L, "event() takes the event's type, a string, and its data");
    if (lua_isnil(L, 2) && given && call->strict)
        return luaL_error(L,
                          "the data of event %s is nil: an object is meant, or event(\"%s\") for one without members",
                          lua_tostring(L, 1), lua_tostring(L, 1));
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    if (!lua_istable(L, 2))
        return luaL_error(L, "the data of event %s is a %s, and must be an object", lua_tostring(L, 1),
                          luaL_typename(L, 2));
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, 1);
    lua_setfield(L, 3, "type");
    lua_pushvalue(L, 2);
    lua_setfield(L, 3, "data");
    lua_pushinteger(L, call->made + 1);
    lua_rawsetp(L, 3, &key_serial);
    pin_push(L, PIN_EVENT);
    lua_setmetatable(L, 3);
    pin_push(L, PIN_MADE);
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, call->made_before + ++call->made);
    lua_pop(L, 1);
    return 1;
}

int handler_state(lua_State *L, script_get *get, void *arg, const char *name) {
    struct str aggregate;
    struct err err = {0};
    script_value state = 0;
    if (lua_type(L, 1) != LUA_TSTRING)
        return luaL_error(L, "%s() takes the name of an aggregate, like \"customer/7\"", name);
    aggregate.p = lua_tolstring(L, 1, &aggregate.n);
    int64_t since = script_time();
    int rc = get(arg, aggregate, &state, &err);
    script_time_forgive(L, since);
    if (rc)
        return luaL_error(L, "%s(\"%s\"): %s", name, aggregate.p, *err.text ? err.text : strerror(rc < 0 ? -rc : EIO));
    lua_settop(L, 1);
    if (!state)
        lua_pushnil(L);
    else
        lua_rawgeti(L, LUA_REGISTRYINDEX, state);
    shield_value_push(L, 2);
    return 1;
}

static int handler_get(lua_State *L) {
    struct call *call = script_of(L)->call;
    if (!call->get)
        return luaL_error(L, "get() belongs into decide");
    return handler_state(L, call->get, call->get_arg, "get");
}

static size_t hex_put(char *out, uint64_t v, int bytes) {
    for (int i = 0; i < 2 * bytes; i++)
        out[i] = "0123456789abcdef"[v >> (8 * bytes - 4 - 4 * i) & 15];
    return 2 * (size_t)bytes;
}

static int handler_uuid(lua_State *L) {
    struct call *call = script_of(L)->call;
    lua_Integer n = luaL_checkinteger(L, 1);
    if (!call->seed)
        return luaL_error(L, "cmd.uuid() belongs into decide");
    if (n < 1 || n > UUID_MAX)
        return luaL_error(L, "cmd.uuid() takes a number from 1 to %d", UUID_MAX);
    uint64_t first[2] = {(uint64_t)n, 0}, second[2] = {(uint64_t)n, 1};
    uint64_t high = digest_sip(call->seed, first, sizeof first);
    uint64_t low = digest_sip(call->seed, second, sizeof second);
    high = (high & ~(uint64_t)0xf000) | 0x8000;
    low = (low & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62;
    char text[36], *p = text;
    p += hex_put(p, high >> 32, 4);
    *p++ = '-';
    p += hex_put(p, high >> 16 & 0xffff, 2);
    *p++ = '-';
    p += hex_put(p, high & 0xffff, 2);
    *p++ = '-';
    p += hex_put(p, low >> 48, 2);
    *p++ = '-';
    hex_put(p, low & 0xffffffffffff, 6);
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

void handler_open(lua_State *L) {
    struct script *s = script_of(L);
    lua_pushcfunction(L, handler_uuid);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->pins[PIN_UUID]);
    lua_pushcfunction(L, handler_get);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->pins[PIN_GET]);
    pin_push(L, PIN_EVENT);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_settop(L, 0);
}

/* --- what they give back */

struct taking {
    struct arena *arena;
    struct script_list *out;
    size_t cap;
};

static void made_add(lua_State *L, struct taking *taking, struct str type, struct str data) {
    struct script_list *out = taking->out;
    if (out->n == taking->cap) {
        size_t cap = taking->cap ? taking->cap * 2 : 4;
        struct script_made *moved = arena_alloc(taking->arena, cap * sizeof *moved);
        if (!moved)
            memory_gone(L);
        if (out->n)
            memcpy(moved, out->items, out->n * sizeof *moved);
        out->items = moved;
        taking->cap = cap;
    }
    char *bytes = arena_alloc(taking->arena, type.n + data.n + JSON_PADDING);
    if (!bytes)
        memory_gone(L);
    memcpy(bytes, data.p, data.n);
    memset(bytes + data.n, 0, JSON_PADDING);
    memcpy(bytes + data.n + JSON_PADDING, type.p, type.n);
    out->items[out->n++] = (struct script_made){
        .type = {bytes + data.n + JSON_PADDING, type.n},
        .data = {bytes, data.n},
    };
}

static void data_take(lua_State *L, struct taking *taking, struct str type, int at) {
    struct script *s = script_of(L);
    buf_clear(&s->scratch);
    json_write(L, at, &s->scratch, "data", true);
    made_add(L, taking, type, buf_str(&s->scratch));
}

static bool is_event(lua_State *L, int at) {
    if (!lua_istable(L, at) || !lua_getmetatable(L, at))
        return false;
    bool is = lua_topointer(L, -1) == script_of(L)->event_mt;
    lua_pop(L, 1);
    return is;
}

static void event_take(lua_State *L, struct taking *taking, int at) {
    struct call *call = script_of(L)->call;
    int top = lua_gettop(L);
    struct str type;
    luaL_checkstack(L, 16, NULL);
    lua_getfield(L, at, "type");
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "the type of an event is a %s, and must be a string", luaL_typename(L, -1));
    type.p = lua_tolstring(L, -1, &type.n);
    if (!utf8_is_valid(type.p, type.n))
        luaL_error(L, "the type of an event is not valid UTF-8");
    lua_rawgetp(L, at, &key_serial);
    lua_Integer serial = lua_tointeger(L, -1);
    pin_push(L, PIN_MADE);
    if (serial > call->made || lua_rawgeti(L, -1, call->made_before + serial) == LUA_TNIL)
        luaL_error(L, "event %s was made in an earlier call", type.p);
    if (!lua_rawequal(L, -1, at))
        luaL_error(L, "event %s is returned twice, or was made in an earlier call", type.p);
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, call->made_before + serial);
    lua_getfield(L, at, "data");
    data_take(L, taking, type, lua_gettop(L));
    lua_settop(L, top);
}

/* A table without items is a list only when nothing at all is in it. */
static void empty_check(lua_State *L, int at) {
    int top = lua_gettop(L);
    target_push(L, at);
    lua_pushnil(L);
    if (lua_next(L, top + 1))
        luaL_error(L, "the table that was returned is no event, and no list of events");
    lua_settop(L, top);
}

static void list_take(lua_State *L, struct taking *taking, int at) {
    int64_t n = luaL_len(L, at);
    if (n == 0)
        empty_check(L, at);
    for (int64_t i = 1; i <= n; i++) {
        lua_geti(L, at, i);
        if (!is_event(L, -1))
            luaL_error(L, "item %d of the list that was returned is a %s, not an event", (int)i, luaL_typename(L, -1));
        event_take(L, taking, lua_gettop(L));
        lua_pop(L, 1);
    }
}

static void made_check(lua_State *L) {
    struct call *call = script_of(L)->call;
    pin_push(L, PIN_MADE);
    for (int i = 1; i <= call->made; i++) {
        if (lua_rawgeti(L, -1, call->made_before + i) == LUA_TTABLE) {
            lua_getfield(L, -1, "type");
            luaL_error(L, "event %s was made and not returned", luaL_tolstring(L, -1, NULL));
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void made_forget(struct script *s, struct call *call) {
    lua_State *L = s->L;
    if (!call->made)
        return;
    pin_push(L, PIN_MADE);
    for (int i = 1; i <= call->made; i++) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, call->made_before + i);
    }
    lua_pop(L, 1);
}

/* --- decide */

struct deciding {
    script_value handler, state;
    const struct script_command *cmd;
    struct taking taking;
};

static void returned_take(lua_State *L, struct taking *taking, int at) {
    if (lua_isnil(L, at))
        return;
    if (is_event(L, at))
        event_take(L, taking, at);
    else if (lua_istable(L, at))
        list_take(L, taking, at);
    else
        luaL_error(L, "decide returned a %s: it returns events, or nothing", luaL_typename(L, at));
}

static int decide_run(lua_State *L) {
    struct script *s = script_of(L);
    struct deciding *deciding = lua_touserdata(L, 1);
    shields_enter(s, s->call);
    lua_rawgeti(L, LUA_REGISTRYINDEX, deciding->handler);
    lua_rawgeti(L, LUA_REGISTRYINDEX, deciding->state);
    shield_value_push(L, 3);
    lua_replace(L, 3);
    command_push(L, deciding->cmd);
    pin_push(L, PIN_GET);
    lua_call(L, 3, LUA_MULTRET);
    int n = lua_gettop(L);
    luaL_checkstack(L, 16, NULL);
    for (int i = 2; i <= n; i++)
        returned_take(L, &deciding->taking, i);
    made_check(L);
    return 0;
}

int script_decide(struct script *s, script_value handler, script_value state, const struct script_command *cmd,
                  script_get *get, void *arg, struct arena *arena, struct script_list *out,
                  struct script_fault *fault) {
    struct deciding deciding = {.handler = handler, .state = state, .cmd = cmd, .taking = {.arena = arena, .out = out}};
    struct call call = {.deciding = true, .making = true, .seed = cmd->seed, .get = get, .get_arg = arg};
    *out = (struct script_list){0};
    int rc = script_run(s, decide_run, &deciding, &call, fault);
    if (rc)
        *out = (struct script_list){0};
    return rc;
}

/* --- evolve */

struct evolving {
    script_value handler, *state;
    const struct script_event *event;
};

static int evolve_run(lua_State *L) {
    struct evolving *evolving = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, evolving->handler);
    lua_rawgeti(L, LUA_REGISTRYINDEX, *evolving->state);
    event_push(L, evolving->event);
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1))
        return 0;
    if (!lua_istable(L, -1))
        return luaL_error(L, "evolve returned a %s: it returns a state, which is a table, or nothing",
                          luaL_typename(L, -1));
    if (lua_topointer(L, -1) == script_of(L)->call->told.table)
        return luaL_error(L, TOLD_KEPT);
    lua_rawseti(L, LUA_REGISTRYINDEX, *evolving->state);
    return 0;
}

int script_evolve(struct script *s, script_value handler, script_value *state, const struct script_event *e,
                  struct script_fault *fault) {
    struct evolving evolving = {handler, state, e};
    return script_run(s, evolve_run, &evolving, NULL, fault);
}

/* --- initial */

struct initial {
    script_value handler;
    struct str id;
    script_value state;
};

static int initial_run(lua_State *L) {
    struct initial *initial = lua_touserdata(L, 1);
    if (initial->handler) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, initial->handler);
        lua_pushlstring(L, initial->id.p, initial->id.n);
        lua_call(L, 1, 1);
    } else {
        lua_newtable(L);
    }
    if (!lua_istable(L, -1))
        return luaL_error(L, "initial returned a %s: it returns a state, which is a table", luaL_typename(L, -1));
    initial->state = script_keep(L);
    return 0;
}

int script_initial(struct script *s, script_value handler, struct str id, script_value *state,
                   struct script_fault *fault) {
    struct initial initial = {.handler = handler, .id = id};
    int rc = script_run(s, initial_run, &initial, NULL, fault);
    *state = rc ? 0 : initial.state;
    return rc;
}

/* --- unique */

struct unique {
    script_value handler, state;
    struct buf *out;
    bool present;
};

void number_plain(lua_State *L, int at) {
    struct decimal d;
    lua_Integer i;
    if (lua_type(L, at) == LUA_TNUMBER && lua_numbertointeger(lua_tonumber(L, at), &i) &&
        (lua_Number)i == lua_tonumber(L, at)) {
        lua_pushinteger(L, lua_isinteger(L, at) ? lua_tointeger(L, at) : i);
    } else if (decimal_get(L, at, &d)) {
        decimal_plain(&d);
        decimal_push(L, &d);
    } else {
        return;
    }
    lua_replace(L, at);
}

static int unique_run(lua_State *L) {
    struct script *s = script_of(L);
    struct unique *unique = lua_touserdata(L, 1);
    struct decimal d;
    shields_enter(s, s->call);
    lua_rawgeti(L, LUA_REGISTRYINDEX, unique->handler);
    lua_rawgeti(L, LUA_REGISTRYINDEX, unique->state);
    shield_value_push(L, 3);
    lua_replace(L, 3);
    lua_call(L, 1, 1);
    int type = lua_type(L, 2);
    if (type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, 2) == (void *)&key_null))
        return 0;
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN && !decimal_get(L, 2, &d))
        return luaL_error(L, "a unique rule returned a %s: it returns a string, a number, a boolean, a decimal or nil",
                          luaL_typename(L, 2));
    number_plain(L, 2);
    json_write(L, 2, unique->out, "the value", false);
    unique->present = true;
    return 0;
}

int script_unique(struct script *s, script_value handler, script_value state, struct buf *out, bool *present,
                  struct script_fault *fault) {
    struct unique unique = {handler, state, out, false};
    struct call call = {0};
    size_t before = out->n;
    int rc = script_run(s, unique_run, &unique, &call, fault);
    if (rc)
        out->n = before;
    *present = !rc && unique.present;
    return rc;
}

/* --- upcast */

struct upcasting {
    const char *name; /* for faults */
    script_value handler;
    const struct script_event *event;
    struct taking taking;
};

static int upcast_run(lua_State *L) {
    struct upcasting *upcasting = lua_touserdata(L, 1);
    struct taking *taking = &upcasting->taking;
    lua_rawgeti(L, LUA_REGISTRYINDEX, upcasting->handler);
    event_push(L, upcasting->event);
    lua_getfield(L, 3, "data");
    lua_insert(L, 3);
    lua_call(L, 2, 1);
    if (lua_islightuserdata(L, 2) && lua_touserdata(L, 2) == (void *)&key_drop) {
        made_check(L);
        return 0;
    }
    if (!lua_istable(L, 2))
        return luaL_error(L, "%s returned a %s: it returns data, event(...), a list of events or drop", upcasting->name,
                          luaL_typename(L, 2));
    if (is_event(L, 2)) {
        event_take(L, taking, 2);
    } else {
        lua_geti(L, 2, 1);
        bool list = is_event(L, -1);
        lua_settop(L, 2);
        bool empty = lua_getmetatable(L, 2) && lua_topointer(L, -1) == script_of(L)->array_mt && !lua_rawlen(L, 2);
        if (empty)
            empty_check(L, 2);
        lua_settop(L, 2);
        if (empty) {
            made_check(L);
            return 0;
        }
        if (list)
            list_take(L, taking, 2);
        else
            data_take(L, taking, upcasting->event->type, 2);
    }
    made_check(L);
    return 0;
}

static int others_make(struct script *s, struct upcasting *upcasting, bool strict, struct script_list *out,
                       struct script_fault *fault) {
    struct call call = {.making = true, .strict = strict};
    *out = (struct script_list){0};
    int rc = script_run(s, upcast_run, upcasting, &call, fault);
    if (rc)
        *out = (struct script_list){0};
    return rc;
}

int script_upcast(struct script *s, script_value handler, const struct script_event *e, struct arena *arena,
                  struct script_list *out, struct script_fault *fault) {
    struct upcasting upcasting = {"an upcast", handler, e, {.arena = arena, .out = out}};
    return others_make(s, &upcasting, false, out, fault);
}

int script_publish(struct script *s, script_value handler, const struct script_event *e, struct arena *arena,
                   struct script_list *out, struct script_fault *fault) {
    struct upcasting upcasting = {"a handler of messages", handler, e, {.arena = arena, .out = out}};
    return others_make(s, &upcasting, true, out, fault);
}
