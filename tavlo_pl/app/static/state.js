// State of the page that all modules share, and functions without side effects.

export const state = {
  settings: null, // of the server: threshold, size limit, colours
  video: null, // the server's description of the video on the page
  result: null, // its maps and steps
};

export const element = (id) => document.getElementById(id);
export const player = element("player");
export const threshold = () => Number(element("threshold").value);

// Formats seconds as a time: 0:07.5, 12:03, 1:02:03.
export function clock(seconds) {
  if (seconds < 59.95) return `0:${seconds.toFixed(1).padStart(4, "0")}`;
  const whole = Math.floor(seconds), two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// The maps and steps of a video, with the range of the scores.
export function makeResult(sources, scores, cells) {
  let low = Infinity, high = -Infinity;
  for (const score of scores) { low = Math.min(low, score); high = Math.max(high, score); }
  const { steps, width, height, duration_s } = sources;
  const lowestPeak = steps.reduce((least, step) => Math.min(least, step.score), state.settings.threshold ?? Infinity);
  return { steps, width, height, duration_s, scores, cells, low, high, lowestPeak };
}

// Time spans in which a source is visible: consecutive steps whose highest score reaches the threshold.
export function visibleSpans() {
  const { steps, duration_s } = state.result, from = threshold(), spans = [];
  let open = null;
  steps.forEach((step, n) => {
    if (step.score < from) { open = null; return; }
    const start_s = n ? (steps[n - 1].time_s + step.time_s) / 2 : 0;
    if (!open) spans.push((open = { start_s, best: step }));
    open.end_s = n + 1 < steps.length ? (step.time_s + steps[n + 1].time_s) / 2 : duration_s;
    if (step.score > open.best.score) open.best = step;
  });
  return spans;
}

// The step whose time is nearest to a time in seconds.
export function nearestStep(seconds) {
  return state.result.steps.reduce((best, step) =>
    (Math.abs(step.time_s - seconds) < Math.abs(best.time_s - seconds) ? step : best));
}
