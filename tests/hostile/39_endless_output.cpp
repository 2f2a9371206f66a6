// prints without end
// tests: call assert
// outcome: output
#include <stdio.h>
int solve(int a, int b) { for (;;) puts("more and more and more"); }
