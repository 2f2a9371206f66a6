# an object that never ends
# tests: assert_list
# outcome: wrong timeout memory
class Endless:
    def __iter__(self):
        while True:
            yield 1
    def __len__(self):
        return 1 << 62
    def __getitem__(self, key):
        return 1
def solve(a, b):
    return Endless()
