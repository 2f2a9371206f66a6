// right, with a `main` and macros of its own
// tests: call assert
// outcome: pass
#include <iostream>
#include <numeric>
#include <vector>
using namespace std;
#define int long long
#define x first
#define all(v) v.begin(), v.end()
int solve(int a, int b) { vector<int> v{a, b}; return accumulate(all(v), 0LL); }
signed main() { int a, b; cin >> a >> b; cout << solve(a, b) << endl; }
