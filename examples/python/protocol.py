"""The words and rules of the protocol, without a socket or a clock.

The sections named here are those of docs/protocol.md.
"""

import random
import re

DATA = b"from server: "
MAX_CONTROL_LINE = 1024  # bytes, LF included


class Trouble(Exception):
    """What went wrong, in words, and what the protocol says to do about it."""

    def __init__(self, reason, action="retry", retry_after=None):
        super().__init__(reason)
        self.action = action
        self.retry_after = retry_after  # seconds, or None


class Pace:
    """How long to wait after each of a row of troubles ("Coming back").

    Always with jitter: a thousand devices that lost one gateway must not
    return as one.
    """

    def __init__(self):
        self.forget()

    def forget(self):
        self.ceiling = 1.0
        self.reauthed = False

    def after(self, trouble):
        """Return seconds."""
        if trouble.action in ("fix", "none"):
            wait = 3600 + random.uniform(0, 300)
        elif trouble.action == "reauth" and not self.reauthed:
            self.reauthed = True
            wait = 0.0
        else:  # retry, and every action that this client does not know
            wait = random.uniform(0, self.ceiling)
            self.ceiling = min(2 * self.ceiling, 300)
        if trouble.retry_after is not None:
            wait = max(wait, min(trouble.retry_after, 86400) + random.random())
        return wait


class Lines:
    """Splits what arrives at LF, and only there, within limits ("Lines")."""

    def __init__(self):
        self.buffer = b""
        self.max_data = MAX_CONTROL_LINE  # until OK AUTH says what max_line is

    def put(self, received):
        self.buffer += received

    def next(self):
        """Return the next line without its LF, or None if it is not whole."""
        line, end, rest = self.buffer.partition(b"\n")
        if len(line) >= (self.max_data if line.startswith(DATA) else MAX_CONTROL_LINE):
            raise Trouble("the gateway sent a line longer than the protocol allows")
        if not end:
            return None
        self.buffer = rest
        return line


class Reply:
    """A control line: VERB WORD key=value ... [:text]"""

    def __init__(self, line):
        head, _, self.text = line.decode("utf-8", "replace").partition(" :")
        self.verb, *words = head.split(" ")
        self.word = words[0] if words else ""
        self.pairs = dict(word.split("=", 1) for word in words if "=" in word)

    def number(self, key):
        value = self.pairs.get(key, "")
        return int(value) if re.fullmatch("[0-9]{1,9}", value) else None

    def trouble(self):
        """Of a BYE or ERR. The action is for the client, the rest for people."""
        reason = f"the gateway said {self.word}" + (f": {self.text}" if self.text else "")
        return Trouble(reason, self.pairs.get("action", "retry"), self.number("retry_after"))


def printable(text):
    """What a stranger sends must not steer the terminal."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
