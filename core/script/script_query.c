#include "script_private.h"

#include <errno.h>

/* Handlers of queries: what they find at q, and the call itself. q's functions find what they need in the call. */

#define COUNTED_BYTES (64 << 10) /* a longer text is looked through before anything is made of it */
#define VALUE_BYTES 16           /* Lua takes this much for a value at least */

struct querying {
    script_value run, post;
    const struct script_source *source;
    const struct json_value *params;
    struct buf *out;
    struct buf text; /* what was asked for last */
};

/* --- values from texts */

/* A bound of how many values there are. */
static uint64_t values_count(struct str text) {
    uint64_t n = 1;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string && c == '\\')
            i++;
        else if (!in_string && (c == ',' || c == '[' || c == '{'))
            n++;
    }
    return n;
}

static bool has_room(const struct script *s, uint64_t bytes) {
    const struct call *call = s->call;
    return !call->limited || (bytes <= call->ceiling && s->used <= call->ceiling - bytes);
}

/* The tree of a long text takes memory that no limit of Lua's counts: one that Lua could not hold is not made. */
static void room_check(lua_State *L, struct str text) {
    struct script *s = script_of(L);
    uint64_t n = values_count(text);
    script_charge(L, text.n / 16);
    if ((int64_t)n > s->call->left) /* json_push() will take as many */
        script_charge(L, n);
    if (has_room(s, n * VALUE_BYTES))
        return;
    lua_gc(L, LUA_GCCOLLECT);
    if (has_room(s, n * VALUE_BYTES))
        return;
    s->call->broken = BROKEN_MEMORY;
    luaL_error(L, "not enough memory");
}

/* Pushes what the text says; nothing is nil. */
static void text_push(lua_State *L, struct querying *query, const char *function) {
    struct script *s = script_of(L);
    struct buf *b = &query->text;
    const struct json_value *tree;
    if (!b->oom && !b->n) {
        lua_pushnil(L);
        return;
    }
    char *padding = buf_reserve(b, JSON_PADDING);
    if (!padding || b->oom)
        memory_gone(L);
    memset(padding, 0, JSON_PADDING);
    if (b->n > COUNTED_BYTES)
        room_check(L, buf_str(b));
    arena_reset(&s->arena, ARENA_KEPT);
    int rc = json_parse(s, buf_str(b), &tree);
    if (rc == -ENOMEM)
        memory_gone(L);
    if (rc)
        luaL_error(L, "q.%s() gave what is no JSON", function);
    json_push(L, tree);
    arena_reset(&s->arena, ARENA_KEPT);
}

/* --- q */

static struct querying *query_of(lua_State *L, const char *function) {
    struct querying *query = script_of(L)->call->query;
    if (!query)
        luaL_error(L, "q.%s() belongs into run", function);
    buf_clear(&query->text);
    return query;
}

/* Argument n, which must be a text. */
static struct str text_of(lua_State *L, int n, const char *function, const char *what) {
    struct str text;
    if (lua_type(L, n) != LUA_TSTRING)
        luaL_error(L, "q.%s() takes %s, not a %s", function, what, luaL_typename(L, n));
    text.p = lua_tolstring(L, n, &text.n);
    return text;
}

static int answer(lua_State *L, struct querying *query, const char *function, int rc, const struct err *err) {
    if (rc) {
        const char *words = *err->text ? err->text : strerror(rc < 0 ? -rc : EIO);
        return luaL_error(L, "q.%s(\"%s\"): %s", function, lua_tostring(L, 1), words);
    }
    text_push(L, query, function);
    return 1;
}

static int query_view(lua_State *L) {
    static const char what[] = "the name of a view and a key, as q.view(name, key)";
    struct querying *query = query_of(L, "view");
    struct err err = {0};
    lua_settop(L, 2);
    struct str view = text_of(L, 1, "view", what);
    if (!value_key(L, 2))
        return luaL_error(L, "q.view() takes %s, and the key is a %s", what, luaL_typename(L, 2));
    struct str key = text_of(L, 2, "view", what);
    int64_t since = script_time();
    int rc = query->source->view(query->source->arg, view, key, &query->text, &err);
    script_time_forgive(L, since);
    return answer(L, query, "view", rc, &err);
}

