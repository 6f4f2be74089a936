// The demo page: sends audio to the server it came from, and to nobody else.
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
const percent = (share) => `${Math.round(100 * share)} %`;
const clock = (seconds) => {
  const tenths = Math.round(10 * seconds);
  const rest = String((tenths % 600) / 10);
  return `${Math.floor(tenths / 600)}:${(tenths % 600 < 100 ? "0" : "") + rest}`;
};
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

let about = { labels: [], megabytes: 0, seconds: 0 };
let audio = null;    // what was recorded or chosen: a Blob
let request = 0;     // the latest one: answers to others are not shown
let recorder = null;

async function begin() {
  about = await (await fetch("about")).json();
  for (const kind of about.noises) $("kind").append(element("option", { value: kind }, kind));
  $("noises").hidden = about.noises.length === 0;
}

async function recognise() {
  if (!audio) return;
  const mine = ++request;
  const kind = $("kind").value;
  $("snr").disabled = kind === "";
  $("ratio").textContent = kind === "" ? "no noise" : `${$("snr").value} dB`;
  $("error").textContent = "";
  $("status").textContent = "Listening …";
  try {
    const answer = await send(`recognise?noise=${kind}&snr=${$("snr").value}`, mine);
    if (mine === request) show(answer);
  } catch (error) {
    if (mine === request) refuse(error.message);
  }
}

async function send(address, mine) {
  if (audio.size > 1e6 * about.megabytes) throw Error(`Files of up to ${about.megabytes} MB, please.`);
  for (;;) {
    const response = await fetch(address, { method: "POST", body: audio });
    const answer = await response.json();
    if (response.status !== 503 || mine !== request) {
      if (!response.ok) throw Error(answer.error);
      return answer;
    }
    $("status").textContent = answer.error;
    await wait(Number(response.headers.get("Retry-After")) || 2);
  }
}

function refuse(message) {
  $("status").textContent = "";
  $("error").textContent = message;
  $("results").replaceChildren();
  $("player").hidden = true;
}

function show(answer) {
  const bytes = Uint8Array.from(atob(answer.audio), (c) => c.charCodeAt(0));
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(new Blob([bytes], { type: "audio/flac" }));
  $("player").hidden = false;
  $("results").replaceChildren(...answer.systems.map((system) => result(system, answer)));
  const turns = Math.max(...answer.systems.map((system) => system.turns.length));
  $("status").textContent = turns === 0 ? "Nobody speaks."
    : `${clock(answer.duration)} heard: ${turns} ${turns === 1 ? "turn" : "turns"}.`;
}

function result(system, answer) {
  const section = element("section", { "aria-label": system.name },
    element("h2", {}, system.name), timeline(system, answer));
  if (system.turns.length > 0) section.append(table(system));
  return section;
}

// The waveform, with emotions as bands and words below. The table says the same to screen readers.
function timeline(system, answer) {
  const line = element("div", { className: "time", "aria-hidden": "true" });
  line.style.width = `${Math.min(20000, 90 * answer.duration)}px`;
  const at = (seconds) => `${100 * seconds / answer.duration}%`;
  for (const turn of system.turns) {
    const known = about.labels.indexOf(turn.emotion);
    const band = element("div", { className: `band ${known < 0 ? "unsure" : `e${known % 8}`}` });
    band.style.left = at(turn.begin);
    band.style.width = at(turn.end - turn.begin);
    band.textContent = turn.emotion === null ? ""
      : known < 0 ? "not sure" : `${turn.emotion} ${percent(turn.posteriors[turn.emotion])}`;
    line.append(band);
    for (const { word, begin, confidence } of turn.words) {
      const shown = element("span", { className: "word" }, word);
      shown.style.left = at(begin);
      shown.style.opacity = 0.45 + 0.55 * confidence;
      line.append(shown);
    }
  }
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const { peaks } = answer;
  const loudest = Math.max(0.01, ...peaks.flat().map(Math.abs));
  const point = (value, place) => `${place} ${(-value / loudest).toFixed(3)}`;
  const top = peaks.map(([, most], place) => point(most, place));
  const bottom = peaks.map(([least], place) => point(least, place)).reverse();
  path.setAttribute("d", `M${[...top, ...bottom].join("L")}Z`);
  svg.setAttribute("viewBox", `0 -1 ${peaks.length} 2`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.append(path);
  line.append(svg);
  const scroll = element("div", { className: "scroll" }, line);
  return scroll;
}

function table(system) {
  const rows = system.turns.map((turn) => {
    const play = element("button", { type: "button", "aria-label": `play from ${clock(turn.begin)}` },
      clock(turn.begin));
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
  const heads = ["from", "words", ...(system.labels.length > 0 ? ["felt as", "posteriors"] : [])];
  return element("table", {},
    element("caption", {}, `What ${system.name} hears`),
    element("thead", {}, element("tr", {}, ...heads.map((h) => element("th", { scope: "col" }, h)))),
    element("tbody", {}, ...rows));
}

function posteriors(values) {
  const ranked = Object.entries(values).sort(([, a], [, b]) => b - a);
  return element("dl", { className: "posteriors" }, ...ranked.map(([name, value]) =>
    element("div", {}, element("dt", {}, name),
      element("dd", {}, element("meter", { min: 0, max: 1, value, "aria-label": `${name} ${percent(value)}` })),
      element("dd", {}, percent(value)))));
}

function take(blob) {
  audio = blob;
  recognise();
}

// Browsers record in formats of their own: decoded here, sent as a wav file.
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
      recording(false);
      stream.getTracks().forEach((track) => track.stop());
      const context = new AudioContext();
      const sound = await context.decodeAudioData(await new Blob(parts).arrayBuffer());
      context.close();
      take(wav(sound));
    });
    recorder.start();
    recording(true);
    setTimeout(() => recorder && recorder.stop(), 1000 * about.seconds);
  } catch (error) {
    refuse(`No microphone: ${error.message}`);
  }
}

function recording(on) {
  $("record").setAttribute("aria-pressed", String(on));
  $("record").textContent = on ? "Stop" : "Record";
  $("status").textContent = on ? "Recording …" : "";
}

function wav(sound) {
  const samples = sound.getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (place, string) => [...string].forEach((c, i) => view.setUint8(place + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, sound.sampleRate, 4], [28, 2 * sound.sampleRate, 4],
    [32, 2, 2], [34, 16, 2]].forEach(([place, value, size]) =>
    size === 4 ? view.setUint32(place, value, true) : view.setUint16(place, value, true));
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) =>
    view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
  return new Blob([view], { type: "audio/wav" });
}

$("record").addEventListener("click", record);
$("file").addEventListener("change", () => $("file").files.length && take($("file").files[0]));
$("kind").addEventListener("change", recognise);
$("snr").addEventListener("input", () => { $("ratio").textContent = `${$("snr").value} dB`; });
$("snr").addEventListener("change", recognise);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});
begin();
