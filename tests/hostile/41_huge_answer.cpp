// an answer that takes all memory
// tests: list assert_list
// outcome: output memory
#include <vector>
std::vector<int> solve(int a, int b) { return std::vector<int>(1 << 23, a); }
