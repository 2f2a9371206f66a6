// NaN and infinity against a tolerance
// tests: float assert_float
// outcome: wrong
float solve(int a, int b) { return 0.0f / 0.0f; }
