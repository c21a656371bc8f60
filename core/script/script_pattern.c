#include "script_private.h"

#include <ctype.h>

/* Lua's matcher asks no hook and goes back over every choice it has made: before it begins, a bound on its steps is
 * worked out from the pattern and the subject, and what could go on for ever is refused. */

#define STEPS_MAX 100000000.0
#define STEPS_SMALL 20000.0 /* not worth a closer look */

struct item {
    const char *from, *to; /* of a single character class */
};

/* Past one item that stands for a single character; NULL when the pattern is malformed, which the matcher will say. */
static const char *item_end(const char *p, const char *end) {
    if (*p == '%')
        return end - p < 2 ? NULL : p + 2;
    if (*p++ != '[')
        return p;
    if (p < end && *p == '^')
        p++;
    do {
        if (p == end)
            return NULL;
        if (*p++ == '%')
            p++;
    } while (p < end && *p != ']');
    return p < end ? p + 1 : NULL;
}

static bool class_has(int class, int c) {
    bool has;
    switch (tolower(class)) {
    case 'a':
        has = isalpha(c);
        break;
    case 'c':
        has = iscntrl(c);
        break;
    case 'd':
        has = isdigit(c);
        break;
    case 'g':
        has = isgraph(c);
        break;
    case 'l':
        has = islower(c);
        break;
    case 'p':
        has = ispunct(c);
        break;
    case 's':
        has = isspace(c);
        break;
    case 'u':
        has = isupper(c);
        break;
    case 'w':
        has = isalnum(c);
        break;
    case 'x':
        has = isxdigit(c);
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !has : has;
}

static bool set_has(const char *p, const char *end, int c) {
    bool negated = *p == '^';
    if (negated)
        p++;
    for (; p < end; p++) {
        if (*p == '%' && p + 1 < end) {
            if (class_has((uint8_t) * ++p, c))
                return !negated;
        } else if (end - p > 2 && p[1] == '-') {
            if ((uint8_t)p[0] <= c && c <= (uint8_t)p[2])
                return !negated;
            p += 2;
        } else if ((uint8_t)*p == c) {
            return !negated;
        }
    }
    return negated;
}

static bool item_has(const struct item *item, int c) {
    if (*item->from == '.')
        return true;
    if (*item->from == '%')
        return class_has((uint8_t)item->from[1], c);
    if (*item->from == '[')
        return set_has(item->from + 1, item->to - 1, c);
    return (uint8_t)*item->from == c;
}

/* The longest run of bytes that the item takes. */
static size_t longest_run(const struct item *item, struct str subject) {
    bool has[256];
    size_t longest = 0, run = 0;
    for (int c = 0; c < 256; c++)
        has[c] = item_has(item, c);
    for (size_t i = 0; i < subject.n; i++) {
        run = has[(uint8_t)subject.p[i]] ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static size_t count_of(const struct item *item, struct str subject) {
    bool has[256];
    size_t n = 0;
    for (int c = 0; c < 256; c++)
        has[c] = item_has(item, c);
    for (size_t i = 0; i < subject.n; i++)
        n += has[(uint8_t)subject.p[i]];
    return n;
}

/* Nothing that can fail follows: what was taken is never given back. */
static bool is_last(const char *p, const char *end) {
    while (p < end && (*p == ')' || *p == '('))
        p++;
    return p == end;
}

static double steps_of(lua_State *L, struct str pattern, struct str subject) {
    const char *p = pattern.p, *end = p + pattern.n;
    bool anchored = p < end && *p == '^';
    double n = (double)subject.n + 1, steps = 1, length = (double)pattern.n + 1;
    bool quantified = false;
    struct item first = {0}; /* what every match begins with */
    bool at_first = true;
    if (anchored)
        p++;
    while (p < end) {
        struct item item = {.from = p};
        if (*p == '(' || *p == ')') {
            p++;
            continue;
        }
        if (*p == '%' && end - p >= 4 && p[1] == 'b') {
            p += 4;
            at_first = false;
            length += n;
            quantified = true;
            continue;
        }
        if (*p == '%' && end - p >= 2 && (p[1] == 'f' || (p[1] >= '0' && p[1] <= '9'))) {
            if (p[1] != 'f')
                length += quantified ? n : (double)pattern.n; /* it compares as much as was captured */
            p += 2;
            at_first = false;
            continue;
        }
        p = item_end(p, end);
        if (!p)
            break;
        item.to = p;
        if (at_first && (p == end || !strchr("?*+-", *p)))
            first = item;
        at_first = false;
        if (p < end && *p == '?') {
            p++;
            steps *= 2;
        } else if (p < end && (*p == '*' || *p == '+' || *p == '-')) {
            p++;
            if (is_last(p, end))
                continue;
            quantified = true;
            if (steps * n * n * length <= STEPS_SMALL) {
                steps *= n;
            } else {
                script_charge(L, subject.n / 4);
                steps *= (double)longest_run(&item, subject) + 1;
            }
        }
    }
    double starts = anchored ? 1 : n;
    if (!anchored && first.from && steps * length * n > STEPS_SMALL)
        starts = (double)count_of(&first, subject) + 1;
    return steps * length * starts + n;
}

static void cost_take(lua_State *L, int subject_at, int pattern_at) {
    struct str subject, pattern;
    subject.p = luaL_checklstring(L, subject_at, &subject.n);
    pattern.p = luaL_checklstring(L, pattern_at, &pattern.n);
    double steps = steps_of(L, pattern, subject);
    if (steps > STEPS_MAX)
        luaL_error(L, "the pattern may take too long on %d bytes",
                   (int)(subject.n < INT32_MAX ? subject.n : INT32_MAX));
    script_charge(L, (uint64_t)(steps / 16) + 1);
}

/* The function of Lua's is upvalue 1. */
static int original_call(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int find(lua_State *L) {
    if (lua_toboolean(L, 4)) {
        struct str subject, needle;
        subject.p = luaL_checklstring(L, 1, &subject.n);
        needle.p = luaL_checklstring(L, 2, &needle.n);
        double steps = (double)subject.n * (double)needle.n;
        if (steps > STEPS_MAX && needle.n) {
            steps = (double)subject.n;
            for (size_t i = 0; i < subject.n; i++)
                steps += subject.p[i] == *needle.p ? (double)needle.n : 0;
        }
        if (steps > STEPS_MAX)
            return luaL_error(L, "the text may take too long to find in %d bytes", (int)subject.n);
        script_charge(L, subject.n / 16 * (needle.n / 64 + 1) + 1);
    } else
        cost_take(L, 1, 2);
    return original_call(L);
}

static int match(lua_State *L) {
    cost_take(L, 1, 2);
    return original_call(L);
}

void sandbox_patterns(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"find", find}, {"match", match}, {"gmatch", match}, {"gsub", match}, {NULL, NULL}};
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_getfield(L, -1, f->name);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}
