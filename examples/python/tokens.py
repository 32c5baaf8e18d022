"""Where tokens come from.

A source has one method, token(fresh): with fresh, the last one will not do.
What goes wrong is a Trouble, and says nothing of token or secret.
"""

import asyncio
import base64
import contextlib
import http.client
import ipaddress
import json
import re
import shlex
import time
import urllib.error
import urllib.parse
import urllib.request

from protocol import Trouble

COMMAND_TIMEOUT = 30  # seconds
HTTP_TIMEOUT = 10  # seconds


class TokenCommand:
    """The first line that a command prints; it must be a new one every time."""

    def __init__(self, command):
        self.argv = shlex.split(command)
        if not self.argv:
            raise ValueError("--token-command: is empty")

    async def token(self, fresh):
        name, pipe = self.argv[0], asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
            )
        except OSError as err:
            raise Trouble(f"no token: {name}: {err.strerror}") from None
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                output, complaint = await process.communicate()
        except TimeoutError:
            raise Trouble(f"no token: {name} took longer than {COMMAND_TIMEOUT} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise Trouble(f"no token: {name} ended with status {process.returncode}: {last[:300]}")
        return checked(output.partition(b"\n")[0], name)


class TokenFile:
    """The first line of a file that somebody else keeps fresh."""

    def __init__(self, path):
        self.path = path

    async def token(self, fresh):
        try:
            with open(self.path, "rb") as file:
                return checked(file.readline(65536), self.path)
        except OSError as err:
            raise Trouble(f"no token: {self.path}: {err.strerror}") from None


class ClientCredentials:
    """Asks an authorization server (RFC 6749 section 4.4)."""

    def __init__(self, issuer, client_id, secret, scope):
        self.issuer = checked_url("--issuer", issuer)
        self.client_id, self.secret, self.scope = client_id, secret, scope
        self.endpoint = None  # until discovered
        self.kept, self.until = None, 0.0

    async def token(self, fresh):
        if fresh or time.monotonic() >= self.until:
            # urllib blocks, so it does that in a thread.
            self.kept, life = await asyncio.to_thread(self.ask)
            self.until = time.monotonic() + life - min(life / 10, 30)
        return self.kept

    def ask(self):
        """Return a token and its life in seconds, 0 if that is not told."""
        try:
            if self.endpoint is None:
                self.endpoint = self.discover()
            answer = self.request()
        except urllib.error.HTTPError as err:
            with err:
                code = refusal(err)
            # A server that knows its mind will not change it within the hour.
            action = "fix" if code in ("invalid_client", "unauthorized_client", "invalid_scope") else "retry"
            raise Trouble(f"no token: {err.url}: HTTP {err.code} {code}", action) from None
        except (OSError, ValueError, http.client.HTTPException) as err:
            self.endpoint = None  # perhaps it moved
            raise Trouble(f"no token: {self.issuer}: {getattr(err, 'reason', err)}") from None
        if str(answer.get("token_type", "")).lower() != "bearer":
            raise Trouble(f"no token: {self.issuer}: the token's type is not Bearer")
        life = answer.get("expires_in")
        life = life if isinstance(life, (int, float)) and life > 0 else 0
        return checked(str(answer.get("access_token", "")).encode(), self.issuer), life

    def discover(self):
        """Find the token endpoint in the server's metadata (RFC 8414 section 3)."""
        at = urllib.parse.urlsplit(self.issuer)
        path = "/.well-known/oauth-authorization-server" + at.path.rstrip("/")
        metadata = fetch(urllib.request.Request(f"{at.scheme}://{at.netloc}{path}"))
        if metadata.get("issuer") != self.issuer:
            raise ValueError("its metadata names another issuer")
        return checked_url("token_endpoint", str(metadata.get("token_endpoint", "")))

    def request(self):
        form = {"grant_type": "client_credentials"}
        if self.scope:
            form["scope"] = self.scope
        # Id and secret are form-encoded before Basic encodes them once more
        # (RFC 6749 section 2.3.1).
        pair = ":".join(map(urllib.parse.quote_plus, (self.client_id, self.secret)))
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return fetch(urllib.request.Request(self.endpoint, urllib.parse.urlencode(form).encode(), headers))


def fetch(request):
    """Return the JSON object that a server answers."""
    with urllib.request.build_opener(NoRedirect).open(request, timeout=HTTP_TIMEOUT) as response:
        answer = response.read(256 << 10)
    with contextlib.suppress(ValueError):  # its text may quote a token
        answer = json.loads(answer)
    if not isinstance(answer, dict):
        raise ValueError(f"{request.full_url} answers no JSON object")
    return answer


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the secret somewhere else."""

    def redirect_request(self, *_):
        return None


def refusal(response):
    """Return the code of an error answer (RFC 6749 section 5.2), if it has one."""
    with contextlib.suppress(ValueError, OSError, AttributeError):
        code = str(json.loads(response.read(4096)).get("error"))
        if re.fullmatch("[a-z_]{1,40}", code):
            return code
    return "without a reason"


def checked(token, origin):
    """Return what can be sent. What cannot must be neither sent nor shown."""
    token = token.strip()
    if not re.fullmatch(rb"[A-Za-z0-9_.-]{1,16384}", token):
        raise Trouble(f"no token: what {origin} gives is not one")
    return token


def checked_url(name, url):
    at = urllib.parse.urlsplit(url)
    if at.hostname and not at.username and (at.scheme == "https" or at.scheme == "http" and is_loopback(at.hostname)):
        return url
    raise ValueError(f"{name} {url!r}: want https, or http on loopback")


def is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
