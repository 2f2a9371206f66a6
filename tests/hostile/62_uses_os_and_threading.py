# a right program that uses `os` and `threading`
# tests: call assert stdio
# outcome: pass
import os, threading
def solve(a, b):
    found = []
    threads = [threading.Thread(target=lambda: found.append(a + b)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.path.exists(os.getcwd()) and os.getpid() > 0 and os.cpu_count() and len(found) == 4
    return found[0]
if __name__ == "__main__":
    print(solve(*map(int, input().split())))
