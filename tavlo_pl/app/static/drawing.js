// Draws the map over the video, the score curve and the table of sources, so that a changed threshold has an effect at
// once. The map equals that of overlay videos (tavlo_pl/viz/overlay.py): scores from the threshold to the video's
// highest are scaled to 0..1, interpolated between the centres of cells, and used as colour and as opacity.
import { clock, element, player, state, threshold, visibleSpans } from "./state.js";

const MAX_WIDTH_PX = 320; // of the canvas of the map, which the browser scales to the video
const MAX_ROWS = 200;

// Sets the aspect ratio, width by height, of the video and of the map.
export function setShape(ratio) {
  const canvas = element("heatmap"), stage = element("stage");
  canvas.width = Math.max(2, Math.round(Math.min(MAX_WIDTH_PX, MAX_WIDTH_PX * ratio)));
  canvas.height = Math.max(2, Math.round(canvas.width / ratio));
  stage.style.setProperty("--shape", ratio);
  stage.style.aspectRatio = ratio;
  stage.style.maxWidth = `calc(70vh * ${ratio})`;
}

// The map at a time: linear between the two adjacent steps.
function mapAt(seconds) {
  const { steps, scores, cells: [count, rows, columns] } = state.result;
  const size = rows * columns;
  let low = 0, high = count - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle].time_s <= seconds) low = middle; else high = middle;
  }
  const span = steps[high].time_s - steps[low].time_s;
  const share = span > 0 ? Math.min(1, Math.max(0, (seconds - steps[low].time_s) / span)) : 0;
  return Float32Array.from({ length: size }, (_, n) =>
    (1 - share) * scores[low * size + n] + share * scores[high * size + n]);
}

// For each of `pixels`: the two cells with the nearest centres, and the weight of the second.
function interpolation(pixels, cells) {
  return Array.from({ length: pixels }, (_, n) => {
    const place = Math.min(cells - 1, Math.max(0, ((n + 0.5) * cells) / pixels - 0.5));
    const first = Math.min(Math.floor(place), Math.max(0, cells - 2));
    return [first, Math.min(first + 1, cells - 1), place - first];
  });
}

export function drawHeatmap(seconds) {
  const canvas = element("heatmap");
  const context = canvas.getContext("2d", { willReadFrequently: true }); // drawn by the CPU
  const [, rows, columns] = state.result.cells, from = threshold(), span = state.result.high - from;
  const level = mapAt(seconds).map((score) => (span > 0 ? Math.min(1, Math.max(0, (score - from) / span)) : 0));
  const image = context.createImageData(canvas.width, canvas.height);
  const across = interpolation(canvas.width, columns), down = interpolation(canvas.height, rows);
  let place = 0;
  for (const [above, below, y] of down) {
    for (const [left, right, x] of across) {
      const upper = (1 - x) * level[above * columns + left] + x * level[above * columns + right];
      const lower = (1 - x) * level[below * columns + left] + x * level[below * columns + right];
      const value = Math.round(255 * ((1 - y) * upper + y * lower));
      const [red, green, blue] = state.settings.colormap[value];
      image.data[place++] = red;
      image.data[place++] = green;
      image.data[place++] = blue;
      image.data[place++] = value;
    }
  }
  context.putImageData(image, 0, 0);
}

// The highest score over time, the threshold as a dashed line, and the spans in which a source is visible.
export function drawCurve() {
  const canvas = element("curve"), style = getComputedStyle(document.body), result = state.result;
  const colour = (name) => style.getPropertyValue(name).trim();
  const width = canvas.clientWidth, height = canvas.clientHeight, scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const high = Number(element("threshold").max), low = result.lowestPeak - 0.15 * (high - result.lowestPeak);
  const x = (seconds) => (width * seconds) / Math.max(result.duration_s, 1e-3);
  const y = (score) => height - 4 - (height - 8) * Math.max(0, (score - low) / Math.max(high - low, 1e-6));
  context.fillStyle = colour("--mark");
  context.globalAlpha = 0.18;
  for (const span of visibleSpans()) {
    context.fillRect(x(span.start_s), 0, Math.max(1, x(span.end_s) - x(span.start_s)), height);
  }
  context.globalAlpha = 1;
  context.strokeStyle = colour("--mark");
  context.lineWidth = 1.5;
  context.beginPath();
  for (const step of result.steps) context.lineTo(x(step.time_s), y(step.score));
  context.stroke();
  context.strokeStyle = colour("--dim");
  context.setLineDash([4, 4]);
  context.beginPath();
  context.moveTo(0, y(threshold()));
  context.lineTo(width, y(threshold()));
  context.stroke();
}

function region([x, y]) {
  const across = ["left", "", "right"][Math.min(2, Math.floor((3 * x) / state.result.width))];
  const down = ["top", "", "bottom"][Math.min(2, Math.floor((3 * y) / state.result.height))];
  return [down, across].filter(Boolean).join(" ") || "middle";
}

export function listSources() {
  const spans = visibleSpans(), steps = state.result.steps, body = element("sources").tBodies[0];
  body.replaceChildren(...spans.slice(0, MAX_ROWS).map((span) => {
    const row = document.createElement("tr");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = clock(span.start_s);
    const [x, y] = span.best.peak;
    const words = [button, clock(span.end_s), span.best.score.toFixed(2),
      `${region([x, y])} (${Math.round(x)}, ${Math.round(y)}) at ${clock(span.best.time_s)}`];
    for (const word of words) row.insertCell().append(word);
    row.addEventListener("click", () => { player.currentTime = span.best.time_s; });
    return row;
  }));
  element("sources").hidden = spans.length === 0;
  element("more").hidden = spans.length <= MAX_ROWS;
  element("more").textContent = `${spans.length - MAX_ROWS} more are in the JSON file.`;
  const visible = steps.filter((step) => step.score >= threshold()).length / steps.length;
  const share = visible === 1 ? "all the time" : `${Math.min(99, Math.max(1, Math.round(100 * visible)))} % of the time`;
  element("visibility").textContent =
    visible ? `A source is visible ${share}.` : "No visible source: no score reaches the threshold.";
}
