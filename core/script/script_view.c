#include "script_private.h"

/* Handlers of views. A view follows every event of its types: what is done here for each of them is done hundreds of
 * thousands of times a second. */

/* --- what handlers are given */

static bool takes(lua_State *L, int function, int n) {
    lua_Debug ar;
    lua_pushvalue(L, function);
    lua_getinfo(L, ">u", &ar);
    return ar.isvararg || ar.nparams >= n;
}

bool script_takes(struct script *s, script_value function, int n) {
    lua_State *L = s->L;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    bool yes = lua_isfunction(L, -1) && takes(L, lua_gettop(L), n);
    lua_pop(L, 1);
    return yes;
}

static void value_push(lua_State *L, script_value v) {
    if (v)
        lua_rawgeti(L, LUA_REGISTRYINDEX, v);
    else
        lua_pushnil(L);
}

/* Pushes the state as the n-th argument of the function at 2, which often does not take it. What is kept of a copy
 * needs no search; otherwise a shield is cheaper. */
static void state_push(lua_State *L, int n, script_value state, bool as_copy) {
    if (!state || !takes(L, 2, n)) {
        lua_pushnil(L);
        return;
    }
    value_push(L, state);
    if (as_copy)
        copy_or_shield_push(L, lua_gettop(L));
    else
        shield_value_push(L, lua_gettop(L));
    lua_replace(L, -2);
}

/* --- keys, and names of directories */

struct naming {
    const char *handler;  /* for faults */
    const char *what;     /* "a key" */
    size_t least, n_most; /* bytes of one, number of them */
    struct arena *arena;
    struct str *items;
    size_t n;
    int seen; /* the table of those that were taken; 0: the same may come again */
};

static void room_make(lua_State *L, struct naming *naming, size_t n) {
    if (n > naming->n_most)
        luaL_error(L, "%s returned %d names, and may return %d", naming->handler, (int)n, (int)naming->n_most);
    naming->items = arena_alloc(naming->arena, n * sizeof *naming->items);
    if (!naming->items)
        memory_gone(L);
}

static void text_check(lua_State *L, const struct naming *naming, struct str text) {
    if (text.n > SCRIPT_KEY_BYTES)
        luaL_error(L, "%s returned a text of %d bytes: %s has at most %d", naming->handler, (int)text.n, naming->what,
                   SCRIPT_KEY_BYTES);
    if (text.n < naming->least)
        luaL_error(L, "%s returned an empty text: %s has a byte at least", naming->handler, naming->what);
    if (!utf8_is_valid(text.p, text.n))
        luaL_error(L, "%s returned a text that is not valid UTF-8", naming->handler);
}

bool value_key(lua_State *L, int at) {
    struct script *s = script_of(L);
    struct decimal d;
    int type = lua_type(L, at);
    if (type == LUA_TSTRING)
        return true;
    if (type != LUA_TNUMBER && type != LUA_TBOOLEAN && !decimal_get(L, at, &d))
        return false;
    buf_clear(&s->scratch);
    number_plain(L, at);
    json_write(L, at, &s->scratch, "the value", false);
    lua_pushlstring(L, s->scratch.p, s->scratch.n);
    lua_replace(L, at);
    return true;
}

/* Of item i of a list, or (0) of what was returned. */
static void value_refuse(lua_State *L, const struct naming *naming, int64_t i) {
    if (i)
        luaL_error(L, "item %d of the list that %s returned is a %s, not a string, a number, a boolean or a decimal",
                   (int)i, naming->handler, luaL_typename(L, -1));
    luaL_error(L, "%s returned a %s: it returns a string, a number, a boolean, a decimal, a list of such, or nil",
               naming->handler, luaL_typename(L, -1));
}

