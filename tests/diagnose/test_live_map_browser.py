"""The page of the map in a real browser, where one is at hand: no message, nothing that keeps anybody out.

JAXANN_BROWSER is the path of a Chromium or Chrome, JAXANN_BROWSER_MODULES a folder with the npm packages puppeteer-core
and axe-core. Nothing is asked of any network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jaxann.diagnose.map_page import page
from tests.diagnose.maps import content_of_page, drawn

SCRIPT = Path(__file__).with_name("browser.mjs")


def test_the_page_works_in_a_browser(tmp_path: Path):
    browser, modules = (os.environ.get(name, "") for name in ("JAXANN_BROWSER", "JAXANN_BROWSER_MODULES"))
    node = shutil.which("node")
    if not browser or not modules or node is None:
        pytest.skip("needs node, JAXANN_BROWSER (a Chromium) and JAXANN_BROWSER_MODULES (puppeteer-core, axe-core)")
    content = content_of_page(drawn("repeat"))
    content["epochs"] = [content["epochs"][0] | {"number": 1}, *content["epochs"]]  # so that there is a slider
    path = tmp_path / "map.html"
    path.write_text(page(content), encoding="utf-8")
    done = subprocess.run([node, SCRIPT, path, browser, modules], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == [] and len(found["done"]) == 4
