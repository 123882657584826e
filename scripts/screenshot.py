"""Take the picture of the page to explore with that the documentation shows.

    pykeen-mmkg train --dataset wordnetemoji --model latefusion --output RUN
    python scripts/screenshot.py RUN docs/img/explore.png

It needs the extra ``serve``, playwright, a Chromium, and Pillow, which makes the picture small.
"""

import argparse
import io
import pathlib
import shutil
import socket
import threading
import time

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from pykeen_mmkg.datasets import load_dataset
from pykeen_mmkg.runs import open_run
from pykeen_mmkg.serving.application import make_application
from pykeen_mmkg.serving.service import QueryService

#: what is asked in the picture
QUERY = "relation=hypernym&tail=edible%20fruit&k=6"


def main() -> None:
    """Serve the run, ask, and save what a browser shows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--dataset", default="wordnetemoji")
    parser.add_argument("--query", default=QUERY)
    args = parser.parse_args()
    model, training = open_run(args.run)
    service = QueryService(model, training, load_dataset(args.dataset), title="WordNet with emoji")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_application(service), port=port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.goto(f"http://127.0.0.1:{port}/#{args.query}")
        page.wait_for_selector("#predictions")
        page.wait_for_load_state("networkidle")
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        browser.close()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").quantize(64).save(args.output, optimize=True)
    print(f"{args.output}: {args.output.stat().st_size / 1000:.0f} kB")
    server.should_exit = True


if __name__ == "__main__":
    main()
