"""The demo: its server, also under load, and its page in a browser."""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import tiny
import uvicorn
from chrome import DESKTOP, PHONE, chromium
from data_fixtures import RATE, write_wav
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

import jointasr
from jointasr.config.scenarios import KINDS
from jointasr.inference import demo_server
from jointasr.prep import mixing
from jointasr.utils import jsonl

pytestmark = pytest.mark.usefixtures("oracle_model")


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> mixing.NoisePool:
    """A pool with a minute of white noise."""
    folder = tmp_path_factory.mktemp("musan")
    wave = np.random.default_rng(0).normal(0, 3000, 60 * RATE).astype(np.int16)
    path = write_wav(folder / "n.wav", wave)
    sources = [{"type": "file", "channels": [0], "source": str(path)}]
    item = {"id": "n", "sources": sources, "num_samples": len(wave)}
    jsonl.write(folder / "recordings.jsonl.gz", [item])
    (folder / "pools.tsv").write_text("n noise test\n")
    return mixing.NoisePool(folder, "test")


@pytest.fixture(scope="module")
def demo(packed_recipe: Path, noises: mixing.NoisePool) -> demo_server.Demo:
    """The page of two models that recognize tones (see oracle.py)."""
    model = jointasr.load(str(packed_recipe / "model"), "cpu")
    limits = demo_server.Limits(megabytes=1.5, seconds=20, upload=3)
    return demo_server.Demo({"joint": model, "baseline": model}, noises, limits)


@pytest.fixture(scope="module")
def address(demo: demo_server.Demo) -> Iterator[str]:
    """Address of the server, which runs in this process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(demo_server.app(demo), host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


def file(text: str = "GOOD ROAD", emotion: str = "sad", kind: str = "WAV") -> bytes:
    data = BytesIO()
    soundfile.write(data, tiny.tones(text, emotion, 3), RATE, format=kind)
    return data.getvalue()


def test_answer(address: str, demo: demo_server.Demo) -> None:
    answer = httpx.post(f"{address}/recognise", content=file()).json()
    assert [system["name"] for system in answer["systems"]] == ["joint", "baseline"]
    (turn,) = answer["systems"][0]["turns"]
    assert (turn["text"], turn["emotion"]) == ("GOOD ROAD", "sad")
    samples, rate = soundfile.read(BytesIO(base64.b64decode(answer["audio"])), dtype="int16")
    assert rate == RATE and np.array_equal(samples, tiny.tones("GOOD ROAD", "sad", 3))
    assert answer["duration"] == pytest.approx(len(samples) / RATE)
    lowest, highest = np.array(answer["peaks"]).T
    assert highest.max() == pytest.approx(samples.max() / 32768, abs=1e-3)
    assert lowest.min() == pytest.approx(samples.min() / 32768, abs=1e-3)
    about = httpx.get(f"{address}/about").json()
    assert about["labels"] == tiny.LABELS and about["noises"] == list(KINDS)
    assert demo_server.Demo(demo.models, None).settings()["noises"] == []


@pytest.mark.parametrize("snr", [20.0, 0.0, -5.0])
def test_noise_has_the_requested_snr(demo: demo_server.Demo, snr: float) -> None:
    speech = tiny.tones("GOOD ROAD", "sad", 3) / 32768
    answer = demo.recognize(file(), "noise", snr)
    mixed, _ = soundfile.read(BytesIO(base64.b64decode(answer["audio"])))
    scale = (
        mixed @ speech / (speech @ speech)
    )  # scale of the speech; the noise is independent of it
    rest = mixed - scale * speech
    ratio = 10 * np.log10(scale**2 * (speech @ speech) / (rest @ rest))
    assert ratio == pytest.approx(snr, abs=0.2)


@pytest.mark.parametrize(
    ("data", "query", "status", "message"),
    [
        (b"junk", "", 400, "This file: not readable as audio"),
        (b"", "", 400, "This file: not readable as audio"),
        (file(kind="WAV") + bytes(1_500_000), "", 413, "The file is larger than 1.5 MB."),
        (file(), "?noise=music&snr=0", 400, "no music in the test pool"),
        (file(), "?noise=rain&snr=0", 400, "No noise 'rain' at 0.0 dB available."),
        (file(), "?noise=noise&snr=nan", 400, "No noise 'noise' at nan dB available."),
        (file(), "?noise=noise&snr=loud", 400, "could not convert"),
    ],
)
def test_bad_requests_are_answered(
    address: str, data: bytes, query: str, status: int, message: str
) -> None:
    response = httpx.post(f"{address}/recognise{query}", content=data)
    assert response.status_code == status
    assert message.lower() in response.json()["error"].lower()


def test_silence_under_noise_and_length(address: str) -> None:
    data = BytesIO()
    soundfile.write(data, np.zeros(25 * RATE, np.int16), RATE, format="FLAC")
    response = httpx.post(f"{address}/recognise", content=data.getvalue(), timeout=60)
    assert response.json()["error"] == "This file: longer than 20 seconds."
    data = BytesIO()
    soundfile.write(data, np.zeros(RATE, np.int16), RATE, format="FLAC")
    response = httpx.post(f"{address}/recognise?noise=noise&snr=5", content=data.getvalue())
    assert "silent" in response.json()["error"]


def test_other_host_names_are_refused_and_the_page_loads_only_itself(address: str) -> None:
    response = httpx.get(address, headers={"Host": "evil.example"})
    assert response.status_code == 400
    response = httpx.get(address)
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert httpx.get(f"{address}/../demo.py").status_code == 404
    for name in ("index.html", "demo.js", "demo.css"):
        text = (demo_server.PAGE / name).read_text()
        assert "//" not in text.replace("// ", "").replace("http://www.w3.org/2000/svg", ""), name


def test_fifty_at_once(
    address: str, demo: demo_server.Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests are answered in the end, and no more than the limit are pending at a time."""
    most = 0
    recognize = demo.recognize

    def slow(*given: Any) -> dict[str, Any]:
        nonlocal most
        most = max(most, demo.pending)
        time.sleep(0.02)
        return recognize(*given)

    monkeypatch.setattr(demo, "recognize", slow)
    refused = 0

    async def ask(client: httpx.AsyncClient) -> str:
        nonlocal refused
        while True:
            response = await client.post(f"{address}/recognise", content=file())
            if response.status_code == 200:
                return str(response.json()["systems"][0]["turns"][0]["text"])
            assert (response.status_code, response.headers["retry-after"]) == (503, "2")
            refused += 1
            await asyncio.sleep(0.2)

    async def ask_all() -> list[str]:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(timeout=120, limits=limits) as client:
            return await asyncio.gather(*(ask(client) for _ in range(50)))

    assert asyncio.run(ask_all()) == ["GOOD ROAD"] * 50
    assert refused > 0 and 1 <= most <= demo.limits.pending and demo.pending == 0


