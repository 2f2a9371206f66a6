# a thread bomb
# tests: call stdio
# outcome: processes
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(1000,)).start()
