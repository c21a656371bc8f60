#include "script_private.h"

#include <errno.h>

/* What handlers are told: the event or the command, and the data of a command. Most handlers look at little of it, so
 * members come into being when they are first asked for. A table of this kind belongs to the call that made it
 * (call->told): `given` says which of its members it has had, so that one that was set to nil stays away.
 *
 * Data is empty until something other than a scalar of it is asked for, and is then filled for good and no longer
 * special. Data that goes untouched into an event is written from its text. That of an event may be kept in a state:
 * it has its text with it (key_text), and is filled from that by whoever looks at it later. */

#define FIELDS_LAZY 24 /* of data; a search from the start is fast up to here */
#define READS_LAZY 8   /* of data; who reads more often gets a table */

enum field {
    FIELD_TYPE = 1,
    FIELD_DATA,
    FIELD_AGGREGATE,
    FIELD_ID,
    FIELD_TIME,
    FIELD_VERSION,
    FIELD_UID,
    FIELD_CORRELATIONID,
    FIELD_META,
    FIELD_SUBJECT,
    FIELD_SOURCE,
    FIELD_POSITION,
    FIELD_COMMANDID,
    FIELD_CAUSATIONID,
    FIELD_TRACEPARENT,
    FIELD_GIDS,
    FIELD_UUID,
    FIELD_N,
};

static const char *const field_names[FIELD_N] = {
    [FIELD_TYPE] = "type",
    [FIELD_DATA] = "data",
    [FIELD_AGGREGATE] = "aggregate",
    [FIELD_ID] = "id",
    [FIELD_TIME] = "time",
    [FIELD_VERSION] = "version",
    [FIELD_UID] = "uid",
    [FIELD_CORRELATIONID] = "correlationid",
    [FIELD_META] = "meta",
    [FIELD_SUBJECT] = "subject",
    [FIELD_SOURCE] = "source",
    [FIELD_POSITION] = "position",
    [FIELD_COMMANDID] = "commandid",
    [FIELD_CAUSATIONID] = "causationid",
    [FIELD_TRACEPARENT] = "traceparent",
    [FIELD_GIDS] = "gids",
    [FIELD_UUID] = "uuid",
};

/* --- members */

static void text_push(lua_State *L, struct str text) {
    lua_pushlstring(L, text.p, text.n);
}

static void text_push_if(lua_State *L, struct str text) {
    if (text.n)
        text_push(L, text);
    else
        lua_pushnil(L);
}

static void object_push_if(lua_State *L, const struct json_value *object) {
    if (object)
        json_push(L, object);
    else
        lua_newtable(L);
}

