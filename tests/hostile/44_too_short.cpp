// a list that is too short for what the tests look at
// tests: assert_list
// outcome: runtime
#include <vector>
std::vector<int> solve(int a, int b) { return {}; }
