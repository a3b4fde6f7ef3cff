// Draws the maps and masks of the sample cards and computes the scores at the position of the threshold slider.
// The data is in the element #slider-data; see tavlo_pl/viz/slider.py.
(() => {
  const data = JSON.parse(document.getElementById("slider-data").textContent);
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const floats = text => new Float32Array(bytes(text).buffer);
  const rows = data.height, columns = data.width, pixels = rows * columns, colormap = bytes(data.colormap);
  const slider = document.getElementById("slider-threshold");

  // Row n of a weight matrix W holds the weights of pixel n over the cells: an upsampled map is W_height M W_width'.
  function upsample(map, height, width) {
    const down = floats(data.weights[0][height]), along = floats(data.weights[1][width]);
    const out = new Float32Array(pixels), line = new Float32Array(width);
    for (let y = 0; y < rows; y++) {
      line.fill(0);
      for (let i = 0; i < height; i++) {
        const w = down[y * height + i];
        if (w) for (let j = 0; j < width; j++) line[j] += w * map[i * width + j];
      }
      for (let x = 0; x < columns; x++) {
        let sum = 0;
        for (let j = 0; j < width; j++) sum += along[x * width + j] * line[j];
        out[y * columns + x] = sum;
      }
    }
    return out;
  }

  function unpackBits(text) {
    const octets = bytes(text);
    return Uint8Array.from({length: pixels}, (_, n) => octets[n >> 3] >> (7 - (n & 7)) & 1);
  }

  function isEdge(set, n) {
    const x = n % columns, y = (n - x) / columns;
    for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) {
      const inside = x + dx >= 0 && x + dx < columns && y + dy >= 0 && y + dy < rows;
      if (!inside || !set[n + dy * columns + dx]) return true;
    }
    return false;
  }

  // A colour as one 32-bit number in the byte order of a canvas.
  const packed = (r, g, b, alpha) => new Uint32Array(Uint8Array.of(r, g, b, alpha).buffer)[0];
  const EDGE = packed(0, 255, 200, 255), INSIDE = packed(0, 255, 200, 90), DIM = packed(0, 0, 0, 110);
  const heat = Array.from({length: 256}, (_, n) => packed(...colormap.subarray(3 * n, 3 * n + 3), 175));
  const level = score => Math.round(255 * Math.min(1, Math.max(0, (score - data.low) / (data.high - data.low))));

  function paint(canvas, colours) {
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(colours.buffer), columns), 0, 0);
  }

  const truths = data.truths.map(text => {
    const set = unpackBits(text), edge = set.map((inside, n) => inside && isEdge(set, n));
    return {set, edge, area: set.reduce((sum, bit) => sum + bit, 0)};
  });
  for (const canvas of document.querySelectorAll("canvas[data-truth]")) {
    const {set, edge} = truths[canvas.dataset.truth];
    paint(canvas, Uint32Array.from(set, (inside, n) => edge[n] ? EDGE : inside ? INSIDE : 0));
  }
  const tiles = [...document.querySelectorAll("canvas[data-map]")].map(canvas => {
    const {map, height, width, truth} = data.maps[canvas.dataset.map];
    const score = upsample(floats(map), height, width);
    const output = canvas.closest("figure").querySelector("output");
    const colours = Uint32Array.from(score, value => heat[level(value)]);
    return {canvas, output, score, colours, ordered: score.slice().sort(), truth: truths[truth]};
  });

  function draw() {
    const byShare = document.querySelector("input[name=by]:checked").value === "share", value = +slider.value;
    document.getElementById("slider-level").textContent =
      byShare ? `top ${(100 * value).toFixed(1)} %` : `score ≥ ${value.toFixed(3)}`;
    const rank = Math.min(pixels - 1, Math.max(0, Math.floor((1 - value) * pixels + 1e-6)));
    for (const {canvas, output, score, colours: above, ordered, truth} of tiles) {
      const threshold = byShare ? ordered[rank] : value, colours = new Uint32Array(pixels);
      let predicted = 0, both = 0;
      for (let n = 0; n < pixels; n++) {
        const on = score[n] >= threshold;
        predicted += on;
        both += on && truth.set[n];
        colours[n] = truth.edge[n] ? EDGE : on ? above[n] : DIM;
      }
      paint(canvas, colours);
      output.textContent = truth.area ? `now ${(both / (truth.area + predicted - both)).toFixed(2)}`
        : `now ${(1 - predicted / pixels).toFixed(2)}`;
    }
  }

  function choose(by, value) {
    document.querySelector(`input[name=by][value=${by}]`).checked = true;
    [slider.min, slider.max] = by === "share" ? [0, 1] : [data.low, data.high];
    slider.value = value;
    draw();
  }
  slider.addEventListener("input", draw);
  for (const input of document.querySelectorAll("input[name=by]"))
    input.addEventListener("change", () => choose(input.value, data.start[input.value]));
  choose(data.by, data.start[data.by]);
})();