/* Takes the value on top. */
static void name_take(lua_State *L, struct naming *naming, int64_t i) {
    struct str text;
    if (!value_key(L, lua_gettop(L)))
        value_refuse(L, naming, i);
    text.p = lua_tolstring(L, -1, &text.n);
    text_check(L, naming, text);
    if (naming->seen) {
        lua_pushvalue(L, -1);
        bool known = lua_rawget(L, naming->seen) != LUA_TNIL;
        lua_pop(L, 1);
        if (known)
            return;
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, naming->seen);
    }
    struct str copy = arena_copy(naming->arena, text);
    if (!copy.p)
        memory_gone(L);
    naming->items[naming->n++] = copy;
}

/* How many items the list at `at` has: 1..n, and nothing else. */
static int64_t list_length(lua_State *L, const struct naming *naming, int at) {
    int64_t n = (int64_t)lua_rawlen(L, at), seen = 0;
    script_charge(L, (uint64_t)n);
    for (lua_pushnil(L); lua_next(L, at); seen++) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > n)
            luaL_error(L, "the table that %s returned is no list", naming->handler);
    }
    if (seen != n)
        luaL_error(L, "the list that %s returned has holes", naming->handler);
    return n;
}

static void list_take(lua_State *L, struct naming *naming, int at, bool once) {
    if (lua_topointer(L, at) == script_of(L)->call->told.table)
        luaL_error(L, "%s returned the event itself", naming->handler);
    target_push(L, at);
    int list = lua_gettop(L);
    int64_t n = list_length(L, naming, list);
    if (!n)
        return;
    room_make(L, naming, (size_t)n);
    if (once && n > 1) {
        lua_newtable(L);
        naming->seen = lua_gettop(L);
    }
    for (int64_t i = 1; i <= n; i++) {
        lua_rawgeti(L, list, i);
        name_take(L, naming, i);
        lua_pop(L, 1);
    }
}

/* Takes what a handler returned, which is on top. False when that is nil or null. */
static bool names_take(lua_State *L, struct naming *naming, bool once) {
    int at = lua_gettop(L), type = lua_type(L, at);
    if (type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, at) == (void *)&key_null))
        return false;
    if (type == LUA_TTABLE) {
        list_take(L, naming, at, once);
        return true;
    }
    room_make(L, naming, 1);
    name_take(L, naming, 0);
    return true;
}

struct keying {
    script_value handler, state;
    const struct script_event *event;
    struct naming naming;
};

static int key_run(lua_State *L) {
    struct script *s = script_of(L);
    struct keying *keying = lua_touserdata(L, 1);
    shields_enter(s, s->call);
    value_push(L, keying->handler);
    event_push(L, keying->event);
    state_push(L, 2, keying->state, false);
    lua_call(L, 2, 1);
    names_take(L, &keying->naming, true);
    return 0;
}

int script_key(struct script *s, script_value handler, const struct script_event *e, script_value state,
               struct arena *arena, struct str **keys, size_t *n, struct script_fault *fault) {
    struct keying keying = {.handler = handler, .state = state, .event = e};
    keying.naming = (struct naming){.handler = "key", .what = "a key", .n_most = SIZE_MAX, .arena = arena};
    int rc = script_run(s, key_run, &keying, NULL, fault);
    *keys = rc ? NULL : keying.naming.items;
    *n = rc ? 0 : keying.naming.n;
    return rc;
}

struct pathing {
    script_value handler, state;
    struct naming naming;
    bool present;
};

static int path_run(lua_State *L) {
    struct script *s = script_of(L);
    struct pathing *pathing = lua_touserdata(L, 1);
    shields_enter(s, s->call);
    value_push(L, pathing->handler);
    state_push(L, 1, pathing->state, false);
    lua_call(L, 1, 1);
    pathing->present = names_take(L, &pathing->naming, false);
    return 0;
}

int script_path(struct script *s, script_value handler, script_value state, struct arena *arena, struct str **names,
                size_t *n, bool *present, struct script_fault *fault) {
    struct pathing pathing = {.handler = handler, .state = state};
    pathing.naming = (struct naming){
        .handler = "path", .what = "the name of a directory", .least = 1, .n_most = SCRIPT_PATH_MAX, .arena = arena};
    int rc = script_run(s, path_run, &pathing, NULL, fault);
    *names = rc ? NULL : pathing.naming.items;
    *n = rc ? 0 : pathing.naming.n;
    *present = !rc && pathing.present;
    return rc;
}

