"""The notebooks' widgets in a real JupyterLab, in a real browser, under a real mouse.

What it saw is kept in outputs/browser/.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import chromium
import nbformat
import pytest

import vmc

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "outputs" / "browser"
NOTEBOOK = ROOT / "notebooks" / "04_finetuning.ipynb"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
# All cells stay in the page, also those out of sight.
SETTINGS = {"@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"}}

pytestmark = pytest.mark.skipif(
    chromium.installed() is None,
    reason="no Chromium is installed; on Debian and Ubuntu, apt-get install chromium brings it",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with notebooks/, and the address of a JupyterLab that serves it."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for name, settings in SETTINGS.items():
        file = folder / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            chromium.wait(lambda: answers(f"{address}/api"), "JupyterLab to answer", 120)
            yield folder, f"{address}/lab/tree/notebooks/{{}}?token={token}"
        finally:
            server.terminate()
            server.wait(30)


def answers(address):
    try:
        with urlopen(address) as answer:
            return answer.status == 200
    except OSError:
        return False


class Notebook:
    """A notebook, opened in the browser."""

    def __init__(self, browser, address, name):
        self.browser = browser
        self.it = (
            "[...(window.jupyterapp?.shell?.widgets('main') ?? [])]"
            f".find(w => w.context?.path?.endsWith({json.dumps(name)}))"
        )
        browser.open(address.format(name))
        browser.wait_for(f"{self.it}?.sessionContext?.session?.kernel?.status === 'idle'", 120)

    def run(self, index):
        """Run the cell of that number; do not wait for it."""
        self.browser.evaluate(
            f"{{const it = {self.it}; jupyterapp.shell.activateById(it.id);"
            f"it.content.activeCellIndex = {index};"
            "void jupyterapp.commands.execute('notebook:run-cell'); true}"
        )


class Dashboard:
    """What a person sees of a dashboard."""

    def __init__(self, browser):
        self.browser = browser

    def press(self, name):
        number = ("start", "pause", "stop").index(name) + 1
        self.browser.click(f".vmc-dashboard button:nth-child({number}):not(:disabled)")

    def says(self):
        return self.browser.evaluate("document.querySelector('.vmc-status').innerText")

    def is_still(self, seconds):
        before = self.says(), self.shows()
        time.sleep(seconds)
        return (self.says(), self.shows()) == before

    def shows(self):
        """The parts of its picture with the loss and with the lowest row of frames, as text.

        Waits for a picture that has frames as the model sees them.
        """
        return self.browser.wait_for(
            "(() => {const it = document.querySelector('.vmc-dashboard img');"
            "if (!it.complete || it.naturalHeight < 400) return null;"
            "const [wide, high] = [it.naturalWidth, it.naturalHeight];"
            "return [[0.08, 0.5], [0.87, 0.1]].map(([top, part]) => {"
            "const canvas = document.createElement('canvas');"
            "[canvas.width, canvas.height] = [wide, part * high];"
            "canvas.getContext('2d').drawImage(it, 0, -top * high);"
            "return canvas.toDataURL()})})()",
            120,
        )


def test_notebook_04_tunes_pauses_goes_on_and_stops_under_the_mouse(lab):
    folder, address = lab
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    last = next(i for i, c in enumerate(notebook.cells) if "= tuning_dashboard(" in c.source)
    notebook.metadata.kernelspec = KERNEL
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / "notebooks" / NOTEBOOK.name)

    with chromium.Browser() as browser:
        opened, dashboard = Notebook(browser, address, NOTEBOOK.name), Dashboard(browser)
        for index, cell in enumerate(notebook.cells[: last + 1]):
            if cell.cell_type == "code":
                opened.run(index)
        browser.wait_for("document.querySelector('.vmc-dashboard img')?.complete", 300)
        assert dashboard.says().startswith("ready: step 0 of ")
        browser.middle(".vmc-dashboard img")
        browser.screenshot(PICTURES / "1_ready.png")

        dashboard.press("start")
        loss, frames = dashboard.shows()
        browser.screenshot(PICTURES / "2_running.png")
        chromium.wait(lambda: dashboard.shows()[0] != loss, "another loss", 60)
        chromium.wait(lambda: dashboard.shows()[1] != frames, "other frames", 60)
        assert "running: step " in dashboard.says()

        dashboard.press("pause")
        chromium.wait(lambda: dashboard.says().startswith("paused: step "), "the pause")
        chromium.wait(lambda: dashboard.is_still(2), "the end of the step that was under way")
        said, shown = dashboard.says(), dashboard.shows()
        time.sleep(3)
        assert dashboard.says() == said and dashboard.shows() == shown
        browser.screenshot(PICTURES / "3_paused.png")

        dashboard.press("start")
        chromium.wait(lambda: dashboard.shows() != shown, "the run to go on", 60)
        dashboard.press("stop")
        chromium.wait(lambda: dashboard.says().startswith("ended: step "), "the end", 60)
        browser.screenshot(PICTURES / "4_stopped.png")
        ended = dashboard.says()

    [saved] = (folder / "outputs").rglob("*.safetensors")
    adapter = vmc.MotionAdapter.load(saved, vmc.Cascade.from_pretrained("tiny"))
    assert ended.startswith(f"ended: step {adapter.metadata['steps']} of ")
    assert saved.name in ended


TOYS = """
import vmc
from vmc.widgets import edit_prompt, explore_noise, sketchpad
cascade = vmc.Cascade.from_pretrained("tiny")
cascade.base.sampling_steps = cascade.base.inversion_steps = 3
clip = vmc.sprites.Scene().render()
""", """
explore_noise(clip, cascade.base.alphas_cumprod)
""", """
editor = edit_prompt("a red ball is moving on the road")
""", """
pad = sketchpad(cascade, steps=3)
"""  # fmt: skip


def test_a_slider_a_text_and_a_canvas_answer(lab):
    folder, address = lab
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in TOYS]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, folder / "notebooks" / "toys.ipynb")

    with chromium.Browser() as browser:
        opened = Notebook(browser, address, "toys.ipynb")
        for index in range(len(cells)):
            opened.run(index)
        browser.wait_for("document.querySelector('canvas.vmc-canvas') !== null", 300)

        source = "document.querySelector('.vmc-explorer img').src"
        before = browser.evaluate(source)
        browser.click(".vmc-explorer .noUi-handle")
        browser.press_key("ArrowRight")
        browser.wait_for(f"{source} !== {json.dumps(before)}")

        browser.click(".vmc-prompt input")
        browser.type(" at night")
        second = "document.querySelectorAll('.vmc-prompt input')[1].value"
        browser.wait_for(f"{second} === 'a ball is moving'")

        playing = "document.querySelector('.vmc-sketchpad > img').src"
        before = browser.evaluate(playing)
        x, y = browser.middle("canvas.vmc-canvas")
        browser.mouse("Pressed", x - 150, y - 60, True)
        for i in range(30):
            browser.mouse("Moved", x - 150 + 10 * i, y - 60 + 4 * i, True)
        browser.mouse("Released", x + 140, y + 56, False)
        browser.wait_for(f"{playing} !== {json.dumps(before)}")
        browser.screenshot(PICTURES / "5_sketched.png")

        browser.click(".vmc-sketchpad > .widget-hbox > button:nth-child(2)")
        said = "document.querySelector('.vmc-sketchpad').innerText.includes('trajectory error')"
        browser.wait_for(said, 300)
        browser.screenshot(PICTURES / "6_transferred.png")
