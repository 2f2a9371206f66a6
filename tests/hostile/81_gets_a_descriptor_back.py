# `pidfd_getfd` on the keeper
# tests: call
# outcome: tamper
import ctypes
libc = ctypes.CDLL(None)
fd = libc.syscall(434, 1, 0)
libc.syscall(438, fd, 0, 0)
