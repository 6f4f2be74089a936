"""The demo server: recognition of a file or recording, with added noise, by one or two models.

A single local process; the page loads nothing from other hosts. Requests are processed one at a
time. At most ``Limits.pending`` requests wait; others get status 503 and are retried by the page.
"""

import base64
import logging
from functools import partial
from importlib import resources
from io import BytesIO
from typing import Any, NamedTuple

import anyio
import numpy as np
import soundfile
from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jointasr.config.scenarios import KINDS
from jointasr.data import audio, vad
from jointasr.data.wav_scp import FULL_SCALE, RATE
from jointasr.inference.formats import turn_to_dict
from jointasr.inference.recognizer import Recognizer, shift_turn
from jointasr.prep import mixing
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
PAGE = resources.files("jointasr.inference").joinpath("demo_page")
MEDIA_TYPES = {
    "index.html": "text/html",
    "demo.js": "text/javascript",
    "demo.css": "text/css",
}
HOSTS = ["127.0.0.1", "localhost"]
NUM_PEAKS = 1000
"""maximum number of points of the plotted waveform"""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; media-src blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Limits(NamedTuple):
    """Limits of requests."""

    megabytes: float = 25.0
    """maximum size of a file"""
    seconds: float = 300.0
    """maximum duration of the audio"""
    upload: float = 30.0
    """seconds that an upload may take"""
    pending: int = 8
    """maximum number of requests that are processed or wait"""


DEFAULT_LIMITS = Limits()


class Demo:
    """Models by their names on the page, and a pool of noise to add."""

    def __init__(
        self,
        models: dict[str, Recognizer],
        noise_pool: mixing.NoisePool | None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.models, self.noise_pool, self.limits = models, noise_pool, limits
        self.pending = 0
        self.one_at_a_time = anyio.CapacityLimiter(1)

    def settings(self) -> dict[str, Any]:
        """Return the settings that the page requests when it is loaded."""
        labels = list(dict.fromkeys(x for model in self.models.values() for x in model.labels))
        return {
            "systems": list(self.models),
            "labels": labels,
            "noises": list(KINDS) if self.noise_pool else [],
            "megabytes": self.limits.megabytes,
            "seconds": self.limits.seconds,
        }

    def recognize(self, data: bytes, noise_type: str, snr: float) -> dict[str, Any]:
        """Recognize an audio file with noise added at ``snr`` dB; ``noise_type`` "": no noise.

        Returns the JSON values of the response.

        Raises DataError with a message for the user if the file is not audio, is too long, or is
        silent and noise is requested.
        """
        wave = audio.read(BytesIO(data), "this file", max_seconds=self.limits.seconds)
        segments = vad.segment(wave, "auto", 20.0, 0.5)
        if noise_type:  # after segmentation of the clean speech
            wave = self._add_noise(wave, noise_type, snr)
        waves = [wave[first:end] for first, end in segments]
        systems = []
        for name, model in self.models.items():
            pairs = zip(model.recognize_batch(waves), segments, strict=True)
            turns = [turn_to_dict(shift_turn(turn, first / RATE)) for turn, (first, _) in pairs]
            systems.append({"name": name, "labels": model.labels, "turns": turns})
        file = BytesIO()
        soundfile.write(file, np.clip(wave, -1, 1), RATE, format="FLAC", subtype="PCM_16")
        return {
            "duration": len(wave) / RATE,
            "peaks": peaks(wave),
            "audio": base64.b64encode(file.getvalue()).decode(),
            "systems": systems,
        }

    def _add_noise(self, wave: np.ndarray, noise_type: str, snr: float) -> np.ndarray:
        """Add noise; its choice depends on the length of the file, not on the SNR."""
        if self.noise_pool is None or noise_type not in KINDS or not -20 <= snr <= 60:
            raise DataError(f"no noise {noise_type!r} at {snr} dB available")
        speech = np.rint(np.clip(wave, -1, 1 - 1 / FULL_SCALE) * FULL_SCALE).astype(np.int16)
        condition = mixing.MixCondition("demo", "test", (noise_type,), (snr, snr))
        record = mixing.plan("this file", speech, condition, self.noise_pool, seed=0)
        return mixing.render(record, speech, self.noise_pool).astype(np.float32)

    async def handle(self, request: Request) -> Response:
        """Handle a POST request: the bytes of a file, with ``noise`` and ``snr`` in the query."""
        if self.pending >= self.limits.pending:
            return _error(503, "The server is busy; this page retries automatically.")
        self.pending += 1
        try:
            return await self._process(request)
        except TimeoutError:
            return _error(408, f"The upload took longer than {self.limits.upload:g} seconds.")
        finally:
            self.pending -= 1

    async def _process(self, request: Request) -> Response:
        with anyio.fail_after(self.limits.upload):
            data = await self._read_body(request)
        if data is None:
            return _error(413, f"The file is larger than {self.limits.megabytes:g} MB.")
        noise_type = request.query_params.get("noise", "")
        try:
            snr = float(request.query_params.get("snr", "0"))
            recognize = partial(self.recognize, data, noise_type, snr)
            result = await to_thread.run_sync(recognize, limiter=self.one_at_a_time)
        except ValueError as error:  # includes DataError
            return _error(400, f"{error}."[0].upper() + f"{error}."[1:])
        return JSONResponse(result, headers=HEADERS)

    async def _read_body(self, request: Request) -> bytes | None:
        """Return the body of the request, None if it exceeds the limit."""
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
    """Return the web application."""

    async def settings(_: Request) -> Response:
        return JSONResponse(demo.settings(), headers=HEADERS)

    def page_file(name: str) -> Any:
        content, media_type = PAGE.joinpath(name).read_bytes(), MEDIA_TYPES[name]

        async def send(_: Request) -> Response:
            return Response(content, headers=HEADERS, media_type=media_type)

        return send

    routes = [
        Route("/", page_file("index.html")),
        Route("/demo.js", page_file("demo.js")),
        Route("/demo.css", page_file("demo.css")),
        Route("/about", settings),
        Route("/recognise", demo.handle, methods=["POST"]),
    ]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)  # against DNS rebinding
    return Starlette(routes=routes, middleware=[trusted])


def peaks(wave: np.ndarray) -> list[list[float]]:
    """Return [minimum, maximum] of each of at most ``NUM_PEAKS`` equal parts of samples (T,)."""
    edges = np.linspace(0, len(wave), min(NUM_PEAKS, len(wave)) + 1).round().astype(int)[:-1]
    lowest, highest = np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)
    return np.round(np.stack([lowest, highest], 1), 3).tolist()


def _error(status: int, message: str) -> Response:
    headers = {**HEADERS, **({"Retry-After": "2"} if status == 503 else {})}
    return JSONResponse({"error": message}, status_code=status, headers=headers)
