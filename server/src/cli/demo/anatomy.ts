/**
 * Bodies made of ellipsoids: a chest and a head in Hounsfield units, a brain as MR weighs it, a whole body with its activity.
 * Nobody's anatomy; enough of it to try a viewer with.
 *
 * Layer:  server/cli.
 */
import { type Grid, type Paint, Slice } from './canvas.ts';
import { grain, noise } from './noise.ts';

const AIR = -1000;

/** Soft tissue is not even. */
const tissue =
  (value: number, amount: number, seed: number, z: number): Paint =>
  (x, y) =>
    value + noise(x / 9, y / 9, z / 9, seed) * amount;

/** Lung: air with branching vessels, thinner towards the edge. */
const lung =
  (z: number): Paint =>
  (x, y, depth) => {
    // Turned against the lattice of the noise, whose rows would show.
    const ridge = (scale: number, seed: number): number => {
      const [u, v, w] = [x * 0.7 + y * 0.5 - z * 0.3, y * 0.75 - x * 0.45 + z * 0.35, z * 0.8 + x * 0.4];
      return 1 - Math.min(1, Math.abs(noise(u / scale, v / scale, w / scale, seed)) * (scale > 15 ? 9 : 6));
    };
    const vessels = Math.max(
      ridge(26, 3) * 620 * Math.min(1, depth * 2.2),
      ridge(12, 4) * 260 * Math.min(1, depth * 3),
    );
    return -860 + noise(x / 40, y / 40, z / 40, 5) * 25 + vessels;
  };

/** An axial slice of a chest, z = 0 at the heart. */
export function chest(grid: Grid, z: number, seed = 0): Slice {
  const slice = new Slice(grid, z, AIR);
  const shoulder = Math.max(0, (z - 70) / 90);
  // The table stands out below the back.
  slice
    .fill({ at: [0, 420, 0], radius: [330, 292, 2000] }, -700)
    .fill({ at: [0, 424, 0], radius: [324, 292, 2000] }, -960);
  slice.fill(
    { at: [0, 0, 0], radius: [178 + shoulder * 30, 118 - shoulder * 12, 900] },
    tissue(-95, 14, 1, z),
  );
  slice.fill(
    { at: [0, 2, 0], radius: [166 + shoulder * 22, 104 - shoulder * 12, 900] },
    tissue(52, 10, 2, z),
  );
  if (z < 60) slice.both({ at: [88, -104, -25], radius: [56, 30, 62] }, tissue(-80, 40, 6, z));
  // Ribs run downwards to the front: in a slice they are arcs that wander with z.
  for (let rib = -7; rib <= 7; rib += 1) {
    for (let step = 0; step <= 10; step += 1) {
      const angle = (step / 10) * 2.5 - 1.05;
      const height = rib * 24 - step * 5;
      if (Math.abs(z - height) > 9) continue;
      slice.both(
        {
          at: [Math.cos(angle) * 141 + 4, -Math.sin(angle) * 90 + 4, height],
          radius: [10, 5.5, 7],
          turn: 90 - (angle * 180) / Math.PI,
        },
        (_x, _y, depth) => (depth > 0.45 ? 260 : 720),
      );
    }
  }
  slice.both({ at: [76, -4, -8], radius: [61, 80, 132] }, lung(z));
  slice.fill({ at: [74, -46, -60], radius: [22, 20, 60] }, tissue(45, 8, 7, z));
  // Mediastinum, heart with its chambers, great vessels, airways.
  slice.fill({ at: [0, -12, 40], radius: [30, 58, 110] }, tissue(20, 25, 8, z));
  slice.fill({ at: [24, -34, -46], radius: [62, 50, 58], turn: 35 }, tissue(55, 8, 9, z));
  slice.fill({ at: [38, -26, -48], radius: [27, 21, 34], turn: 35 }, 190);
  slice.fill({ at: [2, -50, -42], radius: [24, 18, 32], turn: 20 }, 170);
  if (z < 80) slice.fill({ at: [24, 46, 0], radius: [13, 13, 900] }, 205);
  slice
    .fill({ at: [-12, -32, 40], radius: [16, 16, 42] }, 210)
    .fill({ at: [6, -8, 66], radius: [30, 14, 13], turn: 55 }, 205);
  slice.fill({ at: [12, -22, 10], radius: [32, 12, 16], turn: -12 }, 185);
  if (z > 16) slice.fill({ at: [0, 8, 150], radius: [9, 9, 136] }, -1000);
  else if (z > -30) slice.both({ at: [8 + (16 - z) * 0.75, 12, 0], radius: [6.5, 6.5, 60] }, -1000);
  // A spine with its canal and processes, shoulder blades, breast bone.
  slice.fill({ at: [0, 66, 0], radius: [21, 17, 900] }, (x, y, depth) =>
    depth < 0.15 ? 560 : 180 + noise(x / 4, y / 4, z / 4, 10) * 60,
  );
  slice
    .fill({ at: [0, 88, 0], radius: [10, 9, 900] }, 30)
    .both({ at: [17, 88, 0], radius: [14, 6, 900], turn: 24 }, 430);
  if (Math.abs((((z % 24) + 24) % 24) - 12) < 7) slice.fill({ at: [0, 101, 0], radius: [4, 13, 900] }, 460);
  if (z > -20) slice.both({ at: [98, 76, 90], radius: [42, 5, 100], turn: 28 }, 520);
  slice.fill({ at: [0, -97, 10], radius: [18, 6, 100] }, (_x, _y, depth) => (depth > 0.35 ? 180 : 480));
  // Liver and spleen under the lungs, and one nodule to find.
  slice.fill({ at: [-78, -4, -150], radius: [74, 76, 62] }, tissue(108, 7, 11, z));
  slice.fill({ at: [98, 36, -150], radius: [34, 40, 44] }, tissue(118, 6, 12, z));
  slice.fill({ at: [-92, -26, 34], radius: [8, 8, 8] }, 48);
  return noisy(slice, 13, seed);
}

