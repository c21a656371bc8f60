/* Values of Lua as JSON. */
#include "script_private.h"

#include <math.h>
#include <stdlib.h>

#define JSON_BYTES_MAX ((size_t)64 << 20) /* where no call's limit counts */

struct writing {
    lua_State *L;
    struct buf *out;
    size_t limit;
    bool shielded; /* tables are seen through a shield: those that were written to have a copy */
    struct path path;
};

static void value_write(struct writing *w, int at, int digits);

static void check_room(struct writing *w) {
    if (w->out->oom) {
        script_of(w->L)->call->broken = BROKEN_MACHINE;
        luaL_error(w->L, "not enough memory");
    }
    if (w->out->n > w->limit)
        path_error(w->L, &w->path,
                   "it is too much JSON, more than %zu MiB: a table that is there many times is written many times",
                   w->limit >> 20);
}

/* --- strings */

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Whether JSON shows the text as it is: ASCII without escapes. Eight bytes at a time; a carry between them can only
 * make a plain text look as if it were none. */
static bool is_plain_text(struct str text) {
    size_t i = 0;
    for (; i + 8 <= text.n; i += 8) {
        uint64_t eight;
        memcpy(&eight, text.p + i, sizeof eight);
        uint64_t quote = eight ^ EACH_BYTE * '"', slash = eight ^ EACH_BYTE * '\\';
        if ((eight | (eight - EACH_BYTE * 0x20) | (quote - EACH_BYTE) | (slash - EACH_BYTE)) & EACH_BYTE * 0x80)
            return false;
    }
    for (; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            return false;
    }
    return true;
}

static void plain_put(struct buf *out, struct str text) {
    char *room = buf_reserve(out, text.n + 2);
    if (!room)
        return;
    room[0] = '"';
    if (text.n)
        memcpy(room + 1, text.p, text.n);
    room[text.n + 1] = '"';
    out->n += text.n + 2;
}

static void string_write(struct writing *w, struct str text) {
    if (is_plain_text(text)) {
        plain_put(w->out, text);
        return;
    }
    if (!utf8_is_valid(text.p, text.n))
        path_error(w->L, &w->path, "the string is not valid UTF-8");
    buf_put_json_string(w->out, text);
}

/* --- numbers */

static void passed_add(lua_State *L, double v, struct str text) {
    struct call *call = script_of(L)->call;
    if (call->n_passed == call->cap_passed) {
        size_t cap = call->cap_passed ? call->cap_passed * 2 : 16;
        struct passed *moved = realloc(call->passed, cap * sizeof *moved);
        if (!moved) {
            call->broken = BROKEN_MACHINE;
            luaL_error(L, "not enough memory");
        }
        call->passed = moved;
        call->cap_passed = cap;
    }
    call->passed[call->n_passed] = (struct passed){v, text, call->n_passed};
    call->n_passed++;
}

static int passed_order(const void *a, const void *b) {
    const struct passed *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void passed_read(lua_State *L, const struct json_value *v) {
    int64_t i;
    double number;
    if (v->kind == JSON_KIND_NUMBER && !number_read_int(v->text, &i) && number_parse(v->text, &number))
        passed_add(L, number, v->text);
    for (uint32_t k = 0; v->kind == JSON_KIND_OBJECT && k < v->n; k++)
        passed_read(L, &v->fields[k].value);
    for (uint32_t k = 0; v->kind == JSON_KIND_ARRAY && k < v->n; k++)
        passed_read(L, &v->items[k]);
}

/* The digits with which the command's data has this number. */
static struct str passed_find(lua_State *L, double v) {
    struct call *call = script_of(L)->call;
    if (!call->told.cmd || !call->told.cmd->data)
        return (struct str){0};
    if (!call->passed_read) {
        passed_read(L, call->told.cmd->data);
        if (call->n_passed > 1)
            qsort(call->passed, call->n_passed, sizeof *call->passed, passed_order);
        call->passed_read = true;
    }
    size_t low = 0, high = call->n_passed;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (call->passed[middle].value < v)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < call->n_passed && call->passed[low].value == v && signbit(call->passed[low].value) == signbit(v))
        return call->passed[low].text;
    return (struct str){0};
}

static void float_write(struct writing *w, double v, int digits, struct str text) {
    char own[NUMBER_CHARS];
    double same;
    if (!isfinite(v))
        path_error(w->L, &w->path, "the number is %s, which JSON cannot hold", isnan(v) ? "not a number" : "infinite");
    if (digits && text.p && number_parse(text, &same) && same == v && signbit(same) == signbit(v)) {
        buf_put_str(w->out, text);
        return;
    }
    struct str passed = passed_find(w->L, v);
    if (passed.p)
        buf_put_str(w->out, passed);
    else
        buf_put(w->out, own, number_write(v, own));
}

