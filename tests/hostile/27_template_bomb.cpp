// templates without end
// tests: call
// outcome: compile
template <int N> struct T { typedef typename T<N + 1>::type type; };
int solve(int a, int b) { T<0>::type x; return x; }
