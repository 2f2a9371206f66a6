// includes itself and what stands around it
// tests: call
// outcome: compile
int solve(int a, int b) { return a + b; }
#include "types.hpp"
#include "main.cpp"