/* The number at `at`, whose digits may be in the table `digits` under its last name or index. */
static void number_put(struct writing *w, int at, int digits) {
    lua_State *L = w->L;
    char own[NUMBER_CHARS];
    struct str text = {0};
    if (lua_isinteger(L, at)) {
        buf_put(w->out, own, number_write_int(lua_tointeger(L, at), own));
        return;
    }
    if (!digits) {
        float_write(w, lua_tonumber(L, at), 0, text);
        return;
    }
    const struct path_step *step = &w->path.steps[w->path.depth - 1];
    if (step->name.p)
        lua_pushlstring(L, step->name.p, step->name.n);
    else
        lua_pushinteger(L, step->index);
    if (lua_rawget(L, digits) == LUA_TSTRING)
        text.p = lua_tolstring(L, -1, &text.n);
    float_write(w, lua_tonumber(L, at), digits, text);
    lua_pop(L, 1);
}

/* --- arrays and objects */

/* Raises for a key of an array that is not 1..n. */
static void array_check(struct writing *w, int at, int64_t n) {
    lua_State *L = w->L;
    int64_t seen = 0;
    for (lua_pushnil(L); lua_next(L, at); seen++) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            path_error(L, &w->path, "it is an array and has the member \"%s\"", lua_tostring(L, -1));
        if (!lua_isinteger(L, -1))
            path_error(L, &w->path, "it is an array and has a key that is a %s", luaL_typename(L, -1));
        if (lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > n)
            path_error(L, &w->path, "it is an array with holes: there is an item %lld and not all before it",
                       (long long)lua_tointeger(L, -1));
    }
    if (seen != n)
        path_error(L, &w->path, "it is an array with holes");
}

static void array_write(struct writing *w, int at, const struct layout *layout) {
    lua_State *L = w->L;
    int64_t n = (int64_t)lua_rawlen(L, at);
    struct path_step *step = &w->path.steps[w->path.depth - 1];
    buf_put_char(w->out, '[');
    for (int64_t i = 1; i <= n; i++) {
        if (i > 1)
            buf_put_char(w->out, ',');
        lua_rawgeti(L, at, i);
        *step = (struct path_step){.index = i};
        value_write(w, lua_gettop(L), layout->digits);
        lua_pop(L, 1);
    }
    buf_put_char(w->out, ']');
}

/* The member whose name is on top; pops it. Nothing when it is nil. */
static void member_write(struct writing *w, int at, const struct layout *layout, bool *first) {
    lua_State *L = w->L;
    struct str name;
    name.p = lua_tolstring(L, -1, &name.n);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, at) != LUA_TNIL) {
        w->path.steps[w->path.depth - 1] = (struct path_step){.name = name};
        if (!*first)
            buf_put_char(w->out, ',');
        *first = false;
        string_write(w, name);
        buf_put_char(w->out, ':');
        value_write(w, lua_gettop(L), layout->digits);
    }
    lua_pop(L, 2);
}

static _Noreturn void key_error(struct writing *w) {
    lua_State *L = w->L;
    w->path.depth--;
    if (lua_isinteger(L, -1))
        path_error(L, &w->path, "it is an object and has the key %lld, which is no string",
                   (long long)lua_tointeger(L, -1));
    path_error(L, &w->path, "it is an object and has a key that is a %s", luaL_typename(L, -1));
}

static void object_write(struct writing *w, int at, const struct layout *layout) {
    lua_State *L = w->L;
    struct name_list added;
    bool first = true;
    if (!names_added(L, at, layout, &added))
        key_error(w);
    buf_put_char(w->out, '{');
    int64_t n = layout->shape ? (int64_t)lua_rawlen(L, layout->shape) : 0;
    for (int64_t i = 1; i <= n; i++) {
        lua_rawgeti(L, layout->shape, i);
        member_write(w, at, layout, &first);
    }
    for (size_t i = 0; i < added.n; i++) {
        lua_pushlstring(L, added.items[i].p, added.items[i].n);
        member_write(w, at, layout, &first);
    }
    buf_put_char(w->out, '}');
}

/* --- values */

/* Pushes what the call that runs has in the place of a table of a state; its index. */
static int shield_find(lua_State *L, int at, bool *shielded) {
    pin_push(L, PIN_MAP);
    lua_pushvalue(L, at);
    if (lua_rawget(L, -2) == LUA_TNIL)
        return at;
    *shielded = false;
    return lua_gettop(L);
}

