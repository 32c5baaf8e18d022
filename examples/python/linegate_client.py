#!/usr/bin/env python3
"""A device that keeps a session with a linegate gateway.

Python 3.11 or later and its standard library, nothing else. It says AUTH, then
"Hello World!", a ping after 5 s and then every 10 s, and prints what it
receives. It renews its token on the same connection, and when it is dropped it
says why and connects again, when and as the gateway's action asks for.

    linegate_client.py                                  # beside `make run`
    linegate_client.py --ca-file ca.pem gateway.example.com:8886

protocol.py has the rules, tokens.py gets the tokens.
"""

import argparse
import asyncio
import contextlib
import os
import re
import ssl
import sys
import time

from protocol import DATA, Lines, Pace, Reply, Trouble, printable
from tokens import ClientCredentials, TokenCommand, TokenFile, is_loopback

HELLO = b"Hello World!"
FIRST_PING, PING_EVERY = 5, 10  # seconds; sooner where idle_timeout asks for it
SILENCE = 30  # seconds without a line, not even a pong: the peer is gone
CONNECT_TIMEOUT = 10  # seconds, TLS included
SETTLED = 60  # seconds; a session this long makes earlier failures forgotten
SECRET_VARIABLE = "LINEGATECTL_CLIENT_SECRET"  # the one that linegatectl reads


async def stay(host, port, context, tokens):
    """Be connected, for as long as the program lives."""
    pace, fresh = Pace(), False
    while True:
        session = None
        try:
            token = await tokens.token(fresh)
            fresh = False
            async with connection(host, port, context) as (reader, writer):
                session = Session(reader, writer, tokens, token)
                trouble = await session.run()
        except Trouble as no_session:
            trouble = no_session
        if session and session.lasted() >= SETTLED:
            pace.forget()
        fresh = fresh or trouble.action == "reauth"
        wait = pace.after(trouble)
        tell(f"{trouble} (action {trouble.action}); connecting again in {wait:.1f} s")
        await asyncio.sleep(wait)


@contextlib.asynccontextmanager
async def connection(host, port, context):
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        raise Trouble(f"no connection to {host} port {port} in {CONNECT_TIMEOUT} s") from None
    except OSError as err:
        raise Trouble(f"no connection to {host} port {port}: {err.strerror or err}") from None
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # and TimeoutError: it may be gone
            async with asyncio.timeout(1):
                await writer.wait_closed()


class Session:
    """Three tasks share a connection: one receives, one speaks, one renews.

    Only the receiver ends it: when sending fails, a BYE that says why may
    still be waiting to be read.
    """

    def __init__(self, reader, writer, tokens, token):
        self.reader, self.writer = reader, writer
        self.tokens = tokens
        self.token = token  # that was accepted last
        self.sending = asyncio.Lock()
        self.notice = asyncio.Event()  # the gateway wants a new token now
        self.answers = asyncio.Queue()  # to a renewal: OK or ERR
        self.background = []
        self.began = None  # when the first OK came
        self.reauth_in = self.idle_timeout = None  # seconds, from the last OK

    def lasted(self):
        return time.monotonic() - self.began if self.began else 0

    async def run(self):
        """Talk until it is over; return the Trouble that ended it."""
        await self.send(b"AUTH " + self.token)
        async with asyncio.TaskGroup() as self.group:
            trouble = await self.receive()
            for task in self.background:
                task.cancel()
        return trouble

    async def receive(self):
        lines = Lines()
        while True:
            try:
                while (line := lines.next()) is None:
                    async with asyncio.timeout(SILENCE):
                        received = await self.reader.read(4096)
                    if not received:
                        return Trouble("the gateway closed without a BYE")
                    lines.put(received)
            except TimeoutError:
                return Trouble(f"the gateway was silent for {SILENCE} s")
            except OSError as err:
                return Trouble(f"the connection broke: {err.strerror or err}")
            except Trouble as trouble:
                return trouble
            show("<", line)
            if line.startswith(DATA):
                continue
            reply = Reply(line)
            if reply.verb == "BYE":
                return reply.trouble()
            elif reply.verb == "OK":
                lines.max_data = len(DATA) + (reply.number("max_line") or 0) + 1
                self.accepted(reply)
            elif reply.verb == "ERR" and reply.pairs.get("for") == "auth":
                self.answers.put_nowait(reply)
            elif reply.verb == "NOTICE" and reply.word == "reauth":
                self.notice.set()
            # Nothing to do for pong, other notices, and verbs that are not
            # known: later versions may bring some.

    def accepted(self, ok):
        self.idle_timeout = ok.number("idle_timeout") or SILENCE
        self.reauth_in = ok.number("reauth_in")
        self.notice.clear()  # the gateway has what it asked for
        if self.began is None:
            self.began = time.monotonic()
            self.background = [self.group.create_task(work) for work in (self.speak(), self.renew())]
        else:
            self.answers.put_nowait(ok)

    async def speak(self):
        await self.send(HELLO)
        await asyncio.sleep(min(FIRST_PING, self.idle_timeout / 3))
        while True:
            await self.send(b"ping")
            await asyncio.sleep(min(PING_EVERY, self.idle_timeout / 3))

    async def renew(self):
        """Send a new token when it is time, and again and again if that fails."""
        pace, wait = Pace(), self.reauth_in
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.notice.wait()
            self.notice.clear()
            try:
                await self.reauth()
            except Trouble as trouble:
                wait = max(pace.after(trouble), 1)  # more than one a second is refused
                tell(f"not renewed: {trouble} (action {trouble.action}); again in {wait:.1f} s")
            else:
                pace.forget()
                wait = self.reauth_in

    async def reauth(self):
        token = await self.tokens.token(fresh=True)
        if token == self.token:  # would be answered OK, and extend nothing
            raise Trouble("there is no newer token")
        await self.send(b"AUTH " + token)
        answer = await self.answers.get()
        if answer.verb == "ERR":
            raise answer.trouble()
        self.token = token

    async def send(self, line):
        show(">", b"AUTH ..." if line.startswith(b"AUTH ") else line)
        with contextlib.suppress(OSError):  # the receiver sees it too
            async with self.sending:
                self.writer.write(line + b"\n")
                await self.writer.drain()


