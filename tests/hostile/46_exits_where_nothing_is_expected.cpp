// leaves before it prints, where nothing is to be printed
// tests: empty
// outcome: runtime
#include <stdlib.h>
int main() { exit(1); }
