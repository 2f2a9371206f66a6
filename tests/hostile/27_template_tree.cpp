// templates that double
// tests: call
// outcome: compile
template <int N, int M> struct T { static constexpr long value = T<N - 1, M * 2>::value + T<N - 1, M * 2 + 1>::value; };
template <int M> struct T<0, M> { static constexpr long value = M; };
int solve(int a, int b) { return T<25, 1>::value; }
