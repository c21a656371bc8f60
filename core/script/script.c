#include "script_private.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

const char key_target, key_set, key_shape, key_digits, key_reject, key_null, key_drop, key_remove, key_text, key_serial;

#define HOOK_EVERY 1000    /* instructions */
#define HOOK_EVERY_SLOW 10 /* when instructions turn out to be long: comparisons of long strings, long calls */
#define SLOW_MS 200
#define LARGE_BYTES (8 << 10) /* a block over this is work, too: what fills it is one instruction */
#define BYTES_A_STEP 256      /* of a large block count as an instruction */

/* --- memory */

static void place_note(lua_State *L, struct call *call) {
    lua_Debug ar;
    if (call->placed || !call->fault)
        return;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || ar.source[0] != '@')
            continue;
        size_t n = strnlen(ar.source + 1, sizeof call->fault->file - 1);
        memcpy(call->fault->file, ar.source + 1, n);
        call->fault->file[n] = 0;
        call->fault->line = ar.currentline;
        call->placed = true;
        return;
    }
}

static bool is_stopped(const struct script *s) {
    return s->stop && atomic_load_explicit(s->stop, memory_order_relaxed);
}

/* What the allocator refuses becomes an error of Lua after a collection; the place is known now and not then. */
static bool memory_refused(struct script *s, size_t grown, size_t size) {
    struct call *call = s->call;
    if (!call || !call->limited)
        return false;
    if (s->used + grown > call->ceiling) {
        call->refused = true;
        place_note(s->L, call);
        call->placed = false;
        return true;
    }
    if (size > LARGE_BYTES) {
        call->left -= (int64_t)(size / BYTES_A_STEP);
        if (call->left < 0 || is_stopped(s)) {
            place_note(s->L, call);
            call->broken = call->left < 0 ? BROKEN_INSTRUCTIONS : BROKEN_STOPPED;
            return true;
        }
    }
    return false;
}

static void *memory_change(void *arg, void *p, size_t old, size_t size) {
    struct script *s = arg;
    if (!p)
        old = 0;
    if (size == 0) {
        pool_release(&s->pool, p, old);
        s->used -= old;
        return NULL;
    }
    if (size > old && memory_refused(s, size - old, size))
        return NULL;
    void *moved = pool_resize(&s->pool, p, old, size);
    if (!moved) {
        if (s->call)
            s->call->broken = BROKEN_MACHINE;
        return NULL;
    }
    s->used += size - old;
    return moved;
}

size_t script_memory(const struct script *s) {
    return s->used;
}

void script_stop_when(struct script *s, const atomic_bool *stop) {
    s->stop = stop;
}

void script_collect(struct script *s, bool fully) {
    if (fully)
        lua_gc(s->L, LUA_GCCOLLECT);
    else
        lua_gc(s->L, LUA_GCSTEP, 256);
}

/* --- limits */

static void on_count(lua_State *L, lua_Debug *ar);

static _Noreturn void call_break(lua_State *L, enum broken how) {
    struct call *call = script_of(L)->call;
    place_note(L, call);
    call->broken = how;
    lua_pushliteral(L, "it may not go on");
    lua_error(L);
    abort();
}

static int64_t coarse_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t script_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void script_time_forgive(lua_State *L, int64_t since) {
    struct call *call = script_of(L)->call;
    if (call->cpu)
        call->cpu += script_time() - since;
    call->looked = coarse_ms();
}

/* The thread's time costs a system call: it is read once at the start of a call that is not short, and again when as
 * much time has passed as a call may take. */
static void time_check(lua_State *L, struct call *call) {
    int64_t now = coarse_ms();
    call->look_at = call->left - HOOK_EVERY;
    if (now - call->looked > SLOW_MS) {
        call->look_at = call->left - HOOK_EVERY_SLOW;
        if (lua_gethookcount(L) != HOOK_EVERY_SLOW)
            lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_EVERY_SLOW);
    }
    call->looked = now;
    if (!call->cpu)
        call->cpu = script_time();
    int64_t seconds = script_of(L)->limits.seconds;
    if (now - call->began < seconds * 1000 || script_time() - call->cpu < seconds * 1000000000)
        return;
    call_break(L, BROKEN_TIME);
}

void script_charge(lua_State *L, uint64_t n) {
    struct call *call = script_of(L)->call;
    if (!call || !call->limited)
        return;
    call->left -= n > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)n;
    if (call->left < 0 || call->broken)
        call_break(L, BROKEN_INSTRUCTIONS);
    if (is_stopped(script_of(L)))
        call_break(L, BROKEN_STOPPED);
    if (call->left < call->look_at)
        time_check(L, call);
}

