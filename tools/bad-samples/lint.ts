/** Everything here is wrong on purpose: tools/guards.test.ts shows that the linter says so. */
async function save(): Promise<void> {}

export function lose(): void {
  save();
}

[1].forEach(save);

export async function pointless(): Promise<void> {
  await 1;
}

export function forgets(kind: 'a' | 'b'): number {
  switch (kind) {
    case 'a':
      return 1;
  }
  return 0;
}

export const loose = (value: string): boolean => value == '1';

export default function unnamed(): void {
  console.log('a patient');
}