def show(direction, line):
    print(direction, printable(line), flush=True)


def tell(message):
    print("linegate_client:", printable(message), file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(64, f"linegate_client: {message}; see --help\n")


def arguments(argv):
    parser = Parser(prog="linegate_client.py", description="Keep a session with a linegate gateway.")
    add = parser.add_argument
    add("address", nargs="?", default="127.0.0.1:8885", metavar="HOST:PORT",
        help="the gateway (default %(default)s); TLS unless it is loopback")
    add("--ca-file", metavar="PEM", help="authorities to trust instead of the system's; TLS on loopback too")
    add("--token-command", metavar="COMMAND", help="prints a new token each time (default: linegatectl token --fresh)")
    add("--token-file", metavar="FILE", help="its first line is the token; read again each time")
    add("--issuer", metavar="URL", help="authorization server to ask by client credentials; "
        f"the secret is in the environment, {SECRET_VARIABLE}")
    add("--client-id", metavar="ID", help="with --issuer (default: dev-device)")
    add("--scope", help="with --issuer: what to ask for (default: what the server gives)")
    options = parser.parse_args(argv)
    try:
        return *gateway(options), token_source(options)
    except ValueError as err:
        parser.error(str(err))


def gateway(options):
    host, _, port = options.address.rpartition(":")
    host = host.strip("[]")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"address {options.address!r}: want HOST:PORT")
    if options.ca_file is None and is_loopback(host):
        return host, int(port), None
    try:
        return host, int(port), ssl.create_default_context(cafile=options.ca_file)
    except OSError as err:  # no such file, or no certificate in it
        raise ValueError(f"--ca-file {options.ca_file}: {err.strerror or err}") from None


def token_source(options):
    if [options.token_command, options.token_file, options.issuer].count(None) < 2:
        raise ValueError("--token-command, --token-file and --issuer: give one of them")
    if options.issuer is None and (options.client_id or options.scope):
        raise ValueError("--client-id and --scope: only with --issuer")
    if options.token_file is not None:
        return TokenFile(options.token_file)
    if options.issuer is None:
        return TokenCommand(options.token_command or "linegatectl token --fresh")
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        raise ValueError(f"--issuer: {SECRET_VARIABLE}, the client's secret, is not in the environment")
    return ClientCredentials(options.issuer, options.client_id or "dev-device", secret, options.scope)


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    host, port, context, tokens = arguments(sys.argv[1:])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(stay(host, port, context, tokens))


if __name__ == "__main__":
    main()
