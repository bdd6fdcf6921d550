"""The page in a real browser: nothing is asked of a network, no script fails, everything reacts."""

import html
import json
import re
import shutil
import socketserver
import subprocess
import threading

import cv2
import numpy as np
import pytest

from mxnetseg import report

from .test_report import trained

pytest.importorskip("jinja2", reason="needs jinja2: pip install mxnetseg[report]")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]

# what a reader does: sorts, changes tabs, points, opens an image and moves its slider
DRIVER = """<script>
addEventListener("load", () => setTimeout(() => {
  const one = (s) => document.querySelector(s), all = (s) => [...document.querySelectorAll(s)];
  const at = (element, kind, x, y) => {
    const box = element.getBoundingClientRect();
    const where = {clientX: box.left + x * box.width, clientY: box.top + y * box.height};
    element.dispatchEvent(new PointerEvent(kind, {...where, bubbles: true, buttons: 1}));
  };
  const said = {width: document.documentElement.scrollWidth, screen: innerWidth};
  one(".sortable thead th.wide").click();
  said.sorted = all(".sortable tbody tr").map((r) => Number(r.cells[1].dataset.v));
  all("[data-tab]")[1].click();
  said.tabs = all("[data-panel]").map((p) => p.hidden);
  at(all(".cells")[1], "pointermove", 0.01, 0.01);
  said.cell = one("#tip").textContent;
  at(one(".shot .photo"), "pointermove", 0.5, 0.9);
  said.pixel = one("#tip").textContent;
  const blend = one("#blend");
  blend.value = 20;
  blend.dispatchEvent(new Event("input"));
  said.blend = getComputedStyle(one(".mask")).opacity;
  all(".shot .photo")[3].click();
  const large = one("#large");
  said.open = large.open;
  said.first = large.querySelector("b").textContent;
  large.querySelector("[data-step='1']").click();
  said.second = large.querySelector("b").textContent;
  at(large.querySelector(".fit"), "pointerdown", 0.25, 0.5);
  said.slider = Number(large.querySelector("input").value);
  said.halves = large.querySelectorAll(".half").length;
  said.clip = large.querySelector(".fit").children[1].style.clipPath;
  large.querySelector("[data-close]").click();
  said.closed = !large.open;
  document.body.dataset.said = JSON.stringify(said);
}, 300));
</script></body>"""


class Ear(socketserver.BaseRequestHandler):
    """A proxy that only listens."""

    def handle(self):
        line = self.request.recv(2000).split(b"\r\n")[0].decode("latin-1")
        if ".google.com" not in line:  # the browser's own
            self.server.heard.append(line)


@pytest.fixture
def browser(tmp_path):
    """Call it with a page and options; gives (output, what it asked the network for, errors)."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Ear)
    server.heard = []
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(page, *options):
        server.heard.clear()
        command = [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
            f"--proxy-server=127.0.0.1:{server.server_address[1]}", "--virtual-time-budget=5000",
            *options, page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, list(server.heard), errors

    yield run
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    top = tmp_path_factory.mktemp("page")
    runs = [trained(top / "first"), trained(top / "second", seed=1)]
    report.write(runs, top / "page.html", ["cpu"])
    return top / "page.html"


def test_a_request_and_an_error_would_be_noticed(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://example.invalid/x.png'><script>throw Error('oh')</script>")
    _, heard, errors = browser(bad, "--dump-dom")
    assert any("example.invalid" in line for line in heard)
    assert any("oh" in line for line in errors)


@pytest.mark.parametrize("width", (1400, 400))
def test_what_a_reader_does(browser, page, tmp_path, width):
    driven = tmp_path / "driven.html"
    driven.write_text(page.read_text(encoding="utf-8").replace("</body>", DRIVER), encoding="utf-8")
    # a window is at least 500 wide, a screenshot is not
    output, heard, errors = browser(driven, f"--window-size={width},900", "--dump-dom")
    assert heard == [] and errors == []
    said = json.loads(html.unescape(re.search(r'data-said="([^"]*)"', output).group(1)))
    assert said["width"] <= said["screen"]  # nothing sticks out
    assert said["sorted"] == sorted(said["sorted"])[::-1]
    assert said["tabs"] == [True, False]
    assert re.fullmatch(r"road[\d.]+ % of its [\d,]+ pixels are found", said["cell"])
    assert re.fullmatch(
        r"truth: [a-z ]+prediction first: [a-z ]+prediction second: [a-z ]+", said["pixel"]
    )
    assert said["blend"] == "0.2"
    assert said["open"] and said["closed"] and said["first"] != said["second"]
    assert said["halves"] == 2 and said["slider"] == pytest.approx(250, abs=5)
    assert said["clip"].startswith("inset(0")


@pytest.mark.parametrize("width", (1400, 400))
def test_a_picture_of_it(browser, page, tmp_path, width):
    shot = tmp_path / f"{width}.png"
    _, heard, errors = browser(page, f"--window-size={width},3000", f"--screenshot={shot}")
    assert heard == [] and errors == []
    picture = cv2.imread(str(shot))
    assert picture.shape == (3000, width, 3)
    # the cards fill the width, with the margin on both sides
    middle = picture[600:2900]
    background = picture[5, 5]
    painted = np.nonzero((middle != background).any(axis=(0, 2)))[0]
    assert painted[0] <= 48 and painted[-1] >= width - 48
