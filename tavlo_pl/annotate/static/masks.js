// Masks: COCO run lengths and polygons to pixels and back, in pixels of the frame.

const cache = new WeakMap(); // instance -> mask; instances are never changed in place

// (W * H) bytes 0 or 1, by rows, of run lengths by columns.
export function decode({ size: [height, width], counts }) {
  const mask = new Uint8Array(width * height);
  let place = 0, value = 0;
  for (const count of counts) {
    if (value) {
      for (let n = place; n < place + count; n++) mask[(n % height) * width + Math.floor(n / height)] = 1;
    }
    place += count;
    value = 1 - value;
  }
  return mask;
}

export function encode(mask, width, height) {
  const counts = [];
  let value = 0, count = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (mask[y * width + x] !== value) {
        counts.push(count);
        value = 1 - value;
        count = 0;
      }
      count++;
    }
  }
  counts.push(count);
  return { size: [height, width], counts };
}

// The mask of an instance; empty without geometry.
export function maskOf(each, width, height) {
  if (cache.has(each)) return cache.get(each);
  const shape = each.segmentation;
  let mask;
  if (shape && shape.size) mask = decode(shape);
  else if (shape && shape.length) mask = fill(shape, width, height);
  else if (each.bbox) mask = fill([corners(each.bbox)], width, height);
  else mask = new Uint8Array(width * height);
  cache.set(each, mask);
  return mask;
}

export const corners = ([left, top, width, height]) =>
  [left, top, left + width, top, left + width, top + height, left, top + height];

function fill(polygons, width, height) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
  for (const flat of polygons) {
    context.beginPath();
    for (let n = 0; n < flat.length; n += 2) context.lineTo(flat[n], flat[n + 1]);
    context.fill("evenodd");
  }
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height }, (_, n) => (data[4 * n + 3] > 127 ? 1 : 0));
}

// A canvas with the mask in a colour: translucent inside, opaque on its outline.
export function paint(mask, width, height, colour, isStrong) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const [red, green, blue] = [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const n = y * width + x;
      if (!mask[n]) continue;
      const isEdge = x === 0 || y === 0 || x === width - 1 || y === height - 1
        || !mask[n - 1] || !mask[n + 1] || !mask[n - width] || !mask[n + width];
      image.data.set([red, green, blue, isEdge ? 255 : isStrong ? 110 : 50], 4 * n);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// Sets the pixels within a radius of a segment of a line to a value.
export function stroke(mask, width, height, [x0, y0], [x1, y1], radius, value) {
  const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0)));
  for (let step = 0; step <= steps; step++) {
    const x = x0 + ((x1 - x0) * step) / steps, y = y0 + ((y1 - y0) * step) / steps;
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(height - 1, y + radius); row++) {
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(width - 1, x + radius); column++) {
        if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2) mask[row * width + column] = value;
      }
    }
  }
}
