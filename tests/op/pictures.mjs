// Screenshots compared within a tolerance.

import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';

/** How many pixels of a screenshot, in both directions, become one pixel of a reference. */
const SCALE = 8;
/** The part of a page that is looked at by itself, in pixels of the reference: a defect fills much of one place. */
const WINDOW = 8;
/** The distance of two colours that count as one (OKLab; black and white are 1 apart). */
const THRESHOLD = 0.06;
/** The part of a window that may differ. Glyphs that another version of the browser draws otherwise change the mean of few blocks, and little. */
const TOLERANCE = 0.2;

/** A screenshot (PNG) made smaller: each pixel is the mean of a block. Edges of glyphs and hairlines vanish in it, places and colours stay. */
export function shrink(bytes) {
  const large = PNG.sync.read(bytes);
  const small = new PNG({ width: Math.floor(large.width / SCALE), height: Math.floor(large.height / SCALE) });
  for (let y = 0; y < small.height; y += 1) {
    for (let x = 0; x < small.width; x += 1) {
      for (let channel = 0; channel < 4; channel += 1) {
        let sum = 0;
        for (let row = 0; row < SCALE; row += 1) {
          const from = 4 * ((y * SCALE + row) * large.width + x * SCALE) + channel;
          for (let column = 0; column < SCALE; column += 1) sum += large.data[from + 4 * column];
        }
        small.data[4 * (y * small.width + x) + channel] = Math.round(sum / SCALE ** 2);
      }
    }
  }
  return PNG.sync.write(small, { colorType: 2, deflateLevel: 9 });
}

/** Compares a shrunk screenshot with a shrunk reference. Returns what differs, in words, or undefined. */
export function compare(bytes, reference) {
  const [one, other] = [PNG.sync.read(bytes), PNG.sync.read(reference)];
  if (one.width !== other.width || Math.abs(one.height - other.height) > 1) return `${SCALE * one.width}×${SCALE * one.height} pixels instead of ${SCALE * other.width}×${SCALE * other.height}`;
  const height = Math.min(one.height, other.height);
  const length = 4 * one.width * height;
  const differing = pixelmatch(one.data.subarray(0, length), other.data.subarray(0, length), undefined, one.width, height, { threshold: THRESHOLD, includeAA: true, windowSize: WINDOW });
  const part = differing / WINDOW ** 2;
  return part > TOLERANCE ? `${Math.round(100 * part)} % of a place of ${SCALE * WINDOW} pixels` : undefined;
}
