"""What module subprocess is to know of micro-threads; run when it has been imported. Popen.wait(timeout) asks again
and again, up to 50 ms late; here it first waits for the end of the process itself."""
import subprocess

_wait = subprocess.Popen._wait


def wait(self, timeout):
    if timeout is not None and self.returncode is None and not await_child(self.pid, timeout):
        raise subprocess.TimeoutExpired(self.args, timeout)
    return _wait(self, timeout)


wait.__name__ = "_wait"
wait.__qualname__ = "Popen._wait"
subprocess.Popen._wait = wait
