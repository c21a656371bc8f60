/* JSON as values of Lua. */
#include "script_private.h"

/* --- scalars */

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

/* --- arrays */

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

/* --- objects */

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

/* --- values */

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