static void on_count(lua_State *L, lua_Debug *ar) {
    (void)ar;
    script_charge(L, (uint64_t)lua_gethookcount(L));
}

static bool text_is(lua_State *L, int at, const char *text) {
    return lua_type(L, at) == LUA_TSTRING && strcmp(lua_tostring(L, at), text) == 0;
}

/* Buffers of lauxlib raise the lack of memory as an error like others. */
static bool memory_broken(lua_State *L, int status) {
    struct call *call = script_of(L)->call;
    if (status != LUA_ERRMEM && !(call->refused && text_is(L, -1, "not enough memory")))
        return false;
    if (!call->broken)
        call->broken = BROKEN_MEMORY;
    return true;
}

void script_unstoppable(lua_State *L, int status) {
    struct call *call = script_of(L)->call;
    if (memory_broken(L, status) || call->broken || call->rejected)
        lua_error(L);
}

void memory_gone(lua_State *L) {
    struct call *call = script_of(L)->call;
    if (call)
        call->broken = BROKEN_MACHINE;
    luaL_error(L, "not enough memory");
    abort();
}

/* --- faults */

/* Copies what fits; bytes that are no text become question marks. */
static void text_copy(char *out, size_t size, struct str text) {
    size_t n = text.n < size - 1 ? text.n : size - 1;
    while (n > 0 && n < text.n && ((uint8_t)text.p[n] & 0xc0) == 0x80)
        n--;
    memcpy(out, text.p, n);
    out[n] = 0;
    bool valid = utf8_is_valid(out, n);
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)out[i] < 0x20 ? out[i] != '\n' && out[i] != '\t' : !valid && (uint8_t)out[i] >= 0x80)
            out[i] = '?';
}

void fault_text_set(struct script_fault *fault, struct str text) {
    text_copy(fault->text, sizeof fault->text, text);
}

/* Past "aggregates/order.lua:12: ", when the text begins so; that is the place where no other is known. */
static struct str place_skip(struct str text, struct script_fault *fault) {
    const char *end = text.p + text.n;
    const char *at = memmem(text.p, text.n, ".lua:", 5);
    if (!at || memchr(text.p, ' ', (size_t)(at - text.p)))
        return text;
    const char *digit = at + 5, *p = digit;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    if (p == digit || end - p < 2 || p[0] != ':' || p[1] != ' ')
        return text;
    if ((size_t)(digit - 1 - text.p) < sizeof fault->file) {
        memcpy(fault->file, text.p, (size_t)(digit - 1 - text.p));
        fault->file[digit - 1 - text.p] = 0;
        fault->line = atoi(digit);
    }
    return (struct str){p + 2, (size_t)(end - p - 2)};
}

static void traceback_write(lua_State *L, struct script_fault *fault) {
    lua_Debug ar;
    size_t at = 0;
    for (int level = 0; lua_getstack(L, level, &ar) && at < sizeof fault->traceback - 1; level++) {
        lua_getinfo(L, "Sln", &ar);
        if (ar.currentline <= 0)
            continue;
        char line[256];
        if (*ar.what == 'm')
            snprintf(line, sizeof line, "%s:%d: in the file itself", ar.short_src, ar.currentline);
        else if (*ar.namewhat)
            snprintf(line, sizeof line, "%s:%d: in %s '%s'", ar.short_src, ar.currentline, ar.namewhat, ar.name);
        else
            snprintf(line, sizeof line, "%s:%d: in the function of line %d", ar.short_src, ar.currentline,
                     ar.linedefined);
        int n = snprintf(fault->traceback + at, sizeof fault->traceback - at, "%s%s", at ? "\n" : "", line);
        at += (size_t)n;
        if (level > 20)
            break;
    }
}

/* The message handler of script_run(): the stack is still there. */
static int on_error(lua_State *L) {
    struct call *call = script_of(L)->call;
    if (call->fault && !call->rejected) {
        place_note(L, call);
        traceback_write(L, call->fault);
    }
    return 1;
}

static void fault_write(lua_State *L, struct script *s, struct call *call, int status) {
    struct script_fault *fault = call->fault;
    if (memory_broken(L, status))
        status = LUA_ERRMEM;
    if (call->broken == BROKEN_INSTRUCTIONS) {
        snprintf(fault->text, sizeof fault->text, "the handler ran more than %llu instructions",
                 (unsigned long long)s->limits.instructions);
    } else if (call->broken == BROKEN_TIME) {
        snprintf(fault->text, sizeof fault->text, "the handler ran for more than %u s", s->limits.seconds);
    } else if (call->broken == BROKEN_STOPPED) {
        snprintf(fault->text, sizeof fault->text, "the handler was stopped");
    } else if (call->broken == BROKEN_MEMORY) {
        snprintf(fault->text, sizeof fault->text, "the handler used more than %zu MiB of memory",
                 s->limits.memory >> 20);
    } else {
        size_t n;
        const char *text = lua_isstring(L, -1) ? lua_tolstring(L, -1, &n) : NULL;
        char other[64];
        if (!text) {
            snprintf(other, sizeof other, "the error is a %s", luaL_typename(L, -1));
            text = other;
            n = strlen(other);
        }
        struct str message = place_skip((struct str){text, n}, fault);
        fault_text_set(fault, message);
    }
}