static int query_keys(lua_State *L) {
    static const char what[] = "the name of a view, and what keys begin with, as q.keys(name, prefix)";
    struct querying *query = query_of(L, "keys");
    struct str prefix = {"", 0};
    struct err err = {0};
    lua_settop(L, 2);
    struct str view = text_of(L, 1, "keys", what);
    if (!lua_isnil(L, 2))
        prefix = text_of(L, 2, "keys", what);
    if (!utf8_is_valid(prefix.p, prefix.n)) /* the half of a character begins no key */
        luaL_error(L, "q.keys(): what keys begin with is no UTF-8");
    int64_t since = script_time();
    int rc = query->source->keys(query->source->arg, view, prefix, &query->text, &err);
    script_time_forgive(L, since);
    return answer(L, query, "keys", rc, &err);
}

static int query_state(lua_State *L) {
    const struct script_source *source = query_of(L, "state")->source;
    return handler_state(L, source->state, source->arg, "q.state");
}

/* Argument n, a version; `missing` when it is not there. */
static uint64_t version_of(lua_State *L, int n, uint64_t missing) {
    int exact = 0;
    if (lua_isnil(L, n))
        return missing;
    lua_Integer version = lua_type(L, n) == LUA_TNUMBER ? lua_tointegerx(L, n, &exact) : 0;
    if (!exact || version < 1)
        luaL_error(L, "q.events() takes the versions of the first and the last event, whole numbers from 1");
    return (uint64_t)version;
}

static int query_events(lua_State *L) {
    struct querying *query = query_of(L, "events");
    struct err err = {0};
    lua_settop(L, 3);
    struct str aggregate = text_of(L, 1, "events", "the name of an aggregate, like \"customer/7\"");
    uint64_t from = version_of(L, 2, 1), to = version_of(L, 3, UINT64_MAX);
    int64_t since = script_time();
    int rc = query->source->events(query->source->arg, aggregate, from, to, &query->text, &err);
    script_time_forgive(L, since);
    return answer(L, query, "events", rc, &err);
}

/* What q has not. */
static int query_index(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "caller") == 0)
        return luaL_error(L, "q.caller is there with cache = \"per_caller\" alone: others share their results");
    return 0;
}

void query_open(lua_State *L) {
    pin_push(L, PIN_QUERY);
    lua_pushcfunction(L, query_index);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L); /* whoever writes a table looks there for the order of its names */
    lua_rawsetp(L, -2, &key_set);
    lua_pop(L, 1);
}

static void query_push(lua_State *L, const struct script_source *source) {
    static const luaL_Reg functions[] = {
        {"view", query_view}, {"keys", query_keys}, {"state", query_state}, {"events", query_events}, {NULL, NULL}};
    lua_createtable(L, 0, 5);
    luaL_setfuncs(L, functions, 0);
    if (source->caller) {
        json_push(L, source->caller);
        lua_setfield(L, -2, "caller");
    }
    pin_push(L, PIN_QUERY);
    lua_setmetatable(L, -2);
}

/* --- the call */

static int query_run(lua_State *L) {
    struct script *s = script_of(L);
    struct querying *query = lua_touserdata(L, 1);
    shields_enter(s, s->call);
    lua_rawgeti(L, LUA_REGISTRYINDEX, query->run);
    query_push(L, query->source);
    json_push(L, query->params);
    lua_call(L, 2, 1);
    if (query->post) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, query->post);
        lua_insert(L, 2);
        json_push(L, query->params);
        lua_call(L, 2, 1);
    }
    if (lua_isnil(L, 2))
        buf_put_text(query->out, "null");
    else
        json_write(L, 2, query->out, "the result", false);
    if (query->out->oom)
        memory_gone(L);
    return 0;
}

int script_query(struct script *s, script_value run, script_value post, const struct script_source *q,
                 const struct json_value *params, struct buf *out, struct script_fault *fault) {
    struct querying query = {.run = run, .post = post, .source = q, .params = params, .out = out};
    struct call call = {.query = &query};
    size_t before = out->n;
    int rc = script_run(s, query_run, &query, &call, fault);
    if (rc)
        out->n = before;
    buf_free(&query.text);
    return rc;
}
