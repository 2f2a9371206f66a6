// a comment that is not closed
// tests: call assert
// outcome: compile wrong
int solve(int a, int b) { return a + b; }
#undef main
int main() { return 0; }
/*
