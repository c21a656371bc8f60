#include "script_private.h"

#include <math.h>

void decimal_push(lua_State *L, const struct decimal *d) {
    /* Lua aligns by 8: the number is copied out and in. */
    memcpy(lua_newuserdatauv(L, sizeof *d, 0), d, sizeof *d);
    pin_push(L, PIN_DECIMAL);
    lua_setmetatable(L, -2);
}

bool decimal_get(lua_State *L, int at, struct decimal *out) {
    const void *bytes = lua_touserdata(L, at);
    if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at))
        return false;
    bool is = lua_topointer(L, -1) == script_of(L)->decimal_mt;
    lua_pop(L, 1);
    if (is)
        memcpy(out, bytes, sizeof *out);
    return is;
}

static struct decimal operand_get(lua_State *L, int at) {
    struct decimal d;
    if (decimal_get(L, at, &d))
        return d;
    if (lua_isinteger(L, at))
        decimal_of_int(&d, lua_tointeger(L, at));
    else if (lua_type(L, at) == LUA_TNUMBER)
        luaL_error(L, "a decimal and a float do not mix: make the other a decimal, from text");
    else
        luaL_error(L, "a decimal and a %s do not mix", luaL_typename(L, at));
    return d;
}

static int result_push(lua_State *L, int rc, const struct decimal *d, const char *what) {
    if (rc == DECIMAL_INEXACT)
        return luaL_error(L, "%s is not exact in 34 digits: round() what goes in", what);
    if (rc == DECIMAL_INVALID)
        return luaL_error(L, "%s is not a number: a division by zero", what);
    decimal_push(L, d);
    return 1;
}

typedef int operation(struct decimal *out, const struct decimal *a, const struct decimal *b);

static int operate(lua_State *L, operation *op, const char *what) {
    struct decimal a = operand_get(L, 1), b = operand_get(L, 2), d;
    int rc = op(&d, &a, &b);
    return result_push(L, rc, &d, what);
}

static int add(lua_State *L) {
    return operate(L, decimal_add, "the sum");
}

static int sub(lua_State *L) {
    return operate(L, decimal_sub, "the difference");
}

static int mul(lua_State *L) {
    return operate(L, decimal_mul, "the product");
}

static int divide(lua_State *L) {
    return operate(L, decimal_div, "the quotient");
}

static int rem(lua_State *L) {
    return operate(L, decimal_rem, "the remainder");
}

static int negate(lua_State *L) {
    struct decimal a = operand_get(L, 1), zero, d;
    decimal_of_int(&zero, 0);
    int rc = decimal_sub(&d, &zero, &a);
    return result_push(L, rc, &d, "the negative");
}

static int compare(lua_State *L) {
    struct decimal a = operand_get(L, 1), b = operand_get(L, 2);
    return decimal_compare(&a, &b);
}

static int equals(lua_State *L) {
    struct decimal a, b;
    lua_pushboolean(L, decimal_get(L, 1, &a) && decimal_get(L, 2, &b) && decimal_compare(&a, &b) == 0);
    return 1;
}

static int less(lua_State *L) {
    lua_pushboolean(L, compare(L) < 0);
    return 1;
}

static int less_or_equal(lua_State *L) {
    lua_pushboolean(L, compare(L) <= 0);
    return 1;
}

static void text_push(lua_State *L, int at) {
    struct decimal d;
    char text[DECIMAL_CHARS];
    if (decimal_get(L, at, &d))
        lua_pushlstring(L, text, decimal_write(&d, text));
    else if (lua_isstring(L, at))
        lua_tolstring((lua_pushvalue(L, at), L), -1, NULL);
    else
        luaL_error(L, "attempt to concatenate a decimal and a %s", luaL_typename(L, at));
}

static int concatenate(lua_State *L) {
    text_push(L, 1);
    text_push(L, 2);
    lua_concat(L, 2);
    return 1;
}

static int tostring(lua_State *L) {
    text_push(L, 1);
    return 1;
}

static int round_to(lua_State *L) {
    struct decimal d;
    if (!decimal_get(L, 1, &d))
        return luaL_error(L, "round() is for decimals: x:round(2)");
    lua_Integer digits = luaL_optinteger(L, 2, 0);
    if (digits < -34 || digits > 34)
        return luaL_error(L, "a decimal is rounded to -34 to 34 digits");
    int rc = decimal_round(&d, &d, (int)digits);
    return result_push(L, rc, &d, "the rounded number");
}

int decimal_make(lua_State *L) {
    struct decimal d;
    if (decimal_get(L, 1, &d)) {
        lua_settop(L, 1);
        return 1;
    }
    if (lua_isinteger(L, 1)) {
        decimal_of_int(&d, lua_tointeger(L, 1));
        decimal_push(L, &d);
        return 1;
    }
    if (lua_type(L, 1) == LUA_TNUMBER) {
        char own[NUMBER_CHARS];
        double v = lua_tonumber(L, 1);
        if (!isfinite(v))
            return luaL_error(L, "decimal() takes no number that is %s", isnan(v) ? "not a number" : "infinite");
        lua_settop(L, 0);
        lua_pushlstring(L, own, number_write(v, own));
    }
    if (lua_type(L, 1) != LUA_TSTRING)
        return luaL_error(L, "decimal() takes text like \"1.10\" or a number, not a %s", luaL_typename(L, 1));
    struct str text;
    text.p = lua_tolstring(L, 1, &text.n);
    int rc = decimal_read(&d, text);
    if (rc == DECIMAL_INEXACT)
        return luaL_error(L, "decimal(\"%s\") has more than 34 digits", text.p);
    if (rc)
        return luaL_error(L, "decimal(\"%s\") is not a number", text.p);
    decimal_push(L, &d);
    return 1;
}

void decimal_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"__add", add},           {"__sub", sub},   {"__mul", mul}, {"__div", divide},       {"__mod", rem},
        {"__unm", negate},        {"__eq", equals}, {"__lt", less}, {"__le", less_or_equal}, {"__concat", concatenate},
        {"__tostring", tostring}, {NULL, NULL}};
    pin_push(L, PIN_DECIMAL);
    luaL_setfuncs(L, functions, 0);
    lua_newtable(L);
    lua_pushcfunction(L, round_to);
    lua_setfield(L, -2, "round");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "decimal");
    lua_setfield(L, -2, "__name");
    script_of(L)->decimal_mt = lua_topointer(L, -1);
    lua_pop(L, 1);
}
