"""The demo page: a file or a recording, in noise at will, heard by one or two models side by side.

One process on this machine; the page asks nobody else. One request is worked on at a time, a few
wait, and more are told to come back, so that memory is bounded whatever comes.
"""

import base64
import logging
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import numpy as np
import soundfile
from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from jointasr.config.scenarios import KINDS
from jointasr.data import audio, vad
from jointasr.data.wav_scp import FULL_SCALE, RATE
from jointasr.inference.formats import turn_values
from jointasr.inference.recognizer import Recognizer, moved
from jointasr.prep import noise
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "demo_page"
HOSTS = ["127.0.0.1", "localhost"]
PEAKS = 1000
"""points that a waveform is drawn from"""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; media-src blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Limits(NamedTuple):
    """What one request, and all together, may take."""

    megabytes: float = 25.0
    seconds: float = 300.0
    """of audio"""
    upload: float = 30.0
    """seconds that sending it may take"""
    waiting: int = 8
    """requests that are worked on or wait"""


USUAL = Limits()


class Demo:
    """The models, by the names they are shown under, and the noises there are."""

    def __init__(
        self,
        models: dict[str, Recognizer],
        noises: noise.NoisePool | None,
        limits: Limits = USUAL,
    ) -> None:
        self.models, self.noises, self.limits = models, noises, limits
        self.waiting = 0
        self.one = anyio.CapacityLimiter(1)

    def about(self) -> dict[str, Any]:
        """What the page has to know."""
        labels = list(dict.fromkeys(x for model in self.models.values() for x in model.labels))
        return {
            "systems": list(self.models),
            "labels": labels,
            "noises": list(KINDS) if self.noises else [],
            "megabytes": self.limits.megabytes,
            "seconds": self.limits.seconds,
        }

    def answer(self, data: bytes, kind: str, snr: float) -> dict[str, Any]:
        """What is heard in a file of audio, with noise of ``kind`` ("" for none) at ``snr`` dB.

        Raises DataError, for the user, where it is no audio, too long, or silent under noise.
        """
        wave = audio.read(BytesIO(data), "this file", longest=self.limits.seconds)
        stretches = vad.segment(wave, "auto", 20.0, 0.5)
        if kind:  # later, so that its turns are those without noise
            wave = self._noisy(wave, kind, snr)
        parts = [wave[first:end] for first, end in stretches]
        systems = []
        for name, model in self.models.items():
            heard = zip(model.hear(parts), stretches, strict=True)
            found = [turn_values(moved(turn, first / RATE)) for turn, (first, _) in heard]
            systems.append({"name": name, "labels": model.labels, "turns": found})
        file = BytesIO()
        soundfile.write(file, np.clip(wave, -1, 1), RATE, format="FLAC", subtype="PCM_16")
        return {
            "duration": len(wave) / RATE,
            "peaks": peaks(wave),
            "audio": base64.b64encode(file.getvalue()).decode(),
            "systems": systems,
        }

    def _noisy(self, wave: np.ndarray, kind: str, snr: float) -> np.ndarray:
        """The same crop of the same noise for a file's length, whatever the ratio."""
        if self.noises is None or kind not in KINDS or not -20 <= snr <= 60:
            raise DataError(f"no noise {kind!r} at {snr} dB here")
        speech = np.rint(np.clip(wave, -1, 1 - 1 / FULL_SCALE) * FULL_SCALE).astype(np.int16)
        condition = noise.MixCondition("demo", "test", (kind,), (snr, snr))
        record = noise.plan("this file", speech, condition, self.noises, seed=0)
        return noise.render(record, speech, self.noises).astype(np.float32)

    async def recognise(self, request: Request) -> Response:
        """POST of a file's bytes; ``noise`` and ``snr`` in the query."""
        if self.waiting >= self.limits.waiting:
            return _sorry(503, "Others are being served; this page asks again by itself.")
        self.waiting += 1
        try:
            return await self._worked_on(request)
        except TimeoutError:
            return _sorry(408, f"Sending took longer than {self.limits.upload:g} seconds.")
        finally:
            self.waiting -= 1

    async def _worked_on(self, request: Request) -> Response:
        with anyio.fail_after(self.limits.upload):
            data = await self._body(request)
        if data is None:
            return _sorry(413, f"Files of up to {self.limits.megabytes:g} MB, please.")
        kind = request.query_params.get("noise", "")
        try:
            snr = float(request.query_params.get("snr", "0"))
            work = partial(self.answer, data, kind, snr)
            found = await to_thread.run_sync(work, limiter=self.one)
        except ValueError as error:  # DataError is one
            return _sorry(400, f"{error}."[0].upper() + f"{error}."[1:])
        return JSONResponse(found, headers=HEADERS)

    async def _body(self, request: Request) -> bytes | None:
        """What was sent; None where it is more than the limit."""
        limit = self.limits.megabytes * 1e6
        if int(request.headers.get("content-length") or 0) > limit:
            return None
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > limit:
                return None
        return bytes(data)


def app(demo: Demo) -> Starlette:
    """The server's application."""

    async def about(_: Request) -> Response:
        return JSONResponse(demo.about(), headers=HEADERS)

    def file(name: str) -> Any:
        async def send(_: Request) -> Response:
            return FileResponse(PAGE / name, headers=HEADERS)

        return send

    routes = [
        Route("/", file("index.html")),
        Route("/demo.js", file("demo.js")),
        Route("/demo.css", file("demo.css")),
        Route("/about", about),
        Route("/recognise", demo.recognise, methods=["POST"]),
    ]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)  # no other site's names
    return Starlette(routes=routes, middleware=[trusted])


def peaks(wave: np.ndarray) -> list[list[float]]:
    """Least and greatest value of each of at most ``PEAKS`` equal parts."""
    edges = np.linspace(0, len(wave), min(PEAKS, len(wave)) + 1).round().astype(int)[:-1]
    least, most = np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)
    return np.round(np.stack([least, most], 1), 3).tolist()


def _sorry(status: int, message: str) -> Response:
    headers = {**HEADERS, **({"Retry-After": "2"} if status == 503 else {})}
    return JSONResponse({"error": message}, status_code=status, headers=headers)
