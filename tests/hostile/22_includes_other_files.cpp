// includes a file of the host
// tests: call
// outcome: compile
int solve(int a, int b) {
    const char* text =
#include "/etc/passwd"
    ;
    return text[0];
}
