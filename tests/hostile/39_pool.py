# a `multiprocessing.Pool` that finishes
# tests: stdio
# outcome: pass
import multiprocessing
def double(x):
    return 2 * x
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]
    print(sum(map(int, input().split())))
