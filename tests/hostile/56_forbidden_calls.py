# loads a kernel program
# tests: call
# outcome: tamper
import ctypes
ctypes.CDLL(None).syscall(321, 0, 0, 0)
