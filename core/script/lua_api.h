/* Lua's own headers, for script_*.c alone. */
#ifndef ESFS_LUA_API_H
#define ESFS_LUA_API_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#if LUA_VERSION_NUM != 504
#error "this is written for Lua 5.4"
#endif

#endif