def test_upload_that_does_not_end(address: str, demo: demo_server.Demo) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /recognise HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nRIFF"
        connection.sendall(head.encode())
        connection.settimeout(30)
        assert b"408" in connection.recv(100).splitlines()[0]
    assert demo.pending == 0


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    fakes = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with chromium(request.param, *fakes) as driver:
        yield driver


def test_in_a_browser(browser: Any, address: str, tmp_path: Path) -> None:
    waits = WebDriverWait(browser, 60)
    browser.get(address)
    waits.until(lambda page: page.find_element(By.ID, "noises").is_displayed())
    (tmp_path / "a.wav").write_bytes(file())
    browser.find_element(By.ID, "file").send_keys(str(tmp_path / "a.wav"))
    waits.until(lambda page: page.find_elements(By.CSS_SELECTOR, "#results table"))

    def table() -> list[list[str]]:
        rows = browser.find_elements(By.CSS_SELECTOR, "#results section tbody tr")
        cells = [row.find_elements(By.TAG_NAME, "td") for row in rows]
        return [[cell.text for cell in row] for row in cells]

    rows = table()
    assert [row[:3] for row in rows] == [["0:00", "GOOD ROAD", "sad"]] * 2
    assert rows[0][3].split("\n")[0].startswith("sad")
    bands = browser.find_elements(By.CSS_SELECTOR, ".band")
    assert [band.text.split()[0] for band in bands] == ["sad", "sad"]
    words = [word.text for word in browser.find_elements(By.CSS_SELECTOR, ".word")]
    assert words == ["GOOD", "ROAD"] * 2
    assert browser.find_element(By.ID, "status").text.endswith("of audio: 1 turn.")
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0
    browser.save_screenshot(str(tmp_path / "page.png"))

    audio = "return document.getElementById('player').src"
    before = browser.execute_script(audio)
    Select(browser.find_element(By.ID, "kind")).select_by_value("noise")
    waits.until(lambda page: page.execute_script(audio) != before)
    before, quiet = browser.execute_script(audio), table()
    script = "const s = document.getElementById('snr'); s.value = -5;"
    script += "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change'))"
    browser.execute_script(script)
    waits.until(lambda page: page.execute_script(audio) != before)
    assert browser.find_element(By.ID, "ratio").text == "-5 dB"
    assert table() != quiet, "noise at this level changes the result"

    (tmp_path / "b.wav").write_text("no audio")
    browser.find_element(By.ID, "file").send_keys(str(tmp_path / "b.wav"))
    alert = browser.find_element(By.ID, "error")
    waits.until(lambda page: alert.text)
    assert alert.text.startswith("This file: not readable as audio")
    assert not browser.find_elements(By.CSS_SELECTOR, "#results section")

    Select(browser.find_element(By.ID, "kind")).select_by_value("")
    record = browser.find_element(By.ID, "record")
    record.click()
    waits.until(lambda page: record.get_attribute("aria-pressed") == "true")
    time.sleep(1)
    record.click()
    waits.until(lambda page: page.find_elements(By.CSS_SELECTOR, "#results section"))

    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('button, input, select, meter, audio')].filter("
        "e => !e.textContent.trim() && !e.getAttribute('aria-label') && !(e.labels || []).length"
        ").map(e => e.outerHTML)"
    )
    assert unnamed == []
    log = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        entry["params"]["request"]["url"].split("?")[0]
        for entry in log
        if entry["method"] == "Network.requestWillBeSent"
    }
    allowed = (f"{address}/", f"blob:{address}/", "data:")
    assert all(url.startswith(allowed) for url in asked), asked
    errors = [e for e in browser.get_log("browser") if "400" not in e["message"]]
    assert errors == []


def test_everything_can_be_reached_by_keyboard(browser: Any, address: str) -> None:
    browser.get(address)
    WebDriverWait(browser, 60).until(lambda p: p.find_element(By.ID, "noises").is_displayed())
    reached = []
    for _ in range(4):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.append(browser.switch_to.active_element.get_attribute("id"))
    assert reached[:3] == ["record", "file", "kind"]
