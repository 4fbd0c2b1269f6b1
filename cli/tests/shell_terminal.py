"""Talks to `kv shell db` through a pseudo-terminal: python3 shell_terminal.py KV, in a folder with a database `db` of
fruits. It ends with an error and with what the terminal showed if something is missing."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

KV = sys.argv[1]
ROWS = 24


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, *options, **environment):
        self.seen = b""
        self.at = 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            state = os.path.join(os.getcwd(), "state")
            environment = {"TERM": "xterm", "XDG_STATE_HOME": state, "LC_ALL": "C.UTF-8", **environment}
            os.execve(KV, [KV, "shell", "db", *options], {**os.environ, **environment})
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, 100, 0, 0))

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self.fd, 1 << 16)
        except OSError:
            return False
        self.seen += part
        return bool(part)

    def expect(self, what):
        """Waits until the terminal has shown this after what was expected before."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found = re.compile(what.encode()).search(self.plain(), self.at)
            if found:
                self.at = found.end()
                return found.group().decode()
            self.read(0.2)
        sys.exit(f"{what!r} is not shown after {self.plain()[:self.at][-80:]!r}:\n{self.plain()[self.at:][-2000:]!r}")

    def plain(self):
        """What was shown, without what moves the cursor."""
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self.seen)

    def send(self, text):
        os.write(self.fd, text.encode())

    def line(self, text):
        self.send(text + "\r")

    def end(self):
        """Waits for the end of the shell, and returns its exit status."""
        while self.read(5):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def completion():
    t = Terminal()
    t.expect("help lists the commands")
    t.expect("db> ")
    # A word that is whole gets the blank behind it.
    t.send("ge\t")
    t.expect("get")
    t.send("ban\t\r")
    t.expect("yellow")
    t.expect("db> ")
    t.line("put --create --table 'some fruit' 'a key' value")
    t.expect("db.*> ")
    t.send("table so\t\r")
    t.expect("db some fruit> ")
    t.send("get a\t\r")
    t.expect("value")
    t.expect("> ")
    t.line("table")
    t.expect("db> ")
    t.send("scan --keys\t\r")
    t.expect("cherry")
    t.expect("db> ")
    t.send("scan --lim\t1\r")
    t.expect("apple")
    t.expect("db> ")
    t.line("begin")
    t.expect(r"db \[transaction\]> ")
    t.line("put date brown")
    t.expect(r"db \[transaction\]> ")
    # Completion sees what the transaction wrote.
    t.line("put foo bar")
    t.expect(r"db \[transaction\]> ")
    t.send("get fo\t\r")
    t.expect("bar")
    t.expect(r"db \[transaction\]> ")
    t.send("get da\t\r")
    t.expect("brown")
    t.expect(r"db \[transaction\]> ")
    # What is refused before it writes leaves the transaction whole.
    t.line("put --no-overwrite date black")
    t.expect("has a value already")
    t.expect(r"db \[transaction\]> ")
    with open("wrong", "w") as lines:
        lines.write("key,value\na,b\nc\n")
    t.line("load wrong")
    t.expect(r"db \[failed transaction\]> ")
    t.line("abort")
    t.expect("db> ")
    t.line("snapshot on")
    t.expect(r"db \[snapshot \d+\]> ")
    t.line("quit")
    assert t.end() == 0


def history():
    t = Terminal()
    t.expect("db> ")
    t.line("get cherry")
    t.expect("dark")
    t.expect("db> ")
    t.line(" count --prefix hidden")
    t.expect("0\r\n")
    t.expect("db> ")
    t.send("\x04")
    assert t.end() == 0
    kept = open("state/kv/history").read()
    assert "get cherry" in kept and "hidden" not in kept, kept
    assert os.stat("state/kv/history").st_mode & 0o077 == 0
    # The next shell knows the line.
    t = Terminal()
    t.expect("db> ")
    t.send("\x1b[A\r")
    t.expect("get cherry")
    t.expect("dark")
    t.expect("db> ")
    t.line("quit")
    assert t.end() == 0
    t = Terminal("--no-history")
    t.expect("db> ")
    t.line("count --prefix nobody")
    t.expect("0\r\n")
    t.expect("db> ")
    t.line("quit")
    assert t.end() == 0
    assert "nobody" not in open("state/kv/history").read()


def pager_and_interrupt():
    text = "".join(f"key{n:07},{'v' * 60}\n" for n in range(300_000))
    subprocess.run([KV, "load", "-q", "-c", "-t", "many", "db"], input="key,value\n" + text, text=True, check=True)
    # What fits on the screen needs no pager; what does not fit is counted by this one.
    t = Terminal(PAGER="wc -l")
    t.expect("db> ")
    t.line("scan --keys-only --table many --limit 5")
    t.expect("key0000004")
    t.expect("db> ")
    t.line("scan --keys-only --table many --limit 1234")
    t.expect(r"\b1234\r\n")
    t.expect("db> ")
    # Ctrl-C on a line that is being typed forgets the line.
    t.send("get nonsense\x03")
    t.expect("db> ")
    t.line("quit")
    assert t.end() == 0
    # Ctrl-C ends a command, and the shell goes on.
    t = Terminal(PAGER="")
    t.expect("db> ")
    t.line("scan --table many")
    t.expect("key0000100")
    t.send("\x03")
    t.expect("interrupted")
    t.expect("db> ")
    assert b"key0299999" not in t.plain()
    t.line("get apple")
    t.expect("red")
    # So does it while others write.
    t.expect("db> ")
    writer = subprocess.Popen([KV, "shell", "db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdin.write(b"begin\nget apple\n")
    writer.stdin.flush()
    writer.stdout.read(1)
    t.line("put apple green")
    time.sleep(0.5)
    t.send("\x03")
    t.expect("interrupted")
    t.expect("db> ")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    t.line("get apple")
    t.expect("red")
    t.expect("db> ")
    t.line("quit")
    assert t.end() == 0


def bytes_that_are_no_text():
    t = Terminal()
    t.expect("db> ")
    t.line("begin")
    t.expect(r"db \[transaction\]> ")
    t.line("put elder black")
    t.expect(r"db \[transaction\]> ")
    os.write(t.fd, b"put caf\xff")
    t.expect(r"kv: the line has a byte that is not UTF-8, .* \\xHH")
    t.expect("the rest of the line, up to Enter: ")
    # What follows on the same line is no command.
    t.send("commit\r")
    t.expect(r"db \[transaction\]> ")
    t.line("get elder")
    t.expect("black")
    t.expect(r"db \[transaction\]> ")
    t.send("\x04")
    t.expect("the transaction was not committed, and is undone")
    assert t.end() == 0


completion()
history()
bytes_that_are_no_text()
pager_and_interrupt()
