/* Where in a value something is wrong, and what can be in no value. */
#include "script_private.h"

#include <stdlib.h>

void path_enter(lua_State *L, struct path *path) {
    if (++path->depth > JSON_DEPTH_MAX) {
        path->depth = 8;
        path_error(L, path, "it is nested deeper than %d levels, or refers to itself", JSON_DEPTH_MAX);
    }
    luaL_checkstack(L, 20, "it is nested too deep");
}

static bool is_plain_name(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return name.n > 0;
}

void path_error(lua_State *L, const struct path *path, const char *format, ...) {
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, path->root);
    for (int i = 0; i < path->depth; i++) {
        const struct path_step *step = &path->steps[i];
        char index[NUMBER_CHARS];
        size_t n = step->name.n < 100 ? step->name.n : 100;
        if (!step->name.p) {
            luaL_addchar(&b, '[');
            luaL_addlstring(&b, index, number_write_int(step->index, index));
            luaL_addchar(&b, ']');
        } else if (is_plain_name(step->name)) {
            luaL_addchar(&b, '.');
            luaL_addlstring(&b, step->name.p, n);
        } else {
            luaL_addstring(&b, "[\"");
            luaL_addlstring(&b, step->name.p, n);
            luaL_addstring(&b, "\"]");
        }
    }
    luaL_addstring(&b, ": ");
    luaL_addstring(&b, text);
    luaL_pushresult(&b);
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_error(L);
    abort();
}

const void *data_check(lua_State *L, int at, const struct path *path) {
    struct script *s = script_of(L);
    if (!lua_getmetatable(L, at))
        return NULL;
    const void *mt = lua_topointer(L, -1);
    if (mt == s->event_mt)
        path_error(L, path, "an event is no data");
    if (mt == s->told_mt)
        path_error(L, path, s->call->told.cmd ? "a command is no data" : TOLD_KEPT);
    lua_pop(L, 1);
    return mt;
}

bool utf8_is_valid(const char *text, size_t n) {
    const uint8_t *p = (const uint8_t *)text, *end = p + n;
    while (p < end) {
        uint64_t eight;
        while (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & 0x8080808080808080)))
            p += 8;
        if (p == end)
            break;
        if (*p < 0x80) {
            p++;
            continue;
        }
        int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
        if (*p < 0xc2 || *p > 0xf4 || end - p <= more)
            return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
            (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (int i = 1; i <= more; i++)
            if ((p[i] & 0xc0) != 0x80)
                return false;
        p += more + 1;
    }
    return true;
}