/* --- calls */

/* Its first bytes say all: it is large. */
static void fault_clear(struct script_fault *fault) {
    fault->file[0] = fault->text[0] = fault->traceback[0] = 0;
    fault->line = 0;
}

static void call_enter(struct script *s, struct call *call, struct script_fault *fault) {
    call->outer = s->call;
    call->fault = fault;
    call->made_before = s->call ? s->call->made_before + s->call->made : 0;
    call->left = (int64_t)s->limits.instructions;
    call->look_at = call->left - HOOK_EVERY + 1;
    call->began = call->looked = coarse_ms();
    call->entered = s->used;
    call->ceiling = s->used + s->limits.memory;
    call->limited = !call->unlimited;
    if (fault)
        fault_clear(fault);
    s->call = call;
    lua_sethook(s->L, on_count, LUA_MASKCOUNT, HOOK_EVERY);
}

static void call_leave(struct script *s, struct call *call) {
    call->limited = false;
    shields_leave(s, call);
    made_forget(s, call);
    free(call->passed);
    s->call = call->outer;
    if (s->call && s->used > call->entered)
        s->call->ceiling += s->used - call->entered;
}

int script_run(struct script *s, lua_CFunction f, void *arg, struct call *call, struct script_fault *fault) {
    struct call plain = {0};
    struct script_fault unread;
    lua_State *L = s->L;
    call = call ? call : &plain;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return -ENOMEM;
    int top = lua_gettop(L);
    call_enter(s, call, fault ? fault : &unread);
    lua_pushcfunction(L, on_error);
    lua_pushcfunction(L, f);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, top + 1);
    int rc = 0;
    if (call->rejected) {
        rc = SCRIPT_REJECTED;
    } else if (status != LUA_OK) {
        fault_write(L, s, call, status);
        rc = call->broken == BROKEN_MACHINE ? -ENOMEM : SCRIPT_FAILED;
    }
    lua_settop(L, top);
    call_leave(s, call);
    /* What it left behind would be added to by the next; and glibc keeps for itself what is freed in pieces. */
    if (call->broken == BROKEN_MEMORY && !s->call) {
        script_collect(s, true);
        malloc_trim(0);
    }
    return rc;
}

script_value script_keep(lua_State *L) {
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void script_drop(struct script *s, script_value v) {
    if (v)
        luaL_unref(s->L, LUA_REGISTRYINDEX, v);
}

/* --- life */

static int script_open(lua_State *L) {
    struct script *s = script_of(L);
    for (int i = 0; i < PIN_N; i++) {
        lua_newtable(L);
        s->pins[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    pin_push(L, PIN_ARRAY);
    s->array_mt = lua_topointer(L, -1);
    pin_push(L, PIN_EVENT);
    s->event_mt = lua_topointer(L, -1);
    shield_open(L);
    told_open(L);
    decimal_open(L);
    handler_open(L);
    query_open(L);
    sandbox_open(L);
    return 0;
}

int script_new(struct script **out, const struct script_options *options) {
    struct script *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->limits = options->limits;
    if (!s->limits.instructions)
        s->limits.instructions = SCRIPT_INSTRUCTIONS;
    if (!s->limits.seconds)
        s->limits.seconds = SCRIPT_SECONDS;
    if (!s->limits.memory)
        s->limits.memory = SCRIPT_MEMORY;
    s->library = options->library;
    s->library_arg = options->arg;
    s->shapes = calloc(SHAPE_SLOTS, sizeof *s->shapes);
    s->L = s->shapes ? lua_newstate(memory_change, s) : NULL;
    if (s->L) {
        *(struct script **)lua_getextraspace(s->L) = s;
        struct script_fault fault;
        if (script_run(s, script_open, NULL, NULL, &fault) == 0) {
            *out = s;
            return 0;
        }
    }
    script_free(s);
    return -ENOMEM;
}

void script_free(struct script *s) {
    if (!s)
        return;
    if (s->L)
        lua_close(s->L);
    pool_free(&s->pool);
    shapes_free(s);
    natives_free(s);
    buf_free(&s->scratch);
    json_parser_free(s->parser);
    arena_free(&s->arena);
    free(s);
}
