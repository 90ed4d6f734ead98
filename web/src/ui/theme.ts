/** Colours and sizes: dark for the reading room, light for the office; both WCAG AA. Layer: web/ui. */
import { createTheme, type MantineColorsTuple } from '@mantine/core';

const beam: MantineColorsTuple = [
  '#e6f7fb',
  '#d0edf4',
  '#a0dbe8',
  '#6dc8dc',
  '#46b8d2',
  '#2fadca',
  '#16798f',
  '#11687c',
  '#0a5566',
  '#06414f',
];

export const theme = createTheme({
  colors: { beam },
  primaryColor: 'beam',
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  defaultRadius: 'sm',
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK KR", sans-serif',
  respectReducedMotion: true,
  cursorType: 'pointer',
  focusRing: 'auto',
});
