"""Runs a command in a pseudo terminal of 40 rows and 100 columns, whose keys are the standard input
and whose screen is the standard output. Exits with the command's code, or 128+n for a signal."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])

keyboard = 0
while True:
    sources = [terminal] if keyboard is None else [terminal, keyboard]
    ready, _, _ = select.select(sources, [], [])
    if keyboard in ready:
        keys = os.read(keyboard, 65536)
        if keys:
            os.write(terminal, keys)
        else:
            keyboard = None
    if terminal in ready:
        try:
            screen = os.read(terminal, 65536)
        except OSError:
            break
        if not screen:
            break
        os.write(1, screen)
status = os.waitpid(pid, 0)[1]
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
