// right, by threads, printing as it goes
// tests: call assert
// outcome: pass
#include <iostream>
#include <thread>
int solve(int a, int b) {
    int sum = 0;
    std::thread adds([&] { sum = a + b; });
    adds.join();
    std::cout << "the sum is " << sum << std::endl;
    return sum;
}