/* --- on */

struct projecting {
    script_value handler, *view, state;
    const struct script_event *event;
    bool removed, doubtful;
};

static bool *is_large(struct script *s, script_value view) {
    return &s->large_views[(unsigned)view & (VIEW_SLOTS - 1)];
}

/* Looks at the view, and puts copies in the place of what it has kept of the state. */
static void view_look(lua_State *L, struct projecting *projecting) {
    struct script *s = script_of(L);
    value_push(L, *projecting->view);
    enum checked checked = check_top(L, SCRIPT_VIEW_VALUES);
    if (s->call->shields && checked != CHECKED_GOOD) {
        shields_copy(L, lua_gettop(L));
        checked = check_top(L, SCRIPT_VIEW_VALUES); /* a shield counts as a value */
    }
    *is_large(s, *projecting->view) = checked == CHECKED_MANY;
    projecting->doubtful = checked == CHECKED_DOUBTFUL;
}

/* What the handler left in *view. */
static void view_take(lua_State *L, struct projecting *projecting) {
    struct script *s = script_of(L);
    if (lua_islightuserdata(L, -1) && lua_touserdata(L, -1) == (void *)&key_remove) {
        projecting->removed = true;
        return;
    }
    if (lua_topointer(L, -1) == s->call->told.table && lua_istable(L, -1))
        luaL_error(L, TOLD_KEPT);
    if (lua_istable(L, -1))
        lua_rawseti(L, LUA_REGISTRYINDEX, *projecting->view);
    else if (!lua_isnil(L, -1))
        luaL_error(L, "on returned a %s: it returns a view, which is a table, `remove`, or nothing",
                   luaL_typename(L, -1));
    view_look(L, projecting);
}

static int project_run(lua_State *L) {
    struct script *s = script_of(L);
    struct projecting *projecting = lua_touserdata(L, 1);
    shields_enter(s, s->call);
    value_push(L, projecting->handler);
    value_push(L, *projecting->view);
    event_push(L, projecting->event);
    state_push(L, 3, projecting->state, *is_large(s, *projecting->view));
    lua_call(L, 3, 1);
    view_take(L, projecting);
    return 0;
}

int script_project(struct script *s, script_value handler, script_value *view, const struct script_event *e,
                   script_value state, bool *removed, struct script_fault *fault) {
    struct projecting projecting = {.handler = handler, .view = view, .state = state, .event = e};
    int rc = script_run(s, project_run, &projecting, NULL, fault);
    *removed = !rc && projecting.removed;
    return !rc && projecting.doubtful ? freeze_check(s, *view, "the view", fault) : rc;
}

/* --- output */

struct showing {
    script_value handler, view;
    struct str key;
    struct buf *out;
};

static int output_run(lua_State *L) {
    struct script *s = script_of(L);
    struct showing *showing = lua_touserdata(L, 1);
    if (!showing->handler) {
        value_push(L, showing->view);
        json_write(L, 2, showing->out, "the view", false);
        return 0;
    }
    shields_enter(s, s->call);
    value_push(L, showing->handler);
    value_push(L, showing->view);
    shield_value_push(L, 3);
    lua_replace(L, 3);
    lua_pushlstring(L, showing->key.p, showing->key.n);
    lua_call(L, 2, 1);
    if (lua_isnil(L, 2))
        return luaL_error(L, "output returned nothing: it returns what the file shows");
    json_write(L, 2, showing->out, "the output", false);
    return 0;
}

int script_output(struct script *s, script_value handler, script_value view, struct str key, struct buf *out,
                  struct script_fault *fault) {
    struct showing showing = {handler, view, key, out};
    struct call call = {.unlimited = !handler};
    size_t before = out->n;
    int rc = script_run(s, output_run, &showing, &call, fault);
    if (rc)
        out->n = before;
    return rc;
}
