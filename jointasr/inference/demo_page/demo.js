// The demo page. All requests go to the server of the page.
"use strict";

const $ = (id) => document.getElementById(id);
const element = (name, values = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key in node) node[key] = value; else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
};
const percent = (probability) => `${Math.round(100 * probability)} %`;
const formatTime = (seconds) => {
  const tenths = Math.round(10 * seconds);
  const rest = String((tenths % 600) / 10);
  return `${Math.floor(tenths / 600)}:${(tenths % 600 < 100 ? "0" : "") + rest}`;
};
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

let settings = { labels: [], megabytes: 0, seconds: 0 };
let audio = null;        // the recorded or chosen audio: a Blob
let latestRequest = 0;   // responses to earlier requests are ignored
let recorder = null;

async function loadSettings() {
  settings = await (await fetch("about")).json();
  for (const kind of settings.noises) $("kind").append(element("option", { value: kind }, kind));
  $("noises").hidden = settings.noises.length === 0;
}

async function recognize() {
  if (!audio) return;
  const request = ++latestRequest;
  const kind = $("kind").value;
  $("snr").disabled = kind === "";
  $("ratio").textContent = kind === "" ? "no noise" : `${$("snr").value} dB`;
  $("error").textContent = "";
  $("status").textContent = "Recognizing …";
  try {
    const result = await send(`recognise?noise=${kind}&snr=${$("snr").value}`, request);
    if (request === latestRequest) showResult(result);
  } catch (error) {
    if (request === latestRequest) showError(error.message);
  }
}

async function send(url, request) {
  if (audio.size > 1e6 * settings.megabytes) throw Error(`The file is larger than ${settings.megabytes} MB.`);
  for (;;) {
    const response = await fetch(url, { method: "POST", body: audio });
    const result = await response.json();
    if (response.status !== 503 || request !== latestRequest) {
      if (!response.ok) throw Error(result.error);
      return result;
    }
    $("status").textContent = result.error;
    await wait(Number(response.headers.get("Retry-After")) || 2);
  }
}

function showError(message) {
  $("status").textContent = "";
  $("error").textContent = message;
  $("results").replaceChildren();
  $("player").hidden = true;
}

function showResult(result) {
  const bytes = Uint8Array.from(atob(result.audio), (c) => c.charCodeAt(0));
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(new Blob([bytes], { type: "audio/flac" }));
  $("player").hidden = false;
  $("results").replaceChildren(...result.systems.map((system) => systemSection(system, result)));
  const turns = Math.max(...result.systems.map((system) => system.turns.length));
  $("status").textContent = turns === 0 ? "No speech found."
    : `${formatTime(result.duration)} of audio: ${turns} ${turns === 1 ? "turn" : "turns"}.`;
}

function systemSection(system, result) {
  const section = element("section", { "aria-label": system.name },
    element("h2", {}, system.name), timeline(system, result));
  if (system.turns.length > 0) section.append(table(system));
  return section;
}