/* As it would be written, had it been a table in between. */
static void tree_write(const struct json_value *v, struct buf *out) {
    switch (v->kind) {
    case JSON_KIND_OBJECT:
        buf_put_char(out, '{');
        for (uint32_t i = 0; i < v->n; i++) {
            if (i)
                buf_put_char(out, ',');
            if (is_plain_text(v->fields[i].name))
                plain_put(out, v->fields[i].name);
            else
                buf_put_json_string(out, v->fields[i].name);
            buf_put_char(out, ':');
            tree_write(&v->fields[i].value, out);
        }
        buf_put_char(out, '}');
        return;
    case JSON_KIND_ARRAY:
        buf_put_char(out, '[');
        for (uint32_t i = 0; i < v->n; i++) {
            if (i)
                buf_put_char(out, ',');
            tree_write(&v->items[i], out);
        }
        buf_put_char(out, ']');
        return;
    case JSON_KIND_STRING:
        if (v->raw.n == v->text.n + 2) /* every escape is longer than what it stands for */
            buf_put_str(out, v->raw);
        else
            buf_put_json_string(out, v->text);
        return;
    default:
        buf_put_str(out, v->raw);
    }
}

/* The data of a command or an event, when nothing has touched it. */
static bool untouched_write(struct writing *w, int at) {
    int depth;
    const struct json_value *tree = told_data(w->L, at, &depth);
    if (!tree || w->path.depth + depth > JSON_DEPTH_MAX)
        return false;
    tree_write(tree, w->out);
    check_room(w);
    return true;
}

static void table_write(struct writing *w, int at) {
    lua_State *L = w->L;
    path_enter(L, &w->path);
    w->path.depth--;
    if (data_check(L, at, &w->path) == script_of(L)->data_mt && untouched_write(w, at))
        return;
    int top = lua_gettop(L);
    bool outer = w->shielded;
    if (outer)
        at = shield_find(L, at, &w->shielded);
    w->shielded = target_push(L, at) == SEEN_SHIELD || w->shielded;
    int table = lua_gettop(L);
    struct layout layout = layout_push(L, table);
    w->path.depth++;
    w->path.steps[w->path.depth - 1] = (struct path_step){.index = 0};
    if (layout.array) {
        w->path.depth--;
        array_check(w, table, (int64_t)lua_rawlen(L, table));
        w->path.depth++;
        array_write(w, table, &layout);
    } else {
        object_write(w, table, &layout);
    }
    w->path.depth--;
    w->shielded = outer;
    lua_settop(L, top);
    check_room(w);
}

static void value_write(struct writing *w, int at, int digits) {
    lua_State *L = w->L;
    struct str text;
    struct decimal d;
    char number[DECIMAL_CHARS];
    switch (lua_type(L, at)) {
    case LUA_TBOOLEAN:
        buf_put_text(w->out, lua_toboolean(L, at) ? "true" : "false");
        return;
    case LUA_TNUMBER:
        number_put(w, at, digits);
        return;
    case LUA_TSTRING:
        text.p = lua_tolstring(L, at, &text.n);
        string_write(w, text);
        return;
    case LUA_TTABLE:
        table_write(w, at);
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, at) == (void *)&key_null) {
            buf_put_text(w->out, "null");
            return;
        }
        break;
    case LUA_TUSERDATA:
        if (decimal_get(L, at, &d)) {
            buf_put(w->out, number, decimal_write(&d, number));
            return;
        }
        break;
    default:
        break;
    }
    path_error(L, &w->path, "a %s cannot be in JSON", luaL_typename(L, at));
}

void json_write(lua_State *L, int at, struct buf *out, const char *name, bool object) {
    struct writing w;
    w.L = L;
    w.out = out;
    w.limit = out->n + (script_of(L)->call->unlimited ? JSON_BYTES_MAX : script_of(L)->limits.memory);
    w.shielded = false;
    w.path.root = name;
    w.path.depth = 0;
    at = lua_absindex(L, at);
    size_t before = out->n;
    value_write(&w, at, 0);
    check_room(&w);
    if (object && out->p[before] != '{')
        luaL_error(L, "%s: it must be an object", name);
    script_charge(L, (out->n - before) / 16);
}

struct showing {
    script_value value;
    struct buf *out;
};

static int to_json_run(lua_State *L) {
    struct showing *showing = lua_touserdata(L, 1);
    lua_pushnil(L);
    if (showing->value) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, showing->value);
        lua_replace(L, 2);
    }
    json_write(L, 2, showing->out, "the value", false);
    return 0;
}

int script_to_json(struct script *s, script_value v, struct buf *out, struct script_fault *fault) {
    struct showing showing = {v, out};
    struct call call = {.unlimited = true};
    size_t before = out->n;
    int rc = script_run(s, to_json_run, &showing, &call, fault);
    if (rc)
        out->n = before;
    return rc;
}
