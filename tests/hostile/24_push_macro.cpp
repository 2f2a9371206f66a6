// pops macros, asks for plugins, and dependencies
// tests: call
// outcome: wrong compile
#pragma push_macro("pspo_serve")
#pragma GCC dependency "/etc/passwd"
#pragma GCC system_header
#pragma comment(lib, "x")
#pragma GCC plugin "/tmp/x.so"
#define pspo_rank int
#pragma pop_macro("pspo_serve")
int solve(int a, int b) { return 4; }
