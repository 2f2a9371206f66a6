// recursion without end
// tests: call assert
// outcome: runtime
int solve(int a, int b) {
    volatile int here[1000];
    here[a & 7] = b;
    return solve(a + 1, b) + here[3];
}
