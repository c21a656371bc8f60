#include "script_private.h"

/* A function that is there after its file was loaded, and assigns to a variable outside itself, remembers something
 * from one call to the next. lua_dump() shows it: the instruction SETUPVAL, in the function or in one that it makes, on
 * a variable that comes from outside. The layout of a dump is Lua 5.4's (ldump.c). */

#define HEADER_BYTES 31
#define OPCODE_MASK 0x7f
#define OP_SETUPVAL 10
#define VARIABLES_MAX 256
#define LINE_ABSOLUTE (-0x80)
#define DEPTH_MAX 220 /* Lua's own limit of nesting is 200 */

enum { CONSTANT_INTEGER = 0x03, CONSTANT_FLOAT = 0x13, CONSTANT_SHORT = 0x04, CONSTANT_LONG = 0x14 };

struct dump {
    lua_State *L;
    int function; /* stack index */
    const uint8_t *p, *end;
    int depth;
};

/* Which variable of the function that was dumped each one of a nested function is, from 1; 0: one of its own. */
struct variables {
    uint8_t outer[VARIABLES_MAX];
};

static int dump_write(lua_State *L, const void *bytes, size_t n, void *arg) {
    (void)L;
    struct buf *b = arg;
    buf_put(b, bytes, n);
    return b->oom;
}

static const uint8_t *take(struct dump *d, size_t n) {
    const uint8_t *p = d->p;
    if ((size_t)(d->end - d->p) < n)
        luaL_error(d->L, "the function cannot be checked: this is another Lua than was expected");
    d->p += n;
    return p;
}

static size_t take_size(struct dump *d) {
    size_t v = 0;
    for (;;) {
        uint8_t byte = *take(d, 1);
        v = v << 7 | (byte & 0x7f);
        if (byte & 0x80)
            return v;
    }
}

static void skip_string(struct dump *d) {
    size_t n = take_size(d);
    if (n)
        take(d, n - 1);
}

static void skip_constants(struct dump *d) {
    for (size_t n = take_size(d); n > 0; n--) {
        uint8_t kind = *take(d, 1);
        if (kind == CONSTANT_INTEGER || kind == CONSTANT_FLOAT)
            take(d, 8);
        else if (kind == CONSTANT_SHORT || kind == CONSTANT_LONG)
            skip_string(d);
    }
}

struct assignment {
    size_t instruction;
    int variable; /* of the dumped function, from 1; 0: there is none */
};

static struct assignment assignment_find(const uint8_t *code, size_t n, const struct variables *variables) {
    for (size_t i = 0; i < n; i++) {
        uint32_t instruction;
        memcpy(&instruction, code + 4 * i, sizeof instruction);
        if ((instruction & OPCODE_MASK) == OP_SETUPVAL && variables->outer[instruction >> 16 & 0xff])
            return (struct assignment){i, variables->outer[instruction >> 16 & 0xff]};
    }
    return (struct assignment){0};
}

/* Reads what is said of lines; the one of an instruction. */
static int take_line(struct dump *d, size_t instruction, int first) {
    size_t n = take_size(d);
    const int8_t *steps = (const int8_t *)take(d, n);
    size_t n_absolute = take_size(d);
    int line = first;
    size_t next = 0;
    for (size_t i = 0; i < n_absolute; i++) {
        size_t at = take_size(d);
        int absolute = (int)take_size(d);
        if (at <= instruction) {
            line = absolute;
            next = at + 1;
        }
    }
    for (; next <= instruction && next < n; next++)
        line += steps[next] == LINE_ABSOLUTE ? 0 : steps[next];
    return line;
}

static void skip_names(struct dump *d) {
    for (size_t n = take_size(d); n > 0; n--) {
        skip_string(d);
        take_size(d);
        take_size(d);
    }
    for (size_t n = take_size(d); n > 0; n--)
        skip_string(d);
}

static _Noreturn void assignment_refuse(struct dump *d, int variable, int line) {
    lua_State *L = d->L;
    struct call *call = script_of(L)->call;
    lua_Debug ar;
    const char *name = lua_getupvalue(L, d->function, variable);
    lua_pushvalue(L, d->function);
    lua_getinfo(L, ">S", &ar);
    snprintf(call->fault->file, sizeof call->fault->file, "%s", ar.source + (*ar.source == '@'));
    call->fault->line = line;
    call->placed = true;
    luaL_error(L, "a function assigns to '%s', which is outside of it: handlers keep nothing between calls", name);
    __builtin_unreachable();
}

static void function_check(struct dump *d, const struct variables *outside, bool outermost) {
    struct variables own = {{0}};
    if (++d->depth > DEPTH_MAX)
        luaL_error(d->L, "functions are nested too deep");
    skip_string(d);
    int first = (int)take_size(d);
    take_size(d);
    take(d, 3);
    size_t n_code = take_size(d);
    const uint8_t *code = take(d, 4 * n_code);
    skip_constants(d);
    size_t n = take_size(d);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *variable = take(d, 3);
        if (i < VARIABLES_MAX && outermost)
            own.outer[i] = (uint8_t)(i + 1);
        else if (i < VARIABLES_MAX && !variable[0])
            own.outer[i] = outside->outer[variable[1]];
    }
    struct assignment found = assignment_find(code, n_code, &own);
    for (n = take_size(d); n > 0; n--)
        function_check(d, &own, false);
    int line = take_line(d, found.instruction, first);
    if (found.variable)
        assignment_refuse(d, found.variable, line);
    skip_names(d);
    d->depth--;
}

void purity_check(lua_State *L, int at) {
    struct buf *b = &script_of(L)->scratch;
    lua_pushvalue(L, at);
    buf_clear(b);
    lua_dump(L, dump_write, b, 0);
    if (b->oom) {
        script_of(L)->call->broken = BROKEN_MACHINE;
        luaL_error(L, "not enough memory");
    }
    struct dump d = {.L = L, .function = lua_gettop(L), .p = (const uint8_t *)b->p};
    d.end = d.p + b->n;
    take(&d, HEADER_BYTES + 1);
    function_check(&d, NULL, true);
    lua_pop(L, 1);
}
