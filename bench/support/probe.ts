/**
 * What runs inside the measured page: sees when an image is really on the screen, by its pixels, whichever viewer drew it.
 * Text for `addInitScript`, because it belongs to the browser and not to this program.
 */

/** Grey values a picture has to have before it counts as an image: a spinner or a blank canvas has fewer. */
const VALUES = 12;

/**
 * `bench.opened`: time of the double click, or 0: the page's own navigation. `bench.first`: when an image was there.
 * `bench.frames()`: pixel data that has arrived, by address. `bench.changed(before)`: waits until other pixels
 * are on the screen than `look()` saw before.
 */
export const PROBE = `(() => {
  performance.setResourceTimingBufferSize(20000);
  const bench = { opened: 0, first: 0 };
  window.bench = bench;
  addEventListener('dblclick', () => { bench.opened = performance.now(); bench.first = 0; }, true);
  const small = document.createElement('canvas');
  small.width = small.height = 48;
  const context = small.getContext('2d', { willReadFrequently: true });
  const look = () => {
    for (const canvas of document.querySelectorAll('canvas')) {
      if (canvas.clientWidth < 200 || canvas.clientHeight < 200) continue;
      context.clearRect(0, 0, 48, 48);
      context.drawImage(canvas, 0, 0, 48, 48);
      const { data } = context.getImageData(0, 0, 48, 48);
      const values = new Set();
      let sum = 0;
      for (let at = 0; at < data.length; at += 4) { values.add(data[at]); sum = (sum * 31 + data[at]) >>> 0; }
      if (values.size >= ${VALUES}) return sum;
    }
    return 0;
  };
  const frame = () => new Promise((settle) => requestAnimationFrame(() => settle()));
  (async () => {
    for (;;) {
      await frame();
      if (!bench.first && look() !== 0) bench.first = performance.now();
    }
  })();
  bench.frames = () => {
    const found = new Map();
    for (const entry of performance.getEntriesByType('resource'))
      if (/\\/frames\\/1$/.test(entry.name) && entry.responseEnd > 0 && entry.startTime >= bench.opened)
        found.set(entry.name, entry.responseEnd);
    return [...found.values()];
  };
  bench.look = look;
  bench.changed = async (before) => {
    for (let tries = 0; look() === before; tries += 1) {
      if (tries > 300) throw new Error('scrolling does not change the image');
      await frame();
    }
    return look();
  };
})();`;
