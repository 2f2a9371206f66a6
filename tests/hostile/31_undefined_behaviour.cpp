// returns nothing where it should
// tests: call assert
// outcome: wrong runtime timeout tamper
int solve(int a, int b) {
    int* x = nullptr;
    if (a > 100) return *x;
}