/** Grey matter runs in folds below the surface. */
function cortex(x: number, y: number, z: number, depth: number): number {
  const fold = Math.abs(noise(x / 13, y / 13, z / 13, 21) + noise(x / 7, y / 7, z / 7, 22) * 0.4);
  return Math.max(0, 1 - depth * 5.5) + Math.max(0, 1 - fold * 4.2) * Math.max(0, 1 - depth * 2.4);
}

export interface BrainWeights {
  readonly air: number;
  readonly fat: number;
  readonly bone: number;
  readonly marrow: number;
  readonly white: number;
  readonly grey: number;
  readonly fluid: number;
  readonly lesion: number;
  /** Standard deviation of the grain. */
  readonly grain: number;
}

export const CT_HEAD: BrainWeights = {
  air: AIR,
  fat: -80,
  bone: 1250,
  marrow: 620,
  white: 27,
  grey: 39,
  fluid: 6,
  lesion: 68,
  grain: 3.2,
};
export const T1: BrainWeights = {
  air: 8,
  fat: 900,
  bone: 40,
  marrow: 420,
  white: 640,
  grey: 440,
  fluid: 130,
  lesion: 330,
  grain: 13,
};
export const T2: BrainWeights = {
  air: 8,
  fat: 620,
  bone: 30,
  marrow: 330,
  white: 300,
  grey: 430,
  fluid: 900,
  lesion: 760,
  grain: 13,
};

/** An axial slice of a head, z = 0 at the ventricles. */
export function head(grid: Grid, z: number, weights: BrainWeights, seed = 0): Slice {
  const { air, fat, bone, marrow, white, grey, fluid, lesion } = weights;
  const slice = new Slice(grid, z, air);
  slice
    .fill({ at: [0, 2, -6], radius: [80, 100, 98] }, fat)
    .fill({ at: [0, 2, -6], radius: [77, 97, 95] }, (grey + fat) / 2.4);
  slice
    .fill({ at: [0, 2, -6], radius: [74, 94, 92] }, bone)
    .fill({ at: [0, 2, -6], radius: [71.5, 91.5, 89.5] }, marrow);
  slice
    .fill({ at: [0, 2, -6], radius: [69.5, 89.5, 87.5] }, bone)
    .fill({ at: [0, 2, -6], radius: [67, 87, 85] }, fluid);
  const matter: Paint = (x, y, depth) => {
    const share = Math.min(1, cortex(x, y, z, depth));
    const sulcus = Math.abs(noise(x / 13, y / 13, z / 13, 21)) < 0.07 && depth < 0.13;
    return sulcus
      ? fluid
      : white + (grey - white) * share + noise(x / 20, y / 20, z / 20, 23) * Math.abs(grey - white) * 0.1;
  };
  slice.fill({ at: [0, 2, -6], radius: [64.5, 84, 82] }, matter);
  // The falx in its cleft, deep grey nuclei, ventricles, a lesion with its oedema.
  if (z > -25)
    slice
      .fill({ at: [0, -48, 20], radius: [1.6, 36, 70] }, fluid)
      .fill({ at: [0, 56, 20], radius: [1.6, 30, 70] }, fluid);
  slice
    .both({ at: [23, 2, -8], radius: [8, 17, 16], turn: -14 }, grey)
    .both({ at: [10, 14, -8], radius: [8, 12, 13] }, grey);
  slice
    .both({ at: [9, -22, 8], radius: [5, 20, 18], turn: -16 }, fluid)
    .both({ at: [16, 30, 6], radius: [6, 22, 13], turn: 22 }, fluid);
  slice
    .fill({ at: [0, 4, -8], radius: [2.4, 14, 14] }, fluid)
    .fill({ at: [0, 24, -6], radius: [3.2, 3.2, 4] }, (bone + grey) / 2.6);
  slice.fill({ at: [36, -26, 22], radius: [17, 19, 16] }, (x, y, depth) =>
    depth > 0.45 ? lesion : white + (fluid - white) * 0.35,
  );
  // Below: cerebellum, brain stem, petrous bones with their cells, sinuses and eyes.
  if (z < -30) {
    slice.both({ at: [24, 52, -52], radius: [30, 26, 26] }, (x, y) =>
      noise(x / 30, y / 2.6, z / 6, 24) > 0 ? grey : white,
    );
    slice
      .fill({ at: [0, 20, -52], radius: [15, 14, 40] }, white)
      .fill({ at: [0, 36, -48], radius: [8, 6, 12] }, fluid);
    slice.both({ at: [44, 16, -58], radius: [26, 10, 14], turn: 32 }, (x, y) =>
      noise(x / 4, y / 4, z / 4, 25) > 0.35 ? air : bone,
    );
    slice
      .fill({ at: [0, -50, -66], radius: [14, 30, 22] }, air)
      .both({ at: [31, -72, -58], radius: [13, 13, 13] }, fluid);
    slice.both({ at: [31, -64, -58], radius: [16, 26, 16] }, (x, y, depth) => (depth > 0.5 ? grey : fat));
    slice.both({ at: [31, -74, -58], radius: [12.5, 12.5, 12.5] }, fluid);
  }
  return noisy(slice, weights.grain, seed);
}

