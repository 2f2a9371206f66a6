# one of many right answers
# tests: checker
# outcome: pass
a, b = map(int, input().split())
print(b, a)
