// The page: asks for `figures.json` once a second and shows it. All text goes in as text, never as HTML.

const everyMs = 1_000;
const chartSeconds = 120;

/** What a state means for new files. */
const tones = { available: "good", full: "good", busy: "wait", overloaded: "wait", draining: "wait", drained: "wait" };

/** @type {{ atMs: number, files: number, bytes: number } | undefined} */
let before;
/** Files stored per second, one for each look, the latest last. @type {number[]} */
const rates = [];

async function look() {
  try {
    const answer = await fetch("figures.json", { signal: AbortSignal.timeout(5_000) });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    show(await answer.json());
    say("up to date", "good");
  } catch (error) {
    // What was counted before says nothing about the time until it is back.
    before = undefined;
    const why = error instanceof TypeError ? "it does not answer" : error.message;
    say(`the balancer is not there: ${why}; these are its last figures`, "bad");
  }
  setTimeout(look, everyMs);
}

function show(figures) {
  const { files, bytes } = perSecond(figures);
  const waiting = figures.queuedFiles + figures.dispatchingFiles;
  byId("about").textContent =
    `${figures.version}, up ${duration(figures.nowMs - figures.startedAtMs)}, start ${figures.term} of ${figures.origin.slice(0, 8)}`;
  byId("now").replaceChildren(
    tile("stored per second", files === undefined ? "–" : count(files), bytes === undefined ? "" : `${size(bytes)}/s`),
    tile("stored since the start", count(figures.storedFiles), size(figures.storedBytes)),
    tile("waiting", count(waiting), `${share(waiting, figures.maxQueuedFiles)} of ${count(figures.maxQueuedFiles)}`),
    tile(
      "their bytes",
      size(figures.queuedBytes),
      `${share(figures.queuedBytes, figures.maxQueuedBytes)} of ${size(figures.maxQueuedBytes)}`,
    ),
    tile(
      "arriving",
      count(figures.receivingFiles),
      `${count(figures.uploadStreams)} open ${figures.uploadStreams === 1 ? "stream" : "streams"}`,
    ),
  );
  draw(files);
  const total = figures.servers.reduce((sum, { storedFiles }) => sum + storedFiles, 0);
  byId("servers").replaceChildren(...figures.servers.map((server) => row(server, total)));
  const troubles = [
    ...Object.entries(figures.rejected).map(([reason, times]) => [`files: ${reason}`, times]),
    ...Object.entries(figures.failedAttempts).map(([outcome, times]) => [`attempts: ${outcome}`, times]),
    ["damage put aside", figures.quarantined],
    ["faults of the balancer", figures.faults],
  ].filter(([, times]) => times > 0);
  byId("trouble").hidden = troubles.length === 0;
  byId("troubles").replaceChildren(...troubles.map(([what, times]) => tile(what, count(times), "")));
}

/** What was stored since the last look, for each second by the balancer's own clock; nothing when it has started anew. */
function perSecond({ nowMs, storedFiles, storedBytes }) {
  const last = before;
  before = { atMs: nowMs, files: storedFiles, bytes: storedBytes };
  if (!last || storedFiles < last.files || nowMs <= last.atMs) return {};
  const seconds = (nowMs - last.atMs) / 1_000;
  return { files: (storedFiles - last.files) / seconds, bytes: (storedBytes - last.bytes) / seconds };
}

function draw(rate) {
  if (rate === undefined) return;
  rates.push(rate);
  if (rates.length > chartSeconds) rates.shift();
  const top = Math.max(1, ...rates);
  const points = rates.map((value, index) => `${chartSeconds - rates.length + index},${39 - (value / top) * 38}`);
  byId("line").setAttribute("d", `M${points.join("L")}`);
  byId("area").setAttribute("d", `M${chartSeconds - rates.length},40L${points.join("L")}L${chartSeconds - 1},40Z`);
  byId("scale").textContent = `at most ${count(top)} a second`;
}

function row(server, total) {
  const state = cell(server.state, tones[server.state] ?? "bad");
  if (server.state !== "available" && server.reason) state.append(element("small", server.reason));
  const name = cell(server.name);
  name.append(element("small", server.address));
  const meter = document.createElement("meter");
  meter.value = total === 0 ? 0 : server.storedFiles / total;
  const part = cell("");
  part.append(meter, ` ${share(server.storedFiles, total)}`);
  const weight = Math.round(server.effectiveWeight * 10) / 10;
  const tr = document.createElement("tr");
  tr.append(
    name,
    state,
    cell(weight === server.weight ? String(weight) : `${weight} of ${server.weight}`, "number"),
    cell(count(server.inFlightFiles), "number"),
    cell(count(server.storedFiles), "number"),
    cell(size(server.storedBytes), "number"),
    part,
    cell(count(server.failedAttempts), "number"),
  );
  return tr;
}

function tile(name, value, note) {
  const div = document.createElement("div");
  const dd = element("dd", value);
  if (note !== "") dd.append(element("small", note));
  div.append(element("dt", name), dd);
  return div;
}

function cell(text, tone = "") {
  const td = element("td", text);
  td.className = tone;
  return td;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function say(text, tone) {
  const connection = byId("connection");
  if (connection.textContent !== text) connection.textContent = text;
  connection.className = tone;
}

const byId = (id) => document.getElementById(id);
const count = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });

function share(part, whole) {
  const percent = whole === 0 ? 0 : (part / whole) * 100;
  if (percent > 0 && percent < 0.01) return "< 0.01 %";
  return `${percent.toFixed(percent > 0 && percent < 1 ? 2 : 0)} %`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1_024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1_024 ** power;
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${units[power]}`;
}

function duration(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1_000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

await look();