// The waveform with emotions as bands and words below; the table has the same for screen readers.
function timeline(system, result) {
  const line = element("div", { className: "time", "aria-hidden": "true" });
  line.style.width = `${Math.min(20000, 90 * result.duration)}px`;
  const percentOfWidth = (seconds) => `${100 * seconds / result.duration}%`;
  for (const turn of system.turns) {
    const label = settings.labels.indexOf(turn.emotion);
    const band = element("div", { className: `band ${label < 0 ? "unsure" : `e${label % 8}`}` });
    band.style.left = percentOfWidth(turn.begin);
    band.style.width = percentOfWidth(turn.end - turn.begin);
    band.textContent = turn.emotion === null ? ""
      : label < 0 ? "not sure" : `${turn.emotion} ${percent(turn.posteriors[turn.emotion])}`;
    line.append(band);
    for (const { word, begin, confidence } of turn.words) {
      const wordLabel = element("span", { className: "word" }, word);
      wordLabel.style.left = percentOfWidth(begin);
      wordLabel.style.opacity = 0.45 + 0.55 * confidence;
      line.append(wordLabel);
    }
  }
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const { peaks } = result;
  const loudest = Math.max(0.01, ...peaks.flat().map(Math.abs));
  const point = (value, x) => `${x} ${(-value / loudest).toFixed(3)}`;
  const top = peaks.map(([, highest], x) => point(highest, x));
  const bottom = peaks.map(([lowest], x) => point(lowest, x)).reverse();
  path.setAttribute("d", `M${[...top, ...bottom].join("L")}Z`);
  svg.setAttribute("viewBox", `0 -1 ${peaks.length} 2`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.append(path);
  line.append(svg);
  return element("div", { className: "scroll" }, line);
}

function table(system) {
  const rows = system.turns.map((turn) => {
    const play = element("button", { type: "button", "aria-label": `play from ${formatTime(turn.begin)}` },
      formatTime(turn.begin));
    play.addEventListener("click", () => {
      $("player").currentTime = turn.begin;
      $("player").play();
    });
    const cells = [element("td", {}, play), element("td", {}, turn.text || "–")];
    if (system.labels.length > 0) {
      const name = turn.emotion === "not_sure" ? "not sure" : turn.emotion;
      cells.push(element("td", {}, name), element("td", {}, posteriors(turn.posteriors)));
    }
    return element("tr", {}, ...cells);
  });
  const headers = ["start", "words", ...(system.labels.length > 0 ? ["emotion", "posteriors"] : [])];
  return element("table", {},
    element("caption", {}, `Results of ${system.name}`),
    element("thead", {}, element("tr", {}, ...headers.map((h) => element("th", { scope: "col" }, h)))),
    element("tbody", {}, ...rows));
}

function posteriors(values) {
  const ranked = Object.entries(values).sort(([, a], [, b]) => b - a);
  return element("dl", { className: "posteriors" }, ...ranked.map(([name, value]) =>
    element("div", {}, element("dt", {}, name),
      element("dd", {}, element("meter", { min: 0, max: 1, value, "aria-label": `${name} ${percent(value)}` })),
      element("dd", {}, percent(value)))));
}

function useAudio(blob) {
  audio = blob;
  recognize();
}

// Browsers record in different formats: decode here and send a wav file.
async function record() {
  if (recorder) {
    recorder.stop();
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    recorder = new MediaRecorder(stream);
    const parts = [];
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", async () => {
      recorder = null;
      showRecording(false);
      stream.getTracks().forEach((track) => track.stop());
      const context = new AudioContext();
      const buffer = await context.decodeAudioData(await new Blob(parts).arrayBuffer());
      context.close();
      useAudio(encodeWav(buffer));
    });
    recorder.start();
    showRecording(true);
    setTimeout(() => recorder && recorder.stop(), 1000 * settings.seconds);
  } catch (error) {
    showError(`The microphone cannot be used: ${error.message}`);
  }
}

function showRecording(on) {
  $("record").setAttribute("aria-pressed", String(on));
  $("record").textContent = on ? "Stop" : "Record";
  $("status").textContent = on ? "Recording …" : "";
}

function encodeWav(buffer) {
  const samples = buffer.getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (offset, string) => [...string].forEach((c, i) => view.setUint8(offset + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, buffer.sampleRate, 4], [28, 2 * buffer.sampleRate, 4],
    [32, 2, 2], [34, 16, 2]].forEach(([offset, value, size]) =>
    size === 4 ? view.setUint32(offset, value, true) : view.setUint16(offset, value, true));
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) =>
    view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
  return new Blob([view], { type: "audio/wav" });
}

$("record").addEventListener("click", record);
$("file").addEventListener("change", () => $("file").files.length && useAudio($("file").files[0]));
$("kind").addEventListener("change", recognize);
$("snr").addEventListener("input", () => { $("ratio").textContent = `${$("snr").value} dB`; });
$("snr").addEventListener("change", recognize);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length) useAudio(event.dataTransfer.files[0]);
});
loadSettings();