/** A whole body from thighs to head, z = 0 at the heart: coarse, for the CT of a PET. */
export function wholeBody(grid: Grid, z: number, seed = 0): Slice {
  if (z > 190) return head(grid, z - 290, CT_HEAD, seed);
  if (z > -120) return chest(grid, z, seed);
  const slice = new Slice(grid, z, AIR);
  slice
    .fill({ at: [0, 420, 0], radius: [330, 292, 2000] }, -700)
    .fill({ at: [0, 424, 0], radius: [324, 292, 2000] }, -960);
  slice
    .fill({ at: [0, 4, -300], radius: [170, 112, 700] }, tissue(-98, 10, 31, z))
    .fill({ at: [0, 6, -300], radius: [148, 92, 700] }, tissue(54, 8, 32, z));
  slice.fill({ at: [0, -16, -250], radius: [120, 62, 130] }, (x, y) =>
    noise(x / 17, y / 17, z / 17, 33) > 0.32 ? -250 : 10 + noise(x / 8, y / 8, z / 8, 34) * 60,
  );
  slice
    .fill({ at: [-70, -6, -160], radius: [78, 74, 74] }, tissue(108, 6, 11, z))
    .fill({ at: [94, 36, -160], radius: [34, 40, 50] }, 118);
  slice.both({ at: [58, 42, -210], radius: [26, 30, 52] }, tissue(150, 8, 35, z));
  slice
    .fill({ at: [0, 62, -200], radius: [24, 20, 190] }, 230)
    .fill({ at: [0, 88, -200], radius: [10, 9, 190] }, 30);
  if (z < -320) {
    slice.both({ at: [82, 26, -390], radius: [54, 44, 66], turn: 30 }, (x, y, depth) =>
      depth < 0.2 ? 620 : 240,
    );
    slice.both({ at: [82, 26, -390], radius: [34, 26, 50], turn: 30 }, tissue(56, 6, 36, z));
    slice.fill({ at: [0, -14, -410], radius: [38, 34, 36] }, 8);
  }
  return noisy(slice, 13, seed);
}

/** Activity of the same body in standardised uptake values: brain, heart, kidneys, bladder and three lesions. */
export function uptake(grid: Grid, z: number): Slice {
  const slice = new Slice(grid, z, 0.03);
  if (z > 190) {
    const brain = z - 290;
    slice.fill({ at: [0, 2, 284], radius: [78, 98, 96] }, 0.7);
    return noisy(
      slice.fill(
        { at: [0, 2, 284], radius: [64, 84, 82] },
        (x, y, depth) => 4.5 + cortex(x, y, brain, depth) * 5,
      ),
      0.12,
      Math.round(z),
    );
  }
  slice.fill({ at: [0, 4, -100], radius: [160, 100, 900] }, 0.75);
  slice.both({ at: [76, -4, -8], radius: [58, 76, 126] }, 0.4);
  slice
    .fill({ at: [38, -26, -48], radius: [36, 30, 42], turn: 35 }, 4.6)
    .fill({ at: [38, -26, -48], radius: [23, 18, 29], turn: 35 }, 1.6);
  slice
    .fill({ at: [-74, -6, -158], radius: [76, 74, 68] }, 2.3)
    .fill({ at: [96, 36, -156], radius: [34, 40, 46] }, 1.9);
  slice.both({ at: [58, 42, -210], radius: [24, 28, 48] }, (_x, _y, depth) => (depth > 0.5 ? 9 : 3.4));
  slice.fill({ at: [0, -14, -410], radius: [36, 32, 34] }, 18);
  slice
    .fill({ at: [-92, -26, 34], radius: [11, 11, 11] }, 9.5)
    .fill({ at: [-20, 2, 40], radius: [9, 9, 10] }, 7.2);
  slice.fill({ at: [0, 62, -250], radius: [10, 9, 11] }, 6.4);
  return noisy(slice, 0.06, Math.round(z));
}

function noisy(slice: Slice, amount: number, seed: number): Slice {
  const { columns } = slice.grid;
  for (let at = 0; at < slice.values.length; at += 1)
    slice.values[at] = (slice.values[at] ?? 0) + grain(at % columns, Math.floor(at / columns), seed) * amount;
  return slice;
}