static void gids_push(lua_State *L, const struct script_command *cmd) {
    lua_createtable(L, (int)cmd->n_gids, 0);
    for (size_t i = 0; i < cmd->n_gids; i++) {
        lua_pushinteger(L, cmd->gids[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    pin_push(L, PIN_ARRAY);
    lua_setmetatable(L, -2);
}

/* Raises for numbers that no float can hold; *depth_max grows to the depth of the tree. Takes the instructions that
 * filling would: whether and when that happens must not count. */
static void data_look(lua_State *L, const struct json_value *v, int depth, int *depth_max) {
    struct str text = v->text;
    double number;
    if (depth > *depth_max)
        *depth_max = depth;
    if (v->kind == JSON_KIND_OBJECT || v->kind == JSON_KIND_ARRAY)
        script_charge(L, v->n);
    switch (v->kind) {
    case JSON_KIND_OBJECT:
        for (uint32_t i = 0; i < v->n; i++)
            data_look(L, &v->fields[i].value, depth + 1, depth_max);
        return;
    case JSON_KIND_ARRAY:
        for (uint32_t i = 0; i < v->n; i++)
            data_look(L, &v->items[i], depth + 1, depth_max);
        return;
    case JSON_KIND_NUMBER:
        if (text.n > 300 || memchr(text.p, 'e', text.n) || memchr(text.p, 'E', text.n))
            if (!number_parse(text, &number))
                luaL_error(L, "the number %s is beyond what a float can hold", lua_pushlstring(L, text.p, text.n % 60));
        return;
    default:
        return;
    }
}

static void data_push(lua_State *L, struct told *told, const struct json_value *data) {
    if (!data || data->kind != JSON_KIND_OBJECT || data->n > FIELDS_LAZY) {
        object_push_if(L, data);
        return;
    }
    told->depth = 0;
    data_look(L, data, 1, &told->depth);
    lua_createtable(L, 0, told->event ? 1 : 0);
    if (told->event) {
        lua_pushlstring(L, data->raw.p, data->raw.n);
        lua_rawsetp(L, -2, &key_text);
    }
    pin_push(L, PIN_DATA);
    lua_setmetatable(L, -2);
    told->data = lua_topointer(L, -1);
    told->tree = data;
    told->reads = 0;
}

static void command_field_push(lua_State *L, struct told *told, enum field field) {
    const struct script_command *cmd = told->cmd;
    switch (field) {
    case FIELD_TYPE:
        text_push(L, cmd->type);
        return;
    case FIELD_DATA:
        data_push(L, told, cmd->data);
        return;
    case FIELD_AGGREGATE:
        text_push(L, cmd->aggregate);
        return;
    case FIELD_ID:
        text_push(L, cmd->id);
        return;
    case FIELD_TIME:
        text_push(L, cmd->time);
        return;
    case FIELD_VERSION:
        lua_pushinteger(L, (lua_Integer)cmd->version);
        return;
    case FIELD_UID:
        lua_pushinteger(L, cmd->uid);
        return;
    case FIELD_CORRELATIONID:
        text_push_if(L, cmd->correlationid);
        return;
    case FIELD_META:
        object_push_if(L, cmd->meta);
        return;
    case FIELD_GIDS:
        gids_push(L, cmd);
        return;
    case FIELD_UUID:
        pin_push(L, PIN_UUID);
        return;
    default:
        lua_pushnil(L);
    }
}

static void event_field_push(lua_State *L, struct told *told, enum field field) {
    const struct script_event *e = told->event;
    const struct {
        enum field field;
        struct str text;
    } texts[] = {{FIELD_AGGREGATE, e->aggregate}, {FIELD_SUBJECT, e->subject},
                 {FIELD_SOURCE, e->source},       {FIELD_ID, e->id},
                 {FIELD_TIME, e->time},           {FIELD_POSITION, e->position}};
    switch (field) {
    case FIELD_TYPE:
        text_push(L, e->type);
        return;
    case FIELD_DATA:
        data_push(L, told, e->data);
        return;
    case FIELD_VERSION:
        lua_pushinteger(L, (lua_Integer)e->version);
        return;
    case FIELD_UID:
        lua_pushinteger(L, e->uid);
        return;
    case FIELD_META:
        object_push_if(L, e->meta);
        return;
    case FIELD_COMMANDID:
        text_push_if(L, e->commandid);
        return;
    case FIELD_CORRELATIONID:
        text_push_if(L, e->correlationid);
        return;
    case FIELD_CAUSATIONID:
        text_push_if(L, e->causationid);
        return;
    case FIELD_TRACEPARENT:
        text_push_if(L, e->traceparent);
        return;
    default:
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            if (texts[i].field == field) {
                text_push(L, texts[i].text);
                return;
            }
        lua_pushnil(L);
    }
}

static void field_push(lua_State *L, struct told *told, enum field field) {
    told->given |= (uint32_t)1 << field;
    if (told->cmd)
        command_field_push(L, told, field);
    else
        event_field_push(L, told, field);
}

/* --- the tables */

/* Of the call that this table belongs to; calls nest. NULL: of one that is over. */
static struct told *told_of(lua_State *L, int at) {
    const void *own = lua_topointer(L, at);
    for (struct call *call = script_of(L)->call; call; call = call->outer)
        if (call->told.table == own || call->told.data == own)
            return &call->told;
    return NULL;
}

static void fields_fill(lua_State *L, int at, struct told *told) {
    luaL_checkstack(L, 8, NULL);
    for (int field = 1; field < FIELD_N; field++) {
        if (told->given >> field & 1)
            continue;
        field_push(L, told, (enum field)field);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushstring(L, field_names[field]);
        lua_insert(L, -2);
        lua_rawset(L, at);
    }
}

static int told_over(lua_State *L) {
    return luaL_error(L, TOLD_KEPT);
}

int json_parse(struct script *s, struct str padded, const struct json_value **tree) {
    struct json_value *root = arena_alloc(&s->arena, sizeof *root);
    const char *why;
    if (!s->parser)
        s->parser = json_parser_new();
    if (!s->parser || !root)
        return -ENOMEM;
    *tree = root;
    return json_tree_read(s->parser, padded, &s->arena, root, &why);
}

/* Of an event that is long over. The text was good when it was kept. */
static const struct json_value *kept_read(lua_State *L, int at) {
    struct script *s = script_of(L);
    const struct json_value *tree;
    struct str text;
    if (lua_rawgetp(L, at, &key_text) != LUA_TSTRING)
        told_over(L);
    text.p = lua_tolstring(L, -1, &text.n);
    arena_reset(&s->arena, ARENA_KEPT);
    char *padded = arena_alloc(&s->arena, text.n + JSON_PADDING);
    if (!padded)
        memory_gone(L);
    memcpy(padded, text.p, text.n);
    memset(padded + text.n, 0, JSON_PADDING);
    if (json_parse(s, (struct str){padded, text.n}, &tree) != 0)
        memory_gone(L);
    lua_pop(L, 1);
    return tree;
}

/* `told` is NULL for data of an event that is over. */
static void data_fill(lua_State *L, int at, struct told *told) {
    struct call *call = script_of(L)->call;
    int64_t left = call ? call->left : 0;
    at = lua_absindex(L, at);
    luaL_checkstack(L, 8, NULL);
    const struct json_value *tree = told ? told->tree : kept_read(L, at);
    lua_pushnil(L);
    lua_rawsetp(L, at, &key_text);
    if (told)
        told->data = NULL;
    json_fill(L, tree, at);
    if (call)
        call->left = left;
}

void told_fill(lua_State *L, int at) {
    struct told *told = told_of(L, at);
    at = lua_absindex(L, at);
    if (!lua_getmetatable(L, at))
        return;
    bool is_data = lua_topointer(L, -1) == script_of(L)->data_mt;
    lua_pop(L, 1);
    if (is_data)
        data_fill(L, at, told);
    else if (told)
        fields_fill(L, at, told);
}

const struct json_value *told_data(lua_State *L, int at, int *depth) {
    struct told *told = told_of(L, at);
    if (!told || told->data != lua_topointer(L, at))
        return NULL;
    *depth = told->depth;
    return told->tree;
}

static int told_index(lua_State *L) {
    struct told *told = told_of(L, 1);
    if (!told)
        return told_over(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    lua_Integer field = lua_tointeger(L, 3);
    if (!field || told->given >> field & 1)
        return 0;
    field_push(L, told, (enum field)field);
    if (lua_isnil(L, -1))
        return 1;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static int told_write(lua_State *L) {
    struct told *told = told_of(L, 1);
    if (!told)
        return told_over(L);
    lua_settop(L, 3);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    told->given |= (uint32_t)1 << lua_tointeger(L, 4);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 0;
}

static int data_index(lua_State *L) {
    struct told *told = told_of(L, 1);
    lua_settop(L, 2);
    if (told && lua_type(L, 2) == LUA_TSTRING) {
        struct str name;
        name.p = lua_tolstring(L, 2, &name.n);
        const struct json_value *v = json_field(told->tree, name);
        if (!v)
            return 0;
        bool scalar = v->kind != JSON_KIND_OBJECT && v->kind != JSON_KIND_ARRAY;
        if (scalar && ++told->reads <= READS_LAZY) {
            json_push(L, v);
            return 1;
        }
    }
    data_fill(L, 1, told);
    lua_rawget(L, 1);
    return 1;
}

static int data_write(lua_State *L) {
    lua_settop(L, 3);
    data_fill(L, 1, told_of(L, 1));
    lua_rawset(L, 1);
    return 0;
}

static void told_push(lua_State *L, struct told *told) {
    lua_createtable(L, 0, 2);
    pin_push(L, PIN_TOLD);
    lua_setmetatable(L, -2);
    told->table = lua_topointer(L, -1);
}

void event_push(lua_State *L, const struct script_event *e) {
    struct told *told = &script_of(L)->call->told;
    told->event = e;
    told_push(L, told);
}

void command_push(lua_State *L, const struct script_command *cmd) {
    struct told *told = &script_of(L)->call->told;
    told->cmd = cmd;
    told_push(L, told);
}

void told_open(lua_State *L) {
    static const luaL_Reg told[] = {{"__index", told_index}, {"__newindex", told_write}, {NULL, NULL}};
    static const luaL_Reg data[] = {{"__index", data_index}, {"__newindex", data_write}, {NULL, NULL}};
    pin_push(L, PIN_TOLD);
    lua_createtable(L, 0, FIELD_N);
    for (int field = 1; field < FIELD_N; field++) {
        lua_pushinteger(L, field);
        lua_setfield(L, -2, field_names[field]);
    }
    luaL_setfuncs(L, told, 1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    script_of(L)->told_mt = lua_topointer(L, -1);
    pin_push(L, PIN_DATA);
    luaL_setfuncs(L, data, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    script_of(L)->data_mt = lua_topointer(L, -1);
    lua_pop(L, 2);
}
