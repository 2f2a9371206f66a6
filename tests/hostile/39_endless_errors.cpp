// complains without end
// tests: call
// outcome: output
#include <stdio.h>
int solve(int a, int b) { for (;;) fputs("more and more and more\n", stderr); }
