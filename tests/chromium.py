"""A real browser for tests: Chromium, driven by its DevTools protocol over a pipe; no port, no library.

    with run_chromium(folder) as browser:
        page = browser.open("http://127.0.0.1:8750/")
        assert page.run("document.title") == "Verify a recording · Provenote"

Messages are JSON that ends in a zero byte (`--remote-debugging-pipe`: commands in at descriptor 3, answers
and events out at 4). What a page logs as an error, and every request that it makes, is kept.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
TIMEOUT_S = 60.0


class Browser:
    """The running browser: commands go out, answers are matched by number, events are kept by session."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._numbers = itertools.count(1)
        self._rest = b""
        self._pending: dict[int, dict[str, Any]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}

    def call(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """Send a command and return its result; RuntimeError with the browser's words if it refuses."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        deadline = time.monotonic() + TIMEOUT_S
        while number not in self._pending:
            self.receive(deadline)
        answer = self._pending.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def receive(self, deadline: float) -> None:
        """Read what the browser says next."""
        ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError("the browser does not answer")
        chunk = os.read(self._answers, 1 << 20)
        if not chunk:
            raise RuntimeError("the browser has ended")
        *messages, self._rest = (self._rest + chunk).split(b"\0")
        for item in map(json.loads, messages):
            if "id" in item:
                self._pending[item["id"]] = item
            else:
                self.events.setdefault(item.get("sessionId", ""), []).append(item)

    def open(
        self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = True
    ) -> "Page":
        """Open an address in a fresh profile and wait until it is loaded."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        page.visit(address)
        return page


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser, self._session, self._context = browser, session, context

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command to this tab."""
        return self._browser.call(method, self._session, **params)

    def close(self) -> None:
        """Close the tab and forget its profile."""
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def _count(self, method: str) -> int:
        return sum(item["method"] == method for item in self._browser.events.get(self._session, ()))

    def _wait_for(self, method: str, count: int) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while self._count(method) < count:
            self._browser.receive(deadline)

    def visit(self, address: str) -> None:
        """Go to an address and wait until it is loaded."""
        loaded = self._count("Page.loadEventFired")
        self.call("Page.navigate", url=address)
        self._wait_for("Page.loadEventFired", loaded + 1)

    def run(self, expression: str) -> Any:
        """Evaluate an expression in the page, wait for a promise, and return its value."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.run(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"still not true: {expression}"
            time.sleep(0.05)

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into a file input, as if a person had chosen it."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def submit(self, expression: str) -> None:
        """Run what leads to another page, and wait until that is loaded; works without scripts as well."""
        loaded = self._count("Page.loadEventFired")
        self.call("Runtime.evaluate", expression=expression, userGesture=True)
        self._wait_for("Page.loadEventFired", loaded + 1)

    def press(self, key: str, code: int) -> None:
        """Press a key and let go of it."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def requests(self) -> list[str]:
        """Return the addresses of everything that the tab asked for."""
        return [
            item["params"]["request"]["url"]
            for item in self._browser.events.get(self._session, ())
            if item["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Return what the browser holds against the page: errors of scripts, of loading, of its policy."""
        found = []
        for item in self._browser.events.get(self._session, ()):
            params = item["params"]
            if item["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"].get("exception", {}).get("description")))
            if item["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        return found

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture of the page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


def run_axe(page: Page, rule: str | None = None) -> list[str]:
    """Return what axe-core holds against the page, by WCAG 2.1 AA and its own best practice, or one rule."""
    package = find_spec("axe_playwright_python")
    if package is None:
        return []
    assert package.submodule_search_locations is not None
    page.run(Path(package.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8") + ";0")
    # A colour under way from one theme to the other is nobody's.
    page.run("Promise.all(document.getAnimations().map(item => item.finished))")
    rules = [rule] if rule else ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    options = {"runOnly": {"type": "rule" if rule else "tag", "values": rules}, "resultTypes": ["violations"]}
    found = page.run(
        f"axe.run({json.dumps(options)})"
        """.then(result => result.violations.map(
          item => `${item.id}: ${item.nodes.map(node => node.html.slice(0, 160)).join(" | ")}`))"""
    )
    return list(found)


@contextlib.contextmanager
def run_chromium(folder: Path) -> Iterator[Browser]:
    """Start Chromium with a profile in a folder, and end it."""
    program = shutil.which("chromium")
    assert program is not None
    command_in, commands = os.pipe()
    answers, answer_out = os.pipe()
    silence = os.open(os.devnull, os.O_RDWR)
    # The ends in hand may themselves be 3 and 4: they are moved out of the way first.
    actions = [
        (os.POSIX_SPAWN_DUP2, command_in, 10),
        (os.POSIX_SPAWN_DUP2, answer_out, 11),
        (os.POSIX_SPAWN_DUP2, 10, 3),
        (os.POSIX_SPAWN_DUP2, 11, 4),
        (os.POSIX_SPAWN_DUP2, silence, 0),
        (os.POSIX_SPAWN_DUP2, silence, 1),
        (os.POSIX_SPAWN_DUP2, silence, 2),
    ]
    arguments = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    # A group of its own, so that its many processes end together.
    process = os.posix_spawn(program, arguments, os.environ, file_actions=actions, setpgroup=0)
    os.close(command_in)
    os.close(answer_out)
    os.close(silence)
    browser = Browser(commands, answers)
    try:
        browser.call("Browser.getVersion")
        yield browser
    finally:
        with contextlib.suppress(RuntimeError, TimeoutError, OSError):
            browser.call("Browser.close")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(commands)
        os.close(answers)
