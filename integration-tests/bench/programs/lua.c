/* Lua runs WORK rounds of a script: closures, tables, strings, a sort with a callback, coroutines.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "kernel.h"

static const char script[] =
    "local work = ...\n"
    "local sum = 0\n"
    "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end\n"
    "for round = 1, work do\n"
    "  sum = sum + fib(18)\n"
    "  local points = {}\n"
    "  for i = 1, 2000 do points[i] = {x = (i * 7919 + round) % 1000, name = 'p' .. i} end\n"
    "  table.sort(points, function(a, b) return a.x < b.x or (a.x == b.x and a.name < b.name) "
    "end)\n"
    "  for i, p in ipairs(points) do sum = sum + i * p.x % 17 end\n"
    "  local words = {}\n"
    "  for word in ('the quick brown fox jumps over the lazy dog '):rep(60):gmatch('%a+') do\n"
    "    words[word] = (words[word] or 0) + 1\n"
    "  end\n"
    "  sum = sum + words.the + #string.format('%5d %s %.3f', round, 'x', round / 3)\n"
    "  local squares = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield(i * i) end "
    "end)\n"
    "  for i = 1, 1000 do sum = sum + squares() % 5 end\n"
    "end\n"
    "return sum\n";

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  lua_State* lua = luaL_newstate();
  if (lua == NULL) return 3;
  luaL_openlibs(lua);
  if (luaL_loadstring(lua, script) != LUA_OK) return 4;
  lua_pushinteger(lua, work);
  if (lua_pcall(lua, 1, 1, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(lua, -1));
    return 5;
  }
  printf("%lld\n", (long long)lua_tointeger(lua, -1));
  lua_close(lua);
  return 0;
}
