/* The unwinder of a program that never unwinds. std, built from source with abort on panic and without backtraces, still
 * names these functions, and gcc's own (libgcc_eh) is made for glibc: it asks for _dl_find_object, which musl lacks. What
 * calls one of them all the same meets a fatal signal, as every other broken promise does. */

#define NEVER(name) __attribute__((noreturn)) void name(void) { __builtin_trap(); }

NEVER(_Unwind_Backtrace)
NEVER(_Unwind_DeleteException)
NEVER(_Unwind_FindEnclosingFunction)
NEVER(_Unwind_GetCFA)
NEVER(_Unwind_GetDataRelBase)
NEVER(_Unwind_GetIP)
NEVER(_Unwind_GetIPInfo)
NEVER(_Unwind_GetLanguageSpecificData)
NEVER(_Unwind_GetRegionStart)
NEVER(_Unwind_GetTextRelBase)
NEVER(_Unwind_RaiseException)
NEVER(_Unwind_Resume)
NEVER(_Unwind_SetGR)
NEVER(_Unwind_SetIP)
